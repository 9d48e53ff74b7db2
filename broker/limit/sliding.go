package limit

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"gatehouse/broker"
)

// Sliding admits at most Most events of a key in any interval of the width, at least Pause apart. It keeps their
// times, so it is for few and costly events; Window is for many. All replicas count together. It is safe for
// concurrent use.
type Sliding struct {
	Name  string // of the records in the store
	Width time.Duration
	Most  int
	Pause time.Duration
	In    broker.Ephemeral
	Now   func() time.Time
}

// maxRaces is how often Allow tries to write a record that others write too.
const maxRaces = 5

// Allow records one event. If that is one too many it returns Retry, with CodeTooSoon within the pause and
// RateLimited otherwise. Call it before the work and outside a transaction, because a rollback would undo it.
func (s Sliding) Allow(ctx context.Context, key string) error {
	// A record belongs to one interval, so that it can expire. The interval before completes the view.
	records := broker.EphemeralStore[[]time.Time]{Name: s.Name, Life: 2 * s.Width, In: s.In, Now: s.Now}
	now := s.Now()
	interval := now.UnixNano() / int64(s.Width)
	name := func(interval int64) string { return key + " " + strconv.FormatInt(interval, 36) }
	before, err := records.Get(ctx, name(interval-1))
	if err != nil && !errors.Is(err, broker.NotFound) {
		return err
	}
	add := func(events *[]time.Time) error {
		*events = append(*events, now)
		return s.check(slices.Concat(before, *events))
	}
	for range maxRaces {
		_, err = records.Change(ctx, name(interval), add)
		if errors.Is(err, broker.NotFound) {
			var first []time.Time
			if err = add(&first); err == nil {
				err = records.Put(ctx, name(interval), first)
			}
		}
		if !errors.Is(err, broker.Conflict) {
			return err
		}
	}
	return broker.Retry{Code: broker.CodeTooSoon, After: 1}
}

// check returns a Retry if the last event is one too many.
func (s Sliding) check(events []time.Time) error {
	now, earlier := events[len(events)-1], events[:len(events)-1]
	earlier = slices.DeleteFunc(earlier, func(at time.Time) bool { return now.Sub(at) >= s.Width })
	n := len(earlier)
	//defence:E2
	if n > 0 && now.Sub(earlier[n-1]) < s.Pause {
		return broker.Retry{Code: broker.CodeTooSoon, After: Seconds(earlier[n-1].Add(s.Pause).Sub(now))}
	}
	//defence:E2 C7
	if n >= s.Most {
		return broker.Retry{Code: broker.RateLimited, After: Seconds(earlier[n-s.Most].Add(s.Width).Sub(now))}
	}
	return nil
}
