package gormdb

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"

	"gatehouse/broker"
)

type accountRow struct {
	ID           string
	Email        string
	Name         string
	GivenName    string
	FamilyName   string
	Locale       string
	PasswordHash string
	Disabled     bool
	AuthEpoch    int64
	Lock         restrictionText
	Claimed      string
	Created      int64 `gorm:"column:created_at"`
	Updated      int64 `gorm:"column:updated_at"`
}

const accountColumns = `id, email, name, given_name, family_name, locale, password_hash, disabled, auth_epoch, lock, claimed, created_at, updated_at`

// joinedAccount are the same, of an account a beside another row.
const joinedAccount = `a.id, a.email, a.name, a.given_name, a.family_name, a.locale, a.password_hash, a.disabled, a.auth_epoch,
	a.lock, a.claimed, a.created_at, a.updated_at`

// into are the places of accountColumns.
func (r *accountRow) into() []any {
	return []any{&r.ID, &r.Email, &r.Name, &r.GivenName, &r.FamilyName, &r.Locale, &r.PasswordHash, &r.Disabled, &r.AuthEpoch,
		&r.Lock, &r.Claimed, &r.Created, &r.Updated}
}

func toAccount(r accountRow) broker.Account {
	a := broker.Account{
		ID: r.ID, Email: r.Email, Name: r.Name, GivenName: r.GivenName, FamilyName: r.FamilyName, Locale: r.Locale,
		PasswordHash: r.PasswordHash, Disabled: r.Disabled, AuthEpoch: r.AuthEpoch, Restriction: r.Lock.restriction,
		CreatedAt: moment(r.Created), UpdatedAt: moment(r.Updated),
	}
	if r.Claimed != "" {
		a.Email, a.Unverified = r.Claimed, true
	}
	return a
}

// addresses are the columns email and claimed: an address that nobody has proven
// is not where addresses are looked up and kept apart, so it blocks nobody's.
func addresses(a broker.Account) (email, claimed string) {
	if a.Unverified {
		return "unverified " + a.ID, a.Email
	}
	return a.Email, ""
}

// restrictionText is a lock as JSON, empty for none.
type restrictionText struct{ restriction *broker.Restriction }

// Value implements driver.Valuer.
func (l restrictionText) Value() (driver.Value, error) {
	if l.restriction == nil {
		return "", nil
	}
	b, err := json.Marshal(l.restriction)
	return string(b), err
}

// Scan implements sql.Scanner. A lock that can't be read is an error, never none.
func (l *restrictionText) Scan(v any) error {
	var text []byte
	switch v := v.(type) {
	case string:
		text = []byte(v)
	case []byte:
		text = v
	default:
		return errors.New("storage: a lock that is no text")
	}
	if l.restriction = nil; len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, &l.restriction)
}

// Account implements broker.Accounts.
func (d *DB) Account(ctx context.Context, id string) (broker.Account, error) {
	var r accountRow
	err := d.one(ctx, r.into(), `SELECT `+accountColumns+` FROM accounts WHERE id = ?`, id)
	return toAccount(r), err
}

// AccountByEmail implements broker.Accounts.
func (d *DB) AccountByEmail(ctx context.Context, email string) (broker.Account, error) {
	var r accountRow
	err := d.one(ctx, r.into(), `SELECT `+accountColumns+` FROM accounts WHERE email = ?`, email)
	return toAccount(r), err
}

// Accounts implements broker.Accounts.
func (d *DB) Accounts(ctx context.Context, after string, limit int) ([]broker.Account, error) {
	var rows []accountRow
	err := d.all(ctx, &rows, `SELECT `+accountColumns+` FROM accounts WHERE email > ? ORDER BY email LIMIT ?`, after, max(0, limit))
	return each(rows, toAccount), err
}

// CreateAccount implements broker.Accounts.
func (d *DB) CreateAccount(ctx context.Context, a broker.Account) error {
	return d.joined(ctx, func(ctx context.Context) error {
		email, claimed := addresses(a)
		err := ifNone(broker.Conflict)(d.exec(ctx, `INSERT INTO accounts (`+accountColumns+`)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			a.ID, email, a.Name, a.GivenName, a.FamilyName, a.Locale, a.PasswordHash, a.Disabled, a.AuthEpoch,
			restrictionText{a.Restriction}, claimed, micros(a.CreatedAt), micros(a.UpdatedAt)))
		if err != nil || a.Unverified {
			return err
		}
		if _, err := d.exec(ctx, `DELETE FROM identities WHERE account_id IN (SELECT id FROM accounts WHERE claimed = ? AND claimed <> '')`, a.Email); err != nil {
			return err
		}
		//defence:C9 C13
		_, err = d.exec(ctx, `DELETE FROM accounts WHERE claimed = ? AND claimed <> ''`, a.Email)
		return err
	})
}

// ChangeAccount implements broker.Accounts. Conflict also where the new address
// is taken, which spoils a transaction, and where an unverified account would
// become a verified one: that is another account.
func (d *DB) ChangeAccount(ctx context.Context, a broker.Account, seen int64) error {
	if a.AuthEpoch < seen {
		return errors.New("storage: an account's epoch never falls")
	}
	email, claimed := addresses(a)
	change := func(ctx context.Context) error {
		return ifNone(broker.Conflict)(d.exec(ctx, `UPDATE accounts SET email = ?, name = ?, given_name = ?, family_name = ?, locale = ?,
		password_hash = ?, disabled = ?, auth_epoch = ?, lock = ?, claimed = ?, updated_at = ?
		WHERE id = ? AND auth_epoch = ? AND (claimed = '') = ?`,
			email, a.Name, a.GivenName, a.FamilyName, a.Locale, a.PasswordHash, a.Disabled, a.AuthEpoch, restrictionText{a.Restriction}, claimed,
			micros(a.UpdatedAt), a.ID, seen, !a.Unverified))
	}
	if a.AuthEpoch == seen {
		return change(ctx)
	}
	return d.joined(ctx, func(ctx context.Context) error {
		if err := change(ctx); err != nil {
			return err
		}
		return d.endBefore(ctx, a, seen)
	})
}

// endBefore ends the sessions of the epochs that are over. They are dead by comparison
// already; this is for those who are to be told.
func (d *DB) endBefore(ctx context.Context, a broker.Account, seen int64) error {
	at := a.UpdatedAt
	if at.IsZero() {
		at = d.now()
	}
	if _, err := d.exec(ctx, `UPDATE sessions SET ended_at = ? WHERE account_id = ? AND epoch < ? AND ended_at = 0`, micros(at), a.ID, a.AuthEpoch); err != nil {
		return err
	}
	return d.queueLogouts(ctx, at, `f.account_id = ? AND f.epoch = ? AND `+tellable, a.ID, seen, micros(at), micros(at))
}

// each turns rows into nouns; no rows into nil.
func each[R, T any](rows []R, to func(R) T) []T {
	if len(rows) == 0 {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = to(r)
	}
	return out
}
