package providers

import (
	"context"
	"errors"
	"sync"
	"time"

	"gatehouse/broker"
)

// What one upstream may take from us while it is slow or down (SECURITY.md B22).
const (
	callTime    = 10 * time.Second // for everything that one step of a login asks of it
	callsAtOnce = 32
	queueTime   = 2 * time.Second  // for a place among them: a crowd is no outage
	tripAfter   = 5                // failures in a row
	restFor     = 10 * time.Second // then nobody asks
)

// gate stands before everything that waits for one upstream: at most callsAtOnce ask at a time, none longer than callTime,
// and after tripAfter failures in a row nobody waits for restFor; then a single call finds out whether it is back.
type gate struct {
	slots chan struct{}
	now   func() time.Time

	mu       sync.Mutex
	failures int
	closed   time.Time // until when; zero while open
	probing  bool
}

func newGate(now func() time.Time) *gate {
	//defence:B22
	return &gate{slots: make(chan struct{}, callsAtOnce), now: now}
}

// pass runs call, or answers ConnectionUnavailable without running it.
func (g *gate) pass(ctx context.Context, call func(context.Context) error) error {
	queue := time.NewTimer(queueTime)
	defer queue.Stop()
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-ctx.Done():
		return broker.ConnectionUnavailable.Because(ctx.Err())
	case <-queue.C:
		return broker.ConnectionUnavailable.Because(errors.New("too many logins wait for this upstream"))
	}
	probe, err := g.enter()
	if err != nil {
		return err
	}
	settled := false
	defer func() { // also when call panics: a probe that never ends would keep the gate closed
		if !settled {
			g.leave(probe, false, false)
		}
	}()
	within, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	err = call(within)
	settled = true
	_, hearsay := errors.AsType[brought](err)
	//defence:B22
	g.leave(probe, errors.Is(err, broker.ConnectionUnavailable), !left(ctx) && !hearsay)
	return err
}

func (g *gate) enter() (probe bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed.IsZero() {
		return false, nil
	}
	if g.probing || g.now().Before(g.closed) {
		return false, broker.ConnectionUnavailable.Because(errors.New("this upstream failed several times in a row and is given a rest"))
	}
	g.probing = true
	return true, nil
}

// leave counts how a call went. One that its person left, or whose answer the browser wrote, tells nothing: known is false.
func (g *gate) leave(probe, failed, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if probe {
		g.probing = false
	}
	switch {
	case !known:
	case !failed:
		g.failures, g.closed = 0, time.Time{}
	default:
		//defence:B22
		if g.failures++; g.failures >= tripAfter {
			g.closed = g.now().Add(restFor)
		}
	}
}
