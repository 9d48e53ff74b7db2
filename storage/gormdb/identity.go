package gormdb

import (
	"context"
	"errors"
	"time"

	"gatehouse/broker"
)

type identityRow struct {
	ID         string
	AccountID  string
	Connection string
	Issuer     string
	Subject    string
	Email      string
	Linked     int64 `gorm:"column:linked_at"`
	Seen       int64 `gorm:"column:seen_at"`
}

const identityColumns = `i.id, i.account_id, i.connection, i.issuer, i.subject, i.email, i.linked_at, i.seen_at`

// into are the places of identityColumns.
func (r *identityRow) into() []any {
	return []any{&r.ID, &r.AccountID, &r.Connection, &r.Issuer, &r.Subject, &r.Email, &r.Linked, &r.Seen}
}

func toIdentity(r identityRow) broker.Identity {
	return broker.Identity{
		ID: r.ID, AccountID: r.AccountID, Connection: r.Connection, Issuer: r.Issuer, Subject: r.Subject, Email: r.Email,
		LinkedAt: moment(r.Linked), SeenAt: moment(r.Seen),
	}
}

// Identity implements broker.Identities.
func (d *DB) Identity(ctx context.Context, connection, issuer, subject string) (broker.Identity, broker.Account, error) {
	var i identityRow
	var a accountRow
	err := d.one(ctx, append(i.into(), a.into()...), `SELECT `+identityColumns+`, `+joinedAccount+` FROM identities i JOIN accounts a ON a.id = i.account_id
		WHERE i.connection = ? AND i.issuer = ? AND i.subject = ?`, connection, issuer, subject)
	return toIdentity(i), toAccount(a), err
}

// IdentitiesOf implements broker.Identities, the oldest link first.
func (d *DB) IdentitiesOf(ctx context.Context, account string) ([]broker.Identity, error) {
	var rows []identityRow
	err := d.all(ctx, &rows, `SELECT `+identityColumns+` FROM identities i WHERE i.account_id = ? ORDER BY i.linked_at, i.id`, account)
	return each(rows, toIdentity), err
}

// Link implements broker.Identities. NotFound where the account or the connection
// does not exist, or nobody has proven the account's address: whoever claimed it
// puts no identity in the way of its owner (SECURITY.md C11).
func (d *DB) Link(ctx context.Context, i broker.Identity) error {
	rows, err := d.exec(ctx, `INSERT INTO identities (id, account_id, connection, issuer, subject, email, linked_at, seen_at)
		SELECT ?, a.id, ?, ?, ?, ?, ?, ? FROM accounts a WHERE a.id = ? AND a.claimed = '' ON CONFLICT DO NOTHING`,
		i.ID, i.Connection, i.Issuer, i.Subject, i.Email, micros(i.LinkedAt), micros(i.SeenAt), i.AccountID)
	switch {
	case errors.Is(err, errForeign):
		return broker.NotFound
	case err != nil || rows > 0:
		return err
	}
	var id string
	if err := d.onWriter(ctx, []any{&id}, `SELECT id FROM accounts WHERE id = ? AND claimed = ''`, i.AccountID); err != nil {
		return err
	}
	return broker.Conflict
}

// Unlink implements broker.Identities. The identity goes first: a session that
// is being created of it either is seen by the updates or finds it gone.
func (d *DB) Unlink(ctx context.Context, id string, at time.Time) error {
	return d.joined(ctx, func(ctx context.Context) error {
		var account string
		if err := d.one(ctx, []any{&account}, `SELECT account_id FROM identities WHERE id = ?`, id); err != nil {
			return err
		}
		if err := ifNone(broker.NotFound)(d.exec(ctx, `DELETE FROM identities WHERE id = ?`, id)); err != nil {
			return err
		}
		if _, err := d.exec(ctx, `UPDATE sessions SET ended_at = ? WHERE account_id = ? AND identity = ? AND ended_at = 0`,
			micros(at), account, id); err != nil {
			return err
		}
		if err := d.queueLogouts(ctx, at, `f.account_id = ? AND f.identity = ? AND `+tellable, account, id, micros(at), micros(at)); err != nil {
			return err
		}
		_, err := d.exec(ctx, `UPDATE families SET ended_at = ?, ended_by = ? WHERE account_id = ? AND identity = ? AND ended_at = 0`,
			micros(at), string(broker.Revoked), account, id)
		return err
	})
}

// SeeIdentity implements broker.Identities.
func (d *DB) SeeIdentity(ctx context.Context, id, email string, at time.Time) error {
	_, err := d.exec(ctx, seeIdentity, email, micros(at), id)
	return err
}

const seeIdentity = `UPDATE identities SET email = ?, seen_at = ? WHERE id = ?`
