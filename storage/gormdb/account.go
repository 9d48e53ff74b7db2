package gormdb

import (
	"context"
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
	Created      int64 `gorm:"column:created_at"`
	Updated      int64 `gorm:"column:updated_at"`
}

func (accountRow) TableName() string { return "accounts" }

const accountColumns = `id, email, name, given_name, family_name, locale, password_hash, disabled, auth_epoch, created_at, updated_at`

// joinedAccount are the columns of an account, a, beside those of another row.
const joinedAccount = `a.id AS a_id, a.email AS a_email, a.name AS a_name, a.given_name AS a_given_name, a.family_name AS a_family_name,
	a.locale AS a_locale, a.password_hash AS a_password_hash, a.disabled AS a_disabled, a.auth_epoch AS a_auth_epoch,
	a.created_at AS a_created_at, a.updated_at AS a_updated_at`

func toAccount(r accountRow) broker.Account {
	return broker.Account{
		ID: r.ID, Email: r.Email, Name: r.Name, GivenName: r.GivenName, FamilyName: r.FamilyName, Locale: r.Locale,
		PasswordHash: r.PasswordHash, Disabled: r.Disabled, AuthEpoch: r.AuthEpoch,
		CreatedAt: moment(r.Created), UpdatedAt: moment(r.Updated),
	}
}

// Account implements broker.Accounts.
func (d *DB) Account(ctx context.Context, id string) (broker.Account, error) {
	var r accountRow
	err := d.one(ctx, &r, `SELECT `+accountColumns+` FROM accounts WHERE id = ?`, id)
	return toAccount(r), err
}

// AccountByEmail implements broker.Accounts.
func (d *DB) AccountByEmail(ctx context.Context, email string) (broker.Account, error) {
	var r accountRow
	err := d.one(ctx, &r, `SELECT `+accountColumns+` FROM accounts WHERE email = ?`, email)
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
	return ifNone(broker.Conflict)(d.exec(ctx, `INSERT INTO accounts (`+accountColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		a.ID, a.Email, a.Name, a.GivenName, a.FamilyName, a.Locale, a.PasswordHash, a.Disabled, a.AuthEpoch,
		micros(a.CreatedAt), micros(a.UpdatedAt)))
}

// ChangeAccount implements broker.Accounts. Conflict also where the new address
// is taken, which spoils a transaction.
func (d *DB) ChangeAccount(ctx context.Context, a broker.Account, seen int64) error {
	if a.AuthEpoch < seen {
		return errors.New("storage: an account's epoch never falls")
	}
	return ifNone(broker.Conflict)(d.exec(ctx, `UPDATE accounts SET email = ?, name = ?, given_name = ?, family_name = ?, locale = ?,
		password_hash = ?, disabled = ?, auth_epoch = ?, updated_at = ? WHERE id = ? AND auth_epoch = ?`,
		a.Email, a.Name, a.GivenName, a.FamilyName, a.Locale, a.PasswordHash, a.Disabled, a.AuthEpoch, micros(a.UpdatedAt), a.ID, seen))
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
