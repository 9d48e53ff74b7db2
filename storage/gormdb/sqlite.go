package gormdb

import (
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

// openSQLite opens one writer, whose transactions begin IMMEDIATE so that none
// fails half-way for want of the lock, and a pool of readers beside it.
func (d *DB) openSQLite(path string, readers int) error {
	if err := private(path); err != nil {
		return err
	}
	var err error
	if d.writer, err = d.sqlitePool(path, 1, ""); err != nil {
		return err
	}
	if d.disk, err = newDisk(path); err != nil {
		return fmt.Errorf("storage: the SQLite database: %w", err)
	}
	d.reader, err = d.sqlitePool(path, min(readers, max(4, runtime.NumCPU())), "&_query_only=1")
	return err
}

func (d *DB) sqlitePool(path string, size int, option string) (*gorm.DB, error) {
	// NORMAL: a commit is on the disk before it is acknowledged, but it is disk that sees to it.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?_busy_timeout=5000&_journal_mode=WAL&_synchronous=NORMAL" +
		"&_foreign_keys=1&_dqs=0&_defensive=1&_pragma=wal_autocheckpoint(4000)" + option
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("storage: the path of the SQLite database: %w", err)
	}
	pool := sql.OpenDB(statements{connector})
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	d.pools = append(d.pools, pool)
	return gorm.Open(sqliteDialector{pool}, gormConfig())
}

// private sees to it that nobody but the owner reads the file; SQLite gives its
// companions (-wal, -shm) the same mode.
func private(path string) error {
	if path == "" || path == ":memory:" {
		return errors.New("storage: the SQLite database needs the path of a file, such as sqlite:./gatehouse-data/gatehouse.db")
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

// DataTypeOf is asked by migrators only.
func (sqliteDialector) DataTypeOf(*schema.Field) string { return "" }

func (sqliteDialector) DefaultValueOf(*schema.Field) clause.Expression {
	return clause.Expr{SQL: "NULL"}
}

func (sqliteDialector) BindVarTo(w clause.Writer, _ *gorm.Statement, _ any) { _ = w.WriteByte('?') }

// QuoteTo meets only names from this package: a column, or table.column.
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
