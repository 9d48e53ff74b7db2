// Package storetest is the test suite that every backend of package storage must pass. It has a test for each
// rule in broker/ports.go.
package storetest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
)

// Backend is one open, empty, migrated store.
type Backend struct {
	Atomic           broker.Atomic
	Accounts         broker.Accounts
	Identities       broker.Identities
	Sessions         broker.Sessions
	UpstreamSessions broker.UpstreamSessions
	Grants           broker.Grants
	Clients          broker.Clients
	Connections      broker.Connections
	Consents         broker.Consents
	AuditLog         broker.AuditLog
	Outbox           broker.Outbox
	Logouts          broker.Logouts
	Keys             broker.SigningKeys
	ReplayCache      broker.ReplayCache
	Leases           broker.Leases
	Ephemeral        broker.Ephemeral
}

type test struct {
	name string
	run  func(t *testing.T, b Backend)
}

// Run tests a durable backend. It calls open for each group of tests.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	for group, tests := range map[string][]test{
		"accounts": accountTests(), "identities": identityTests(), "sessions": sessionTests(), "grants": grantTests(),
		"clients": clientTests(), "connections": connectionTests(), "consents": consentTests(), "journal": auditTests(),
		"outbox": outboxTests(), "logouts": logoutTests(), "keys": keyTests(), "replays": replayTests(),
		"leases": leaseTests(), "atomic": atomicTests(),
		"races": raceTests(),
	} {
		t.Run(group, func(t *testing.T) {
			b := open(t)
			for _, c := range tests {
				t.Run(c.name, func(t *testing.T) { c.run(t, b) })
			}
		})
	}
}

// patience is how long a call may take before it counts as a deadlock.
const patience = 30 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// moment is the time of these tests. Its odd microsecond must be preserved.
func moment() time.Time { return time.Date(2026, 11, 2, 10, 0, 0, 123457000, time.UTC) }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("error: %v", err)
	}
}

func got[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

// sessionOf returns the stored session.
func sessionOf(t *testing.T, b Backend, s broker.Session) broker.Session {
	t.Helper()
	for _, now := range got(b.Sessions.SessionsOf(within(t), s.AccountID))(t) {
		if now.ID == s.ID {
			return now
		}
	}
	t.Fatalf("no session %s", s.ID)
	return s
}

func answers(t *testing.T, err error, want broker.Code) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("answer %v, want %v", err, want)
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got\n%+v\nwant\n%+v", got, want)
	}
}

// race runs do n times concurrently and returns the errors.
func race(n int, do func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			errs[i] = do(i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

// oneWinner requires exactly one nil, and lost from all others.
func oneWinner(t *testing.T, errs []error, lost broker.Code) {
	t.Helper()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, lost):
			t.Fatalf("a loser heard %v, want %v", err, lost)
		}
	}
	if won != 1 {
		t.Fatalf("%d of %d won, want exactly one", won, len(errs))
	}
}

// account creates an enabled account at epoch 3.
func account(t *testing.T, b Backend) broker.Account {
	t.Helper()
	id := broker.NewID()
	a := broker.Account{
		ID: id, Email: "ana." + id + "@example.com", Name: "Ana Ćwikła", GivenName: "Ana", FamilyName: "Ćwikła", Locale: "pl",
		PasswordHash: "$argon2id$v=19$…", AuthEpoch: 3, CreatedAt: moment(), UpdatedAt: moment().Add(time.Second),
	}
	ok(t, b.Accounts.CreateAccount(within(t), a))
	return a
}

func connection(t *testing.T, b Backend) broker.Connection {
	t.Helper()
	c := broker.Connection{
		ID: "c-" + broker.NewID(), Kind: "oidc", Name: "Łódź 🏛", State: broker.Live, Issuer: "https://idp.example",
		ClientID: "cid",
		Secrets:  []broker.Secret{"first", "second"}, Settings: map[string]string{"realm": "a"},
		Domains: []string{"example.com", "xn--bcher-kva.example"},
		Hidden:  true, Position: 4, CreatedAt: moment(), UpdatedAt: moment(),
	}
	ok(t, b.Connections.PutConnection(within(t), c))
	return c
}

func identity(t *testing.T, b Backend, a broker.Account) broker.Identity {
	t.Helper()
	i := broker.Identity{
		ID: broker.NewID(), AccountID: a.ID, Connection: connection(t, b).ID, Issuer: "https://idp.example",
		Subject: "sub|" + broker.NewID(),
		Email:   a.Email, LinkedAt: moment(), SeenAt: moment(),
	}
	ok(t, b.Identities.Link(within(t), i))
	return i
}

func authn(a broker.Account) broker.Authn {
	return broker.Authn{Method: broker.ByPassword, AMR: []string{"pwd"}, ACR: "1", AuthTime: moment(), Epoch: a.AuthEpoch,
		UserType: broker.UserTypeGuest, Factor: true}
}

// session creates a session and also returns the hash of its cookie.
func session(t *testing.T, b Backend, a broker.Account, n broker.Authn) (broker.Session, string) {
	t.Helper()
	s := broker.Session{
		ID: broker.NewID(), AccountID: a.ID, Authn: n, UserAgent: "Mozilla/5.0 (ż)", Address: "2001:db8::1",
		CreatedAt: moment(), ExpiresAt: moment().Add(broker.SessionLife),
	}
	hash := "k1." + broker.NewID()
	ok(t, b.Sessions.CreateSession(within(t), hash, s))
	return s, hash
}

func newGrant(a broker.Account) broker.Grant {
	return broker.Grant{
		ID: broker.NewID(), ClientID: "app", AccountID: a.ID, Scopes: []string{"openid", "email"},
		Audience: []string{"https://api.example"}, Authn: authn(a), KeyThumbprint: "thumb",
		Claims:    `{"userinfo":{"name":null}}`,
		CreatedAt: moment(), ExpiresAt: moment().Add(broker.RefreshLife),
	}
}

func grantOf(t *testing.T, b Backend, f broker.Grant) broker.Grant {
	t.Helper()
	ok(t, b.Grants.CreateGrant(within(t), f, true))
	return f
}
