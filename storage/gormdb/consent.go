package gormdb

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"gatehouse/broker"
)

// consentRow is broker.Consent with the tags of its columns.
type consentRow struct {
	AccountID string `gorm:"primaryKey"`
	ClientID  string `gorm:"primaryKey"`
	Version   string
	Scopes    []string  `gorm:"serializer:text"`
	GrantedAt time.Time `gorm:"serializer:micros"`
}

// TableName implements gorm's Tabler.
func (consentRow) TableName() string { return "consents" }

func (r consentRow) noun() broker.Consent { return broker.Consent(r) }

// Consent implements broker.Consents.
func (d *DB) Consent(ctx context.Context, account, client string) (broker.Consent, error) {
	var r consentRow
	err := d.take(ctx, &r, "account_id = ? AND client_id = ?", account, client)
	return r.noun(), err
}

// ConsentsOf implements broker.Consents, the newest first.
func (d *DB) ConsentsOf(ctx context.Context, account string) ([]broker.Consent, error) {
	var rows []consentRow
	err := d.read(ctx, func(q *gorm.DB) *gorm.DB {
		return q.Where("account_id = ?", account).Order("granted_at DESC, client_id").Find(&rows)
	})
	return each(rows, consentRow.noun), err
}

// PutConsent implements broker.Consents; a later consent replaces the earlier one.
func (d *DB) PutConsent(ctx context.Context, c broker.Consent) error {
	r := consentRow(c)
	_, err := d.create(ctx, &r, clause.OnConflict{UpdateAll: true})
	return err
}

// RemoveConsent implements broker.Consents.
func (d *DB) RemoveConsent(ctx context.Context, account, client string, at time.Time) error {
	return d.joined(ctx, func(ctx context.Context) error {
		err := ifNone(broker.NotFound)(d.delete(ctx, &consentRow{}, "account_id = ? AND client_id = ?", account, client))
		if err != nil {
			return err
		}
		return d.RevokeGrants(ctx, broker.GrantFilter{Account: account, Client: client}, broker.Revoked, at)
	})
}
