package credential

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/seal"
)

// memory is an in-memory Ephemeral for tests. It deletes nothing on read; a Put replaces an expired value.
type memory struct {
	mu     sync.Mutex
	now    func() time.Time
	values map[string][]byte
	until  map[string]time.Time
	counts map[string]int64
	calls  []string
	onGet  func()
}

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, values: map[string][]byte{}, until: map[string]time.Time{}, counts: map[string]int64{}}
}

func (m *memory) lock(call string) func() {
	m.mu.Lock()
	m.calls = append(m.calls, call)
	return m.mu.Unlock
}

func (m *memory) Put(_ context.Context, store, key string, v []byte, expires time.Time) error {
	defer m.lock("put")()
	if _, ok := m.values[store+key]; ok && m.now().Before(m.until[store+key]) {
		return broker.Conflict
	}
	m.values[store+key], m.until[store+key] = v, expires
	return nil
}

func (m *memory) Get(_ context.Context, store, key string) ([]byte, error) {
	if m.onGet != nil {
		defer m.onGet()
	}
	defer m.lock("get")()
	if v, ok := m.values[store+key]; ok {
		return v, nil
	}
	return nil, broker.NotFound
}

func (m *memory) Take(_ context.Context, store, key string) ([]byte, error) {
	defer m.lock("take")()
	v, ok := m.values[store+key]
	if !ok {
		return nil, broker.NotFound
	}
	delete(m.values, store+key)
	return v, nil
}

func (m *memory) Room(context.Context) error { return nil }

func (m *memory) Swap(_ context.Context, store, key string, old, v []byte) error {
	defer m.lock("swap")()
	have, ok := m.values[store+key]
	switch {
	case !ok:
		return broker.NotFound
	case string(have) != string(old):
		return broker.Conflict
	}
	m.values[store+key] = v
	return nil
}

func (m *memory) Count(_ context.Context, store, key string, _ time.Time) (int64, error) {
	defer m.lock("count")()
	m.counts[store+key]++
	return m.counts[store+key], nil
}

// clock stands at the beginning of a window until it is advanced.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) pass(d time.Duration)    { c.at.Add(int64(d)) }
func keyring(t testing.TB) *seal.Keyring { t.Helper(); return must(t)(seal.New(time.Now())) }
func code(err error) broker.Code         { return broker.CodeOf(err) }
func ctx(t testing.TB) context.Context   { return t.Context() }

func must(t testing.TB) func(k *seal.Keyring, err error) *seal.Keyring {
	return func(k *seal.Keyring, err error) *seal.Keyring {
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
}
