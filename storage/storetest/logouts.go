package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
)

// visit is a session with a grant of each client.
func visit(t *testing.T, b Backend, a broker.Account, n broker.Authn, clients ...string) broker.Session {
	t.Helper()
	s, _ := session(t, b, a, n)
	for _, c := range clients {
		f := newGrant(a)
		f.SessionID, f.ClientID, f.Authn = s.ID, c, n
		f.Authn.UpstreamSID = "" // grants do not store it
		grantOf(t, b, f)
	}
	return s
}

// listener is a client with a back-channel logout URI.
func listener(t *testing.T, b Backend, name string) string {
	t.Helper()
	c := broker.Client{ID: "l-" + broker.NewID(), Name: name, AuthMethods: []string{"none"},
		BackchannelLogoutURI: "https://" + name + ".example/logout"}
	ok(t, b.Clients.PutClient(within(t), c))
	return c.ID
}

// waiting returns the clients with a pending logout of the session.
func waiting(t *testing.T, b Backend, session string) []string {
	t.Helper()
	var ids []string
	for _, l := range got(b.Logouts.Logouts(within(t), session, 1000))(t) {
		same(t, l.SessionID, session)
		ids = append(ids, l.ClientID)
	}
	return ids
}

func logoutTests() []test {
	return append(queueTests(), []test{
		{"a logout is leased, fails, waits and is done", func(t *testing.T, b Backend) {
			a, c, at := account(t, b), listener(t, b, "app"), moment().Add(time.Hour)
			s := visit(t, b, a, authn(a), c)
			ok(t, b.Sessions.EndSession(within(t), s.ID, at))
			l := only(t, b, s.ID)
			want := broker.Logout{ID: l.ID, ClientID: c, SessionID: s.ID, AccountID: a.ID, CreatedAt: at,
				ExpiresAt: at.Add(broker.LogoutLife), NextAt: at}
			same(t, l, want)
			until := at.Add(time.Minute)
			want.NextAt = until
			same(t, due(t, b, at, until, s.ID), []broker.Logout{want})
			same(t, len(due(t, b, at, until, s.ID)), 0)
			ok(t, b.Logouts.LogoutFailed(within(t), l.ID, "500\x00", until.Add(time.Hour)))
			same(t, len(due(t, b, until, until.Add(time.Minute), s.ID)), 0)
			want.NextAt, want.Attempts, want.LastError = l.ExpiresAt.Add(time.Minute), 1, "500\uFFFD"
			same(t, due(t, b, l.ExpiresAt, l.ExpiresAt.Add(time.Minute), s.ID), []broker.Logout{want})
			ok(t, b.Logouts.LogoutDone(within(t), l.ID))
			ok(t, b.Logouts.LogoutDone(within(t), l.ID))
			same(t, len(waiting(t, b, s.ID)), 0)
		}},
		{"A17: no logout is leased by two at once", func(t *testing.T, b Backend) {
			a, c := account(t, b), listener(t, b, "app")
			for range 12 {
				ok(t, b.Sessions.EndSession(within(t), visit(t, b, a, authn(a), c).ID, moment()))
			}
			leased := make([][]broker.Logout, 8)
			for _, err := range race(8, func(i int) (err error) {
				leased[i], err = b.Logouts.DueLogouts(within(t), moment(), moment().Add(time.Minute), 3)
				return err
			}) {
				ok(t, err)
			}
			seen := map[string]bool{}
			for _, batch := range leased {
				for _, l := range batch {
					if seen[l.ID] || len(batch) > 3 {
						t.Fatalf("leased twice, or too many: %s, %d", l.ID, len(batch))
					}
					seen[l.ID] = true
				}
			}
		}},
		{"the clients of a session are those with a grant of it, by name", func(t *testing.T, b Backend) {
			a, z, y := account(t, b), listener(t, b, "zebra"), listener(t, b, "yak")
			s := visit(t, b, a, authn(a), z, y, y)
			visit(t, b, a, authn(a), listener(t, b, "other"))
			var names []string
			for _, c := range got(b.Logouts.ClientsOf(within(t), s.ID))(t) {
				names = append(names, c.Name)
			}
			same(t, names, []string{"yak", "zebra"})
		}},
		{"A18: an upstream's logout ends what it selects and nothing else", upstreamLogout},
	}...)
}

