package gormdb

import (
	"context"
	"errors"
	"time"

	"gatehouse/broker"
)

// MarkUsed implements broker.ReplayCache.
func (d *DB) MarkUsed(ctx context.Context, kind, id string, expires time.Time) error {
	return ifNone(broker.Conflict)(d.exec(ctx, insertMark, kind, id, micros(expires)))
}

const insertMark = `INSERT INTO marks (kind, id, expires_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`

// IsUsed implements broker.ReplayCache.
func (d *DB) IsUsed(ctx context.Context, kind, id string) (bool, error) {
	var found string
	err := d.one(ctx, []any{&found}, `SELECT id FROM marks WHERE kind = ? AND id = ?`, kind, id)
	if errors.Is(err, broker.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// Lease implements broker.Leases.
func (d *DB) Lease(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	rows, err := d.exec(ctx, `INSERT INTO leases (name, holder, until) VALUES (?, ?, ?) ON CONFLICT (name)
		DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE leases.holder = excluded.holder OR leases.until <= ?`,
		name, holder, micros(until), micros(now))
	return rows > 0, err
}
