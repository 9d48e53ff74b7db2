package gormdb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"gatehouse/broker"
)

// The hot statements are written by hand: statements of a sign-in, a refresh and a token
// use that gorm can't express, or runs too slowly. Each is next to its method, and all of
// them run here, without gorm.

// prepare has database/sql keep the hot statements of SQLite, which takes longer to
// compile a statement than to run it. It needs the schema. Before it is called,
// statements are compiled each time. No other call may run concurrently. For PostgreSQL,
// pgx keeps them itself.
func (d *DB) prepare(ctx context.Context) (err error) {
	if d.postgres || d.writes != nil {
		return nil
	}
	d.reads, err = prepareOn(ctx, d.pools[1], d.grant.query, d.identity.query,
		d.session.forList(1).query, d.session.forList(2).query, isUsed, getEphemeral)
	if err != nil {
		return err
	}
	d.writes, err = prepareOn(ctx, d.pools[0], d.insertSession, d.insertGrant, rotateGrant, seeIdentity, markUsed,
		insertEvent, putEphemeral, takeEphemeral, swapEphemeral, countEphemeral)
	return err
}

func prepareOn(ctx context.Context, pool *sql.DB, queries ...string) (map[string]*sql.Stmt, error) {
	stmts := map[string]*sql.Stmt{}
	for _, query := range queries {
		stmt, err := pool.PrepareContext(ctx, query)
		if err != nil {
			return nil, fmt.Errorf("storage: prepare %q: %w", query, explain(err))
		}
		stmts[query] = stmt
	}
	return stmts, nil
}

// runner runs a hot statement: a prepared one, or the text on a pool or transaction.
type runner struct {
	pool gorm.ConnPool
	kept *sql.Stmt
	text string
}

// hot returns the runner of a query for the transaction or the pool of q.
func (d *DB) hot(ctx context.Context, q *gorm.DB, query string, args []any) (runner, error) {
	for _, a := range args {
		if s, ok := a.(string); ok && !storable(s) {
			return runner{}, errText
		}
	}
	r := runner{pool: q.Statement.ConnPool, text: query}
	if d.postgres {
		r.text = numbered(query)
	} else if tx, ok := r.pool.(*sql.Tx); !ok {
		r.kept = cmp.Or(d.writes[query], d.reads[query])
	} else if kept := d.writes[query]; kept != nil {
		r.kept = tx.StmtContext(ctx, kept)
	}
	return r, nil
}

