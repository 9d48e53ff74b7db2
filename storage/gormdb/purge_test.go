package gormdb_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/storage/gormdb"
)

func TestPurgeRemovesWhatHasExpiredAndKeepsWhatLives(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		now := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
		d := open(t, new(t), gormdb.Options{Now: func() time.Time { return now.Add(-time.Hour) }})
		account := broker.Account{ID: "a", Email: "a"}
		if err := d.CreateAccount(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		store := func(id string, expires time.Time) {
			t.Helper()
			if err := errors.Join(
				d.Put(t.Context(), "s", id, nil, expires),
				d.MarkUsed(t.Context(), "k", id, expires),
				d.Queue(t.Context(), broker.Mail{ID: id, ExpiresAt: expires}),
				d.CreateSession(t.Context(), id, broker.Session{ID: id, AccountID: "a", ExpiresAt: expires}),
				d.CreateGrant(t.Context(), broker.Grant{ID: id, AccountID: "a", ExpiresAt: expires}, true),
			); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 12 {
			store(fmt.Sprint("dead", i), now.Add(-10*time.Minute))
		}
		store("slow clock", now.Add(-time.Minute))
		store("live", now.Add(time.Minute))
		store("ended", now.Add(time.Minute))
		if err := errors.Join(d.EndSession(t.Context(), "ended", now),
			d.RevokeGrant(t.Context(), "ended", broker.Revoked, now)); err != nil {
			t.Fatal(err)
		}

		var removed []int
		for more := true; more; {
			n, m, err := d.Purge(t.Context(), now, 5)
			if err != nil {
				t.Fatal(err)
			}
			removed, more = append(removed, n), m
		}
		if fmt.Sprint(removed) != "[25 25 10]" {
			t.Fatalf("removed %v", removed)
		}
		for _, id := range []string{"slow clock", "live", "ended"} {
			_, err1 := d.Get(t.Context(), "s", id)
			_, _, err2 := d.Session(t.Context(), []string{id})
			_, _, err3 := d.Grant(t.Context(), id)
			marked, err4 := d.IsUsed(t.Context(), "k", id)
			if err := errors.Join(err1, err2, err3, err4); err != nil || !marked {
				t.Fatalf("%s: marked %v, %v", id, marked, err)
			}
		}
		if _, _, err := d.Grant(t.Context(), "dead0"); !errors.Is(err, broker.NotFound) {
			t.Fatalf("dead0: %v", err)
		}
		if _, _, err := d.Purge(t.Context(), now, 0); err == nil {
			t.Fatal("a batch of none was accepted")
		}
	})
}
