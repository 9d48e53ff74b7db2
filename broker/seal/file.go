package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// maxFile is the size of the largest keyring file that is read, in bytes.
const maxFile = 64 << 10

// stamp recognises a file that has not changed since it was read.
type stamp struct {
	info fs.FileInfo
	data []byte
}

func (s stamp) same(info fs.FileInfo) bool {
	return s.info != nil && os.SameFile(s.info, info) && s.info.Size() == info.Size() && s.info.ModTime().Equal(info.ModTime())
}

// Load reads a keyring file. One that other users may read is refused, because its keys are then no secret.
// A file that does not exist answers an error that matches fs.ErrNotExist.
func Load(path string) (*Keyring, error) {
	r, read, err := readFile(path)
	if err != nil {
		return nil, err
	}
	k, err := newKeyring(r.keys)
	if err != nil {
		return nil, err
	}
	k.loaded = read
	return k, nil
}

// LoadOrCreate loads the keyring file, or makes one with a fresh key where there is none. Of two processes that start together, one creates and both load.
func LoadOrCreate(path string, now time.Time) (*Keyring, error) {
	k, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	fresh, err := New(now)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	data, err := fresh.now().marshal()
	if err != nil {
		return nil, err
	}
	// A link, unlike a rename, never replaces the keyring that another process created in between.
	if err := place(path, data, os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return Load(path)
}

// Save writes the keyring in one step, readable by its owner only. It refuses to overwrite a file that somebody changed since this
// keyring was loaded from it or saved to it: a key lost that way could never be made again.
func (k *Keyring) Save(path string) (err error) {
	k.change.Lock()
	defer k.change.Unlock()
	unlock, err := lock(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	_, read, err := readFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(read.data, k.loaded.data) {
		return fmt.Errorf("seal: %s was changed by somebody else meanwhile, load it again", path)
	}
	data, err := k.now().marshal()
	if err != nil {
		return err
	}
	if err := place(path, data, os.Rename); err != nil {
		return err
	}
	_, k.loaded, err = readFile(path)
	return err
}

// Reload takes over the keys of the file if it has changed, while others go on using the keyring, and reports whether they differ.
// On an error the keys stay as they are. It refuses a file without the present primary key, which would make what was just sealed unreadable.
func (k *Keyring) Reload(path string) (changed bool, err error) {
	k.change.Lock()
	defer k.change.Unlock()
	info, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("seal: %w", err)
	}
	if k.loaded.same(info) {
		return false, nil
	}
	next, read, err := readFile(path)
	if err != nil {
		return false, err
	}
	present := k.now().primary()
	if kept := next.byID[present.id]; kept == nil || !bytes.Equal(kept.secret, present.secret) {
		return false, fmt.Errorf("seal: %s does not hold the key %s that is in use, put it back", path, present.id)
	}
	changed = !bytes.Equal(read.data, k.loaded.data)
	k.loaded = read
	k.current.Store(next)
	return changed, nil
}

func readFile(path string) (*ring, stamp, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, stamp{}, fmt.Errorf("seal: %w", err)
	}
	defer file.Close()
	// Asked of the open file, so that nobody swaps the path between the question and the reading.
	info, err := file.Stat()
	if err != nil {
		return nil, stamp{}, fmt.Errorf("seal: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, stamp{}, fmt.Errorf("seal: %s is not a file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, stamp{}, fmt.Errorf("seal: other users may read the keyring %s (mode %04o): run chmod 600 '%s'", path, mode, path)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, stamp{}, fmt.Errorf("seal: %w", err)
	}
	if len(data) > maxFile {
		return nil, stamp{}, fmt.Errorf("seal: %s is too large for a keyring", path)
	}
	r, err := parse(data)
	if err != nil {
		return nil, stamp{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, stamp{info, data}, nil
}

// place writes data beside path, to the disk, and then moves it there: a crash leaves the old file or the new one, never half of one.
func place(path string, data []byte, move func(from, to string) error) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".keyring-*") // mode 0600
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	if err := move(temp.Name(), path); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// lock keeps a second process from saving at the same moment; only saving locks, reading never does.
func lock(path string) (unlock func() error, err error) {
	name := path + ".lock"
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("seal: somebody else is changing %s; if nobody is, run rm '%s'", path, name)
	}
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	file.Close()
	return func() error { return os.Remove(name) }, nil
}
