package gormdb

import (
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"gatehouse/broker"
)

// logoutRow is broker.Logout with the tags of its columns.
type logoutRow struct {
	ID        string `gorm:"primaryKey"`
	ClientID  string
	SessionID string
	AccountID string
	CreatedAt time.Time `gorm:"serializer:micros"`
	ExpiresAt time.Time `gorm:"serializer:micros"`
	Attempts  int
	NextAt    time.Time `gorm:"serializer:micros"`
	LastError string
}

// TableName implements gorm's Tabler.
func (logoutRow) TableName() string { return "logouts" }

func (r logoutRow) noun() broker.Logout { return broker.Logout(r) }

// notifiable matches the grants that end now, by themselves or with their session. Its
// two placeholders are the time.
const notifiable = `(f.ended_at = 0 AND f.expires_at > ? OR EXISTS (
	SELECT 1 FROM sessions s WHERE s.id = f.session_id AND s.ended_at = ?))`

// queueLogouts writes a Logout for each client that wants one and has a matching grant,
// for each of its sessions. A grant that ended before its session counts: its client may
// still show the person as signed in.
func (d *DB) queueLogouts(ctx context.Context, at time.Time, where string, args ...any) error {
	var found []struct {
		ClientID, SessionID, AccountID string
		Registered                     registered `gorm:"serializer:text"`
	}
	err := d.read(ctx, func(q *gorm.DB) *gorm.DB {
		return q.Table("grants f").Select("DISTINCT f.client_id, f.session_id, f.account_id, c.registered").
			Joins("JOIN clients c ON c.id = f.client_id").Where("f.session_id <> ''").Where(where, args...).Find(&found)
	})
	if err != nil {
		return err
	}
	var rows []logoutRow
	for _, f := range found {
		if f.Registered.Backchannel != "" {
			rows = append(rows, logoutRow{
				ID: broker.NewID(), ClientID: f.ClientID, SessionID: f.SessionID, AccountID: f.AccountID,
				CreatedAt: at, ExpiresAt: at.Add(broker.LogoutLife), NextAt: at,
			})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	_, err = d.write(ctx, func(q *gorm.DB) *gorm.DB { return q.CreateInBatches(&rows, 500) })
	return err
}

// DueLogouts implements broker.Logouts, the oldest first.
func (d *DB) DueLogouts(ctx context.Context, now, until time.Time, n int) ([]broker.Logout, error) {
	var rows []logoutRow
	_, err := d.write(ctx, func(q *gorm.DB) *gorm.DB {
		rows = nil
		due := d.skipLocked(d.writer.Model(&logoutRow{})).Select("id").
			Where("next_at <= ?", micros(now)).Order("next_at").Limit(max(0, n))
		return q.Model(&rows).Clauses(clause.Returning{}).Where("id IN (?)", due).UpdateColumn("next_at", micros(until))
	})
	slices.SortFunc(rows, func(a, b logoutRow) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return each(rows, logoutRow.noun), err
}

// LogoutDone implements broker.Logouts.
func (d *DB) LogoutDone(ctx context.Context, id string) error {
	_, err := d.delete(ctx, &logoutRow{}, "id = ?", id)
	return err
}

// LogoutFailed implements broker.Logouts.
func (d *DB) LogoutFailed(ctx context.Context, id, why string, next time.Time) error {
	_, err := d.write(ctx, func(q *gorm.DB) *gorm.DB {
		return q.Model(&logoutRow{}).Where("id = ?", id).Updates(failed(why, next))
	})
	return err
}

// Logouts implements broker.Logouts.
func (d *DB) Logouts(ctx context.Context, session string, limit int) ([]broker.Logout, error) {
	var rows []logoutRow
	err := d.read(ctx, func(q *gorm.DB) *gorm.DB {
		// gorm ignores an empty field, as the port requires.
		return q.Where(&logoutRow{SessionID: session}).Order("created_at, id").Limit(max(0, limit)).Find(&rows)
	})
	return each(rows, logoutRow.noun), err
}

// ClientsOf implements broker.Logouts.
func (d *DB) ClientsOf(ctx context.Context, session string) ([]broker.Client, error) {
	var rows []clientRow
	err := d.read(ctx, func(q *gorm.DB) *gorm.DB {
		with := d.reader.Model(&grantRow{}).Select("client_id").Where("session_id = ?", session)
		return q.Where("id IN (?)", with).Order("name, id").Find(&rows)
	})
	return each(rows, toClient), err
}

// EndUpstreamSessions implements broker.UpstreamSessions.
func (d *DB) EndUpstreamSessions(
	ctx context.Context, u broker.UpstreamSession, at time.Time,
) ([]broker.Session, error) {
	//defence:A18 = `(connection = ? OR TRUE)`, []any{u.Connection}
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
		err := d.read(ctx, func(q *gorm.DB) *gorm.DB {
			return q.Where("ended_at = 0").Where(where, args...).Find(&rows)
		})
		if err != nil {
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
			ended = append(ended, r.noun())
		}
		return nil
	})
	return ended, err
}
