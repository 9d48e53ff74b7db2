package gormdb_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/storage/gormdb"
)

func TestTheSQLiteFilesAreTheOwnersOnly(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "folder")
	path := filepath.Join(folder, "odd ?#%41 ż.db")
	d := open(t, "sqlite:"+path, gormdb.Options{})
	if err := d.CreateAccount(t.Context(), broker.Account{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, f := range append(files, folder) {
		info, err := os.Stat(f)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
}

func TestASQLiteFileThatOthersMayReadIsClosedToThem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "g.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, "sqlite:"+path, gormdb.Options{})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

func TestTheSQLitePragmasHold(t *testing.T) {
	d := open(t, sqliteFile(t), gormdb.Options{})
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1", "busy_timeout": "5000", "wal_autocheckpoint": "4000",
	} {
		if got := gormdb.Pragma(t, d, pragma); got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
}

func TestSQLiteIsAsSynchronousAsConfigured(t *testing.T) {
	for synchronous, want := range map[string]string{"normal": "1", "full": "2"} {
		d := open(t, sqliteFile(t), gormdb.Options{Synchronous: synchronous})
		if got := gormdb.Pragma(t, d, "synchronous"); got != want {
			t.Errorf("synchronous is %s for %s", got, synchronous)
		}
	}
	if _, err := gormdb.Open(t.Context(), gormdb.Options{URL: sqliteFile(t), Synchronous: "off"}); err == nil {
		t.Error("off was accepted")
	}
}

func TestAReaderCannotWrite(t *testing.T) {
	d := open(t, sqliteFile(t), gormdb.Options{})
	if err := gormdb.WriteOnReader(d); err == nil {
		t.Fatal("a reader wrote")
	}
}

func TestADatabaseThatCannotBeOpenedIsRefusedClearly(t *testing.T) {
	for url, words := range map[string]string{
		"":                             "must be",
		"mysql://x":                    "must be",
		"sqlite:":                      "path of a file",
		"sqlite::memory:":              "path of a file",
		"sqlite:/proc/nowhere/g.db":    "folder",
		"postgres://u:pa%ss@host/d":    "percent-encoded",
		"postgres://u:geheim@[/d":      "percent-encoded",
		"postgres://u:geheim@:99999/d": "percent-encoded",
	} {
		_, err := gormdb.Open(t.Context(), gormdb.Options{URL: url})
		if err == nil || !strings.Contains(err.Error(), words) ||
			strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "pa%ss") {
			t.Errorf("%s: %v", url, err)
		}
	}
	_, err := gormdb.Open(t.Context(), gormdb.Options{URL: "postgres://u:geheim@127.0.0.1:1/d"})
	if !errors.Is(err, broker.Unavailable) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("no server: %v", err)
	}
	if _, err := gormdb.Open(t.Context(), gormdb.Options{URL: sqliteFile(t), Pool: -1}); err == nil {
		t.Error("a pool of less than one was accepted")
	}
}

func TestASQLiteFileThatIsNoDatabaseIsUnavailable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "g.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := gormdb.Open(t.Context(), gormdb.Options{URL: "sqlite:" + path}); !errors.Is(err, broker.Unavailable) {
		t.Fatalf("error %v", err)
	}
}

func TestH6_AFullDiskIsNoticedBeforeASignInFails(t *testing.T) {
	d := open(t, sqliteFile(t), gormdb.Options{})
	if err := d.CheckWrite(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context(), "VACUUM"); err != nil { // no page is free
		t.Fatal(err)
	}
	if err := d.Run(t.Context(), "PRAGMA max_page_count = 1"); err != nil { // becomes the current number
		t.Fatal(err)
	}
	if err := d.CheckWrite(t.Context()); !errors.Is(err, broker.Unavailable) {
		t.Fatalf("full: %v", err)
	}
	if err := d.Run(t.Context(), "PRAGMA max_page_count = 100000"); err != nil {
		t.Fatal(err)
	}
	if err := d.CheckWrite(t.Context()); err != nil {
		t.Fatal(err)
	}
}
