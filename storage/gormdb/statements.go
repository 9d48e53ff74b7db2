package gormdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"maps"
	"strings"
	"unicode/utf8"
)

// statements makes connections that keep their prepared statements, inside and
// outside of transactions: SQLite compiles a statement in more time than it
// takes to run it. It also refuses text that PostgreSQL would refuse.
type statements struct{ driver.Connector }

func (s statements) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := c.(conn)
	if !ok {
		return nil, errors.Join(errors.New("storage: the SQLite driver has changed"), c.Close())
	}
	return &keeping{conn: full, kept: map[string]driver.Stmt{}}, nil
}

// conn is what the driver's connections can do.
type conn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.SessionResetter
	driver.Validator
}

// keeping is one connection; database/sql never uses it twice at a time. Its
// statements do not watch for the end of their request: the driver does that with a
// goroutine each, and they take microseconds. Whoever waits for the connection still
// leaves with the request, and a write that finds another process writing gives up
// after the busy timeout. It is its own transaction, whose statements are kept as well.
type keeping struct {
	conn
	kept map[string]driver.Stmt
}

// keepAtMost bounds the statements of a connection; we have about a hundred.
const keepAtMost = 200

// errText is what PostgreSQL calls 22021: not UTF-8, or with a NUL.
var errText = errors.New("text that is not UTF-8 or holds a NUL")

func (k *keeping) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	ctx = context.WithoutCancel(ctx)
	s, err := k.take(ctx, query, args)
	if err != nil {
		return nil, err
	}
	defer k.keep(query, s)
	return s.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (k *keeping) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	ctx = context.WithoutCancel(ctx)
	s, err := k.take(ctx, query, args)
	if err != nil {
		return nil, err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		k.keep(query, s)
		return nil, err
	}
	return &keptRows{rows, func() { k.keep(query, s) }}, nil
}

// BeginTx takes the writer's place at once, so that no transaction fails half-way for
// want of it.
func (k *keeping) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	_, err := k.ExecContext(context.Background(), `BEGIN IMMEDIATE`, nil)
	return k, err
}

// Commit implements driver.Tx. Where it fails, database/sql expects that no
// transaction is left.
func (k *keeping) Commit() error {
	_, err := k.ExecContext(context.Background(), `COMMIT`, nil)
	if err != nil {
		_ = k.Rollback()
	}
	return err
}

// Rollback implements driver.Tx.
func (k *keeping) Rollback() error {
	_, err := k.ExecContext(context.Background(), `ROLLBACK`, nil)
	return err
}

// take lends a statement: while its rows are open, the same query gets another.
func (k *keeping) take(ctx context.Context, query string, args []driver.NamedValue) (driver.Stmt, error) {
	for _, a := range args {
		if t, ok := a.Value.(string); ok && !storable(t) {
			return nil, errText
		}
	}
	if s, ok := k.kept[query]; ok {
		delete(k.kept, query)
		return s, nil
	}
	return k.PrepareContext(ctx, query)
}

func (k *keeping) keep(query string, s driver.Stmt) {
	if _, twice := k.kept[query]; twice {
		_ = s.Close()
		return
	}
	for old := range maps.Keys(k.kept) {
		if len(k.kept) < keepAtMost {
			break
		}
		_ = k.kept[old].Close()
		delete(k.kept, old)
	}
	k.kept[query] = s
}

func (k *keeping) Close() error {
	for _, s := range k.kept {
		_ = s.Close()
	}
	clear(k.kept)
	return k.conn.Close()
}

type keptRows struct {
	driver.Rows
	back func()
}

func (r *keptRows) Close() error {
	err := r.Rows.Close()
	r.back()
	return err
}

func storable(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}
