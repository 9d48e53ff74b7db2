package seal

import (
	"context"
	"log/slog"
	"time"
)

// FollowInterval is how often Follow looks at the file. A rotation waits longer than that
// between adding a key and using it.
const FollowInterval = 2 * time.Second

// Follow reloads the keyring file until ctx ends, whenever it has changed. If it cannot be
// loaded, the keys in use stay.
func (k *Keyring) Follow(ctx context.Context, path string, log *slog.Logger) {
	tick := time.NewTicker(FollowInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := k.Reload(path)
		if err != nil {
			log.ErrorContext(ctx, "the keyring file can't be loaded; the keys in use stay", "err", err)
		} else if changed {
			log.InfoContext(ctx, "keyring loaded", "primary", k.Primary())
		}
	}
}
