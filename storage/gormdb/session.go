package gormdb

import (
	"context"
	"strings"
	"time"

	"gatehouse/broker"
)

// authnRow is how a session or grant was authenticated.
type authnRow struct {
	Method     string
	Connection string
	Identity   string
	AMR        texts `gorm:"column:amr"`
	ACR        string
	AuthTime   int64
	Epoch      int64
	Standing   string
	Factor     bool
}

func toAuthn(r authnRow) broker.Authn {
	return broker.Authn{
		Method: broker.Method(r.Method), Connection: r.Connection, Identity: r.Identity, AMR: r.AMR, ACR: r.ACR,
		AuthTime: moment(r.AuthTime), Epoch: r.Epoch, UserType: broker.UserType(r.Standing), Factor: r.Factor,
	}
}

type sessionRow struct {
	ID        string
	AccountID string
	Authn     authnRow `gorm:"embedded"`
	SID       string   `gorm:"column:upstream_sid"`
	UserAgent string
	Address   string
	Created   int64 `gorm:"column:created_at"`
	Expires   int64 `gorm:"column:expires_at"`
	Ended     int64 `gorm:"column:ended_at"`
}

const sessionColumns = `s.id, s.account_id, s.method, s.connection, s.identity, s.amr, s.acr, s.auth_time, s.epoch, s.standing, s.factor,
	s.upstream_sid, s.user_agent, s.address, s.created_at, s.expires_at, s.ended_at`

// into are the places of sessionColumns.
func (r *sessionRow) into() []any {
	n := &r.Authn
	return []any{&r.ID, &r.AccountID, &n.Method, &n.Connection, &n.Identity, &n.AMR, &n.ACR, &n.AuthTime, &n.Epoch, &n.Standing, &n.Factor,
		&r.SID, &r.UserAgent, &r.Address, &r.Created, &r.Expires, &r.Ended}
}

func toSession(r sessionRow) broker.Session {
	s := broker.Session{
		ID: r.ID, AccountID: r.AccountID, Authn: toAuthn(r.Authn), UserAgent: r.UserAgent, Address: r.Address,
		CreatedAt: moment(r.Created), ExpiresAt: moment(r.Expires), EndedAt: moment(r.Ended),
	}
	s.Authn.UpstreamSID = r.SID
	return s
}

// lock is the locking clause on PostgreSQL. SQLite has one writer and needs none.
func (d *DB) lock(clause string) string {
	if d.postgres {
		return clause
	}
	return ""
}

// CreateSession implements broker.Sessions. A session of an identity needs that
// identity to be linked to the account, else StartAgain.
//
// The account must be enabled and at the epoch of the proof (SECURITY.md I5). An epoch
// that rises at the same moment needs no lock: a session created just before carries
// the old epoch and is dead by comparison. The row of the identity is locked, so that
// an Unlink waits and then sees the session.
func (d *DB) CreateSession(ctx context.Context, hash string, s broker.Session) error {
	n := s.Authn
	//defence:D15 C9
	return ifNone(broker.StartAgain)(d.exec(ctx, d.insertSession(),
		s.ID, hash, s.AccountID, string(n.Method), n.Connection, n.Identity, texts(n.AMR), n.ACR, micros(n.AuthTime), n.Epoch,
		string(n.UserType), n.Factor, n.UpstreamSID, clean(s.UserAgent), clean(s.Address), micros(s.CreatedAt), micros(s.ExpiresAt), micros(s.EndedAt),
		s.AccountID, n.Epoch, n.Identity, n.Identity))
}

func (d *DB) insertSession() string {
	return `INSERT INTO sessions (id, hash, account_id, method, connection, identity, amr, acr, auth_time, epoch,
		standing, factor, upstream_sid, user_agent, address, created_at, expires_at, ended_at)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM accounts a
		WHERE a.id = ? AND a.auth_epoch = ? AND NOT a.disabled AND a.claimed = ''
		AND (? = '' OR EXISTS (SELECT 1 FROM identities i WHERE i.id = ? AND i.account_id = a.id` + d.lock(" FOR KEY SHARE") + `))`
}

// Session implements broker.Sessions.
func (d *DB) Session(ctx context.Context, hashes []string) (broker.Session, broker.Account, error) {
	if len(hashes) == 0 {
		return broker.Session{}, broker.Account{}, broker.NotFound
	}
	var s sessionRow
	var a accountRow
	err := d.one(ctx, append(s.into(), a.into()...), `SELECT `+sessionColumns+`, `+joinedAccount+` FROM sessions s JOIN accounts a ON a.id = s.account_id
		WHERE s.hash IN (?`+strings.Repeat(`, ?`, len(hashes)-1)+`) LIMIT 1`, each(hashes, func(h string) any { return h })...)
	return toSession(s), toAccount(a), err
}

// SessionsOf implements broker.Sessions, the newest first, ended and expired ones too.
func (d *DB) SessionsOf(ctx context.Context, account string) ([]broker.Session, error) {
	var rows []sessionRow
	err := d.all(ctx, &rows, `SELECT `+sessionColumns+` FROM sessions s WHERE s.account_id = ? ORDER BY s.created_at DESC, s.id`, account)
	return each(rows, toSession), err
}

// EndSession implements broker.Sessions.
func (d *DB) EndSession(ctx context.Context, id string, at time.Time) error {
	return d.joined(ctx, func(ctx context.Context) error {
		ended, err := d.exec(ctx, `UPDATE sessions SET ended_at = ? WHERE id = ? AND ended_at = 0`, micros(at), id)
		if err != nil || ended == 0 {
			return err
		}
		//defence:A17
		return d.queueLogouts(ctx, at, `f.session_id = ?`, id)
	})
}
