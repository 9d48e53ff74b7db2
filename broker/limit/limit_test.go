package limit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/limit"
)

// counters is an ephemeral store that only counts.
type counters struct {
	broker.Ephemeral
	mu  sync.Mutex
	all map[string]int64
	err error
}

func (c *counters) Count(_ context.Context, store, key string, _ time.Time) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[store+"/"+key]++
	return c.all[store+"/"+key], c.err
}

func TestH4_AWindowCountsEachKeyUntilItsEnd(t *testing.T) {
	now := time.Date(2026, 11, 20, 9, 7, 30, 0, time.UTC)
	in := &counters{all: map[string]int64{}}
	w := limit.Window{Name: "n", Width: 10 * time.Minute, Most: 3, In: in, Now: func() time.Time { return now }}
	other := w
	other.Name, other.Code = "m", broker.CodeTooSoon
	for i := range 5 {
		err := w.Allow(t.Context(), "a")
		if refused := errors.Is(err, broker.RateLimited); refused != (i >= 3) {
			t.Errorf("event %d: %v", i+1, err)
		}
		if retry, ok := errors.AsType[broker.Retry](err); i >= 3 && (!ok || retry.After != 150) {
			t.Errorf("event %d: %+v", i+1, retry)
		}
		if i < 3 {
			continue
		}
		if err := w.Allow(t.Context(), "b"); err != nil {
			t.Errorf("another key: %v", err)
		}
		if err := other.Allow(t.Context(), "a"); err != nil {
			t.Errorf("another window: %v", err)
		}
	}
	now = now.Add(150 * time.Second)
	if err := w.Allow(t.Context(), "a"); err != nil {
		t.Errorf("in the next interval: %v", err)
	}
	other.Most = 0
	if err := other.Allow(t.Context(), "a"); !errors.Is(err, broker.CodeTooSoon) {
		t.Errorf("a code of its own: %v", err)
	}
	in.err = broker.Conflict
	if err := w.Allow(t.Context(), "c"); !errors.Is(err, broker.Conflict) {
		t.Errorf("a store that fails: %v", err)
	}
}

func TestE18_SlotsBoundWhatRunsAndWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limit.NewSlots(2, 5, time.Second)
		var running, ran, waited, full atomic.Int64
		var all sync.WaitGroup
		for range 9 {
			all.Go(func() {
				began := time.Now()
				release, err := s.Acquire(t.Context(), "k")
				switch {
				case err == nil:
					if running.Add(1) > 2 {
						t.Error("more than two run")
					}
					time.Sleep(time.Minute)
					running.Add(-1)
					ran.Add(1)
					release()
				case time.Since(began) == time.Second:
					waited.Add(1)
				default:
					full.Add(1)
				}
				if err != nil && !errors.Is(err, limit.ErrBusy) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if ran.Load() != 2 || waited.Load() != 3 || full.Load() != 4 || s.InUse() != 0 {
			t.Errorf("%d ran, %d waited in vain, %d met a full queue, %d are left", ran.Load(), waited.Load(), full.Load(),
				s.InUse())
		}
	})
}

func TestSlotsGiveUpWithTheContext(t *testing.T) {
	s := limit.NewSlots(1, limit.Unbounded, time.Hour)
	release, err := s.Acquire(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Acquire(gone, "k"); !errors.Is(err, context.Canceled) || s.InUse() != 1 {
		t.Errorf("%v, %d in use", err, s.InUse())
	}
	release()
	if release, err = s.Acquire(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	release()
}

func TestE18_AFloodUnderOneKeyDelaysAnotherByOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limit.NewSlots(2, 64, 2*time.Second)
		stop := make(chan struct{})
		var all sync.WaitGroup
		var refused atomic.Int64
		for range 120 {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					release, err := s.Acquire(t.Context(), "flood")
					if err != nil {
						refused.Add(1)
						time.Sleep(time.Millisecond)
						continue
					}
					time.Sleep(25 * time.Millisecond)
					release()
				}
			})
		}
		time.Sleep(time.Second)
		for i := range 100 {
			all.Go(func() {
				began := time.Now()
				release, err := s.Acquire(t.Context(), fmt.Sprint("honest ", i%10))
				if err != nil {
					t.Errorf("an honest call: %v", err)
					return
				}
				if waited := time.Since(began); waited > 50*time.Millisecond {
					t.Errorf("an honest call waited %s", waited)
				}
				time.Sleep(25 * time.Millisecond)
				release()
			})
			time.Sleep(100 * time.Millisecond)
		}
		close(stop)
		all.Wait()
		if refused.Load() == 0 || s.InUse() != 0 {
			t.Errorf("%d of the flood refused, %d slots left in use", refused.Load(), s.InUse())
		}
	})
}

func TestSlotsThatEndAtTheMomentOfTheirTurnAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limit.NewSlots(1, limit.Unbounded, time.Second)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				if release, err := s.Acquire(t.Context(), fmt.Sprint(i%7)); err == nil {
					time.Sleep(time.Second)
					release()
				}
			})
		}
		all.Wait()
		if s.InUse() != 0 {
			t.Errorf("%d are in use", s.InUse())
		}
	})
}
