package gormdb

import (
	"context"
	"testing"

	"gorm.io/gorm"
)

// Pragma reads a pragma from both pools, which must agree.
func Pragma(t *testing.T, d *DB, name string) string {
	t.Helper()
	var writer, reader string
	if err := d.pools[0].QueryRow(`PRAGMA ` + name).Scan(&writer); err != nil {
		t.Fatal(err)
	}
	if err := d.pools[1].QueryRow(`PRAGMA ` + name).Scan(&reader); err != nil {
		t.Fatal(err)
	}
	if writer != reader {
		t.Fatalf("%s: the writer has %s, a reader %s", name, writer, reader)
	}
	return writer
}

// WriteOnReader tries to write where only reading is allowed.
func WriteOnReader(d *DB) error {
	_, err := d.pools[1].Exec(`INSERT INTO leases (name, holder, until) VALUES ('a', 'b', 0)`)
	return err
}

// Run runs a statement of a test, in the transaction of ctx.
func (d *DB) Run(ctx context.Context, query string) error {
	_, err := d.write(ctx, func(q *gorm.DB) *gorm.DB { return q.Exec(query) })
	return err
}

// Setting reads a setting of a connection to PostgreSQL.
func Setting(t *testing.T, d *DB, name string) (value string) {
	t.Helper()
	if err := d.pools[0].QueryRow("SHOW " + name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}
