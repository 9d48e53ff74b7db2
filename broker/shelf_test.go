package broker_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"gatehouse/broker"
)

// drawer is Fleeting in a map, which counts how often it is read.
type drawer struct {
	broker.Fleeting
	of    map[string][]byte
	reads int
}

func (d *drawer) Put(_ context.Context, _, key string, v []byte, _ time.Time) error {
	d.of[key] = v
	return nil
}

func (d *drawer) Get(_ context.Context, _, key string) ([]byte, error) {
	d.reads++
	if v, ok := d.of[key]; ok {
		return v, nil
	}
	return nil, broker.NotFound
}

func (d *drawer) Swap(_ context.Context, _, key string, old, v []byte) error {
	if !bytes.Equal(d.of[key], old) {
		return broker.Conflict
	}
	d.of[key] = v
	return nil
}

func (d *drawer) Take(_ context.Context, _, key string) ([]byte, error) {
	v := d.of[key]
	delete(d.of, key)
	return v, nil
}

func add(n int) func(*int) error { return func(v *int) error { *v += n; return nil } }

func TestAChangeAfterAReadOfTheSameRequestReadsNothing(t *testing.T) {
	d, ctx := &drawer{of: map[string][]byte{}}, broker.WithSight(t.Context())
	s := broker.Shelf[int]{Name: "number", Life: time.Hour, In: d, Now: time.Now}
	if err := s.Put(ctx, "a", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Change(ctx, "a", add(1)); err != nil || v != 2 || d.reads != 1 {
		t.Fatalf("%d, %v after %d reads", v, err, d.reads)
	}
	if v, err := s.Change(ctx, "a", add(1)); err != nil || v != 3 || d.reads != 1 {
		t.Fatalf("%d, %v after %d reads", v, err, d.reads)
	}
}

func TestARequestReadsWhatItWroteItselfOnce(t *testing.T) {
	d, ctx := &drawer{of: map[string][]byte{}}, broker.WithSight(t.Context())
	s := broker.Shelf[int]{Name: "number", Life: time.Hour, In: d, Now: time.Now}
	if err := s.Put(ctx, "a", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Change(ctx, "a", add(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Change(t.Context(), "a", add(10)); err != nil { // somebody else
		t.Fatal(err)
	}
	reads := d.reads
	if v, err := s.Get(ctx, "a"); err != nil || v != 2 || d.reads != reads {
		t.Fatalf("%d, %v after %d reads", v, err, d.reads-reads)
	}
	if v, err := s.Get(ctx, "a"); err != nil || v != 12 || d.reads != reads+1 {
		t.Fatalf("%d, %v after %d reads: who asks again wants to know", v, err, d.reads-reads)
	}
	if _, err := s.Change(ctx, "a", add(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Take(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Get(ctx, "a"); !errors.Is(err, broker.NotFound) {
		t.Fatalf("%d, %v: it was taken", v, err)
	}
}

func TestAChangeOfWhatSomebodyElseChangedMeanwhileLosesNothing(t *testing.T) {
	d, ctx := &drawer{of: map[string][]byte{}}, broker.WithSight(t.Context())
	s := broker.Shelf[int]{Name: "number", Life: time.Hour, In: d, Now: time.Now}
	overtake := func() {
		t.Helper()
		if _, err := s.Get(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Change(t.Context(), "a", add(10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(ctx, "a", 1); err != nil {
		t.Fatal(err)
	}
	overtake()
	if v, err := s.Change(ctx, "a", add(1)); err != nil || v != 12 {
		t.Fatalf("%d, %v", v, err)
	}
	overtake()
	no := errors.New("no")
	_, err := s.Change(ctx, "a", func(v *int) error {
		if *v == 12 {
			return no // of what is there no longer
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v was said of a value that had been overtaken", err)
	}
}