func only(t *testing.T, b Backend, session string) broker.Logout {
	t.Helper()
	var found []broker.Logout
	for _, l := range got(b.Logouts.Logouts(within(t), "", 1000))(t) { // of every session
		if l.SessionID == session {
			found = append(found, l)
		}
	}
	same(t, found, got(b.Logouts.Logouts(within(t), session, 1000))(t))
	if len(found) != 1 {
		t.Fatalf("waiting: %+v", found)
	}
	return found[0]
}

func due(t *testing.T, b Backend, now, until time.Time, session string) (of []broker.Logout) {
	t.Helper()
	for _, l := range got(b.Logouts.DueLogouts(within(t), now, until, 1000))(t) {
		if l.SessionID == session {
			of = append(of, l)
		}
	}
	return of
}

func queueTests() []test {
	return []test{
		{"A17: the end of a session queues a logout for each client that wants one, once", func(t *testing.T, b Backend) {
			a, c := account(t, b), listener(t, b, "app")
			ok(t, b.Clients.PutClient(within(t), broker.Client{ID: "deaf", Name: "Deaf", AuthMethods: []string{"none"}}))
			s := visit(t, b, a, authn(a), c, c, "deaf", "deleted")
			other := visit(t, b, a, authn(a), c)
			ok(t, b.Grants.RevokeGrants(within(t), broker.GrantFilter{Session: s.ID}, broker.Revoked, moment()))
			for range 2 {
				ok(t, b.Sessions.EndSession(within(t), s.ID, moment()))
			}
			same(t, waiting(t, b, s.ID), []string{c})
			same(t, len(waiting(t, b, other.ID)), 0)
		}},
		{"A17: a rollback queues no logout", func(t *testing.T, b Backend) {
			a, c := account(t, b), listener(t, b, "app")
			s := visit(t, b, a, authn(a), c)
			answers(t, b.Atomic.Atomic(within(t), func(ctx context.Context) error {
				ok(t, b.Sessions.EndSession(ctx, s.ID, moment()))
				return broker.Conflict
			}), broker.Conflict)
			same(t, len(waiting(t, b, s.ID)), 0)
		}},
		{"A17: a raised epoch ends the sessions before it and queues their logouts, once", func(t *testing.T, b Backend) {
			a, c := account(t, b), listener(t, b, "app")
			s := visit(t, b, a, authn(a), c)
			ended := visit(t, b, a, authn(a), c)
			ok(t, b.Sessions.EndSession(within(t), ended.ID, moment()))
			ok(t, b.Grants.RevokeGrants(within(t), broker.GrantFilter{Session: ended.ID}, broker.Revoked, moment()))
			for range 2 {
				seen := a.AuthEpoch
				a.AuthEpoch, a.UpdatedAt = seen+1, a.UpdatedAt.Add(time.Minute)
				ok(t, b.Accounts.ChangeAccount(within(t), a, seen))
			}
			same(t, waiting(t, b, s.ID), []string{c})
			same(t, waiting(t, b, ended.ID), []string{c})
			if sessionOf(t, b, s).EndedAt.IsZero() {
				t.Fatal("the session goes on")
			}
			again := visit(t, b, a, authn(a), c)
			a.Name = "Ana"
			ok(t, b.Accounts.ChangeAccount(within(t), a, a.AuthEpoch))
			same(t, len(waiting(t, b, again.ID)), 0)
		}},
		{"A17: Unlink queues logouts for sessions created with the identity", func(t *testing.T, b Backend) {
			a, c := account(t, b), listener(t, b, "app")
			i := identity(t, b, a)
			n := authn(a)
			n.Method, n.Connection, n.Identity = broker.ByUpstream, i.Connection, i.ID
			s, kept := visit(t, b, a, n, c), visit(t, b, a, authn(a), c)
			ok(t, b.Identities.Unlink(within(t), i.ID, moment().Add(time.Second)))
			same(t, waiting(t, b, s.ID), []string{c})
			same(t, len(waiting(t, b, kept.ID)), 0)
		}},
		{"A17: if a sign-out meets a redemption, the app gets a logout or no tokens", func(t *testing.T, b Backend) {
			for range 10 {
				createdAndEnded(t, b, false)
				createdAndEnded(t, b, true)
			}
		}},
	}
}

