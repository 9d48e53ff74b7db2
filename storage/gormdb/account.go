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

const accountColumns = `id, email, name, given_name, family_name, locale, password_hash, disabled, auth_epoch, created_at, updated_at`

// joinedAccount are the same, of an account a beside another row.
const joinedAccount = `a.id, a.email, a.name, a.given_name, a.family_name, a.locale, a.password_hash, a.disabled, a.auth_epoch,
	a.created_at, a.updated_at`

// into are the places of accountColumns.
func (r *accountRow) into() []any {
	return []any{&r.ID, &r.Email, &r.Name, &r.GivenName, &r.FamilyName, &r.Locale, &r.PasswordHash, &r.Disabled, &r.AuthEpoch, &r.Created, &r.Updated}
}

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
	err := d.first(ctx, r.into(), `SELECT `+accountColumns+` FROM accounts WHERE id = ?`, id)
	return toAccount(r), err
}

// AccountByEmail implements broker.Accounts.
func (d *DB) AccountByEmail(ctx context.Context, email string) (broker.Account, error) {
	var r accountRow
	err := d.first(ctx, r.into(), `SELECT `+accountColumns+` FROM accounts WHERE email = ?`, email)
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
