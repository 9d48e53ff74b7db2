package storetest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/broker"
)

// crowd is the number of concurrent callers.
const crowd = 50

func raceTests() []test {
	return append(connectionRaceTests(), []test{
		{"A5: of many who redeem one code at once, one gets a grant", func(t *testing.T, b Backend) {
			for range 10 {
				f := newGrant(account(t, b))
				oneWinner(t, race(crowd, func(int) error { return b.Grants.CreateGrant(within(t), f, true) }), broker.Conflict)
			}
		}},
		{"A5: the same inside transactions that write more", func(t *testing.T, b Backend) {
			f := newGrant(account(t, b))
			oneWinner(t, race(crowd, func(int) error {
				return b.Atomic.Atomic(within(t), func(ctx context.Context) error {
					if err := b.Grants.CreateGrant(ctx, f, true); err != nil {
						return err
					}
					return b.AuditLog.Record(ctx, broker.Event{Account: f.ID})
				})
			}), broker.Conflict)
			same(t, len(got(b.AuditLog.Events(within(t), broker.EventFilter{Account: f.ID}))(t)), 1)
		}},
		{"A6: of many who refresh at once, one rotates", func(t *testing.T, b Backend) {
			f := grantOf(t, b, newGrant(account(t, b)))
			for g := range int64(10) {
				oneWinner(t, race(crowd, func(int) error { return b.Grants.Rotate(within(t), f.ID, g, g+1, moment()) }),
					broker.Conflict)
			}
		}},
		{"C16: of many who link one identity at once, one does", func(t *testing.T, b Backend) {
			i := identity(t, b, account(t, b))
			i.Subject = broker.NewID()
			oneWinner(t, race(20, func(int) error {
				mine := i
				mine.ID, mine.AccountID = broker.NewID(), account(t, b).ID
				return b.Identities.Link(within(t), mine)
			}), broker.Conflict)
		}},
		{"C17: of many who unlink at once and take the account's row first, each sees what is left",
			func(t *testing.T, b Backend) {
				a := account(t, b)
				var all []broker.Identity
				for range 10 {
					all = append(all, identity(t, b, a))
				}
				race(len(all), func(n int) error {
					return b.Atomic.Atomic(within(t), func(ctx context.Context) error {
						if err := b.Accounts.ChangeAccount(ctx, a, a.AuthEpoch); err != nil {
							return err
						}
						left, err := b.Identities.IdentitiesOf(ctx, a.ID)
						if err != nil || len(left) == 1 {
							return errors.Join(err, broker.Conflict)
						}
						return b.Identities.Unlink(ctx, all[n].ID, moment())
					})
				})
				same(t, len(got(b.Identities.IdentitiesOf(within(t), a.ID))(t)), 1)
			}},
		{"of many who create one account at once, one does", func(t *testing.T, b Backend) {
			email := broker.NewID()
			oneWinner(t, race(20, func(int) error {
				return b.Accounts.CreateAccount(within(t), broker.Account{ID: broker.NewID(), Email: email})
			}), broker.Conflict)
		}},
		{"of many who change an account of one epoch at once, one does", func(t *testing.T, b Backend) {
			a := account(t, b)
			a.AuthEpoch++
			oneWinner(t, race(20, func(int) error { return b.Accounts.ChangeAccount(within(t), a, 3) }), broker.Conflict)
		}},
	}...)
}

func connectionRaceTests() []test {
	return []test{
		{"of many who create one connection at once, none moves it", func(t *testing.T, b Backend) {
			id := "c-" + broker.NewID()
			oneWinner(t, race(20, func(int) error {
				return b.Connections.PutConnection(within(t), broker.Connection{ID: id, State: broker.Live, Issuer: broker.NewID()})
			}), broker.Conflict)
		}},
		{"of many who take one draft live at once, each elsewhere, one does", func(t *testing.T, b Backend) {
			for range 5 {
				c := broker.Connection{ID: "c-" + broker.NewID(), State: broker.Draft}
				ok(t, b.Connections.PutConnection(within(t), c))
				oneWinner(t, race(20, func(int) error {
					live := c
					live.State, live.Issuer = broker.Live, broker.NewID()
					return b.Connections.PutConnection(within(t), live)
				}), broker.Conflict)
			}
		}},
		{"a connection is not deleted under an identity that is being linked", func(t *testing.T, b Backend) {
			a := account(t, b)
			for range 10 {
				c := connection(t, b)
				i := broker.Identity{ID: broker.NewID(), AccountID: a.ID, Connection: c.ID, Issuer: "i", Subject: broker.NewID()}
				errs := race(2, func(n int) error {
					if n == 0 {
						return b.Connections.DeleteConnection(within(t), c.ID)
					}
					return b.Identities.Link(within(t), i)
				})
				if (errs[0] == nil) == (errs[1] == nil) {
					t.Fatalf("delete %v, link %v: want exactly one", errs[0], errs[1])
				}
			}
		}},
		{"I5: what is created while the epoch rises has the old epoch, and nothing is created with it afterwards",
			creationAgainstEpoch},
		{"nothing created with an identity outlives its unlinking", creationAgainstUnlink},
		{"G6: many transactions of one user, each with reads inside, all succeed", crowdOfTransactions},
	}
}

