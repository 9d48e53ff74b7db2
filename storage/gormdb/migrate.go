package gormdb

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/gorm"
)

//go:embed migrations
var migrations embed.FS

// Schema compares the versions of the database and of this binary.
type Schema struct {
	Database int64 // of the database; 0 for an empty one
	Binary   int64 // that this binary brings
	// Oldest is the oldest schema version whose binaries may still use the database. A
	// migration that only adds keeps it; one that removes something raises it ("floor" in
	// table deployment), one release after binaries stopped needing that. So releases N
	// and N−1 run side by side.
	Oldest int64
}

// Migrate brings the schema up to the binary's version. Replicas may start together: on
// PostgreSQL one migrates while the others wait for its advisory lock. The lock needs its
// own session, so a pooler must not be in transaction mode.
func (d *DB) Migrate(ctx context.Context) error {
	s, err := d.MigrationStatus(ctx)
	if err != nil {
		return err
	}
	if s.Database >= s.Binary {
		return d.prepare(ctx)
	}
	dialect := goose.DialectSQLite3
	options := []goose.ProviderOption{goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true)}
	if d.postgres {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300), lock.WithUnlockTimeout(1, 10))
		if err != nil {
			return fmt.Errorf("storage: migrate: %w", err)
		}
		dialect, options = goose.DialectPostgres, append(options, goose.WithSessionLocker(locker))
	}
	folder, err := fs.Sub(migrations, "migrations/"+d.Dialect())
	if err != nil {
		return fmt.Errorf("storage: migrate: %w", err)
	}
	provider, err := goose.NewProvider(dialect, d.pools[0], folder, options...)
	if err != nil {
		return fmt.Errorf("storage: migrate: %w", err)
	}
	for {
		_, err := provider.Up(ctx)
		if err == nil {
			return d.prepare(ctx)
		}
		// SQLite has no advisory lock: another process may just have applied this version,
		// but not the next one yet.
		now, again := d.MigrationStatus(ctx)
		switch {
		case d.postgres || again != nil || now.Database <= s.Database:
			return fmt.Errorf("storage: migrate: %w", explain(err))
		case now.Database >= now.Binary:
			return d.prepare(ctx)
		}
		s = now
	}
}

// MigrationStatus reads the versions and changes nothing.
func (d *DB) MigrationStatus(ctx context.Context) (Schema, error) {
	var s Schema
	files, err := fs.ReadDir(migrations, "migrations/"+d.Dialect())
	if err != nil {
		return s, fmt.Errorf("storage: the migrations: %w", err)
	}
	if s.Binary, err = goose.NumericComponent(files[len(files)-1].Name()); err != nil {
		return s, fmt.Errorf("storage: the migrations: %w", err)
	}
	catalog := `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('goose_db_version', 'deployment')`
	if d.postgres {
		catalog = `SELECT count(*) FROM information_schema.tables
			WHERE table_schema = current_schema() AND table_name IN ('goose_db_version', 'deployment')`
	}
	var tables int
	if err := d.scan(ctx, &tables, catalog); err != nil || tables < 2 {
		return s, err
	}
	const applied = `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`
	if err := d.scan(ctx, &s.Database, applied); err != nil {
		return s, err
	}
	var floor string
	if err := d.scan(ctx, &floor, `SELECT value FROM deployment WHERE id = 'floor'`); err != nil {
		return s, fmt.Errorf("storage: the oldest version of the schema: %w", err)
	}
	if s.Oldest, err = strconv.ParseInt(floor, 10, 64); err != nil {
		return s, fmt.Errorf("storage: the oldest version of the schema is not a number; "+
			"restore the database from its backup: %w", err)
	}
	return s, nil
}

// scan reads one value on the connection that writes: on SQLite the readers may see an
// older schema.
func (d *DB) scan(ctx context.Context, into any, query string) error {
	return d.run(ctx, d.writer, func(q *gorm.DB) error { return q.Raw(query).Scan(into).Error })
}

// Ready returns nil if this binary can use the schema, else an error that says what to
// do.
func (d *DB) Ready(ctx context.Context) error {
	s, err := d.MigrationStatus(ctx)
	switch {
	case err != nil:
		return err
	case s.Database == 0:
		return errors.New("storage: the database is empty: run `gatehouse migrate`")
	case s.Database < s.Binary:
		return fmt.Errorf("storage: the database has schema version %d and this gatehouse needs %d: run `gatehouse migrate`",
			s.Database, s.Binary)
	case s.Oldest > s.Binary:
		return fmt.Errorf("storage: the database has schema version %d, which a gatehouse of schema version %d (this one) "+
			"can no longer use: install a newer gatehouse", s.Database, s.Binary)
	}
	return d.prepare(ctx)
}

// ClockSkew returns a lower bound of how far the database's clock is ahead of ours, which
// excludes the time of the query itself. On SQLite there is one clock. No other code asks
// SQL for the time.
func (d *DB) ClockSkew(ctx context.Context) (time.Duration, error) {
	if !d.postgres {
		return 0, nil
	}
	var us int64
	before := d.now()
	err := d.scan(ctx, &us, `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`)
	after := d.now()
	if err != nil {
		return 0, err
	}
	theirs := time.UnixMicro(us)
	switch {
	case theirs.Before(before):
		return theirs.Sub(before), nil
	case theirs.After(after):
		return theirs.Sub(after), nil
	default:
		return 0, nil
	}
}
