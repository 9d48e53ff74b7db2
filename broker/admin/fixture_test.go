package admin_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
	"gatehouse/broker/egress"
	"gatehouse/broker/mail"
	"gatehouse/broker/seal"
	"gatehouse/broker/text"
	"gatehouse/providers"
	"gatehouse/storage"
)

// noon is the fixture's time.
func noon() time.Time { return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) }

// helper is an administrator who is not the operator.
func helper() admin.Actor { return admin.Actor{ID: "ACCOUNT-OF-AN-ADMIN"} }

// plainHasher stands for argon2id, which costs too much here.
type plainHasher struct{}

func (plainHasher) Hash(_ context.Context, password string) (string, error) {
	if len(password) < 12 {
		return "", broker.WeakPassword
	}
	return "hash of " + password, nil
}

// fixture is a Service over a SQLite store of its own.
type fixture struct {
	*admin.Service
	t     *testing.T
	store *storage.Store
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	keyring, err := seal.LoadOrCreate(filepath.Join(dir, "keyring.json"), noon().Add(-90*24*time.Hour))
	must(err)
	store, err := storage.Open(t.Context(), storage.Options{Database: "sqlite:" + filepath.Join(dir, "test.db"),
		Sealer: keyring,
		Pinned: providers.Pinned, Now: noon, Log: slog.New(slog.DiscardHandler)})
	must(err)
	t.Cleanup(func() { store.Close() })
	must(store.Migrate(t.Context()))
	must(store.Ready(t.Context()))
	texts, err := text.Load()
	must(err)
	out, err := egress.New(egress.Options{})
	must(err)
	f := &fixture{t: t, store: store, Service: &admin.Service{Store: store, Passwords: plainHasher{},
		Mail:    &mail.Mailer{Outbox: store, Texts: texts, Site: mail.Site{Name: "Test"}, Now: noon},
		Keyring: keyring, KeyringFile: filepath.Join(dir, "keyring.json"), Egress: out,
		Weakness: func(secret string, least int) string {
			if len(secret) < least {
				return "is too short"
			}
			return ""
		},
		ClientRegistration: true, PasswordSignIn: true, Now: noon}}
	return f
}

// account creates an account with a password.
func (f *fixture) account(email string) broker.Account {
	f.t.Helper()
	r, err := f.AddAccount(f.t.Context(), helper(), admin.AddAccount{Email: email, Password: "seven boats at noon"})
	if err != nil {
		f.t.Fatal(err)
	}
	return r.Value
}

// connection creates a live connection of a kind that needs no network.
func (f *fixture) connection(id string) {
	f.t.Helper()
	name := "Hub"
	in := admin.AddConnection{Live: true, ID: id, Kind: "github", ClientID: "c", Secret: "s",
		Edit: admin.EditConnection{Name: &name}}
	if _, err := f.AddConnection(f.t.Context(), helper(), in); err != nil {
		f.t.Fatal(err)
	}
}

// link links an identity to an account, as a sign-in would.
func (f *fixture) link(a broker.Account, connection, id string) {
	f.t.Helper()
	i := broker.Identity{ID: id, AccountID: a.ID, Connection: connection, Issuer: "i", Subject: id, LinkedAt: noon(),
		SeenAt: noon()}
	if err := f.store.Link(f.t.Context(), i); err != nil {
		f.t.Fatal(err)
	}
}

// events is the whole audit log, newest first.
func (f *fixture) events() []broker.Event {
	f.t.Helper()
	all, err := f.store.Events(f.t.Context(), broker.EventFilter{Limit: admin.MaxList})
	if err != nil {
		f.t.Fatal(err)
	}
	return all
}
