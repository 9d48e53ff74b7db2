package gormdb

import (
	"database/sql"
	"strings"
	"testing"

	"modernc.org/sqlite"
)

func TestH6_ADatabaseWithoutAWriteAheadLogIsRefused(t *testing.T) {
	// This VFS shares no memory between connections.
	c, err := sqlite.NewConnector("file:" + t.TempDir() + "/g.db?vfs=unix-dotfile&_journal_mode=WAL")
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(c)
	t.Cleanup(func() { _ = pool.Close() })
	if err := audited(t.Context(), pool); err == nil || !strings.Contains(err.Error(), "put it on a local disk") {
		t.Errorf("error %v", err)
	}
}
