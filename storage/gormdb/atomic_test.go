package gormdb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/storage/gormdb"
)

func event(id string) broker.Event {
	return broker.Event{ID: id, Verb: broker.EventSignedIn, Account: "a", At: time.Now()}
}

func TestH6_AnEventThatFailsUndoesItsTransaction(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		d := open(t, new(t), gormdb.Options{Pool: 1})
		if err := d.Record(t.Context(), event("twice")); err != nil {
			t.Fatal(err)
		}
		account := broker.Account{ID: "a", Email: "a@example.com"}
		for name, do := range map[string]func(ctx context.Context) error{
			"last": func(ctx context.Context) error {
				return errors.Join(d.CreateAccount(ctx, account), d.Record(ctx, event("twice")))
			},
			"first": func(ctx context.Context) error {
				return errors.Join(d.Record(ctx, event("twice")), d.CreateAccount(ctx, account))
			},
			"first, and the caller ignores the error": func(ctx context.Context) error {
				_ = d.Record(ctx, event("twice"))
				_ = d.CreateAccount(ctx, account)
				return nil
			},
			"between other events": func(ctx context.Context) error {
				return errors.Join(d.Record(ctx, event("alone")), d.Record(ctx, event("twice")), d.Record(ctx, event("behind")))
			},
			"before another event": func(ctx context.Context) error {
				return errors.Join(d.CreateAccount(ctx, account),
					d.Record(ctx, event("twice")), d.Record(ctx, event("behind")))
			},
		} {
			t.Run(name, func(t *testing.T) {
				if err := d.Atomic(t.Context(), do); !errors.Is(err, broker.Conflict) {
					t.Errorf("error %v", err)
				}
				if _, err := d.Account(t.Context(), "a"); !errors.Is(err, broker.NotFound) {
					t.Errorf("the account of a transaction that failed: %v", err)
				}
				if got, err := d.Events(t.Context(), broker.EventFilter{Account: "a"}); err != nil || len(got) != 1 {
					t.Errorf("events %v, %v", got, err)
				}
			})
		}
	})
}

func TestATransactionSeesItsOwnEvents(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		d := open(t, new(t), gormdb.Options{Pool: 1})
		err := d.Atomic(t.Context(), func(ctx context.Context) error {
			if err := d.Record(ctx, event("one"), event("two")); err != nil {
				return err
			}
			got, err := d.Events(ctx, broker.EventFilter{Account: "a"})
			if len(got) != 2 {
				t.Errorf("inside: %v", got)
			}
			return err
		})
		if got, e := d.Events(t.Context(), broker.EventFilter{Account: "a"}); err != nil || e != nil || len(got) != 2 {
			t.Errorf("afterwards: %v, %v, %v", got, err, e)
		}
	})
}

func TestATransactionWhoseRequestEndsLeavesNothingAndServesTheNext(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		d := open(t, new(t), gormdb.Options{Pool: 1})
		ctx, end := context.WithCancel(t.Context())
		err := d.Atomic(ctx, func(ctx context.Context) error { // before the first statement
			end()
			return d.Record(ctx, event("alone"))
		})
		got, e := d.Events(t.Context(), broker.EventFilter{Account: "a"})
		if !errors.Is(err, broker.Unavailable) || e != nil || len(got) != 0 {
			t.Errorf("%v, %v, %v", got, err, e)
		}
		for _, last := range []func(ctx context.Context) error{
			func(ctx context.Context) error { return d.Record(ctx, event("one")) },
			func(ctx context.Context) error {
				return d.CreateAccount(ctx, broker.Account{ID: "b", Email: "b@example.com"})
			},
			func(ctx context.Context) error { _, err := d.Events(ctx, broker.EventFilter{Account: "a"}); return err },
		} {
			ctx, end := context.WithCancel(t.Context())
			err := d.Atomic(ctx, func(ctx context.Context) error {
				if err := d.CreateAccount(ctx, broker.Account{ID: "a", Email: "a@example.com"}); err != nil {
					t.Error(err)
				}
				end()
				return last(ctx)
			})
			if !errors.Is(err, broker.Unavailable) {
				t.Errorf("error %v", err)
			}
			if _, err := d.Account(t.Context(), "a"); !errors.Is(err, broker.NotFound) {
				t.Errorf("what the transaction wrote: %v", err)
			}
		}
	})
}

func TestH6_AfterAStatementThatFailsNothingIsCommitted(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		d := open(t, new(t), gormdb.Options{Pool: 1})
		err := d.Atomic(t.Context(), func(ctx context.Context) error {
			_ = d.Run(ctx, "DELETE FROM what_is_not_there") // PostgreSQL refuses to prepare it
			_ = d.CreateAccount(ctx, broker.Account{ID: "b", Email: "b@example.com"})
			return d.Record(ctx, event("one"))
		})
		if err == nil {
			t.Error("it was committed")
		}
		if _, err := d.Account(t.Context(), "b"); !errors.Is(err, broker.NotFound) {
			t.Errorf("what came after it: %v", err)
		}
	})
}

func TestTextThatCannotBeStoredIsRefusedWhereItIsWritten(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		d := open(t, new(t), gormdb.Options{Pool: 1})
		err := d.Atomic(t.Context(), func(ctx context.Context) error {
			if err := d.SeeIdentity(ctx, "nobody", "a\x00b", time.Now()); !errors.Is(err, broker.RequestInvalid) {
				t.Errorf("the write: %v", err)
			}
			_, err := d.Account(ctx, "nobody")
			return err
		})
		if err == nil {
			t.Error("it was committed")
		}
	})
}

func TestH6_WhatFailsAtTheCommitItselfLeavesNothing(t *testing.T) {
	d := open(t, postgresSchema(t), gormdb.Options{Pool: 1})
	const deferred = "ALTER TABLE events ADD CONSTRAINT later UNIQUE (verb) DEFERRABLE INITIALLY DEFERRED"
	if err := d.Run(t.Context(), deferred); err != nil {
		t.Fatal(err)
	}
	err := d.Atomic(t.Context(), func(ctx context.Context) error {
		return errors.Join(d.Record(ctx, event("one")), d.Record(ctx, event("two")))
	})
	got, e := d.Events(t.Context(), broker.EventFilter{Account: "a"})
	if !errors.Is(err, broker.Conflict) || e != nil || len(got) != 0 {
		t.Errorf("%v, %v, %v", got, err, e)
	}
}

func TestATransactionIsReadCommittedWhateverTheServerPrefers(t *testing.T) {
	d := open(t, postgresSchema(t)+"&default_transaction_isolation=serializable", gormdb.Options{})
	for setting, want := range map[string]string{
		"default_transaction_isolation": "read committed", "random_page_cost": "1.1",
	} {
		if got := gormdb.Setting(t, d, setting); got != want {
			t.Errorf("%s is %s", setting, got)
		}
	}
	d = open(t, postgresSchema(t)+"&random_page_cost=2", gormdb.Options{})
	if got := gormdb.Setting(t, d, "random_page_cost"); got != "2" {
		t.Errorf("the URL asks for 2 and gets %s", got)
	}
}
