package gormdb

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"gatehouse/broker"
)

// exec runs one write and tells how many rows it touched.
func (d *DB) exec(ctx context.Context, query string, args ...any) (rows int64, err error) {
	err = d.write(ctx, func(q *gorm.DB) error {
		r, err := q.Statement.ConnPool.ExecContext(ctx, d.bound(query), args...)
		if err != nil {
			return err
		}
		rows, err = r.RowsAffected()
		return err
	})
	return rows, err
}

// later is for a write that says by an error what is wrong with it, or nothing: in a
// transaction on PostgreSQL it goes with the next statement or the commit, and fails
// there.
func (d *DB) later(ctx context.Context, query string, args ...any) error {
	if u := d.unit(ctx); u != nil && u.pipe != nil {
		//defence:H6
		return u.note(u.pipe.add(d.bound(query), args))
	}
	_, err := d.exec(ctx, query, args...)
	return err
}

// ifNone answers code where a write touched no row.
func ifNone(code broker.Code) func(rows int64, err error) error {
	return func(rows int64, err error) error {
		if err == nil && rows == 0 {
			return code
		}
		return err
	}
}

// one reads one row; into are the places of the columns, in their order. NotFound.
func (d *DB) one(ctx context.Context, into []any, query string, args ...any) error {
	return d.read(ctx, func(q *gorm.DB) error { return d.row(ctx, q, into, query, args) })
}

// onWriter is one on the connection that writes, for what a write returns and so that
// on SQLite no reader's older snapshot answers.
func (d *DB) onWriter(ctx context.Context, into []any, query string, args ...any) error {
	return d.write(ctx, func(q *gorm.DB) error { return d.row(ctx, q, into, query, args) })
}

// row does without gorm's clauses and reflection, as exec does: they cost more than
// the statements of a sign-in.
func (d *DB) row(ctx context.Context, q *gorm.DB, into []any, query string, args []any) error {
	if p, ok := q.Statement.ConnPool.(*pipe); ok {
		return p.row(ctx, into, d.bound(query), args)
	}
	rows, err := q.Statement.ConnPool.QueryContext(ctx, d.bound(query), args...)
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

// bound writes the places of a query as the database does. None of our texts holds a
// question mark beside them.
func (d *DB) bound(query string) string {
	if !d.postgres {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 40)
	for n := 1; ; n++ {
		text, rest, more := strings.Cut(query, "?")
		if b.WriteString(text); !more {
			return b.String()
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		query = rest
	}
}

// all reads rows into dest, a pointer to a slice.
func (d *DB) all(ctx context.Context, dest any, query string, args ...any) error {
	return d.read(ctx, func(q *gorm.DB) error { return q.WithContext(ctx).Raw(query, args...).Scan(dest).Error })
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

// clean makes what a stranger sent, such as a User-Agent, storable as text.
func clean(s string) string {
	if storable(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
