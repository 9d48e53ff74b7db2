package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"gatehouse/broker"
)

func atomicTests() []test {
	return append(refusalTests(), []test{
		{"H6: a rollback undoes everything, including ephemeral values, mails and events", func(t *testing.T, b Backend) {
			stop := errors.New("stop")
			w := everything(t, b)
			if err := b.Atomic.Atomic(within(t), func(ctx context.Context) error {
				w.do(t, ctx,
					b)
				return stop
			}); !errors.Is(err, stop) {
				t.Fatalf("error %v, want the caller's own", err)
			}
			same(t, w.stands(t, b), [7]bool{})
		}},
		{"a commit keeps everything", func(t *testing.T, b Backend) {
			w := everything(t, b)
			ok(t, b.Atomic.Atomic(within(t), func(ctx context.Context) error { w.do(t, ctx, b); return nil }))
			same(t, w.stands(t, b), [7]bool{true, true, true, true, true, true, true})
		}},
		{"a transaction sees its own writes, others do not until the commit", func(t *testing.T, b Backend) {
			a := account(t, b)
			ok(t, b.Atomic.Atomic(within(t), func(ctx context.Context) error {
				a.Name = "inside"
				ok(t, b.Accounts.ChangeAccount(ctx, a, 3))
				same(t, got(b.Accounts.Account(ctx, a.ID))(t), a)
				ok(t, b.Ephemeral.Put(ctx, "s", a.ID, []byte("v"), time.Now().Add(time.Hour)))
				same(t, got(b.Ephemeral.Get(ctx, "s", a.ID))(t), []byte("v"))
				return nil
			}))
			same(t, got(b.Accounts.Account(within(t), a.ID))(t), a)
		}},
		{"a panic rolls back", func(t *testing.T, b Backend) {
			w := everything(t, b)
			func() {
				defer func() { _ = recover() }()
				_ = b.Atomic.Atomic(within(t), func(ctx context.Context) error { w.do(t, ctx, b); panic("x") })
			}()
			same(t, w.stands(t, b), [7]bool{})
		}},
		{"a nested transaction joins: it is undone with the outer one, and undoes it", nested},
	}...)
}

func refusalTests() []test {
	return []test{
		{"a refusal inside undoes nothing by itself", func(t *testing.T, b Backend) {
			a := account(t, b)
			fresh := broker.Account{ID: broker.NewID(), Email: broker.NewID()}
			ok(t, b.Atomic.Atomic(within(t), func(ctx context.Context) error {
				answers(t, b.Accounts.CreateAccount(ctx, broker.Account{ID: broker.NewID(), Email: a.Email}), broker.Conflict)
				_, err := b.Accounts.Account(ctx, "unknown")
				answers(t, err, broker.NotFound)
				answers(t, b.Consents.RemoveConsent(ctx, "unknown", "app", moment()), broker.NotFound)
				answers(t, b.Identities.Unlink(ctx, "nothing", moment()), broker.NotFound)
				return b.Accounts.CreateAccount(ctx, fresh)
			}))
			same(t, got(b.Accounts.Account(within(t), fresh.ID))(t), fresh)
		}},
		{"an error of the database rolls back the transaction, even if the caller ignores it", func(t *testing.T, b Backend) {
			a, other := account(t, b), account(t, b)
			fresh := broker.Account{ID: broker.NewID(), Email: broker.NewID()}
			err := b.Atomic.Atomic(within(t), func(ctx context.Context) error {
				ok(t, b.Accounts.CreateAccount(ctx, fresh))
				a.Email = other.Email
				answers(t, b.Accounts.ChangeAccount(ctx, a, 3), broker.Conflict)
				return nil
			})
			answers(t, err, broker.Conflict)
			_, err = b.Accounts.Account(within(t), fresh.ID)
			answers(t, err, broker.NotFound)
		}},
		{"Take, Swap and Count are refused inside", func(t *testing.T, b Backend) {
			key := broker.NewID()
			ok(t, b.Ephemeral.Put(within(t), "s", key, []byte("v"), time.Now().Add(time.Hour)))
			ok(t, b.Atomic.Atomic(within(t), func(ctx context.Context) error {
				_, err := b.Ephemeral.Take(ctx, "s", key)
				_, err2 := b.Ephemeral.Count(ctx, "n", key, time.Now().Add(time.Hour))
				if err == nil || err2 == nil || b.Ephemeral.Swap(ctx, "s", key, []byte("v"), []byte("w")) == nil {
					t.Error("one of them was let through")
				}
				return nil
			}))
			same(t, got(b.Ephemeral.Get(within(t), "s", key))(t), []byte("v"))
		}},
		{"a cancelled context writes nothing, before or within a transaction", cancelled},
	}
}

