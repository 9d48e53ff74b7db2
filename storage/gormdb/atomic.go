package gormdb

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"gatehouse/broker"
)

// unit is one running transaction. It travels in the context.
type unit struct {
	q *gorm.DB
	// failed is the first error inside. It forbids the commit even if the caller
	// ignored it: PostgreSQL would not commit either.
	failed error
	retry  bool // the database asked to try again
	after  []func()
	undo   []func()
}

type unitKey struct{ d *DB }

func (d *DB) unit(ctx context.Context) *unit {
	u, _ := ctx.Value(unitKey{d}).(*unit)
	return u
}

// Atomic runs do in one transaction, READ COMMITTED on PostgreSQL and the only writer on
// SQLite. A nested call joins; its error rolls back the whole, even if the outer caller
// ignores it. A refusal (NotFound, Conflict, StartAgain) of a single method does not roll
// back, unless the database reported it.
func (d *DB) Atomic(ctx context.Context, do func(ctx context.Context) error) error {
	if u := d.unit(ctx); u != nil {
		err := do(ctx)
		u.fail(err)
		return err
	}
	ctx, cancel := d.within(ctx, d.writer)
	defer cancel()
	return persist(ctx, func() (retry bool, err error) {
		u, committed := &unit{}, false
		defer func() { // also after a panic in do
			then := u.undo
			if committed {
				then = u.after
			}
			for _, f := range then {
				f()
			}
		}()
		var refused error
		err = d.writer.WithContext(ctx).Transaction(func(q *gorm.DB) error {
			u.q = q
			refused = do(
				//defence:H6 H7 = ctx
				context.WithValue(ctx, unitKey{d}, u))
			if refused == nil {
				refused = u.failed
			}
			return refused
		})
		switch {
		case refused != nil:
			return u.retry, refused
		case err != nil: // of BEGIN or COMMIT
			return retryable(err), explain(err)
		}
		committed = true
		return false, nil
	})
}

// joined is Atomic for our own methods of several statements. Their refusals do not roll
// back a running transaction, because they come before any write.
func (d *DB) joined(ctx context.Context, do func(ctx context.Context) error) error {
	if d.unit(ctx) != nil {
		return do(ctx)
	}
	return d.Atomic(ctx, do)
}

// InTransaction reports whether ctx carries a transaction of this DB.
func (d *DB) InTransaction(ctx context.Context) bool { return d.unit(ctx) != nil }

// AfterCommit runs f once the transaction in ctx is committed, or immediately
// without one.
func (d *DB) AfterCommit(ctx context.Context, f func()) {
	if u := d.unit(ctx); u != nil {
		u.after = append(u.after, f)
		return
	}
	f()
}

// AwaitsCommit reports whether AfterCommit was called in the transaction of ctx.
func (d *DB) AwaitsCommit(ctx context.Context) bool {
	u := d.unit(ctx)
	return u != nil && len(u.after) > 0
}

// OnRollback runs f if the transaction in ctx is not committed.
func (d *DB) OnRollback(ctx context.Context, f func()) {
	if u := d.unit(ctx); u != nil {
		u.undo = append(u.undo, f)
	}
}

// within bounds a call or a transaction, the wait for a connection included: a database that hangs must neither keep
// its callers nor its connections. A reader of SQLite waits for no other, and a context that may end costs more than
// the row, see readOne.
func (d *DB) within(ctx context.Context, q *gorm.DB) (context.Context, context.CancelFunc) {
	if !d.postgres && q == d.reader {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d.deadline)
}

// attempts bounds how often a retryable statement or transaction is tried.
const attempts = 8

// persist repeats do while the database asks for a retry.
func persist(ctx context.Context, do func() (retry bool, err error)) error {
	for n := 1; ; n++ {
		retry, err := do()
		if err == nil || !retry || n == attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return broker.Unavailable.Because(ctx.Err())
		case <-time.After(time.Duration(n)*2*time.Millisecond + rand.N(8*time.Millisecond)):
		}
	}
}

func (u *unit) fail(err error) {
	if err != nil && u.failed == nil {
		u.failed = err
	}
}

// note explains the error of a statement inside the transaction. An error of the
// database forbids the commit.
func (u *unit) note(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return broker.NotFound
	}
	u.retry = u.retry || retryable(err)
	err = explain(err)
	u.fail(err)
	return err
}

// write runs one write in the transaction of ctx, or by itself, and returns how many
// rows it wrote.
func (d *DB) write(ctx context.Context, do func(q *gorm.DB) *gorm.DB) (rows int64, err error) {
	err = d.run(ctx, d.writer, func(q *gorm.DB) error {
		done := do(q)
		rows = done.RowsAffected
		return done.Error
	})
	return rows, err
}

// read runs one query in the transaction of ctx, or on a reader.
func (d *DB) read(ctx context.Context, do func(q *gorm.DB) *gorm.DB) error {
	err := d.run(ctx, d.reader, func(q *gorm.DB) error { return do(q).Error })
	if errors.Is(err, errText) {
		return broker.NotFound // what can't be stored is not there
	}
	return err
}

// take reads the only matching row, or returns NotFound.
func (d *DB) take(ctx context.Context, row any, where string, args ...any) error {
	return d.read(ctx, func(q *gorm.DB) *gorm.DB { return q.Where(where, args...).Take(row) })
}

func (d *DB) create(ctx context.Context, row any, with ...clause.Expression) (rows int64, err error) {
	return d.write(ctx, func(q *gorm.DB) *gorm.DB { return q.Clauses(with...).Create(row) })
}

func (d *DB) delete(ctx context.Context, model any, where string, args ...any) (rows int64, err error) {
	return d.write(ctx, func(q *gorm.DB) *gorm.DB { return q.Where(where, args...).Delete(model) })
}

// end sets ended_at of the matching rows that have not ended.
func (d *DB) end(ctx context.Context, model any, at time.Time, where string, args ...any) (rows int64, err error) {
	return d.write(ctx, func(q *gorm.DB) *gorm.DB {
		return q.Model(model).Where(where, args...).Where("ended_at = 0").Update("ended_at", micros(at))
	})
}

// exists explains a write that wrote no row: Conflict if a row of the model exists, else
// NotFound. It asks the writer, because on SQLite a reader may see an older state.
func (d *DB) exists(ctx context.Context, model any, where string, args ...any) error {
	err := d.run(ctx, d.writer, func(q *gorm.DB) error { return q.Select("id").Where(where, args...).Take(model).Error })
	if err == nil {
		return broker.Conflict
	}
	return err
}

// ifNone returns code if a write wrote no row.
func ifNone(code broker.Code) func(rows int64, err error) error {
	return func(rows int64, err error) error {
		if err == nil && rows == 0 {
			return code
		}
		return err
	}
}

func (d *DB) run(ctx context.Context, q *gorm.DB, do func(q *gorm.DB) error) error {
	if u := d.unit(ctx); u != nil {
		err := do(u.q.WithContext(ctx))
		if err != nil {
			err = u.note(err)
		}
		return err
	}
	ctx, cancel := d.within(ctx, q)
	defer cancel()
	return persist(ctx, func() (bool, error) {
		err := do(q.WithContext(ctx))
		if err == nil {
			return false, nil
		}
		return retryable(err), explain(err)
	})
}