// createdAndEnded redeems a code while its session ends. With inside, the end begins after the redemption has
// read the session, and before its commit.
func createdAndEnded(t *testing.T, b Backend, inside bool) {
	a, c := account(t, b), listener(t, b, "app")
	s, _ := session(t, b, a, authn(a))
	f := newGrant(a)
	f.SessionID, f.ClientID = s.ID, c
	seen := make(chan struct{})
	once := sync.OnceFunc(func() { close(seen) })
	errs := race(2, func(i int) error {
		if i == 0 && inside {
			<-seen
		}
		if i == 1 {
			defer once()
		}
		return b.Atomic.Atomic(within(t), func(ctx context.Context) error {
			if i == 0 {
				if err := b.Sessions.EndSession(ctx, s.ID, moment()); err != nil {
					return err
				}
				return b.Grants.RevokeGrants(ctx, broker.GrantFilter{Session: s.ID}, broker.Revoked, moment())
			}
			if err := b.Grants.CreateGrant(ctx, f, true); err != nil {
				return err
			}
			_, _, err := b.Grants.Grant(ctx, f.ID)
			once()
			for n := 0; inside && err == nil && n < 50; n++ { // long enough for an end that is not blocked
				_, _, err = b.Grants.Grant(ctx, f.ID)
			}
			return err
		})
	})
	ok(t, errs[0])
	told := len(waiting(t, b, s.ID)) == 1
	if created := errs[1] == nil; created != told {
		t.Fatalf("the grant was created: %t, its client is told: %t", created, told)
	}
	if errs[1] == nil {
		if have, _, err := b.Grants.Grant(within(t), f.ID); err != nil || have.EndedAt.IsZero() {
			t.Fatalf("it outlived its session: %v", err)
		}
	}
}

func upstreamLogout(t *testing.T, b Backend) {
	a, other, c := account(t, b), account(t, b), listener(t, b, "app")
	i, o := identity(t, b, a), identity(t, b, other)
	created := func(a broker.Account, i broker.Identity, sid string) broker.Session {
		n := authn(a)
		n.Method, n.Connection, n.Identity, n.UpstreamSID = broker.ByUpstream, i.Connection, i.ID, sid
		return visit(t, b, a, n, c)
	}
	first, second, unsaid := created(a, i, "up-1"), created(a, i, "up-2"), created(a, i, "")
	others, elsewhere := created(other, o, "up-1"), created(a, identity(t, b, a), "up-1")
	end := func(u broker.UpstreamSession, want ...broker.Session) {
		t.Helper()
		ended := map[string]bool{}
		for _, s := range got(b.UpstreamSessions.EndUpstreamSessions(within(t), u, moment().Add(time.Minute)))(t) {
			ended[s.ID] = true
		}
		for _, s := range want {
			if !ended[s.ID] || sessionOf(t, b, s).EndedAt.IsZero() || len(waiting(t, b, s.ID)) != 1 {
				t.Fatalf("%+v: %s goes on, or its client is not told", u, s.Authn.UpstreamSID)
			}
		}
		same(t, len(ended), len(want))
	}
	for _, u := range []broker.UpstreamSession{{}, {Connection: i.Connection}, {Identity: i.ID, SID: "up-1"}} {
		if _, err := b.UpstreamSessions.EndUpstreamSessions(within(t), u, moment()); err == nil {
			t.Fatalf("%+v was taken", u)
		}
	}
	end(broker.UpstreamSession{Connection: o.Connection, Identity: i.ID})
	end(broker.UpstreamSession{Connection: i.Connection, SID: "up-3"})
	end(broker.UpstreamSession{Connection: i.Connection, SID: "up-1"}, first)
	end(broker.UpstreamSession{Connection: i.Connection, Identity: i.ID, SID: "up-1"}, unsaid)
	third := created(a, i, "up-3")
	end(broker.UpstreamSession{Connection: i.Connection, Identity: i.ID}, second, third)
	for _, s := range []broker.Session{others, elsewhere} {
		if !sessionOf(t, b, s).EndedAt.IsZero() {
			t.Fatal("another session ended")
		}
	}
}
