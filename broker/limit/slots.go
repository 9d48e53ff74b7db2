package limit

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// ErrBusy means that the queue is full, or that no slot became free in time.
var ErrBusy = errors.New("limit: too many calls at once")

// Unbounded is a number of callers without a limit.
const Unbounded = -1

// Slots bounds how many calls run at once and how many wait. Make one with NewSlots. It
// is safe for concurrent use.
type Slots struct {
	slots  chan struct{} // one for each call that runs
	most   int64
	wait   time.Duration
	inside atomic.Int64
}

// NewSlots lets atOnce calls run. At most most calls run or wait together, or any number
// if it is Unbounded; each waits no longer than wait.
func NewSlots(atOnce, most int, wait time.Duration) *Slots {
	return &Slots{slots: make(chan struct{}, atOnce), most: int64(most), wait: wait}
}

// Acquire waits for a slot. The caller must call release once. Acquire returns ErrBusy if
// the queue is full or the wait is over, and the error of ctx if that ends first.
func (s *Slots) Acquire(ctx context.Context) (release func(), err error) {
	//defence:E18
	if n := s.inside.Add(1); s.most != Unbounded && n > s.most {
		s.inside.Add(-1)
		return nil, ErrBusy
	}
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	select {
	case s.slots <- struct{}{}:
		return func() {
			<-s.slots
			s.inside.Add(-1)
		}, nil
	case <-timer.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.inside.Add(-1)
	return nil, err
}

// InUse returns how many calls run or wait.
func (s *Slots) InUse() int { return int(s.inside.Load()) }