func creationAgainstEpoch(t *testing.T, b Backend) {
	for range 5 {
		a := account(t, b)
		var changed atomic.Bool
		errs := race(crowd, func(i int) error {
			if i == crowd/2 {
				next := a
				next.AuthEpoch++
				err := b.Accounts.ChangeAccount(within(t), next, 3)
				changed.Store(true)
				return err
			}
			late := changed.Load()
			err := b.Sessions.CreateSession(within(t), broker.NewID(),
				broker.Session{ID: broker.NewID(), AccountID: a.ID, Authn: authn(a)})
			if err == nil && late {
				return errors.New("created after the change")
			}
			if errors.Is(err, broker.StartAgain) {
				return nil
			}
			return err
		})
		for _, err := range errs {
			ok(t, err)
		}
		for _, s := range got(b.Sessions.SessionsOf(within(t), a.ID))(t) {
			if s.Authn.Epoch != 3 {
				t.Fatalf("a session of the proof at epoch 3 claims epoch %d", s.Authn.Epoch)
			}
		}
	}
}

func creationAgainstUnlink(t *testing.T, b Backend) {
	for range 10 {
		a := account(t, b)
		i := identity(t, b, a)
		errs := race(20, func(n int) error {
			if n == 10 {
				return b.Identities.Unlink(within(t), i.ID, moment())
			}
			f := newGrant(a)
			f.Authn.Identity = i.ID
			// A slow transaction is the dangerous one.
			err := b.Atomic.Atomic(within(t), func(ctx context.Context) error {
				if err := b.Grants.CreateGrant(ctx, f, true); err != nil {
					return err
				}
				if err := b.Sessions.CreateSession(ctx, f.ID,
					broker.Session{ID: f.ID, AccountID: a.ID, Authn: f.Authn}); err != nil {
					return err
				}
				return b.AuditLog.Record(ctx, broker.Event{Account: a.ID, Session: f.ID})
			})
			if errors.Is(err, broker.StartAgain) {
				return nil
			}
			return err
		})
		for _, err := range errs {
			ok(t, err)
		}
		for _, s := range got(b.Sessions.SessionsOf(within(t), a.ID))(t) {
			if s.EndedAt.IsZero() {
				t.Fatal("a session outlived the identity that created it")
			}
			alive(t, b, s.ID, false)
		}
	}
}

func crowdOfTransactions(t *testing.T, b Backend) {
	a := account(t, b)
	i := identity(t, b, a)
	for _, err := range race(64, func(int) error {
		return b.Atomic.Atomic(within(t), func(ctx context.Context) error {
			if _, _, err := b.Identities.Identity(ctx, i.Connection, i.Issuer, i.Subject); err != nil {
				return err
			}
			if _, err := b.Connections.Connection(ctx, i.Connection); err != nil {
				return err
			}
			if _, err := b.Ephemeral.Get(ctx, "store", "nothing"); !errors.Is(err, broker.NotFound) {
				return err
			}
			f := newGrant(a)
			if err := b.Grants.CreateGrant(ctx, f, true); err != nil {
				return err
			}
			if _, _, err := b.Grants.Grant(ctx, f.ID); err != nil {
				return err
			}
			if err := b.Ephemeral.Put(ctx, "store", f.ID, []byte("v"), time.Now().Add(time.Hour)); err != nil {
				return err
			}
			return b.Identities.SeeIdentity(ctx, i.ID, a.Email, moment())
		})
	}) {
		ok(t, err)
	}
}
