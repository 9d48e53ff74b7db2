package gormdb

import (
	"context"
	"time"

	"gatehouse/broker"
)

type consentRow struct {
	AccountID string
	ClientID  string
	Version   string
	Scopes    texts
	Granted   int64 `gorm:"column:granted_at"`
}

const consentColumns = `account_id, client_id, version, scopes, granted_at`

// into are the places of consentColumns.
func (r *consentRow) into() []any {
	return []any{&r.AccountID, &r.ClientID, &r.Version, &r.Scopes, &r.Granted}
}

func toConsent(r consentRow) broker.Consent {
	return broker.Consent{AccountID: r.AccountID, ClientID: r.ClientID, Version: r.Version, Scopes: r.Scopes, GrantedAt: moment(r.Granted)}
}

// Consent implements broker.Consents.
func (d *DB) Consent(ctx context.Context, account, client string) (broker.Consent, error) {
	var r consentRow
	err := d.one(ctx, r.into(), `SELECT `+consentColumns+` FROM consents WHERE account_id = ? AND client_id = ?`, account, client)
	return toConsent(r), err
}

// ConsentsOf implements broker.Consents, the newest first.
func (d *DB) ConsentsOf(ctx context.Context, account string) ([]broker.Consent, error) {
	var rows []consentRow
	err := d.all(ctx, &rows, `SELECT `+consentColumns+` FROM consents WHERE account_id = ? ORDER BY granted_at DESC, client_id`, account)
	return each(rows, toConsent), err
}

// PutConsent implements broker.Consents; a later consent replaces the earlier one.
func (d *DB) PutConsent(ctx context.Context, c broker.Consent) error {
	_, err := d.exec(ctx, `INSERT INTO consents (`+consentColumns+`) VALUES (?, ?, ?, ?, ?) ON CONFLICT (account_id, client_id)
		DO UPDATE SET version = excluded.version, scopes = excluded.scopes, granted_at = excluded.granted_at`,
		c.AccountID, c.ClientID, c.Version, texts(c.Scopes), micros(c.GrantedAt))
	return err
}

// RemoveConsent implements broker.Consents.
func (d *DB) RemoveConsent(ctx context.Context, account, client string, at time.Time) error {
	return d.joined(ctx, func(ctx context.Context) error {
		err := ifNone(broker.NotFound)(d.exec(ctx, `DELETE FROM consents WHERE account_id = ? AND client_id = ?`, account, client))
		if err != nil {
			return err
		}
		return d.RevokeGrants(ctx, broker.GrantFilter{Account: account, Client: client}, broker.Revoked, at)
	})
}
