package broker_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"gatehouse/broker"
)

// drawer is Ephemeral in a map.
type drawer struct {
	broker.Ephemeral
	of map[string][]byte
}

func (d *drawer) Put(_ context.Context, _, key string, v []byte, _ time.Time) error {
	d.of[key] = v
	return nil
}

func (d *drawer) Get(_ context.Context, _, key string) ([]byte, error) {
	if v, ok := d.of[key]; ok {
		return v, nil
	}
	return nil, broker.NotFound
}

func (d *drawer) Room(context.Context) error { return nil }

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

func TestConcurrentChangesLoseNothing(t *testing.T) {
	d, ctx := &drawer{of: map[string][]byte{}}, t.Context()
	s := broker.EphemeralStore[int]{Name: "number", Life: time.Hour, In: d, Now: time.Now}
	if err := s.Put(ctx, "a", 1); err != nil {
		t.Fatal(err)
	}
	first := true
	v, err := s.Change(ctx, "a", func(v *int) error {
		if first {
			first = false
			if _, err := s.Change(ctx, "a", add(10)); err != nil { // another request
				t.Fatal(err)
			}
		}
		*v++
		return nil
	})
	if err != nil || v != 12 {
		t.Fatalf("%d, %v", v, err)
	}
	no := errors.New("no")
	if _, err := s.Change(ctx, "a", func(*int) error { return no }); !errors.Is(err, no) {
		t.Fatal(err)
	}
	if _, err := s.Take(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Get(ctx, "a"); !errors.Is(err, broker.NotFound) {
		t.Fatalf("%d, %v: it was taken", v, err)
	}
}

func TestAChangeGivesUpWhereEachTryIsOvertaken(t *testing.T) {
	d, ctx := &drawer{of: map[string][]byte{}}, t.Context()
	s := broker.EphemeralStore[int]{Name: "number", Life: time.Hour, In: d, Now: time.Now}
	if err := s.Put(ctx, "a", 1); err != nil {
		t.Fatal(err)
	}
	tries := 0
	_, err := s.Change(ctx, "a", func(v *int) error {
		tries++
		if _, err := s.Change(ctx, "a", add(1)); err != nil {
			t.Fatal(err)
		}
		*v = 0
		return nil
	})
	if !errors.Is(err, broker.Conflict) || tries != 4 {
		t.Fatalf("%v after %d tries", err, tries)
	}
}
