package gormdb

import (
	"context"
	"errors"
	"strings"
	"time"

	"gatehouse/broker"
)

type grantRow struct {
	ID         string
	ClientID   string
	AccountID  string
	SessionID  string
	Scopes     texts
	Audience   texts
	Authn      authnRow
	Thumbprint string
	Claims     string
	Generation int64
	Rotated    int64
	Created    int64
	Expires    int64
	Ended      int64
	EndedBy    string
}

const grantColumns = `f.id, f.client_id, f.account_id, f.session_id, f.scopes, f.audience, f.method, f.connection, f.identity,
	f.amr, f.acr, f.auth_time, f.epoch, f.standing, f.factor, f.key_thumbprint, f.claims, f.generation, f.rotated_at, f.created_at, f.expires_at, f.ended_at, f.ended_by`

// into are the places of grantColumns.
func (r *grantRow) into() []any {
	n := &r.Authn
	return []any{&r.ID, &r.ClientID, &r.AccountID, &r.SessionID, &r.Scopes, &r.Audience, &n.Method, &n.Connection, &n.Identity,
		&n.AMR, &n.ACR, &n.AuthTime, &n.Epoch, &n.Standing, &n.Factor, &r.Thumbprint, &r.Claims, &r.Generation, &r.Rotated, &r.Created, &r.Expires, &r.Ended, &r.EndedBy}
}

func toGrant(r grantRow) broker.Grant {
	return broker.Grant{
		ID: r.ID, ClientID: r.ClientID, AccountID: r.AccountID, SessionID: r.SessionID, Scopes: r.Scopes, Audience: r.Audience,
		Authn: toAuthn(r.Authn), KeyThumbprint: r.Thumbprint, Claims: r.Claims, RefreshCounter: r.Generation, RotatedAt: moment(r.Rotated), CreatedAt: moment(r.Created),
		ExpiresAt: moment(r.Expires), EndedAt: moment(r.Ended), EndedBy: broker.Code(r.EndedBy),
	}
}

// CreateGrant implements broker.Grants. A grant of an identity needs that
// identity to be linked to the account, else StartAgain. A used code is reported before
// a changed account, because it ends the grant. The rows of the identity and of the
// session are locked: an Unlink or an EndSession at the same moment waits, and then
// ends what was created.
func (d *DB) CreateGrant(ctx context.Context, f broker.Grant, unlocked bool) error {
	n := f.Authn
	//defence:D15 C9 D1 D5 A7 A17
	rows, err := d.exec(ctx, d.insertFamily(),
		f.ID, f.ClientID, f.AccountID, f.SessionID, texts(f.Scopes), texts(f.Audience), string(n.Method), n.Connection, n.Identity,
		texts(n.AMR), n.ACR, micros(n.AuthTime), n.Epoch, string(n.UserType), n.Factor, f.KeyThumbprint, f.Claims, f.RefreshCounter,
		micros(f.RotatedAt), micros(f.CreatedAt), micros(f.ExpiresAt), micros(f.EndedAt), string(f.EndedBy),
		f.AccountID, n.Epoch, unlocked, n.Identity, n.Identity, f.SessionID, f.SessionID, micros(f.CreatedAt))
	if err != nil || rows > 0 {
		return err
	}
	var id string
	err = d.onWriter(ctx, []any{&id}, `SELECT id FROM families WHERE id = ?`, f.ID)
	switch {
	//defence:A5
	case err == nil:
		return broker.Conflict
	case errors.Is(err, broker.NotFound):
		return broker.StartAgain
	}
	return err
}

func (d *DB) insertFamily() string {
	return `INSERT INTO families (id, client_id, account_id, session_id, scopes, audience, method, connection, identity,
		amr, acr, auth_time, epoch, standing, factor, key_thumbprint, claims, generation,
		rotated_at, created_at, expires_at, ended_at, ended_by)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM accounts a
		WHERE a.id = ? AND a.auth_epoch = ? AND NOT a.disabled AND a.claimed = '' AND (NOT ? OR a.lock = '')
		AND (? = '' OR EXISTS (SELECT 1 FROM identities i WHERE i.id = ? AND i.account_id = a.id` + d.lock(" FOR KEY SHARE") + `))
		AND (? = '' OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = ? AND s.account_id = a.id AND s.ended_at = 0 AND s.expires_at > ?` + d.lock(" FOR SHARE") + `))
		ON CONFLICT DO NOTHING`
}

// Grant implements broker.Grants.
func (d *DB) Grant(ctx context.Context, id string) (broker.Grant, broker.Account, error) {
	var f grantRow
	var a accountRow
	err := d.one(ctx, append(f.into(), a.into()...), `SELECT `+grantColumns+`, `+joinedAccount+` FROM families f JOIN accounts a ON a.id = f.account_id
		WHERE f.id = ?`, id)
	return toGrant(f), toAccount(a), err
}

// Rotate implements broker.Grants. An expired grant is not alive.
func (d *DB) Rotate(ctx context.Context, id string, from int64, at time.Time) error {
	return ifNone(broker.Conflict)(d.exec(ctx, rotateFamily, micros(at), id, from, micros(at)))
}

const rotateFamily = `UPDATE families SET generation = generation + 1, rotated_at = ?
	WHERE id = ? AND generation = ? AND ended_at = 0 AND expires_at > ? AND EXISTS (
		SELECT 1 FROM accounts a WHERE a.id = families.account_id AND a.auth_epoch = families.epoch AND NOT a.disabled)`

// RevokeGrant implements broker.Grants.
func (d *DB) RevokeGrant(ctx context.Context, id string, why broker.Code, at time.Time) error {
	_, err := d.exec(ctx, `UPDATE families SET ended_at = ?, ended_by = ? WHERE id = ? AND ended_at = 0`, micros(at), string(why), id)
	return err
}

// RevokeGrants implements broker.Grants. An empty filter is refused: it would
// end everybody's.
func (d *DB) RevokeGrants(ctx context.Context, f broker.GrantFilter, why broker.Code, at time.Time) error {
	where, args := []string{`ended_at = 0`}, []any{micros(at), string(why)}
	for _, c := range []struct{ column, value string }{{"account_id", f.Account}, {"client_id", f.Client}, {"session_id", f.Session}} {
		if c.value != "" {
			where, args = append(where, c.column+` = ?`), append(args, c.value)
		}
	}
	if len(where) == 1 {
		return errors.New("storage: EndFamilies needs an account, a client or a session")
	}
	_, err := d.exec(ctx, `UPDATE families SET ended_at = ?, ended_by = ? WHERE `+strings.Join(where, ` AND `), args...)
	return err
}
