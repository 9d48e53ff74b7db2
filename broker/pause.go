package broker

import (
	"context"
	"time"
)

// Pause waits for d on the real clock, or until ctx ends. Services take it as a field, so that tests need not wait.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
