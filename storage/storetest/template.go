package storetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Template is a folder that is prepared once in a test binary and copied for each test: a migrated SQLite
// database, and what belongs to it. The zero Template is empty.
type Template struct {
	once  sync.Once
	files map[string][]byte
}

// Copy fills the folder with what prepare writes into an empty one. Only the first call prepares; prepare must
// close what it opens.
func (m *Template) Copy(t testing.TB, folder string, prepare func(t testing.TB, folder string)) {
	t.Helper()
	m.once.Do(func() { m.files = prepared(t, prepare) })
	if m.files == nil {
		t.Fatal("the template could not be prepared; see the first test")
	}
	for name, content := range m.files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func prepared(t testing.TB, prepare func(t testing.TB, folder string)) map[string][]byte {
	t.Helper()
	folder := t.TempDir()
	prepare(t, folder)
	entries, err := fs.ReadDir(os.DirFS(folder), ".")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(folder, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
