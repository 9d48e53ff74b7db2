package gormdb

import (
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gatehouse/broker"
)

var (
	// errText is what PostgreSQL calls 22021: not UTF-8, or with a NUL.
	errText = errors.New("text that is not UTF-8 or holds a NUL")
	// errForeign is in the error of a broken foreign key.
	errForeign = errors.New("foreign key")
)

// explain maps an error of gorm or of a driver to a Code. Any error that is not a refusal
// is Unavailable: the outcome of a write is unknown, so the caller must refuse.
func explain(err error) error {
	if _, named := errors.AsType[broker.Code](err); err == nil || named {
		return err
	}
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return broker.NotFound
	case errors.Is(err, errText), isPostgres(err, "22021"):
		return broker.RequestInvalid.Because(errText)
	case isPostgres(err, "23505"), isSQLite(err, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
		//defence:A5 ./storage/gormdb:TestSQLite
		return broker.Conflict.Because(err)
	case isPostgres(err, "23503"), isSQLite(err, sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY):
		return broker.Conflict.Because(errors.Join(errForeign, err))
	default:
		return broker.Unavailable.Because(err)
	}
}

// retryable reports whether the database refused because of another transaction
// (PostgreSQL: serialization failure, deadlock).
func retryable(err error) bool {
	return isPostgres(err, "40001", "40P01") || isSQLite(err, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
}

func isPostgres(err error, states ...string) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	for _, s := range states {
		if ok && e.Code == s {
			return true
		}
	}
	return false
}

// isSQLite compares extended and primary result codes.
func isSQLite(err error, codes ...int) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	for _, c := range codes {
		if ok && (e.Code() == c || e.Code()&0xff == c) {
			return true
		}
	}
	return false
}
