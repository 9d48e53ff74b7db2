package storage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/storage"
)

func TestH4_RefusalsOfStrangersCannotFillTheAuditLog(t *testing.T) {
	s := open(t, storage.Options{Refusals: 20})
	at := time.Now().Truncate(time.Hour)
	record := func(n int, e broker.Event) {
		t.Helper()
		for range n {
			e.ID, e.At = "", at
			if err := s.Record(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	rows := func() int {
		t.Helper()
		all, err := s.Events(t.Context(), broker.EventFilter{})
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	bad := broker.Event{Verb: broker.EventRequestRefused, Code: broker.ClientUnknown, Address: "203.0.113.7",
		Detail: map[string]string{"client": "x"}}
	record(2000, bad)
	if n := rows(); n != 22 { // 20, the 100th and the 1,000th
		t.Errorf("%d rows", n)
	}
	latest, err := s.Events(t.Context(), broker.EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, e := range latest {
		counts[e.Detail["count"]]++
	}
	if counts["100"] != 1 || counts["1000"] != 1 || counts[""] != 20 || bad.Detail["count"] != "" {
		t.Errorf("%v", counts)
	}
	at = at.Add(time.Hour)
	record(1, bad)
	at = at.Add(-time.Hour)
	other := bad
	other.Code = broker.RequestInvalid
	record(1, other)
	for i := range 30 { // one network
		other.Address = fmt.Sprintf("2001:db8:1:2::%d", i+1)
		record(1, other)
	}
	if n := rows(); n != 22+1+1+20 {
		t.Errorf("%d rows", n)
	}
	before := rows()
	for _, e := range []broker.Event{
		{Verb: broker.EventRefused, Code: broker.AccountDisabled, Account: "a", Address: "203.0.113.7"},
		{Verb: broker.EventCodeSent, Address: "203.0.113.7"},
		{Verb: broker.EventRefused, Code: broker.AccountDisabled, Actor: "operator"},
	} {
		record(30, e)
	}
	if n := rows(); n != before+90 {
		t.Errorf("%d rows of people, want 90", n-before)
	}
	err = s.Atomic(t.Context(), func(ctx context.Context) error { return s.Record(ctx, bad) })
	if err != nil || rows() != before+91 {
		t.Errorf("inside a transaction: %v", err)
	}
}

// counter counts the calls of Count.
type counter struct {
	broker.Ephemeral
	calls int
}

func (c *counter) Count(ctx context.Context, store, key string, expires time.Time) (int64, error) {
	c.calls++
	return c.Ephemeral.Count(ctx, store, key, expires)
}

func TestE1_AWrongPasswordIsRecordedTheSameWithAndWithoutAnAccount(t *testing.T) {
	s := open(t, storage.Options{Refusals: 20})
	work := &counter{Ephemeral: s.Ephemeral}
	s.Ephemeral = work
	for _, account := range []string{"", "ana"} {
		for range 30 {
			e := broker.Event{Verb: broker.EventPasswordFailed, Code: broker.WrongPassword, At: time.Now(),
				Address: "203.0.113.7", Account: account}
			if err := s.Record(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := s.Events(t.Context(), broker.EventFilter{})
	if err != nil || len(all) != 60 || work.calls != 0 {
		t.Errorf("%d rows, %d counts, %v", len(all), work.calls, err)
	}
}

func TestEventsAreKeptForAsLongAsTheSettingSays(t *testing.T) {
	now := time.Now()
	for keep, want := range map[time.Duration]int{0: 3, 400 * 24 * time.Hour: 2, 24 * time.Hour: 1} {
		t.Run(keep.String(), func(t *testing.T) {
			s := open(t, storage.Options{KeepEvents: keep})
			for _, age := range []time.Duration{time.Hour, 300 * 24 * time.Hour, 500 * 24 * time.Hour} {
				if err := s.Record(t.Context(), broker.Event{At: now.Add(-age)}); err != nil {
					t.Fatal(err)
				}
			}
			_, _, err := s.Purge(t.Context(), now, 1)
			if err == nil {
				_, _, err = s.Purge(t.Context(), now, 100)
			}
			left, e := s.Events(t.Context(), broker.EventFilter{})
			if err := errors.Join(err, e); err != nil || len(left) != want {
				t.Errorf("%d events are left, %v", len(left), err)
			}
		})
	}
}
