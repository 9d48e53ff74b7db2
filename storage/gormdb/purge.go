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
// mails that were never delivered, sessions and grants. An ended grant stays until it
// would have expired, because its row marks its code as used. more reports that there is
// more to remove.
func (d *DB) Purge(ctx context.Context, now time.Time, batch int) (removed int, more bool, err error) {
	if batch <= 0 {
		return 0, false, fmt.Errorf("storage: purge in batches of %d", batch)
	}
	for _, t := range []struct{ table, key string }{
		{"ephemeral", "store, key"}, {"replays", "kind, id"}, {"mails", "id"}, {"sessions", "id"}, {"grants", "id"},
	} {
		rows, err := d.write(ctx, func(q *gorm.DB) *gorm.DB {
			return q.Exec(`DELETE FROM `+t.table+` WHERE (`+t.key+`) IN (SELECT `+t.key+` FROM `+t.table+`
				WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`+d.lock(` FOR UPDATE SKIP LOCKED`)+`)`,
				micros(now.Add(-purgeLate)), batch)
		})
		if err != nil {
			return removed, false, fmt.Errorf("storage: purge %s: %w", t.table, err)
		}
		removed += int(rows)
		more = more || int(rows) == batch
	}
	return removed, more, nil
}
