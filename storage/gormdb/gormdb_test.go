package gormdb_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"gatehouse/broker"
	"gatehouse/broker/seal"
	"gatehouse/storage/gormdb"
	"gatehouse/storage/storetest"
)

// place creates an empty database and returns its URL.
type place func(t testing.TB) string

func sqliteFile(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "gatehouse.db") }

func postgresSchema(t testing.TB) string {
	return storetest.Postgres(t, os.Getenv("GATEHOUSE_TEST_POSTGRES"))
}

func keyring(t testing.TB) *seal.Keyring {
	t.Helper()
	k, err := seal.New(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open opens the database at the URL, with a new keyring unless one is given.
func open(t testing.TB, at string, o gormdb.Options) *gormdb.DB {
	t.Helper()
	o.URL = at
	if o.Sealer == nil {
		o.Sealer = keyring(t)
	}
	d, err := gormdb.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := d.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return d
}

func backend(d *gormdb.DB) storetest.Backend {
	return storetest.Backend{
		Atomic: d, Accounts: d, Identities: d, Sessions: d, Grants: d, Clients: d, Connections: d, Consents: d,
		AuditLog: d, Outbox: d, Logouts: d, UpstreamSessions: d, Keys: d, ReplayCache: d, Leases: d, Ephemeral: d,
	}
}

func suite(t *testing.T, new place) {
	for _, pool := range []int{0, 1} {
		t.Run(fmt.Sprintf("pool %d", pool), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Backend {
				return backend(open(t, new(t), gormdb.Options{Pool: pool}))
			})
			storetest.Ephemeral(t, func(t *testing.T) broker.Ephemeral { return open(t, new(t), gormdb.Options{Pool: pool}) })
		})
	}
}

func TestSQLite(t *testing.T)   { suite(t, sqliteFile) }
func TestPostgres(t *testing.T) { suite(t, postgresSchema) }

// everywhere runs a test on both databases.
func everywhere(t *testing.T, run func(t *testing.T, new place)) {
	t.Run("SQLite", func(t *testing.T) { run(t, sqliteFile) })
	t.Run("PostgreSQL", func(t *testing.T) { run(t, postgresSchema) })
}