// written is one of everything that a sign-in may write.
type written struct {
	account  broker.Account
	identity broker.Identity
	grant    broker.Grant
	id       string
}

func everything(t *testing.T, b Backend) written {
	w := written{id: broker.NewID()}
	w.account = broker.Account{ID: w.id, Email: w.id, AuthEpoch: 3}
	w.identity = broker.Identity{ID: w.id, AccountID: w.id, Connection: connection(t, b).ID, Issuer: "i", Subject: w.id}
	w.grant = newGrant(w.account)
	return w
}

func (w written) do(t *testing.T, ctx context.Context, b Backend) {
	ok(t, b.Accounts.CreateAccount(ctx, w.account))
	ok(t, b.Identities.Link(ctx, w.identity))
	ok(t, b.Sessions.CreateSession(ctx, w.id, broker.Session{ID: w.id, AccountID: w.id, Authn: authn(w.account)}))
	ok(t, b.Grants.CreateGrant(ctx, w.grant, true))
	ok(t, b.AuditLog.Record(ctx, broker.Event{ID: w.id, Account: w.id}))
	ok(t, b.ReplayCache.MarkUsed(ctx, "kind", w.id, moment()))
	ok(t, b.Ephemeral.Put(ctx, "store", w.id, []byte("v"), time.Now().Add(time.Hour)))
	ok(t, b.Outbox.Queue(ctx, broker.Mail{ID: w.id, To: w.id, ExpiresAt: moment(), NextAt: moment().Add(-time.Hour)}))
}

// stands reports which parts of it are committed.
func (w written) stands(t *testing.T, b Backend) (there [7]bool) {
	ctx := within(t)
	yes := func(err error) bool {
		if err != nil && !errors.Is(err, broker.NotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	_, err := b.Accounts.Account(ctx, w.id)
	there[0] = yes(err)
	there[1] = len(got(b.Identities.IdentitiesOf(ctx, w.id))(t)) == 1
	there[2] = len(got(b.Sessions.SessionsOf(ctx, w.id))(t)) == 1
	_, _, err = b.Grants.Grant(ctx, w.grant.ID)
	there[3] = yes(err)
	there[4] = len(got(b.AuditLog.Events(ctx, broker.EventFilter{Account: w.id}))(t)) == 1 &&
		got(b.ReplayCache.IsUsed(ctx, "kind", w.id))(t)
	_, err = b.Ephemeral.Get(ctx, "store", w.id)
	there[5] = yes(err)
	for _, m := range got(b.Outbox.DueMail(ctx, moment().Add(-time.Hour), moment().Add(-time.Hour), 1000))(t) {
		there[6] = there[6] || m.ID == w.id
	}
	return there
}

func nested(t *testing.T, b Backend) {
	stop := errors.New("stop")
	inner := func(w written, end error) func(ctx context.Context) error {
		return func(ctx context.Context) error { w.do(t, ctx, b); return end }
	}
	outer, joined := everything(t, b), everything(t, b)
	ok(t, b.Atomic.Atomic(within(t), func(ctx context.Context) error {
		outer.do(t, ctx, b)
		return b.Atomic.Atomic(ctx, inner(joined, nil))
	}))
	same(t, [2]bool{outer.stands(t, b)[0], joined.stands(t, b)[0]}, [2]bool{true, true})

	outer, joined = everything(t, b), everything(t, b)
	_ = b.Atomic.Atomic(within(t), func(ctx context.Context) error {
		ok(t, b.Atomic.Atomic(ctx, inner(joined, nil)))
		return stop
	})
	same(t, joined.stands(t, b), [7]bool{})

	outer, joined = everything(t, b), everything(t, b)
	err := b.Atomic.Atomic(within(t), func(ctx context.Context) error {
		outer.do(t, ctx, b)
		_ = b.Atomic.Atomic(ctx, inner(joined, stop)) // error ignored
		return nil
	})
	if !errors.Is(err, stop) {
		t.Fatalf("error %v, want the inner one", err)
	}
	same(t, outer.stands(t, b), [7]bool{})
}

func cancelled(t *testing.T, b Backend) {
	w := everything(t, b)
	ctx, cancel := context.WithCancel(within(t))
	err := b.Atomic.Atomic(ctx, func(ctx context.Context) error {
		w.do(t, ctx, b)
		cancel()
		return nil
	})
	if err == nil {
		t.Fatal("a cancelled transaction was committed")
	}
	same(t, w.stands(t, b), [7]bool{})
	err = b.Accounts.CreateAccount(ctx, w.account)
	answers(t, err, broker.Unavailable)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v hides its cause", err)
	}
	same(t, w.stands(t, b), [7]bool{})
}
