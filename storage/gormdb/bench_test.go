package gormdb_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/storage/gormdb"
)

// The hot paths of PERFORMANCE.md. deploy/bench prints them; nothing asserts time.
func BenchmarkSQLite(b *testing.B)   { hotPaths(b, sqliteFile) }
func BenchmarkPostgres(b *testing.B) { hotPaths(b, postgresSchema) }

func hotPaths(b *testing.B, new place) {
	d := open(b, new(b), gormdb.Options{})
	ctx := b.Context() // ends, as that of a request
	now := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	a := broker.Account{ID: broker.NewID(), Email: "ana@example.com", Name: "Ana", PasswordHash: "$argon2id$…",
		AuthEpoch: 1, CreatedAt: now}
	must(d.CreateAccount(ctx, a))
	must(d.PutConnection(ctx, broker.Connection{ID: "google", State: broker.Live}))
	i := broker.Identity{ID: broker.NewID(), AccountID: a.ID, Connection: "google",
		Issuer: "https://idp.example", Subject: "s"}
	must(d.Link(ctx, i))
	n := broker.Authn{Method: broker.ByUpstream, Connection: "google", Identity: i.ID, AMR: []string{"fed"},
		AuthTime: now, Epoch: 1}
	grant := func() broker.Grant {
		return broker.Grant{
			ID: broker.NewID(), ClientID: "app", AccountID: a.ID, SessionID: "s",
			Scopes: []string{"openid", "email", "offline_access"}, Authn: n,
			CreatedAt: now, ExpiresAt: now.Add(broker.RefreshLife),
		}
	}
	s := broker.Session{ID: "s", AccountID: a.ID, Authn: n, UserAgent: "Mozilla/5.0",
		CreatedAt: now, ExpiresAt: now.Add(broker.SessionLife)}
	must(d.CreateSession(ctx, "k1.hash", s))
	f := grant()
	must(d.CreateGrant(ctx, f, true))
	value, soon := bytes.Repeat([]byte("x"), 1500), time.Now().Add(time.Hour)
	must(d.Put(ctx, "s", "k", value, soon))
	counter := int64(0)
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"CreateGrant", func() error { return d.CreateGrant(ctx, grant(), true) }},
		{"Rotate", func() error { counter++; return d.Rotate(ctx, f.ID, counter-1, counter, now) }},
		{"Grant", func() error { _, _, err := d.Grant(ctx, f.ID); return err }},
		{"Session", func() error { _, _, err := d.Session(ctx, []string{"k1.hash"}); return err }},
		{"Identity", func() error { _, _, err := d.Identity(ctx, i.Connection, i.Issuer, i.Subject); return err }},
		{"EphemeralPut", func() error { return d.Put(ctx, "s", broker.NewID(), value, soon) }},
		{"EphemeralGet", func() error { _, err := d.Get(ctx, "s", "k"); return err }},
		{"SignIn", func() error { // session, identity and event in one transaction
			return d.Atomic(ctx, func(ctx context.Context) error {
				s.ID = broker.NewID()
				if err := d.CreateSession(ctx, s.ID, s); err != nil {
					return err
				}
				if err := d.SeeIdentity(ctx, i.ID, a.Email, now); err != nil {
					return err
				}
				return d.Record(ctx, broker.Event{At: now, Verb: broker.EventSignedIn, Account: a.ID})
			})
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				must(c.do())
			}
		})
	}
}
