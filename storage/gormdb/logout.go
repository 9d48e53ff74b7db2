package gormdb

import (
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"

	"gatehouse/broker"
)

type logoutRow struct {
	ID        string
	ClientID  string
	SessionID string
	AccountID string
	Created   int64 `gorm:"column:created_at"`
	Expires   int64 `gorm:"column:expires_at"`
	Attempts  int
	Next      int64 `gorm:"column:next_at"`
	LastError string
}

const logoutColumns = `id, client_id, session_id, account_id, created_at, expires_at, attempts, next_at, last_error`

func toLogout(r logoutRow) broker.Logout {
	return broker.Logout{ID: r.ID, ClientID: r.ClientID, SessionID: r.SessionID, AccountID: r.AccountID, CreatedAt: moment(r.Created),
		ExpiresAt: moment(r.Expires), Attempts: r.Attempts, NextAt: moment(r.Next), LastError: r.LastError}
}

// tellable are the grants that die now, by themselves or with their session. Its
// places are the moment, twice.
const tellable = `(f.ended_at = 0 AND f.expires_at > ? OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = f.session_id AND s.ended_at = ?))`

// queueLogouts writes a Logout for each client that wants one and has a grant that
// fits, for each of its sessions. A grant that ended before its session counts: its
// client may still show the person as signed in.
func (d *DB) queueLogouts(ctx context.Context, at time.Time, where string, args ...any) error {
	var rows []struct {
		ClientID, SessionID, AccountID string
		Registered                     registered
	}
	err := d.all(ctx, &rows, `SELECT DISTINCT f.client_id, f.session_id, f.account_id, c.registered FROM families f JOIN clients c ON c.id = f.client_id
		WHERE f.session_id <> '' AND `+where, args...)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.Registered.Backchannel == "" {
			continue
		}
		if _, err := d.exec(ctx, `INSERT INTO logouts (`+logoutColumns+`) VALUES (?, ?, ?, ?, ?, ?, 0, ?, '')`,
			broker.NewID(), r.ClientID, r.SessionID, r.AccountID, micros(at), micros(at.Add(broker.LogoutLife)), micros(at)); err != nil {
			return err
		}
	}
	return nil
}

// DueLogouts implements broker.Logouts, the oldest first.
func (d *DB) DueLogouts(ctx context.Context, now, until time.Time, n int) ([]broker.Logout, error) {
	var rows []logoutRow
	err := d.write(ctx, func(q *gorm.DB) error {
		rows = nil
		return q.Raw(`UPDATE logouts SET next_at = ? WHERE id IN (SELECT id FROM logouts WHERE next_at <= ?
			ORDER BY next_at LIMIT ?`+d.lock(` FOR UPDATE SKIP LOCKED`)+`) RETURNING `+logoutColumns,
			micros(until), micros(now), max(0, n)).Scan(&rows).Error
	})
	slices.SortFunc(rows, func(a, b logoutRow) int { return int(a.Created - b.Created) })
	return each(rows, toLogout), err
}

// LogoutDone implements broker.Logouts.
func (d *DB) LogoutDone(ctx context.Context, id string) error {
	_, err := d.exec(ctx, `DELETE FROM logouts WHERE id = ?`, id)
	return err
}

// LogoutFailed implements broker.Logouts.
func (d *DB) LogoutFailed(ctx context.Context, id, why string, next time.Time) error {
	_, err := d.exec(ctx, `UPDATE logouts SET attempts = attempts + 1, last_error = ?, next_at = ? WHERE id = ?`, clean(why), micros(next), id)
	return err
}

// Logouts implements broker.Logouts.
func (d *DB) Logouts(ctx context.Context, session string, limit int) ([]broker.Logout, error) {
	var rows []logoutRow
	where, args := ``, []any{max(0, limit)}
	if session != "" {
		where, args = ` WHERE session_id = ?`, []any{session, max(0, limit)}
	}
	err := d.all(ctx, &rows, `SELECT `+logoutColumns+` FROM logouts`+where+` ORDER BY created_at, id LIMIT ?`, args...)
	return each(rows, toLogout), err
}

// ClientsOf implements broker.Logouts.
func (d *DB) ClientsOf(ctx context.Context, session string) ([]broker.Client, error) {
	var rows []clientRow
	err := d.all(ctx, &rows, `SELECT `+clientColumns+` FROM clients WHERE id IN (SELECT client_id FROM families WHERE session_id = ?) ORDER BY name, id`, session)
	return each(rows, toClient), err
}

// EndUpstreamSessions implements broker.UpstreamSessions.
func (d *DB) EndUpstreamSessions(ctx context.Context, u broker.UpstreamSession, at time.Time) ([]broker.Session, error) {
	//defence:A18
	where, args := `connection = ?`, []any{u.Connection}
	switch {
	case u.Connection == "" || u.Identity == "" && u.SID == "":
		return nil, errors.New("storage: an upstream's logout needs a connection, and an identity or a session")
	case u.SID == "":
		where, args = where+` AND identity = ?`, append(args, u.Identity)
	case u.Identity == "":
		where, args = where+` AND upstream_sid = ? AND upstream_sid <> ''`, append(args, u.SID)
	default:
		where, args = where+` AND identity = ? AND upstream_sid IN (?, '')`, append(args, u.Identity, u.SID)
	}
	var ended []broker.Session
	err := d.joined(ctx, func(ctx context.Context) error {
		var rows []sessionRow
		if err := d.all(ctx, &rows, `SELECT `+sessionColumns+` FROM sessions s WHERE s.ended_at = 0 AND `+where, args...); err != nil {
			return err
		}
		ended = nil
		for _, r := range rows {
			if err := d.EndSession(ctx, r.ID, at); err != nil {
				return err
			}
			if err := d.RevokeGrants(ctx, broker.GrantFilter{Session: r.ID}, broker.Revoked, at); err != nil {
				return err
			}
			ended = append(ended, toSession(r))
		}
		return nil
	})
	return ended, err
}