func storable(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// numbered rewrites the placeholders of a query for PostgreSQL: $1, $2, ….
func numbered(query string) string {
	var b strings.Builder
	b.Grow(len(query) + 40)
	for n := 1; ; n++ {
		text, rest, more := strings.Cut(query, "?")
		b.WriteString(text)
		if !more {
			return b.String()
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		query = rest
	}
}

// exec runs one hot statement and returns how many rows it wrote.
func (d *DB) exec(ctx context.Context, query string, args ...any) (rows int64, err error) {
	err = d.run(ctx, d.writer, func(q *gorm.DB) error {
		ctx := q.Statement.Context // with the deadline
		r, err := d.hot(ctx, q, query, args)
		if err != nil {
			return err
		}
		var result sql.Result
		if r.kept != nil {
			result, err = r.kept.ExecContext(ctx, args...)
		} else {
			result, err = r.pool.ExecContext(ctx, r.text, args...)
		}
		if err == nil {
			rows, err = result.RowsAffected()
		}
		return err
	})
	return rows, err
}

// queryOne scans the one row of a hot statement on the writer or the reader, or returns
// NotFound.
func (d *DB) queryOne(ctx context.Context, on *gorm.DB, into []any, query string, args ...any) error {
	return d.run(ctx, on, func(q *gorm.DB) error {
		ctx := q.Statement.Context // with the deadline
		r, err := d.hot(ctx, q, query, args)
		if err != nil {
			return err
		}
		var rows *sql.Rows
		if r.kept != nil {
			rows, err = r.kept.QueryContext(ctx, args...)
		} else {
			rows, err = r.pool.QueryContext(ctx, r.text, args...)
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
		if on == d.writer {
			rows.Next() // to the end: SQLite commits there
		}
		return rows.Err()
	})
}

// readOne is queryOne on the reader. Text that can't be stored is NotFound.
func (d *DB) readOne(ctx context.Context, into []any, query string, args ...any) error {
	if !d.postgres {
		// For a context that may end, database/sql and the driver start a goroutine each, which takes longer than
		// the row. A reader waits for no other.
		ctx = context.WithoutCancel(ctx)
	}
	err := d.queryOne(ctx, d.reader, into, query, args...)
	if errors.Is(err, errText) {
		return broker.NotFound
	}
	return err
}

// withAccount is the query of a row together with its account, which every use of a
// session or a token needs. It takes 25 µs of CPU on SQLite, against 60 through gorm's
// InnerJoins, which builds the same text each time; a whole userinfo request takes 75.
// The columns come from the tags of the rows.
type withAccount struct {
	query        string
	row, account []*schema.Field
}

// compose composes the statements that depend on the engine or on the rows' tags.
func (d *DB) compose() (err error) {
	d.insertSession, d.insertGrant = d.sessionInsert(), d.grantInsert()
	if d.session, err = d.joinAccount(&sessionRow{}, "r.hash IN (?)"); err != nil {
		return err
	}
	if d.grant, err = d.joinAccount(&grantRow{}, "r.id = ?"); err != nil {
		return err
	}
	d.identity, err = d.joinAccount(&identityRow{}, "r.connection = ? AND r.issuer = ? AND r.subject = ?")
	return err
}

// joinAccount prepares the query of a model that has an account_id.
func (d *DB) joinAccount(model any, where string) (withAccount, error) {
	j := withAccount{}
	var columns []string
	var table string
	for _, part := range []struct {
		model  any
		alias  string
		fields *[]*schema.Field
	}{{model, "r", &j.row}, {&accountRow{}, "a", &j.account}} {
		stmt := &gorm.Statement{DB: d.writer}
		if err := stmt.Parse(part.model); err != nil {
			return j, fmt.Errorf("storage: %T: %w", part.model, err)
		}
		table = cmp.Or(table, stmt.Schema.Table)
		for _, name := range stmt.Schema.DBNames {
			columns = append(columns, part.alias+"."+name)
			*part.fields = append(*part.fields, stmt.Schema.FieldsByDBName[name])
		}
	}
	j.query = "SELECT " + strings.Join(columns, ", ") + " FROM " + table + " r" +
		" JOIN accounts a ON a.id = r.account_id WHERE " + where + " LIMIT 1"
	return j, nil
}

// forList is j with n values in the only list of its query.
func (j withAccount) forList(n int) withAccount {
	j.query = strings.Replace(j.query, "IN (?)", "IN (?"+strings.Repeat(", ?", n-1)+")", 1)
	return j
}

// takeWithAccount reads a row, a pointer to its model, and the account, or returns
// NotFound.
func (d *DB) takeWithAccount(ctx context.Context, j withAccount, row any, args ...any) (broker.Account, error) {
	var account accountRow
	places := make([]any, 0, len(j.row)+len(j.account))
	places = placesOf(ctx, j.account, &account, placesOf(ctx, j.row, row, places))
	err := d.readOne(ctx, places, j.query, args...)
	return account.noun(), err
}

// placesOf appends the Scan destinations for the fields of a row to places.
func placesOf(ctx context.Context, fields []*schema.Field, row any, places []any) []any {
	value := reflect.ValueOf(row).Elem()
	for _, f := range fields {
		if f.Serializer != nil {
			places = append(places, scan(func(v any) error { return f.Serializer.Scan(ctx, f, value, v) }))
		} else {
			places = append(places, f.ReflectValueOf(ctx, value).Addr().Interface())
		}
	}
	return places
}

// scan is the Scan destination of a field with a serializer.
type scan func(v any) error

// Scan implements sql.Scanner.
func (s scan) Scan(v any) error { return s(v) }
