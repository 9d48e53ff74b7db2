package gormdb

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"gatehouse/broker"
)

// unit is one running transaction. It travels in the context.
type unit struct {
	q    *gorm.DB
	pipe *pipe // nil on SQLite
	// spoilt is the first failure inside, which forbids the commit even where the
	// caller swallowed it; retry tells that the database asked to try again.
	spoilt error
	retry  bool
	after  []func()
	undo   []func()
}

type unitKey struct{ d *DB }

func (d *DB) unit(ctx context.Context) *unit {
	u, _ := ctx.Value(unitKey{d}).(*unit)
	return u
}

// Atomic runs do in one transaction, READ COMMITTED on PostgreSQL and the only
// writer on SQLite. A nested call joins; its error undoes the whole, also where
// the caller around it goes on. A refusal (NotFound, Conflict, StartAgain) of a
// single method undoes nothing by itself, unless the database reported it.
func (d *DB) Atomic(ctx context.Context, do func(ctx context.Context) error) error {
	if u := d.unit(ctx); u != nil {
		err := do(ctx)
		u.spoil(err)
		return err
	}
	return d.persist(ctx, func() (bool, error) { return d.once(ctx, do) })
}

// joined is Atomic for our own methods of several statements: in a running
// transaction their refusals, which come before their effects, spoil nothing.
func (d *DB) joined(ctx context.Context, do func(ctx context.Context) error) error {
	if d.unit(ctx) != nil {
		return do(ctx)
	}
	return d.Atomic(ctx, do)
}

// InTransaction tells whether ctx carries a transaction of this DB.
func (d *DB) InTransaction(ctx context.Context) bool { return d.unit(ctx) != nil }

// AfterCommit runs f once the transaction in ctx is committed, or now where
// there is none.
func (d *DB) AfterCommit(ctx context.Context, f func()) {
	if u := d.unit(ctx); u != nil {
		u.after = append(u.after, f)
		return
	}
	f()
}

// AwaitsCommit tells whether the transaction in ctx has left something to AfterCommit.
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

// attempts is how often a statement or transaction is tried that the database
// turns down for the sake of another one.
const attempts = 8

// persist runs do until the database no longer asks to try again.
func (d *DB) persist(ctx context.Context, do func() (retry bool, err error)) error {
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

func (d *DB) once(ctx context.Context, do func(ctx context.Context) error) (retry bool, err error) {
	u := d.begin(ctx)
	if err := u.q.Error; err != nil {
		return diagnose(err) == again, explain(err)
	}
	committed := false
	defer func() { // also where do panics
		u.end(committed)
	}()
	//defence:H6 H7
	err = do(context.WithValue(ctx, unitKey{d}, u))
	if err == nil {
		err = u.spoilt
	}
	if err != nil {
		return u.retry, err
	}
	if err := u.commit(ctx); err != nil {
		return diagnose(err) == again, explain(err)
	}
	committed = true
	//defence:H6
	return false, d.disk.flush()
}

func (d *DB) begin(ctx context.Context) *unit {
	if !d.postgres {
		return &unit{q: d.writer.WithContext(ctx).Begin()}
	}
	u := &unit{q: d.writer.Session(&gorm.Session{NewDB: true, Context: ctx}), pipe: &pipe{pool: d.pools[0]}}
	u.q.Statement.ConnPool = u.pipe
	return u
}

func (u *unit) commit(ctx context.Context) error {
	if u.pipe != nil {
		return u.pipe.commit(ctx)
	}
	return u.q.Commit().Error
}

// end leaves the database as it is or as it was, and runs what waited for that.
func (u *unit) end(committed bool) {
	switch {
	case u.pipe != nil:
		u.pipe.end()
	case !committed:
		u.q.Rollback()
	}
	then := u.undo
	if committed {
		then = u.after
	}
	for _, f := range then {
		f()
	}
}

func (u *unit) spoil(err error) {
	if err != nil && u.spoilt == nil {
		u.spoilt = err
	}
}

// note explains what a statement inside the transaction answered. Whatever came
// from the database spoils it: PostgreSQL would not go on either.
func (u *unit) note(err error) error {
	if err == nil || errors.Is(err, gorm.ErrRecordNotFound) {
		return explain(err)
	}
	u.retry = u.retry || diagnose(err) == again
	err = explain(err)
	u.spoil(err)
	return err
}

// write runs one statement in ctx's transaction, or by itself.
func (d *DB) write(ctx context.Context, do func(q *gorm.DB) error) error {
	if u := d.unit(ctx); u != nil {
		return u.note(do(u.q))
	}
	return d.persist(ctx, func() (bool, error) {
		err := do(d.writer)
		if err == nil && ctx.Value(forgettableKey{}) == nil {
			//defence:H6
			err = d.disk.flush()
		}
		return err != nil && diagnose(err) == again, explain(err)
	})
}

// read runs one query in ctx's transaction, or on a reader.
func (d *DB) read(ctx context.Context, do func(q *gorm.DB) error) error {
	var err error
	if u := d.unit(ctx); u != nil {
		err = u.note(do(u.q))
	} else {
		err = d.persist(ctx, func() (bool, error) {
			err := do(d.reader)
			return err != nil && diagnose(err) == again, explain(err)
		})
	}
	if errors.Is(err, errText) {
		return broker.NotFound // what can't be stored is not there
	}
	return err
}
