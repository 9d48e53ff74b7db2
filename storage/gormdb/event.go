package gormdb

import (
	"cmp"
	"context"
	"strings"
	"time"

	"gorm.io/gorm"

	"gatehouse/broker"
)

// eventRow is broker.Event with the tags of its columns.
type eventRow struct {
	ID         string    `gorm:"primaryKey"`
	At         time.Time `gorm:"serializer:micros"`
	Verb       broker.Verb
	Code       broker.Code
	Account    string
	Actor      string
	Client     string
	Connection string
	Session    string
	Reference  string
	Address    string
	UserAgent  string
	Detail     map[string]string `gorm:"serializer:text"`
}

// TableName implements gorm's Tabler.
func (eventRow) TableName() string { return "events" }

func (r eventRow) noun() broker.Event { return broker.Event(r) }

// Record implements broker.AuditLog.
func (d *DB) Record(ctx context.Context, events ...broker.Event) (err error) {
	switch len(events) {
	case 0:
	case 1:
		_, err = d.exec(ctx, insertEvent, eventValues(events[0])...)
	default:
		err = d.joined(ctx, func(ctx context.Context) error {
			for _, e := range events {
				if err := d.Record(ctx, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return err
}

// execRecorded runs a conditional insert and, if it wrote a row, records the events in the same transaction.
// PostgreSQL does so in one round trip. SQLite has no insert in a WITH, and no round trips.
func (d *DB) execRecorded(ctx context.Context, events []broker.Event, insert string, args ...any) (rows int64,
	err error) {
	switch {
	case len(events) == 0:
		return d.exec(ctx, insert, args...)
	case d.postgres && len(events) == 1:
		return d.exec(ctx, "WITH made AS ("+insert+" RETURNING 1) "+insertEventOfMade,
			append(args, eventValues(events[0])...)...)
	}
	err = d.Atomic(ctx, func(ctx context.Context) error {
		if rows, err = d.exec(ctx, insert, args...); err != nil || rows == 0 {
			return err
		}
		//defence:H6 ./storage/gormdb:TestSQLite
		return d.Record(ctx, events...)
	})
	return rows, err
}

// eventValues are the values of insertEvent, with an id if it is missing. The texts may come from outside.
func eventValues(e broker.Event) []any {
	return []any{cmp.Or(e.ID, broker.NewID()), micros(e.At), string(e.Verb), string(e.Code), clean(e.Account),
		clean(e.Actor), clean(e.Client), clean(e.Connection), clean(e.Session), clean(e.Reference), clean(e.Address),
		clean(e.UserAgent), text(e.Detail)}
}

// clean makes text from outside, such as a User-Agent, storable.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// The hot inserts: every sign-in and every new grant writes one event.
const (
	insertEvent = `INSERT INTO events (id, at, verb, code, account, actor, client,
		connection, session, reference, address, user_agent, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertEventOfMade = `INSERT INTO events (id, at, verb, code, account, actor, client,
		connection, session, reference, address, user_agent, detail)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM made`
)

// mostEvents bounds one call of Events.
const mostEvents = 1000

// Events implements broker.AuditLog, at most 1000 at a time. Since is inclusive,
// Before is not.
func (d *DB) Events(ctx context.Context, f broker.EventFilter) ([]broker.Event, error) {
	if f.Limit <= 0 || f.Limit > mostEvents {
		f.Limit = mostEvents
	}
	var rows []eventRow
	err := d.read(ctx, func(q *gorm.DB) *gorm.DB {
		if f.Account != "" {
			q = q.Where("account = ? AND account <> ''", f.Account) // the index is for those
		}
		if f.Reference != "" {
			q = q.Where("reference = ? AND reference <> ''", f.Reference)
		}
		if f.Client != "" {
			q = q.Where("client = ?", f.Client)
		}
		if f.Verb != "" {
			q = q.Where("verb = ?", f.Verb)
		}
		if !f.Since.IsZero() {
			q = q.Where("at >= ?", micros(f.Since))
		}
		if !f.Before.IsZero() {
			q = q.Where("at < ?", micros(f.Before))
		}
		return q.Order("at DESC, id DESC").Limit(f.Limit).Find(&rows)
	})
	return each(rows, eventRow.noun), err
}
