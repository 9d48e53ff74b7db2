package gormdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"gatehouse/broker"
)

// disk puts SQLite's write-ahead log on the disk, for all who wait at once. SQLite
// would do that by itself at each commit (synchronous=FULL), while nobody else may
// write. At NORMAL it keeps the order of commits and leaves to us when they are safe:
// who has committed waits here before anybody is told, and what others build on it
// meanwhile comes behind it in the log, and so on the disk.
type disk struct {
	sync func() error
	turn sync.Mutex // one at a time
	// broken is the first failure, after which nobody knows what the disk has: the
	// kernel says it once and takes the pages for written (fsync(2)).
	broken error

	mu   sync.Mutex
	next *flush // that has not begun
}

// flush is one way to the disk.
type flush struct {
	done chan struct{}
	err  error
}

// newDisk is the disk of a database file. That its log is not there means that all of
// it was copied into the database, which is safe before it is deleted.
func newDisk(database string) (*disk, error) {
	path, err := logOf(database)
	if err != nil {
		return nil, err
	}
	var known os.FileInfo
	return &disk{sync: func() error {
		log, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer log.Close()
		now, err := log.Stat()
		if err == nil && !os.SameFile(known, now) { // a new file is lost with its name
			err = syncFolder(filepath.Dir(path))
		}
		if err != nil {
			return err
		}
		known = now
		return log.Sync()
	}}, nil
}

// logOf is where SQLite has the log of a database: beside the file that a link leads to.
func logOf(database string) (string, error) {
	path, err := filepath.EvalSymlinks(database)
	return path + "-wal", err
}

// journaled refuses a database that keeps no such log, as on a file system that SQLite
// can't share memory on: its commits would never wait for the disk.
func journaled(ctx context.Context, writer *sql.DB) error {
	var mode string
	if err := writer.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return fmt.Errorf("storage: the database: %w", explain(err))
	}
	//defence:H6
	if mode != "wal" {
		return fmt.Errorf("storage: the SQLite database can keep no write-ahead log where it is (its journal_mode stays %q): put it on a local disk", mode)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// flush returns when all that was committed before is on the disk; Unavailable where
// that is not so, or not known. A nil disk has nothing to do.
func (d *disk) flush() error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	f := d.next
	if f != nil {
		d.mu.Unlock()
		<-f.done
		return f.err
	}
	f = &flush{done: make(chan struct{})}
	d.next = f
	d.mu.Unlock()
	d.turn.Lock()
	defer d.turn.Unlock()
	d.mu.Lock()
	//defence:H6
	d.next = nil // whoever comes from here on may have committed too late for this one
	d.mu.Unlock()
	//defence:H6
	if d.broken == nil {
		d.broken = d.sync()
	}
	if d.broken != nil {
		f.err = broker.Unavailable.Because(d.broken)
	}
	close(f.done)
	return f.err
}

type forgettableKey struct{}

// forgettable marks a statement of its own whose effect a power cut may undo: it
// waits for no disk. A transaction always does.
func forgettable(ctx context.Context) context.Context {
	return context.WithValue(ctx, forgettableKey{}, true)
}
