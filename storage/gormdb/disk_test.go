package gormdb

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"modernc.org/sqlite"

	"gatehouse/broker"
)

// flushed is a SQLite database, and how often its log went to the disk; fail is what the disk says.
func flushed(t *testing.T) (d *DB, times *int, fail *error) {
	t.Helper()
	d, err := Open(t.Context(), Options{URL: "sqlite:" + t.TempDir() + "/g.db"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	times, fail = new(int), new(error)
	real := d.disk.sync
	d.disk.sync = func() error { *times++; return errors.Join(*fail, real()) }
	return d, times, fail
}

func mark(ctx context.Context, d *DB) error {
	return d.Mark(ctx, "kind", broker.NewID(), time.Now().Add(time.Hour))
}

func TestOnlyAForgettableWriteDoesNotWaitForTheDisk(t *testing.T) {
	d, times, _ := flushed(t)
	for name, c := range map[string]struct {
		do   func() error
		want int
	}{
		"a write of its own": {func() error { return mark(t.Context(), d) }, 1},
		"a transaction": {func() error {
			return d.Atomic(t.Context(), func(ctx context.Context) error {
				return errors.Join(mark(ctx, d), mark(ctx, d), d.Put(ctx, "shelf", broker.NewID(), nil, time.Now().Add(time.Hour)))
			})
		}, 1},
		"what may be forgotten": {func() error {
			return d.Put(t.Context(), "shelf", broker.NewID(), nil, time.Now().Add(time.Hour))
		}, 0},
		"a question": {func() error { _, err := d.Marked(t.Context(), "kind", "x"); return err }, 0},
		"a transaction that is undone": {func() error {
			_ = d.Atomic(t.Context(), func(ctx context.Context) error { return errors.Join(mark(ctx, d), broker.Conflict) })
			return nil
		}, 0},
	} {
		*times = 0
		if err := c.do(); err != nil || *times != c.want {
			t.Errorf("%s: %d times to the disk, want %d; %v", name, *times, c.want, err)
		}
	}
}

func TestH6_WhatTheDiskDidNotTakeIsNotAcknowledged(t *testing.T) {
	for name, write := range map[string]func(ctx context.Context, d *DB) error{
		"a write of its own": mark,
		"a transaction": func(ctx context.Context, d *DB) error {
			return d.Atomic(ctx, func(ctx context.Context) error { return mark(ctx, d) })
		},
	} {
		d, times, fail := flushed(t)
		*fail = syscall.EIO
		if err := write(t.Context(), d); !errors.Is(err, broker.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		// A disk that says yes the next time has forgotten, and what it lost stays lost.
		*fail = nil
		if err := write(t.Context(), d); !errors.Is(err, broker.Unavailable) || *times != 1 {
			t.Errorf("%s, afterwards: %v, asked %d times", name, err, *times)
		}
	}
}

func TestWhoWaitsForTheDiskSharesTheWayThere(t *testing.T) {
	next := &flush{done: make(chan struct{}), err: broker.Unavailable}
	close(next.done)
	d := &disk{next: next, sync: func() error { t.Error("went alone"); return nil }}
	if err := d.flush(); !errors.Is(err, broker.Unavailable) {
		t.Errorf("error %v", err)
	}
}

func TestH6_WhoCommitsWhileTheDiskWritesWaitsForTheNextTime(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	d := &disk{sync: func() error { began <- struct{}{}; <-goOn; return nil }}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if err := d.flush(); err != nil {
				t.Error(err)
			}
		})
		<-began
		told := make(chan error, 1)
		all.Go(func() { told <- d.flush() })
		goOn <- struct{}{}
		select {
		case <-began:
		case <-told:
			t.Fatal("was told of what came too late for that")
		}
		goOn <- struct{}{}
	}
	all.Wait()
}

func TestTheDiskOfALinkedDatabaseIsWhereItsLogIs(t *testing.T) {
	folder := t.TempDir()
	at, link := filepath.Join(folder, "g.db"), filepath.Join(t.TempDir(), "link.db")
	if err := errors.Join(os.WriteFile(at, nil, 0o600), os.Symlink(at, link)); err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), Options{URL: "sqlite:" + link})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	log, err := logOf(link)
	if err == nil {
		_, err = os.Stat(log)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestH6_ADatabaseWithoutAWriteAheadLogIsRefused(t *testing.T) {
	c, err := sqlite.NewConnector("file:" + t.TempDir() + "/g.db?vfs=unix-dotfile&_journal_mode=WAL") // which shares no memory
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(c)
	t.Cleanup(func() { _ = pool.Close() })
	if err := journaled(t.Context(), pool); err == nil || !strings.Contains(err.Error(), "put it on a local disk") {
		t.Errorf("error %v", err)
	}
}
