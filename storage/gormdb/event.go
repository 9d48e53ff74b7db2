package gormdb

import (
	"context"
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

// newEventRow adds a missing id, and cleans the texts, which may come from outside.
func newEventRow(e broker.Event) eventRow {
	if e.ID == "" {
		e.ID = broker.NewID()
	}
	for _, s := range []*string{
		&e.Account, &e.Actor, &e.Client, &e.Connection, &e.Session, &e.Reference, &e.Address, &e.UserAgent,
	} {
		*s = clean(*s)
	}
	return eventRow(e)
}

// Record implements broker.AuditLog.
func (d *DB) Record(ctx context.Context, events ...broker.Event) (err error) {
	rows := each(events, newEventRow)
	switch len(rows) {
	case 0:
	case 1:
		e := rows[0]
		_, err = d.exec(ctx, insertEvent, e.ID, micros(e.At), string(e.Verb), string(e.Code), e.Account, e.Actor, e.Client,
			e.Connection, e.Session, e.Reference, e.Address, e.UserAgent, mapText(e.Detail))
	default:
		_, err = d.create(ctx, &rows)
	}
	return err
}

// insertEvent is hot: every sign-in and every new grant writes one event.
const insertEvent = `INSERT INTO events (id, at, verb, code, account, actor, client,
	connection, session, reference, address, user_agent, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

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
