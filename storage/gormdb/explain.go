package gormdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gatehouse/broker"
)

// trouble is what went wrong, whichever database said it.
type trouble int

const (
	unknown trouble = iota
	missing         // no row
	taken           // a unique index
	foreign         // a foreign key
	lapsed          // an epoch is NULL: see admitted
	text            // not storable as text
	again           // the database asks to try once more
	down            // no database, or one that can't write
)

// errForeign is in the error of a broken foreign key.
var errForeign = errors.New("foreign key")

// explain gives an error of a driver its Code. The outcome of a write that ended
// in Unavailable is not known: the caller must refuse.
func explain(err error) error {
	if _, named := errors.AsType[broker.Code](err); err == nil || named {
		return err
	}
	switch diagnose(err) {
	case missing:
		return broker.NotFound
	case taken:
		//defence:A5
		return broker.Conflict.Because(err)
	case foreign:
		return broker.Conflict.Because(errors.Join(errForeign, err))
	case lapsed:
		return broker.StartAgain.Because(err)
	case text:
		return broker.RequestInvalid.Because(errText)
	case again, down:
		return broker.Unavailable.Because(err)
	default:
		return err
	}
}

func diagnose(err error) trouble {
	var pg *pgconn.PgError
	var lite *sqlite.Error
	var network net.Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return missing
	case errors.Is(err, errText):
		return text
	case errors.As(err, &pg) && pg.Code == "23502" && pg.ColumnName == "epoch",
		errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_CONSTRAINT_NOTNULL && strings.Contains(lite.Error(), ".epoch"):
		return lapsed
	case errors.As(err, &pg):
		return diagnosePostgres(pg.Code)
	case errors.As(err, &lite):
		return diagnoseSQLite(lite.Code())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, driver.ErrBadConn),
		errors.Is(err, sql.ErrConnDone), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.As(err, &network), pgconn.SafeToRetry(err):
		return down
	default:
		return unknown
	}
}

// diagnosePostgres reads a SQLSTATE (PostgreSQL manual, appendix A).
func diagnosePostgres(state string) trouble {
	switch state {
	case "23505":
		return taken
	case "23503":
		return foreign
	case "22021", "22P05":
		return text
	case "40001", "40P01":
		return again
	case "25006", // a read-only server: the old one, after a fail-over
		"28000", "28P01", "3D000": // it does not let us in
		return down
	}
	switch state[:min(2, len(state))] {
	case "08", "53", "57", "58": // connection, resources, shutdown, I/O
		return down
	}
	return unknown
}

func diagnoseSQLite(code int) trouble {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return taken
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return foreign
	}
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return again
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT:
		return down
	}
	return unknown
}
