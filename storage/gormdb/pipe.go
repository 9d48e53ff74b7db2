package gormdb

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// pipe is one transaction on PostgreSQL, pipelined: it takes fewer round trips than
// database/sql has for it. BEGIN goes with the first statement, COMMIT with the last,
// and what needs no answer (later) with whatever comes next. A statement that fails
// ends its message there, the COMMIT behind it included (PostgreSQL manual 55.2.3),
// and what all goes in one message is a transaction without either (55.2.4).
// One that sends nothing takes no connection.
//
// It is gorm's ConnPool for the statements that gorm runs.
type pipe struct {
	pool    *sql.DB
	conn    *sql.Conn
	waiting pgx.Batch
	begun   bool
	failed  error // what broke it: nothing is sent after that but the rollback
}

var _ gorm.ConnPool = (*pipe)(nil)

// add lets a statement wait for the next message.
func (p *pipe) add(query string, args []any) error {
	if p.failed != nil {
		return p.failed
	}
	for i, a := range args { // what writes itself into a column does, before pgx has ideas of its own
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return err
		}
		if s, ok := v.(string); ok && !storable(s) {
			return errText // at once: the server would say so of another statement
		}
		args[i] = v
	}
	p.waiting.Queue(query, args...)
	return nil
}

// send sends what waits, behind a BEGIN where that is the first; last reads the
// outcome of its last statement.
func (p *pipe) send(ctx context.Context, last func(pgx.BatchResults) error) error {
	if !p.begun {
		p.begun = true
		begin := &pgx.QueuedQuery{SQL: "begin isolation level read committed"}
		p.waiting.QueuedQueries = slices.Insert(p.waiting.QueuedQueries, 0, begin)
	}
	return p.flush(ctx, last)
}

func (p *pipe) flush(ctx context.Context, last func(pgx.BatchResults) error) error {
	if p.failed == nil {
		//defence:H6
		p.failed = p.exchange(ctx, last)
	}
	return p.failed
}

func (p *pipe) exchange(ctx context.Context, last func(pgx.BatchResults) error) (err error) {
	if p.conn == nil {
		if p.conn, err = p.pool.Conn(ctx); err != nil {
			return err
		}
	}
	batch := p.waiting
	p.waiting = pgx.Batch{}
	return p.conn.Raw(func(c any) error {
		results := c.(*stdlib.Conn).Conn().SendBatch(ctx, &batch)
		var err error
		for n := batch.Len(); n > 1 && err == nil; n-- {
			_, err = results.Exec()
		}
		if err == nil {
			err = last(results)
		}
		return cmp.Or(err, results.Close())
	})
}

// ExecContext runs one write.
func (p *pipe) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := p.add(query, args); err != nil {
		return nil, err
	}
	var rows driver.RowsAffected
	err := p.send(ctx, func(r pgx.BatchResults) error {
		tag, err := r.Exec()
		rows = driver.RowsAffected(tag.RowsAffected())
		return err
	})
	return rows, err
}

// row reads one row; gorm.ErrRecordNotFound, which breaks nothing.
func (p *pipe) row(ctx context.Context, into []any, query string, args []any) error {
	if err := p.add(query, args); err != nil {
		return err
	}
	found := false
	err := p.send(ctx, func(r pgx.BatchResults) error {
		rows, err := r.Query()
		if err != nil {
			return err
		}
		if found = rows.Next(); found {
			err = rows.Scan(into...)
		}
		rows.Close()
		return cmp.Or(err, rows.Err())
	})
	if err == nil && !found {
		return gorm.ErrRecordNotFound
	}
	return err
}

// settle sends what waits, for a statement that goes by another way.
func (p *pipe) settle(ctx context.Context) error {
	if p.begun && p.waiting.Len() == 0 {
		return p.failed
	}
	_, err := p.ExecContext(ctx, "select 1")
	return err
}

// QueryContext implements gorm.ConnPool.
func (p *pipe) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	return p.conn.QueryContext(ctx, query, args...)
}

// PrepareContext implements gorm.ConnPool.
func (p *pipe) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	return p.conn.PrepareContext(ctx, query)
}

// QueryRowContext implements gorm.ConnPool. Outside the transaction it must not run,
// and a Row is made by running only, so its context has ended where that failed.
func (p *pipe) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if err := p.settle(ctx); err != nil {
		ended, end := context.WithCancelCause(ctx)
		end(err)
		return p.pool.QueryRowContext(ended, query, args...)
	}
	return p.conn.QueryRowContext(ctx, query, args...)
}

// commit ends the transaction, unless it failed.
func (p *pipe) commit(ctx context.Context) error {
	switch {
	case !p.begun && p.waiting.Len() == 0:
		return nil
	case !p.begun:
		return p.flush(ctx, func(r pgx.BatchResults) error {
			_, err := r.Exec()
			return err
		})
	}
	if err := p.add("commit", nil); err != nil {
		return err
	}
	return p.send(ctx, func(r pgx.BatchResults) error {
		tag, err := r.Exec()
		if err == nil && tag.String() != "COMMIT" {
			err = pgx.ErrTxCommitRollback
		}
		return err
	})
}

// end gives the connection back, without the transaction: what was not committed is
// rolled back, also where the request is over, and what can't be is hung up.
func (p *pipe) end() {
	p.failed = cmp.Or(p.failed, sql.ErrTxDone)
	if p.conn == nil {
		return
	}
	_ = p.conn.Raw(func(c any) error {
		conn := c.(*stdlib.Conn).Conn()
		if !conn.IsClosed() && conn.PgConn().TxStatus() != 'I' {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if _, err := conn.Exec(ctx, "rollback"); err != nil {
				return errors.Join(driver.ErrBadConn, err)
			}
		}
		return nil
	})
	_ = p.conn.Close()
}
