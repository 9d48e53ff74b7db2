package config

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
)

// Written lists the files that this process writes, each by the setting that names its place. It writes no other files.
func (c *Config) Written() iter.Seq2[string, string] {
	return func(yield func(key, path string) bool) {
		of := func(key, path string) bool {
			if inside, err := filepath.Rel(c.DataDir, path); err == nil && filepath.IsLocal(inside) {
				key = "data_dir"
			}
			return yield(key, path)
		}
		if path, sqlite := c.SQLite(); sqlite && !of("database", path) {
			return
		}
		if c.CreateKeyring && !of("keyring", c.Keyring) {
			return
		}
		if c.Mail.SMTP == "" {
			of("mail.folder", filepath.Join(c.Mail.Folder, "mail"))
		}
	}
}

// Writable returns an error if the file at path could not be written, or not be created with the folders that are
// missing. It leaves no trace.
func Writable(path string) error {
	if file, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
		return file.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return notWritable(path, err)
	}
	folder := filepath.Dir(path)
	for {
		info, err := os.Stat(folder)
		switch {
		case err == nil && !info.IsDir():
			return fmt.Errorf("%s is a file: name a folder", folder)
		case err == nil:
			probe, err := os.CreateTemp(folder, ".gatehouse-*")
			if err != nil {
				return notWritable(folder, err)
			}
			return errors.Join(probe.Close(), os.Remove(probe.Name()))
		case !errors.Is(err, fs.ErrNotExist) || folder == filepath.Dir(folder):
			return notWritable(folder, err)
		}
		folder = filepath.Dir(folder)
	}
}

func notWritable(path string, err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		err = wrapped.Err
	}
	return fmt.Errorf("%s cannot be written: %v; let this process's user write there, or name another place", path, err)
}
