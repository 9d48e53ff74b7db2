package gormdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"
	"modernc.org/sqlite"
)

// openSQLite opens one writer, whose transactions begin IMMEDIATE so that none fails
// half-way waiting for the lock, and a pool of readers.
//
// gorm's PrepareStmt is for the readers only. On the writer it could deadlock: a request
// that prepares a statement waits for the one connection, and the transaction on that
// connection waits for the same statement.
func (d *DB) openSQLite(path string, readers int, synchronous string) error {
	if synchronous != "normal" && synchronous != "full" {
		return fmt.Errorf("storage: SQLite's synchronous is %q; it must be normal or full", synchronous)
	}
	if err := private(path); err != nil {
		return err
	}
	options := "&_txlock=immediate&_synchronous=" + synchronous
	var err error
	if d.writer, err = d.sqlitePool(path, 1, options, false); err != nil {
		return err
	}
	d.reader, err = d.sqlitePool(path, min(readers, max(4, runtime.NumCPU())), options+"&_query_only=1", true)
	return err
}

func (d *DB) sqlitePool(path string, size int, options string, keep bool) (*gorm.DB, error) {
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?_busy_timeout=5000&_journal_mode=WAL" +
		"&_foreign_keys=1&_dqs=0&_defensive=1&_pragma=wal_autocheckpoint(4000)" + options
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("storage: the path of the SQLite database: %w", err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	d.pools = append(d.pools, pool)
	return gorm.Open(sqliteDialector{pool}, gormConfig(keep))
}

// audited refuses a database without a write-ahead log, as on a file system where SQLite
// can't share memory: its readers would block its writer.
func audited(ctx context.Context, writer *sql.DB) error {
	var mode string
	if err := writer.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return fmt.Errorf("storage: the database: %w", explain(err))
	}
	//defence:H6
	if mode != "wal" {
		return fmt.Errorf("storage: the SQLite database cannot keep a write-ahead log in this place "+
			"(its journal_mode stays %q): put it on a local disk", mode)
	}
	return nil
}

// private makes the file readable by its owner only; SQLite gives its companions
// (-wal, -shm) the same mode.
func private(path string) error {
	if path == "" || path == ":memory:" {
		return errors.New("storage: the SQLite database needs the path of a file, " +
			"such as sqlite:./gatehouse-data/gatehouse.db")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("storage: the folder of the SQLite database: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("storage: the SQLite database: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = f.Chmod(info.Mode().Perm() &^ fs.FileMode(0o077))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("storage: the SQLite database: %w", err)
	}
	return nil
}

// sqliteDialector is what gorm must know of SQLite's SQL. It has no migrator:
// goose migrates.
type sqliteDialector struct{ pool gorm.ConnPool }

func (sqliteDialector) Name() string { return "sqlite" }

func (s sqliteDialector) Initialize(db *gorm.DB) error {
	db.ConnPool = s.pool
	callbacks.RegisterDefaultCallbacks(db, &callbacks.Config{
		CreateClauses: []string{"INSERT", "VALUES", "ON CONFLICT", "RETURNING"},
		UpdateClauses: []string{"UPDATE", "SET", "FROM", "WHERE", "RETURNING"},
		DeleteClauses: []string{"DELETE", "FROM", "WHERE", "RETURNING"},
	})
	return nil
}

func (sqliteDialector) Migrator(*gorm.DB) gorm.Migrator { return nil }

// DataTypeOf is for migrators.
func (sqliteDialector) DataTypeOf(*schema.Field) string { return "" }

func (sqliteDialector) DefaultValueOf(*schema.Field) clause.Expression {
	return clause.Expr{SQL: "NULL"}
}

// BindVarTo refuses text that PostgreSQL refuses.
func (sqliteDialector) BindVarTo(w clause.Writer, stmt *gorm.Statement, v any) {
	if s, ok := v.(string); ok && !storable(s) {
		_ = stmt.AddError(errText)
	}
	_ = w.WriteByte('?')
}

// QuoteTo quotes a column, or table.column; all names come from this package.
func (sqliteDialector) QuoteTo(w clause.Writer, name string) {
	_ = w.WriteByte('"')
	for i := range len(name) {
		if name[i] == '.' {
			_, _ = w.WriteString(`"."`)
			continue
		}
		_ = w.WriteByte(name[i])
	}
	_ = w.WriteByte('"')
}

func (sqliteDialector) Explain(query string, vars ...any) string {
	return logger.ExplainSQL(query, nil, `'`, vars...)
}
