package gormdb

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"gatehouse/broker"
)

// exec runs one write and returns how many rows it touched.
func (d *DB) exec(ctx context.Context, query string, args ...any) (rows int64, err error) {
	err = d.write(ctx, func(q *gorm.DB) error {
		stmt, err := d.prepared(ctx, q, query, args)
		if err != nil {
			return err
		}
		if stmt == nil {
			done := q.Exec(query, args...)
			rows = done.RowsAffected
			return done.Error
		}
		r, err := stmt.ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		rows, err = r.RowsAffected()
		return err
	})
	return rows, err
}

// one reads one row; into are the places of the columns, in their order. NotFound.
func (d *DB) one(ctx context.Context, into []any, query string, args ...any) error {
	return d.read(ctx, func(q *gorm.DB) error { return d.row(ctx, q, into, query, args) })
}

// onWriter is one on the connection that writes: for what a write returns, and so that
// on SQLite no older snapshot is read.
func (d *DB) onWriter(ctx context.Context, into []any, query string, args ...any) error {
	return d.write(ctx, func(q *gorm.DB) error { return d.row(ctx, q, into, query, args) })
}

func (d *DB) row(ctx context.Context, q *gorm.DB, into []any, query string, args []any) error {
	stmt, err := d.prepared(ctx, q, query, args)
	if err != nil {
		return err
	}
	var rows *sql.Rows
	if stmt == nil {
		rows, err = q.Raw(query, args...).Rows()
	} else {
		rows, err = stmt.QueryContext(ctx, args...)
	}
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return cmp.Or(rows.Err(), gorm.ErrRecordNotFound)
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	rows.Next() // to the end: SQLite commits a write there
	return rows.Err()
}

// ifNone returns code where a write touched no row.
func ifNone(code broker.Code) func(rows int64, err error) error {
	return func(rows int64, err error) error {
		if err == nil && rows == 0 {
			return code
		}
		return err
	}
}

// all reads rows into dest, a pointer to a slice.
func (d *DB) all(ctx context.Context, dest any, query string, args ...any) error {
	return d.read(ctx, func(q *gorm.DB) error { return q.Raw(query, args...).Scan(dest).Error })
}

// micros is a moment as it is stored: microseconds since 1970, 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// texts is a list in a column, as JSON. An empty one comes back as nil.
type texts []string

// Value writes the list.
func (t texts) Value() (driver.Value, error) {
	if len(t) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal([]string(t))
	return string(b), err
}

// Scan reads the list.
func (t *texts) Scan(v any) error {
	var list []string
	if err := fromJSON(v, "[]", &list); err != nil {
		return err
	}
	*t = list
	return nil
}

// pairs is a map in a column, as JSON. An empty one comes back as nil.
type pairs map[string]string

// Value writes the map.
func (p pairs) Value() (driver.Value, error) {
	if len(p) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(map[string]string(p))
	return string(b), err
}

// Scan reads the map.
func (p *pairs) Scan(v any) error {
	var m map[string]string
	if err := fromJSON(v, "{}", &m); err != nil {
		return err
	}
	*p = m
	return nil
}

func fromJSON(v any, empty string, into any) error {
	var b []byte
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		b = []byte(v)
	case []byte:
		b = v
	default:
		return fmt.Errorf("storage: a JSON column holds %T", v)
	}
	if string(b) == empty {
		return nil
	}
	return json.Unmarshal(b, into)
}
