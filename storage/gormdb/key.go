package gormdb

import (
	"context"

	"gatehouse/broker"
)

type keyRow struct {
	ID      string
	Alg     string
	State   string
	Private []byte
	Created int64 `gorm:"column:created_at"`
	Active  int64 `gorm:"column:active_at"`
	Retire  int64 `gorm:"column:retire_at"`
}

const keyColumns = `id, alg, state, private, created_at, active_at, retire_at`

// SigningKeys implements broker.SigningKeys, the oldest first.
func (d *DB) SigningKeys(ctx context.Context) ([]broker.SigningKey, error) {
	var rows []keyRow
	if err := d.all(ctx, &rows, `SELECT `+keyColumns+` FROM signing_keys ORDER BY created_at, id`); err != nil {
		return nil, err
	}
	var keys []broker.SigningKey
	for _, r := range rows {
		private, err := d.open(r.Private, privateKeyColumn, r.ID)
		if err != nil {
			return nil, err
		}
		keys = append(keys, broker.SigningKey{
			ID: r.ID, Alg: r.Alg, State: broker.KeyState(r.State), Private: private,
			CreatedAt: moment(r.Created), ActiveAt: moment(r.Active), RetireAt: moment(r.Retire),
		})
	}
	return keys, nil
}

// AddSigningKey implements broker.SigningKeys.
func (d *DB) AddSigningKey(ctx context.Context, k broker.SigningKey) error {
	//defence:G17
	private, err := d.seal(k.Private, privateKeyColumn, k.ID)
	if err != nil {
		return err
	}
	return ifNone(broker.Conflict)(d.exec(ctx, `INSERT INTO signing_keys (`+keyColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		k.ID, k.Alg, string(k.State), private, micros(k.CreatedAt), micros(k.ActiveAt), micros(k.RetireAt)))
}

// ChangeSigningKey implements broker.SigningKeys.
func (d *DB) ChangeSigningKey(ctx context.Context, k broker.SigningKey, seen broker.KeyState) error {
	return ifNone(broker.Conflict)(d.exec(ctx, `UPDATE signing_keys SET state = ?, active_at = ?, retire_at = ? WHERE id = ? AND state = ?`,
		string(k.State), micros(k.ActiveAt), micros(k.RetireAt), k.ID, string(seen)))
}

// DeleteSigningKey implements broker.SigningKeys; it is idempotent.
func (d *DB) DeleteSigningKey(ctx context.Context, id string) error {
	_, err := d.exec(ctx, `DELETE FROM signing_keys WHERE id = ?`, id)
	return err
}
