package gormdb

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"gatehouse/broker"
)

// keyRow is broker.SigningKey with the tags of its columns; Private is sealed.
type keyRow struct {
	ID        string `gorm:"primaryKey"`
	Alg       string
	State     broker.KeyState
	Private   []byte
	CreatedAt time.Time `gorm:"serializer:micros"`
	ActiveAt  time.Time `gorm:"serializer:micros"`
	RetireAt  time.Time `gorm:"serializer:micros"`
}

// TableName implements gorm's Tabler.
func (keyRow) TableName() string { return "signing_keys" }

// SigningKeys implements broker.SigningKeys, the oldest first.
func (d *DB) SigningKeys(ctx context.Context) ([]broker.SigningKey, error) {
	var rows []keyRow
	if err := d.read(ctx, func(q *gorm.DB) *gorm.DB { return q.Order("created_at, id").Find(&rows) }); err != nil {
		return nil, err
	}
	var keys []broker.SigningKey
	for _, r := range rows {
		private, err := d.open(r.Private, privateKeyColumn, r.ID)
		if err != nil {
			return nil, err
		}
		r.Private = private
		keys = append(keys, broker.SigningKey(r))
	}
	return keys, nil
}

// AddSigningKey implements broker.SigningKeys.
func (d *DB) AddSigningKey(ctx context.Context, k broker.SigningKey) error {
	//defence:G17 = k.Private, nil
	private, err := d.seal(k.Private, privateKeyColumn, k.ID)
	if err != nil {
		return err
	}
	r := keyRow(k)
	r.Private = private
	return ifNone(broker.Conflict)(d.create(ctx, &r, clause.OnConflict{DoNothing: true}))
}

// ChangeSigningKey implements broker.SigningKeys.
func (d *DB) ChangeSigningKey(ctx context.Context, k broker.SigningKey, seen broker.KeyState) error {
	return ifNone(broker.Conflict)(d.write(ctx, func(q *gorm.DB) *gorm.DB {
		return q.Model(&keyRow{}).Select("state", "active_at", "retire_at").
			Where("id = ? AND state = ?", k.ID, seen).Updates(keyRow(k))
	}))
}

// DeleteSigningKey implements broker.SigningKeys; it is idempotent.
func (d *DB) DeleteSigningKey(ctx context.Context, id string) error {
	_, err := d.delete(ctx, &keyRow{}, "id = ?", id)
	return err
}
