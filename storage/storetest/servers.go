package storetest

import (
	"database/sql"
	"net/url"
	"os"
	"strings"
	"testing"

	"gatehouse/broker"
)

// Postgres makes a schema of its own on the server that the environment names, and
// answers its URL; deploy/check.sh starts one. The caller brings the driver.
func Postgres(t testing.TB) string {
	t.Helper()
	server := named(t, "GATEHOUSE_TEST_POSTGRES", "a PostgreSQL server where tests may create schemas")
	pool, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	schema := "t_" + strings.ToLower(broker.NewID())
	if _, err := pool.Exec(`CREATE SCHEMA ` + schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := pool.Exec(`DROP SCHEMA ` + schema + ` CASCADE`); err != nil {
			t.Error(err)
		}
		_ = pool.Close()
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// Redis answers the URL of the server that the environment names.
func Redis(t testing.TB) string {
	t.Helper()
	return named(t, "GATEHOUSE_TEST_REDIS", "a Redis server where tests may write")
}

func named(t testing.TB, name, what string) string {
	t.Helper()
	u := os.Getenv(name)
	if u == "" {
		t.Fatalf("set %s to the URL of %s, or run deploy/check.sh", name, what)
	}
	return u
}
