package gormdb

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

func (d *DB) openPostgres(url string, size int) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The cause may quote the URL, and with it the password.
		return errors.New("storage: the PostgreSQL URL does not parse: " +
			"check its host, its options, and that user and password are percent-encoded")
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "gatehouse"
	}
	settings := "set default_transaction_isolation = 'read committed'"
	if config.RuntimeParams["random_page_cost"] == "" {
		settings += byKey
	}
	// The pool also connects in the background, without a caller's deadline.
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, d.deadline)
	setUp := stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, settings)
		if err != nil {
			_ = c.Close(ctx) // the driver does not
		}
		return err
	})
	pool := stdlib.OpenDB(*config, setUp, stdlib.OptionShouldPing(mayBeDead))
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	// After a fail-over, connections must not stay with the old server.
	pool.SetConnMaxLifetime(30 * time.Minute)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	d.pools, d.postgres = append(d.pools, pool), true
	d.writer, err = gorm.Open(postgres.New(postgres.Config{Conn: pool}), gormConfig(false))
	d.reader = d.writer
	return err
}

// byKey tells the planner that indexes are as cheap as they are in memory and on an SSD
// (PostgreSQL manual 20.7.2). Its default fits a turning disk: each sign-in would read
// or hash a small table as a whole. It is not a start parameter, because poolers refuse
// those. A value in the URL wins.
const byKey = "; set random_page_cost = 1.1"

// mayBeDead reports whether a connection from the pool must be pinged before its use, so that database/sql replaces
// a dead one before the statement instead of failing it: after a pause, or when the server has sent something, which
// is its farewell (a restart, a fail-over).
func mayBeDead(_ context.Context, p stdlib.ShouldPingParams) bool {
	return p.IdleDuration > time.Second ||
		//defence:H6
		readable(p.Conn.PgConn().Conn())
}
