// Package gormdb stores durable data, and ephemeral data where there is no Redis, in
// SQLite or PostgreSQL.
package gormdb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"gatehouse/broker"
)

// Options say which database to open and what a DB needs.
type Options struct {
	// URL is "sqlite:path" or "postgres://user:password@host/database?options".
	URL string
	// Pool bounds the open connections on PostgreSQL, and the readers on SQLite, which
	// are also bounded by the number of processors. 0 is 10.
	Pool int
	// Synchronous is SQLite's pragma, "normal" or "full"; empty is "normal".
	Synchronous string
	// Sealer seals secret columns. Without one nothing secret can be stored or read.
	Sealer Sealer
	// Pinned names the settings of a connection kind that must not change once a
	// connection was live. nil pins all of them.
	Pinned func(kind string) []string
	// KeepEvents is how long Purge keeps audit events; 0 is without end.
	KeepEvents time.Duration
	// Deadline bounds each call and each transaction; 0 is 5 seconds.
	Deadline time.Duration
	Now      func() time.Time // nil is time.Now
	Log      *slog.Logger     // nil is slog.Default
}

// DB implements every durable port of package broker, and Ephemeral. It is safe for
// concurrent use. For text that is not UTF-8 or has a NUL, a write returns RequestInvalid
// and a look-up NotFound. Times are stored to the microsecond, in UTC.
type DB struct {
	writer   *gorm.DB
	reader   *gorm.DB // the same as writer on PostgreSQL
	pools    []*sql.DB
	postgres bool
	writes   map[string]*sql.Stmt // see prepare
	reads    map[string]*sql.Stmt
	session  withAccount
	identity withAccount
	grant    withAccount

	insertSession, insertGrant string // see compose

	sealer Sealer
	pinned func(kind string) []string

	deadline, keepEvents time.Duration

	now func() time.Time
	log *slog.Logger
}

// Open connects to the database; it neither migrates nor checks the schema, see
// Migrate and Ready. Unavailable if the database can't be reached.
func Open(ctx context.Context, o Options) (*DB, error) {
	registerSerializers()
	d := &DB{sealer: o.Sealer, pinned: o.Pinned, now: o.Now, log: o.Log,
		deadline: cmp.Or(o.Deadline, 5*time.Second), keepEvents: o.KeepEvents}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.Default()
	}
	if o.Pool == 0 {
		o.Pool = 10
	}
	if o.Pool < 0 {
		return nil, errors.New("storage: the pool needs at least one connection")
	}
	kind, rest, _ := strings.Cut(o.URL, ":")
	var err error
	switch kind {
	case "sqlite":
		err = d.openSQLite(strings.TrimPrefix(rest, "//"), o.Pool, cmp.Or(o.Synchronous, "normal"))
	case "postgres", "postgresql":
		err = d.openPostgres(o.URL, o.Pool)
	default:
		return nil, errors.New(`storage: the database must be "sqlite:path" or "postgres://…"`)
	}
	if err == nil {
		err = d.compose()
	}
	if err == nil {
		err = d.Ping(ctx)
	}
	if err == nil && !d.postgres {
		err = audited(ctx, d.pools[0])
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Ping returns nil while the database can be reached.
func (d *DB) Ping(ctx context.Context) error {
	ctx, cancel := d.within(ctx, d.writer)
	defer cancel()
	for _, p := range d.pools {
		if err := p.PingContext(ctx); err != nil {
			return fmt.Errorf("storage: the database: %w", explain(err))
		}
	}
	return nil
}

// aliveSize is more than a page of either engine, so that a full disk cannot hide in the room of a page.
const aliveSize = 16 << 10

// CheckWrite returns nil if the database can be written: its disk is not full, and it is no standby.
func (d *DB) CheckWrite(ctx context.Context) error {
	key := broker.NewID()
	err := d.Put(ctx, "alive", key, make([]byte, aliveSize), d.now().Add(time.Minute))
	if err == nil {
		_, err = d.Take(ctx, "alive", key)
	}
	if err != nil {
		return fmt.Errorf("storage: the database cannot be written: %w", err)
	}
	return nil
}

// Close closes all connections. It does not wait for transactions.
func (d *DB) Close() error {
	var errs []error
	for _, p := range d.pools {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// Dialect is "sqlite" or "postgres".
func (d *DB) Dialect() string {
	if d.postgres {
		return "postgres"
	}
	return "sqlite"
}

// Stats returns the statistics of the writers' pool and, on SQLite, of the readers' pool.
func (d *DB) Stats() []sql.DBStats {
	stats := make([]sql.DBStats, len(d.pools))
	for i, p := range d.pools {
		stats[i] = p.Stats()
	}
	return stats
}

// lock is the locking clause on PostgreSQL. SQLite has one writer and needs none.
func (d *DB) lock(words string) string {
	if d.postgres {
		return words
	}
	return ""
}

// forUpdate locks the rows that are read, on PostgreSQL.
func (d *DB) forUpdate(q *gorm.DB) *gorm.DB {
	if d.postgres {
		return q.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate})
	}
	return q
}

// skipLocked locks the selected rows on PostgreSQL, and skips those already locked.
func (d *DB) skipLocked(q *gorm.DB) *gorm.DB {
	if d.postgres {
		return q.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate, Options: clause.LockingOptionsSkipLocked})
	}
	return q
}

// gormConfig prepares statements where keep is set. pgx does that itself; for SQLite's
// writer see prepare.
func gormConfig(keep bool) *gorm.Config {
	return &gorm.Config{
		PrepareStmt:            keep,
		SkipDefaultTransaction: true,
		QueryFields:            true,           // name the columns, never *
		Logger:                 logger.Discard, // it would write values into the log
		DisableAutomaticPing:   true,
	}
}
