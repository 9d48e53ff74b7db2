package storetest

import (
	"database/sql"
	"net/url"
	"strings"
	"testing"

	"gatehouse/broker"
)

// Postgres creates a schema on the server, which the test reads from GATEHOUSE_TEST_POSTGRES, and returns its
// URL. The caller imports the driver. Without a server it skips the test; deploy/check.sh counts that as a
// failure.
func Postgres(t testing.TB, server string) string {
	t.Helper()
	if server == "" {
		t.Skip("needs PostgreSQL: run deploy/check.sh, or set GATEHOUSE_TEST_POSTGRES to the URL of a server where tests " +
			"may create schemas")
	}
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

// Redis returns the server's URL, which the test reads from GATEHOUSE_TEST_REDIS. Without a server it skips the
// test, like Postgres.
func Redis(t testing.TB, server string) string {
	t.Helper()
	if server == "" {
		t.Skip("needs Redis: run deploy/check.sh, or set GATEHOUSE_TEST_REDIS to the URL of a server where tests may write")
	}
	return server
}
