package providers

import (
	"context"
	"errors"
	"sync"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/limit"
)

// Limits on what one upstream may use while it is slow or down (SECURITY.md B22).
const (
	callTime     = 10 * time.Second // for all calls of one step of a login
	callsAtOnce  = 32
	queueTime    = 2 * time.Second  // wait for a free slot; a burst of logins is not an outage
	requestAfter = 5                // failures in a row
	restFor      = 10 * time.Second // no calls during this time
)

// gate limits all calls to one upstream: at most callsAtOnce at a time, each for at most callTime. After
// tripAfter failures in a row it refuses calls for restFor. Then a single call finds out whether the upstream
// works again.
type gate struct {
	slots *limit.Slots
	now   func() time.Time

	mu       sync.Mutex
	failures int
	closed   time.Time // until when; zero while open
	probing  bool
}

func newGate(now func() time.Time) *gate {
	return &gate{now: now, slots: limit.NewSlots(
		//defence:B22 = 4096
		callsAtOnce, limit.Unbounded, queueTime)}
}

// pass runs call, or returns ConnectionUnavailable without running it.
func (g *gate) pass(ctx context.Context, call func(context.Context) error) error {
	release, err := g.slots.Acquire(ctx, "")
	switch {
	case errors.Is(err, limit.ErrBusy):
		return broker.ConnectionUnavailable.Because(errors.New("too many logins are waiting for this upstream"))
	case err != nil:
		return broker.ConnectionUnavailable.Because(err)
	}
	defer release()
	probe, err := g.enter()
	if err != nil {
		return err
	}
	finished := false
	defer func() { // also if call panics: a probe that never ends would keep the gate closed
		if !finished {
			g.leave(probe, false, false)
		}
	}()
	within, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	err = call(within)
	finished = true
	_, fromBrowser := errors.AsType[browserError](err)
	//defence:B22 = errors.Is(err, broker.ConnectionUnavailable)
	down := isOutage(err)
	g.leave(probe, down, !errors.Is(ctx.Err(), context.Canceled) &&
		//defence:B22
		!fromBrowser &&
		//defence:B22
		(down || !errors.Is(err, broker.ConnectionUnavailable)))
	return err
}

func (g *gate) enter() (probe bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed.IsZero() {
		return false, nil
	}
	if g.probing || g.now().Before(g.closed) {
		return false, broker.ConnectionUnavailable.Because(
			errors.New("this upstream failed several times in a row; calls are paused for a few seconds"))
	}
	g.probing = true
	return true, nil
}

// leave records the result of a call. known is false if the result says nothing about the upstream: the browser
// disconnected, it wrote the response itself, or the upstream refused one request as if it were busy.
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
		if g.failures++; g.failures >= requestAfter {
			g.closed = g.now().Add(restFor)
		}
	}
}
