package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"gatehouse/broker"
)

// Ephemeral tests a backend of broker.Ephemeral. It uses the real time, because Redis has a clock of its own.
func Ephemeral(t *testing.T, open func(t *testing.T) broker.Ephemeral) {
	f := open(t)
	for _, c := range append(ephemeralTests(), ephemeralRaces()...) {
		t.Run(c.name, func(t *testing.T) { c.run(t, f) })
	}
}

type ephemeralTest struct {
	name string
	run  func(t *testing.T, f broker.Ephemeral)
}

func ephemeralTests() []ephemeralTest {
	return []ephemeralTest{
		{"a value comes back as it was put, with any bytes", func(t *testing.T, f broker.Ephemeral) {
			for _, v := range [][]byte{[]byte("ż"), {}, {0, 0xff, 0}, bytes.Repeat([]byte("x"), 100_000)} {
				key := broker.NewID()
				ok(t, f.Put(within(t), "store", key, v, soon()))
				if back := got(f.Get(within(t), "store", key))(t); !bytes.Equal(back, v) {
					t.Fatalf("put %d bytes, got %d", len(v), len(back))
				}
			}
		}},
		{"put creates; an existing key is Conflict and keeps its value", func(t *testing.T, f broker.Ephemeral) {
			key := broker.NewID()
			ok(t, f.Put(within(t), "store", key, []byte("a"), soon()))
			answers(t, f.Put(within(t), "store", key, []byte("a"), soon()), broker.Conflict)
			answers(t, f.Put(within(t), "store", key, []byte("b"), soon()), broker.Conflict)
			same(t, got(f.Get(within(t), "store", key))(t), []byte("a"))
		}},
		{"stores do not share keys, however they are spelled", func(t *testing.T, f broker.Ephemeral) {
			a := broker.NewID()
			ok(t, f.Put(within(t), a+":b", "c", nil, soon()))
			for _, other := range [][2]string{{a, "b:c"}, {a + ":b:c", ""}, {"", a + ":b:c"}, {a + ":B", "c"}} {
				_, err := f.Get(within(t), other[0], other[1])
				answers(t, err, broker.NotFound)
			}
		}},
		{"a missing key is NotFound to get, take and swap", func(t *testing.T, f broker.Ephemeral) {
			_, err := f.Get(within(t), "store", "nothing")
			answers(t, err, broker.NotFound)
			_, err = f.Take(within(t), "store", "nothing")
			answers(t, err, broker.NotFound)
			answers(t, f.Swap(within(t), "store", "nothing", nil, nil), broker.NotFound)
		}},
		{"I4: a second take returns NotFound, and the key is free again", func(t *testing.T, f broker.Ephemeral) {
			key := broker.NewID()
			ok(t, f.Put(within(t), "store", key, []byte("a"), soon()))
			same(t, got(f.Take(within(t), "store", key))(t), []byte("a"))
			_, err := f.Take(within(t), "store", key)
			answers(t, err, broker.NotFound)
			ok(t, f.Put(within(t), "store", key, []byte("b"), soon()))
		}},
		{"a swap writes over exactly the old value", func(t *testing.T, f broker.Ephemeral) {
			key := broker.NewID()
			ok(t, f.Put(within(t), "store", key, nil, soon()))
			ok(t, f.Swap(within(t), "store", key, nil, []byte{0, 1}))
			answers(t, f.Swap(within(t), "store", key, nil, []byte("c")), broker.Conflict)
			answers(t, f.Swap(within(t), "store", key, []byte{0}, []byte("c")), broker.Conflict)
			ok(t, f.Swap(within(t), "store", key, []byte{0, 1}, []byte{}))
			if v := got(f.Get(within(t), "store", key))(t); len(v) != 0 {
				t.Fatalf("got %q", v)
			}
		}},
		{"an expired key may be put again, and a swap does not prolong it", expiring},
	}
}

func ephemeralRaces() []ephemeralTest {
	return []ephemeralTest{
		{"I4: of many who take at once, one gets the value", func(t *testing.T, f broker.Ephemeral) {
			for range 10 {
				key := broker.NewID()
				ok(t, f.Put(within(t), "store", key, []byte("v"), soon()))
				oneWinner(t, race(crowd, func(int) error { _, err := f.Take(within(t), "store", key); return err }),
					broker.NotFound)
			}
		}},
		{"of many who put at once, one does; of many who swap at once, one does", func(t *testing.T, f broker.Ephemeral) {
			key := broker.NewID()
			oneWinner(t, race(crowd, func(int) error { return f.Put(within(t), "store", key, []byte("v"), soon()) }),
				broker.Conflict)
			oneWinner(t, race(crowd, func(i int) error {
				return f.Swap(within(t), "store", key, []byte("v"), fmt.Append(nil, i))
			}), broker.Conflict)
		}},
		{"E2: of many who count at once, no count is lost", counting},
		{"a cancelled context has no effect and is Unavailable", func(t *testing.T, f broker.Ephemeral) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			key := broker.NewID()
			err := f.Put(ctx, "store", key, nil, soon())
			answers(t, err, broker.Unavailable)
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("error %v hides its cause", err)
			}
			_, err = f.Get(within(t), "store", key)
			answers(t, err, broker.NotFound)
		}},
	}
}

func soon() time.Time { return time.Now().Add(time.Minute) }

func expiring(t *testing.T, f broker.Ephemeral) {
	key := swappedInTime(t, f)
	if _, err := f.Count(within(t), "counter", key, time.Now().Add(100*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for f.Put(within(t), "store", key, []byte("c"), soon()) != nil {
		if time.Now().After(deadline) {
			t.Fatal("it never expired")
		}
		time.Sleep(10 * time.Millisecond)
	}
	same(t, got(f.Get(within(t), "store", key))(t), []byte("c"))
	for got(f.Count(within(t), "counter", key, soon()))(t) != 1 {
		if time.Now().After(deadline) {
			t.Fatal("the counter never began again")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// swappedInTime puts a short-lived value and swaps it before it expires. A slow machine may need several
// attempts. It returns the key.
func swappedInTime(t *testing.T, f broker.Ephemeral) string {
	t.Helper()
	for life := 100 * time.Millisecond; life < patience; life *= 2 {
		key, expires := broker.NewID(), time.Now().Add(life)
		ok(t, f.Put(within(t), "store", key, []byte("a"), expires))
		err := f.Swap(within(t), "store", key, []byte("a"), []byte("b"))
		if err == nil {
			return key
		}
		if !errors.Is(err, broker.NotFound) || time.Now().Before(expires) {
			t.Fatal(err)
		}
	}
	t.Fatal("no swap was in time")
	return ""
}

func counting(t *testing.T, f broker.Ephemeral) {
	key := broker.NewID()
	counts := make([]int64, crowd)
	for _, err := range race(crowd, func(i int) (err error) {
		counts[i], err = f.Count(within(t), "counter", key, soon())
		return err
	}) {
		ok(t, err)
	}
	slices.Sort(counts)
	for i, n := range counts {
		if n != int64(i+1) {
			t.Fatalf("counted %v", counts)
		}
	}
	same(t, got(f.Count(within(t), "counter", broker.NewID(), soon()))(t), int64(1))
}
