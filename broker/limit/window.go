// Package limit has the rate limits: Window counts events over all replicas, and Slots
// bounds how many calls run at once in this process.
package limit

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"gatehouse/broker"
)

// Window counts the events of each key in fixed intervals of time, in the ephemeral
// store, so that all replicas count together. It is safe for concurrent use.
type Window struct {
	Name  string        // of the counters in the store
	Width time.Duration // of an interval
	Most  int64         // events of one key in an interval
	Code  broker.Code   // of the refusal; RateLimited if empty
	In    broker.Ephemeral
	Now   func() time.Time
}

// Allow counts one event. It returns a Retry with the time until the next interval if
// there were too many. Call it before the work, so that parallel events cannot share a
// count, and outside a transaction, because a rollback would undo it.
func (w Window) Allow(ctx context.Context, key string) error {
	now := w.Now()
	ends := now.Truncate(w.Width).Add(w.Width)
	n, err := w.In.Count(ctx, w.Name, key+" "+strconv.FormatInt(ends.Unix(), 36), ends)
	if err != nil {
		return fmt.Errorf("limit: count %s: %w", w.Name, err)
	}
	//defence:H4 E2
	if n > w.Most {
		return broker.Retry{Code: cmp.Or(w.Code, broker.RateLimited), After: Seconds(ends.Sub(now))}
	}
	return nil
}

// Seconds rounds up to whole seconds, at least one, as Retry-After needs it.
func Seconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }
