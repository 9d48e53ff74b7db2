package gormdb

import (
	"database/sql"
	"fmt"
	"testing"

	"modernc.org/sqlite"
)

func kept(t *testing.T) *sql.DB {
	t.Helper()
	c, err := sqlite.NewConnector("file:" + t.TempDir() + "/s.db")
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(statements{c})
	pool.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

func TestAQueryMayRunAgainWhileItsRowsAreOpen(t *testing.T) {
	tx, err := kept(t).Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	const query = `SELECT value FROM json_each('[1,2,3]')`
	for range 3 { // the second and third time from the kept statements
		pairs := 0
		outer, err := tx.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		for outer.Next() {
			inner, err := tx.Query(query)
			if err != nil {
				t.Fatal(err)
			}
			for inner.Next() {
				pairs++
			}
			_ = inner.Close()
		}
		if pairs != 9 || outer.Err() != nil {
			t.Fatalf("%d pairs, %v", pairs, outer.Err())
		}
		_ = outer.Close()
	}
}

func TestAConnectionKeepsABoundedNumberOfStatements(t *testing.T) {
	pool := kept(t)
	for i := range 3 * keepAtMost {
		var n int
		if err := pool.QueryRow(fmt.Sprint("SELECT ", i)).Scan(&n); err != nil || n != i {
			t.Fatalf("%d, %v", n, err)
		}
	}
	c, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Raw(func(c any) error {
		if n := len(c.(*keeping).kept); n < keepAtMost/2 || n > keepAtMost {
			return fmt.Errorf("it keeps %d", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestAStatementSurvivesAChangeOfTheSchema(t *testing.T) {
	pool := kept(t)
	for i, change := range []string{`CREATE TABLE a (x INTEGER)`, `ALTER TABLE a ADD COLUMN y INTEGER`, `DROP TABLE a; CREATE TABLE a (x INTEGER)`} {
		if _, err := pool.Exec(change); err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Exec(`INSERT INTO a (x) VALUES (?)`, i); err != nil {
			t.Fatal(err)
		}
		var x int
		if err := pool.QueryRow(`SELECT max(x) FROM a`).Scan(&x); err != nil || x != i {
			t.Fatalf("%d, %v", x, err)
		}
	}
}
