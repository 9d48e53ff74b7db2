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

// maxFile is the size of the largest keyring file accepted, in bytes.
const maxFile = 64 << 10

// stamp identifies the file contents that were last read.
type stamp struct {
	info fs.FileInfo
	data []byte
}

func (s stamp) same(info fs.FileInfo) bool {
	return s.info != nil && os.SameFile(s.info, info) && s.info.Size() == info.Size() &&
		s.info.ModTime().Equal(info.ModTime())
}

// Load reads a keyring file. It refuses a file that other users may read, because its keys are not secret. For a
// missing file it returns an error that matches fs.ErrNotExist.
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

// LoadOrCreate loads the keyring file, or creates one with a new key. If two processes start together, one
// creates the file and both load it.
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
	data, err := fresh.current.Load().marshal()
	if err != nil {
		return nil, err
	}
	// Link, unlike Rename, never replaces a keyring that another process created in between.
	if err := place(path, data, os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return Load(path)
}

// Save writes the keyring atomically, readable by its owner only. It refuses to overwrite a file that has
// changed since this keyring was loaded or saved: a key lost that way cannot be recreated.
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
		return fmt.Errorf("seal: another process changed %s; load it again", path)
	}
	data, err := k.current.Load().marshal()
	if err != nil {
		return err
	}
	if err := place(path, data, os.Rename); err != nil {
		return err
	}
	_, k.loaded, err = readFile(path)
	return err
}

// Reload replaces the keys with those of the file if it has changed, and reports whether they differ. The
// keyring may be in use. On an error the keys stay. It refuses a file without the current primary key, because
// recently sealed values would become unreadable.
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
	present := k.current.Load().keys[0]
	if kept := next.byID[present.id]; kept == nil || !bytes.Equal(kept.secret, present.secret) {
		return false, fmt.Errorf("seal: %s lacks the key %s, which is in use; put it back", path, present.id)
	}
	changed = !bytes.Equal(read.data, k.loaded.data)
	k.loaded = read
	k.current.Store(next)
	return changed, nil
}

func readFile(path string) (*keySet, stamp, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, stamp{}, fmt.Errorf("seal: %w", err)
	}
	defer file.Close()
	// Stat the open file, so that the path cannot be swapped before the read.
	info, err := file.Stat()
	if err != nil {
		return nil, stamp{}, fmt.Errorf("seal: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, stamp{}, fmt.Errorf("seal: %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, stamp{}, fmt.Errorf("seal: other users may read the keyring %s (mode %04o): run chmod 600 '%s'", path,
			mode, path)
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

// place writes and syncs data to a temporary file and then moves it to path. After a crash there is either the
// old file or the new one.
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

// lock prevents two processes from saving at the same time. Reading needs no lock.
func lock(path string) (unlock func() error, err error) {
	name := path + ".lock"
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("seal: another process is saving %s; if there is none, run rm '%s'", path, name)
	}
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	file.Close()
	return func() error { return os.Remove(name) }, nil
}
