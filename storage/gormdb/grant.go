package gormdb

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"gatehouse/broker"
)

// grantRow is one row of grants.
type grantRow struct {
	ID             string `gorm:"primaryKey"`
	ClientID       string
	AccountID      string
	SessionID      string
	Scopes         []string `gorm:"serializer:text"`
	Audience       []string `gorm:"serializer:text"`
	Authn          authn    `gorm:"embedded"`
	KeyThumbprint  string
	Claims         string
	RefreshCounter int64
	RotatedAt      time.Time `gorm:"serializer:micros"`
	CreatedAt      time.Time `gorm:"serializer:micros"`
	ExpiresAt      time.Time `gorm:"serializer:micros"`
	EndedAt        time.Time `gorm:"serializer:micros"`
	EndedBy        broker.Code
}

// TableName implements gorm's Tabler.
func (grantRow) TableName() string { return "grants" }

func toGrant(r grantRow) broker.Grant {
	return broker.Grant{
		ID: r.ID, ClientID: r.ClientID, AccountID: r.AccountID, SessionID: r.SessionID,
		Scopes: r.Scopes, Audience: r.Audience, Authn: broker.Authn(r.Authn), KeyThumbprint: r.KeyThumbprint,
		Claims: r.Claims, RefreshCounter: r.RefreshCounter, RotatedAt: r.RotatedAt, CreatedAt: r.CreatedAt,
		ExpiresAt: r.ExpiresAt, EndedAt: r.EndedAt, EndedBy: r.EndedBy,
	}
}

// CreateGrant implements broker.Grants. A grant of an identity needs that identity to be
// linked to the account, else StartAgain. A used code is reported before a changed
// account, because it ends the grant. The rows of the identity and of the session are
// locked: a concurrent Unlink or EndSession waits, and then finds the grant.
func (d *DB) CreateGrant(ctx context.Context, g broker.Grant, unlocked bool, events ...broker.Event) error {
	n := g.Authn
	rows, err := d.execRecorded(ctx,
		//defence:H6
		events, d.insertGrant,
		g.ID, g.ClientID, g.AccountID, g.SessionID, text(g.Scopes), text(g.Audience), string(n.Method), n.Connection,
		n.Identity, text(n.AMR), n.ACR, micros(n.AuthTime), n.Epoch, string(n.UserType), n.Factor, g.KeyThumbprint,
		g.Claims, g.RefreshCounter, micros(g.RotatedAt), micros(g.CreatedAt), micros(g.ExpiresAt), micros(g.EndedAt),
		string(g.EndedBy),
		g.AccountID, n.Epoch,
		//defence:D1 D5 A7
		unlocked, n.Identity, n.Identity,
		//defence:A7
		g.SessionID, g.SessionID,
		//defence:A7 ./storage/gormdb:TestSQLite
		micros(g.CreatedAt))
	if err != nil || rows > 0 {
		return err
	}
	//defence:A5 ./storage/gormdb:TestSQLite = broker.NotFound
	err = d.exists(ctx, &grantRow{}, "id = ?", g.ID)
	if errors.Is(err, broker.NotFound) {
		return broker.StartAgain
	}
	return err
}

// grantInsert returns the statement of CreateGrant: it is hot, and gorm has no conditional insert.
func (d *DB) grantInsert() string {
	return `INSERT INTO grants (id, client_id, account_id, session_id, scopes, audience, method, connection, identity,
		amr, acr, auth_time, epoch, user_type, factor, key_thumbprint, claims, refresh_counter,
		rotated_at, created_at, expires_at, ended_at, ended_by)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM accounts a
		WHERE a.id = ? AND a.auth_epoch = ? AND NOT a.disabled AND a.claimed = '' AND (NOT ? OR a.restriction = '')
		AND (? = '' OR EXISTS (SELECT 1 FROM identities i
			WHERE i.id = ? AND i.account_id = a.id` + d.lock(" FOR KEY SHARE") + `))
		AND (? = '' OR EXISTS (SELECT 1 FROM sessions s
			WHERE s.id = ?` +
		//defence:A7 ./storage/gormdb:TestSQLite
		` AND s.account_id = a.id` +
		//defence:A7
		` AND s.ended_at = 0` + ` AND s.expires_at > ?` +
		//defence:A7 A17 ./storage/gormdb:TestPostgres
		d.lock(" FOR SHARE") + `))
		ON CONFLICT DO NOTHING`
}

// Grant implements broker.Grants.
func (d *DB) Grant(ctx context.Context, id string) (broker.Grant, broker.Account, error) {
	var r grantRow
	a, err := d.takeWithAccount(ctx, d.grant, &r, id)
	return toGrant(r), a, err
}

// Rotate implements broker.Grants. An expired grant is not alive.
func (d *DB) Rotate(ctx context.Context, id string, from, to int64, at time.Time) error {
	return ifNone(broker.Conflict)(d.exec(ctx, rotateGrant, to, micros(at), id, from, micros(at)))
}

// rotateGrant is hot: 12 µs on SQLite, against 57 through gorm.
const rotateGrant = `UPDATE grants SET refresh_counter = ?, rotated_at = ?
	WHERE id = ? AND refresh_counter = ? AND ended_at = 0 AND expires_at > ? AND EXISTS (
		SELECT 1 FROM accounts a WHERE a.id = grants.account_id AND a.auth_epoch = grants.epoch AND NOT a.disabled)`

// RevokeGrant implements broker.Grants.
func (d *DB) RevokeGrant(ctx context.Context, id string, why broker.Code, at time.Time) error {
	return d.revokeGrants(ctx, why, at, "id = ?", id)
}

// RevokeGrants implements broker.Grants. An empty filter is refused: it would
// end all grants.
func (d *DB) RevokeGrants(ctx context.Context, f broker.GrantFilter, why broker.Code, at time.Time) error {
	if f == (broker.GrantFilter{}) {
		return errors.New("storage: RevokeGrants needs an account, a client or a session")
	}
	// gorm ignores the empty fields, as the filter does.
	return d.revokeGrants(ctx, why, at, &grantRow{AccountID: f.Account, ClientID: f.Client, SessionID: f.Session})
}

func (d *DB) revokeGrants(ctx context.Context, why broker.Code, at time.Time, where any, args ...any) error {
	_, err := d.write(ctx, func(q *gorm.DB) *gorm.DB {
		return q.Model(&grantRow{}).Where(where, args...).Where("ended_at = 0").
			Updates(map[string]any{"ended_at": micros(at), "ended_by": string(why)})
	})
	return err
}
