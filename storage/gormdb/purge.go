package gormdb

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// purgeLate is how long an expired row is kept, because a replica with a slow clock may
// still need it.
const purgeLate = 5 * time.Minute

// Purge removes what has expired, at most batch rows of each kind: ephemeral rows, marks,
// mails that were never delivered, sessions and grants; and events
// that are older than Options.KeepEvents. An ended grant stays until it
// would have expired, because its row marks its code as used. more reports that there is
// more to remove.
func (d *DB) Purge(ctx context.Context, now time.Time, batch int) (removed int, more bool, err error) {
	if batch <= 0 {
		return 0, false, fmt.Errorf("storage: purge in batches of %d", batch)
	}
	late := micros(now.Add(-purgeLate))
	for _, t := range []struct {
		table, key, column string
		until              int64
	}{
		{"ephemeral", "store, key", "expires_at", late}, {"replays", "kind, id", "expires_at", late},
		{"mails", "id", "expires_at", late}, {"sessions", "id", "expires_at", late},
		{"grants", "id", "expires_at", late}, {"events", "id", "at", micros(now.Add(-d.keepEvents))},
	} {
		if t.table == "events" && d.keepEvents == 0 {
			continue
		}
		rows, err := d.write(ctx, func(q *gorm.DB) *gorm.DB {
			return q.Exec(`DELETE FROM `+t.table+` WHERE (`+t.key+`) IN (SELECT `+t.key+` FROM `+t.table+`
				WHERE `+t.column+` <= ? ORDER BY `+t.column+` LIMIT ?`+d.lock(` FOR UPDATE SKIP LOCKED`)+`)`, t.until, batch)
		})
		if err != nil {
			return removed, false, fmt.Errorf("storage: purge %s: %w", t.table, err)
		}
		removed += int(rows)
		more = more || int(rows) == batch
	}
	return removed, more, nil
}
