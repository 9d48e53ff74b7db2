package gormdb

import (
	"context"
	"strings"

	"gatehouse/broker"
)

type eventRow struct {
	ID         string
	At         int64
	Verb       string
	Code       string
	Account    string
	Actor      string
	Client     string
	Connection string
	Session    string
	Reference  string
	Address    string
	UserAgent  string
	Detail     pairs
}

const eventColumns = `id, at, verb, code, account, actor, client, connection, session, reference, address, user_agent, detail`

func toEvent(r eventRow) broker.Event {
	return broker.Event{
		ID: r.ID, At: moment(r.At), Verb: broker.Verb(r.Verb), Code: broker.Code(r.Code), Account: r.Account, Actor: r.Actor,
		Client: r.Client, Connection: r.Connection, Session: r.Session, Reference: r.Reference, Address: r.Address,
		UserAgent: r.UserAgent, Detail: r.Detail,
	}
}

// Record implements broker.AuditLog, all events in one statement. An event
// without an id gets one.
func (d *DB) Record(ctx context.Context, events ...broker.Event) error {
	if len(events) == 0 {
		return nil
	}
	args := make([]any, 0, 13*len(events))
	for _, e := range events {
		if e.ID == "" {
			e.ID = broker.NewID()
		}
		args = append(args, e.ID, micros(e.At), string(e.Verb), string(e.Code))
		for _, s := range []string{e.Account, e.Actor, e.Client, e.Connection, e.Session, e.Reference, e.Address, e.UserAgent} {
			args = append(args, clean(s)) // much of it is what strangers sent
		}
		args = append(args, pairs(e.Detail))
	}
	_, err := d.exec(ctx, insertEvents(len(events)), args...)
	return err
}

func insertEvents(n int) string {
	const one = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	return `INSERT INTO events (` + eventColumns + `) VALUES ` + one + strings.Repeat(`, `+one, n-1)
}

// mostEvents bounds one answer.
const mostEvents = 1000

// Events implements broker.AuditLog, at most 1000 at a time. Since is inclusive,
// Before is not.
func (d *DB) Events(ctx context.Context, f broker.EventFilter) ([]broker.Event, error) {
	where, args := []string{`1 = 1`}, []any{}
	add := func(condition string, value any) {
		where, args = append(where, condition), append(args, value)
	}
	if f.Account != "" {
		add(`account = ?`, f.Account)
		where = append(where, `account <> ''`) // the index is for those
	}
	if f.Reference != "" {
		add(`reference = ?`, f.Reference)
		where = append(where, `reference <> ''`)
	}
	if f.Client != "" {
		add(`client = ?`, f.Client)
	}
	if f.Verb != "" {
		add(`verb = ?`, string(f.Verb))
	}
	if !f.Since.IsZero() {
		add(`at >= ?`, micros(f.Since))
	}
	if !f.Before.IsZero() {
		add(`at < ?`, micros(f.Before))
	}
	if f.Limit <= 0 || f.Limit > mostEvents {
		f.Limit = mostEvents
	}
	var rows []eventRow
	err := d.all(ctx, &rows, `SELECT `+eventColumns+` FROM events WHERE `+strings.Join(where, ` AND `)+` ORDER BY at DESC, id DESC LIMIT ?`,
		append(args, f.Limit)...)
	return each(rows, toEvent), err
}
