package storage

import (
	"context"
	"log/slog"
	"time"

	"gatehouse/broker"
)

// Janitor deletes expired rows, on one replica at a time.
type Janitor struct {
	Leases broker.Leases
	Purge  func(ctx context.Context, now time.Time, batch int) (removed int, more bool, err error)
	Now    func() time.Time
	Log    *slog.Logger
	Every  time.Duration // between two rounds; 0 means a minute
}

const (
	purgeBatch = 500
	// purgePause lets other writers in between two batches.
	purgePause = 20 * time.Millisecond
)

// Run works until ctx ends.
func (j Janitor) Run(ctx context.Context) {
	if j.Every == 0 {
		j.Every = time.Minute
	}
	holder := broker.NewID()
	for {
		if err := j.Round(ctx, holder); err != nil && ctx.Err() == nil {
			j.Log.WarnContext(ctx, "cannot delete expired rows; will retry", "error", err)
		}
		if !wait(ctx, j.Every) {
			return
		}
	}
}

// Round deletes until nothing is left or the lease expires. It does nothing while another holder has the lease.
func (j Janitor) Round(ctx context.Context, holder string) error {
	for {
		now := j.Now()
		mine, err := j.Leases.Lease(ctx, "janitor", holder, now, now.Add(2*max(j.Every, time.Minute)))
		if err != nil || !mine {
			return err
		}
		removed, more, err := j.Purge(ctx, now, purgeBatch)
		if removed > 0 {
			j.Log.DebugContext(ctx, "purged", "rows", removed)
		}
		if err != nil || !more || !wait(ctx, purgePause) {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
