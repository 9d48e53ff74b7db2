package storetest

import (
	"database/sql"
	"net/url"
	"strings"
	"testing"

	"gatehouse/broker"
)

// Postgres makes a schema of its own on the server, which the test reads from
// GATEHOUSE_TEST_POSTGRES, and answers its URL. The caller brings the driver.
func Postgres(t testing.TB, server string) string {
	t.Helper()
	if server == "" {
		t.Fatal("set GATEHOUSE_TEST_POSTGRES to the URL of a PostgreSQL server where tests may create schemas, or run deploy/check.sh")
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

// Redis answers the server's URL, which the test reads from GATEHOUSE_TEST_REDIS.
func Redis(t testing.TB, server string) string {
	t.Helper()
	if server == "" {
		t.Fatal("set GATEHOUSE_TEST_REDIS to the URL of a Redis server where tests may write, or run deploy/check.sh")
	}
	return server
}
