package storetest

import (
	"testing"
	"time"

	"gatehouse/broker"
)

func sessionTests() []test {
	return append(sessionLifeTests(), []test{
		{"a session comes back with its account, by any of the hashes", func(t *testing.T, b Backend) {
			a := account(t, b)
			s, hash := session(t, b, a, authn(a))
			for _, hashes := range [][]string{{hash}, {"k2.other", hash}, {hash, "k2.other", "k3.other"}} {
				gotS, gotA, err := b.Sessions.Session(within(t), hashes)
				ok(t, err)
				same(t, gotS, s)
				same(t, gotA, a)
			}
			same(t, sessionOf(t, b, s), s)
		}},
		{"a session of empty fields comes back empty", func(t *testing.T, b Backend) {
			a := account(t, b)
			s := broker.Session{ID: broker.NewID(), AccountID: a.ID, Authn: broker.Authn{Epoch: a.AuthEpoch}}
			ok(t, b.Sessions.CreateSession(within(t), broker.NewID(), s))
			same(t, sessionOf(t, b, s), s)
		}},
		{"H6: a session or a grant and its event are recorded together or not at all", func(t *testing.T, b Backend) {
			a := account(t, b)
			f := newGrant(a)
			s := broker.Session{ID: broker.NewID(), AccountID: a.ID, Authn: authn(a)}
			told := func() int {
				return len(got(b.AuditLog.Events(within(t), broker.EventFilter{Account: a.ID}))(t))
			}
			e := broker.Event{ID: broker.NewID(), At: moment(), Account: a.ID}
			ok(t, b.Sessions.CreateSession(within(t), broker.NewID(), s, e))
			same(t, sessionOf(t, b, s), s)
			same(t, got(b.AuditLog.Events(within(t), broker.EventFilter{Account: a.ID}))(t), []broker.Event{e})
			// The same event cannot be recorded twice.
			hash := "k1." + broker.NewID()
			s.ID = broker.NewID()
			answers(t, b.Sessions.CreateSession(within(t), hash, s, e), broker.Conflict)
			_, _, err := b.Sessions.Session(within(t), []string{hash})
			answers(t, err, broker.NotFound)
			answers(t, b.Grants.CreateGrant(within(t), f, true, e), broker.Conflict)
			_, _, err = b.Grants.Grant(within(t), f.ID)
			answers(t, err, broker.NotFound)
			ok(t, b.Grants.CreateGrant(within(t), f, true, broker.Event{Account: a.ID}))
			same(t, told(), 2)
			// What inserts nothing records nothing.
			answers(t, b.Grants.CreateGrant(within(t), f, true, broker.Event{Account: a.ID}), broker.Conflict)
			s.Authn.Epoch--
			answers(t, b.Sessions.CreateSession(within(t), hash, s, broker.Event{Account: a.ID}), broker.StartAgain)
			same(t, told(), 2)
		}},
		{"an unknown session is NotFound", func(t *testing.T, b Backend) {
			for _, hashes := range [][]string{nil, {"k1.nothing"}, {"a\x00"}} {
				_, _, err := b.Sessions.Session(within(t), hashes)
				answers(t, err, broker.NotFound)
			}
		}},
		{"an invalid User-Agent does not prevent a sign-in", func(t *testing.T, b Backend) {
			a := account(t, b)
			s := broker.Session{ID: broker.NewID(), AccountID: a.ID, Authn: authn(a), UserAgent: "Br\xf8wser\x00"}
			ok(t, b.Sessions.CreateSession(within(t), broker.NewID(), s))
			same(t, sessionOf(t, b, s).UserAgent, "Br\uFFFDwser\uFFFD")
		}},
	}...)
}

func sessionLifeTests() []test {
	return []test{
		{"I5: no session is created for a disabled, unknown or changed account", func(t *testing.T, b Backend) {
			a := account(t, b)
			for _, epoch := range []int64{2, 4} {
				n := authn(a)
				n.Epoch = epoch
				answers(t, b.Sessions.CreateSession(within(t), broker.NewID(),
					broker.Session{ID: broker.NewID(), AccountID: a.ID, Authn: n}), broker.StartAgain)
			}
			answers(t, b.Sessions.CreateSession(within(t), broker.NewID(),
				broker.Session{ID: broker.NewID(), AccountID: "unknown"}), broker.StartAgain)
			a.Disabled = true
			ok(t, b.Accounts.ChangeAccount(within(t), a, 3))
			answers(t, b.Sessions.CreateSession(within(t), broker.NewID(),
				broker.Session{ID: broker.NewID(), AccountID: a.ID, Authn: authn(a)}), broker.StartAgain)
			if list := got(b.Sessions.SessionsOf(within(t), a.ID))(t); len(list) != 0 {
				t.Fatalf("created all the same: %+v", list)
			}
		}},
		{"a session ends once; the first time stays, and it is still found", func(t *testing.T, b Backend) {
			a := account(t, b)
			s, hash := session(t, b, a, authn(a))
			at := moment().Add(time.Minute)
			ok(t, b.Sessions.EndSession(within(t), s.ID, at))
			ok(t, b.Sessions.EndSession(within(t), s.ID, at.Add(time.Minute)))
			ok(t, b.Sessions.EndSession(within(t), "nothing", at))
			s.EndedAt = at
			gotS, _, err := b.Sessions.Session(within(t), []string{hash})
			ok(t, err)
			same(t, gotS, s)
		}},
		{"the sessions of an account are its own", func(t *testing.T, b Backend) {
			a, other := account(t, b), account(t, b)
			s, _ := session(t, b, a, authn(a))
			session(t, b, other, authn(other))
			same(t, got(b.Sessions.SessionsOf(within(t), a.ID))(t), []broker.Session{s})
		}},
	}
}
