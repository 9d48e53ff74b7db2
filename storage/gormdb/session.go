package gormdb

import (
	"context"
	"time"

	"gorm.io/gorm"

	"gatehouse/broker"
)

// authn is broker.Authn with the tags of its columns, which sessions and grants have.
type authn struct {
	Method      broker.Method
	Connection  string
	Identity    string
	UserType    broker.UserType
	Factor      bool
	AMR         []string `gorm:"serializer:text"`
	ACR         string
	AuthTime    time.Time `gorm:"serializer:micros"`
	Epoch       int64
	UpstreamSID string           `gorm:"-"` // only sessions have it
	Members     map[string]int64 `gorm:"-"`
}

// sessionRow is one row of sessions.
type sessionRow struct {
	ID          string `gorm:"primaryKey"`
	AccountID   string
	Authn       authn  `gorm:"embedded"`
	UpstreamSID string `gorm:"column:upstream_sid"`
	UserAgent   string
	Address     string
	CreatedAt   time.Time `gorm:"serializer:micros"`
	ExpiresAt   time.Time `gorm:"serializer:micros"`
	EndedAt     time.Time `gorm:"serializer:micros"`
}

// TableName implements gorm's Tabler.
func (sessionRow) TableName() string { return "sessions" }

func (r sessionRow) noun() broker.Session {
	s := broker.Session{
		ID: r.ID, AccountID: r.AccountID, Authn: broker.Authn(r.Authn), UserAgent: r.UserAgent, Address: r.Address,
		CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, EndedAt: r.EndedAt,
	}
	s.Authn.UpstreamSID = r.UpstreamSID
	return s
}

// CreateSession implements broker.Sessions. A session of an identity needs that identity
// to be linked to the account, else StartAgain.
//
// The account must be enabled and at the epoch of the proof (SECURITY.md I5). A
// concurrent rise of the epoch needs no lock: a session created just before has the old
// epoch and is invalid. The row of the identity is locked, so that an Unlink waits and
// then sees the session.
func (d *DB) CreateSession(ctx context.Context, hash string, s broker.Session, events ...broker.Event) error {
	n := s.Authn
	return ifNone(broker.StartAgain)(d.execRecorded(ctx,
		//defence:H6
		events, d.insertSession,
		s.ID, hash, s.AccountID, string(n.Method), n.Connection, n.Identity, text(n.AMR), n.ACR,
		micros(n.AuthTime), n.Epoch,
		string(n.UserType), n.Factor, n.UpstreamSID, clean(s.UserAgent), clean(s.Address),
		micros(s.CreatedAt), micros(s.ExpiresAt), micros(s.EndedAt),
		s.AccountID, n.Epoch, n.Identity, n.Identity))
}

// sessionInsert returns the statement of CreateSession: it is hot, and gorm has no conditional insert.
func (d *DB) sessionInsert() string {
	return `INSERT INTO sessions (id, hash, account_id, method, connection, identity, amr, acr, auth_time, epoch,
		user_type, factor, upstream_sid, user_agent, address, created_at, expires_at, ended_at)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM accounts a
		WHERE a.id = ? AND a.auth_epoch ` +
		//defence:D15 = ">="
		`=` + ` ?` +
		//defence:D15 ./storage/gormdb:TestSQLite
		` AND NOT a.disabled` +
		//defence:C9 ./storage/gormdb:TestSQLite
		` AND a.claimed = ''` + `
		AND (? = '' OR EXISTS (SELECT 1 FROM identities i
			WHERE i.id = ? AND i.account_id = a.id` + d.lock(" FOR KEY SHARE") + `))`
}

// Session implements broker.Sessions.
func (d *DB) Session(ctx context.Context, hashes []string) (broker.Session, broker.Account, error) {
	if len(hashes) == 0 {
		return broker.Session{}, broker.Account{}, broker.NotFound
	}
	var r sessionRow
	a, err := d.takeWithAccount(ctx, d.session.forList(len(hashes)), &r, each(hashes, func(h string) any { return h })...)
	return r.noun(), a, err
}

// SessionsOf implements broker.Sessions, the newest first, ended and expired ones too.
func (d *DB) SessionsOf(ctx context.Context, account string) ([]broker.Session, error) {
	var rows []sessionRow
	err := d.read(ctx, func(q *gorm.DB) *gorm.DB {
		return q.Where("account_id = ?", account).Order("created_at DESC, id").Find(&rows)
	})
	return each(rows, sessionRow.noun), err
}

// EndSession implements broker.Sessions.
func (d *DB) EndSession(ctx context.Context, id string, at time.Time) error {
	return d.joined(ctx, func(ctx context.Context) error {
		ended, err := d.end(ctx, &sessionRow{}, at, "id = ?", id)
		if err != nil || ended == 0 {
			return err
		}
		//defence:A17
		return d.queueLogouts(ctx, at, `f.session_id = ?`, id)
	})
}
