package gormdb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	if err != nil {
		return err
	}
	if err = refuseTransactionPooling(config, pool); err != nil && !errors.Is(err, errPooled) {
		err = fmt.Errorf("storage: the database: %w", explain(err))
	}
	return err
}

// errPooled says what is wrong with a pooler that gives each transaction another connection.
var errPooled = errors.New("storage: PostgreSQL is behind a pooler in transaction mode, which loses prepared " +
	"statements and the lock of migrations: set pool_mode = session for this database " +
	"(PgBouncer), or connect to PostgreSQL itself")

// refuseTransactionPooling finds a pooler that lends the same server connection to two clients
// who both stay connected. The key of a connection that a pooler gives out is not the server's.
func refuseTransactionPooling(config *pgx.ConnConfig, pool *sql.DB) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(driver any) error {
		one := driver.(*stdlib.Conn).Conn()
		server, err := backend(ctx, one)
		if err != nil || server == one.PgConn().PID() {
			return err
		}
		two, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		defer two.Close(ctx)
		for range 5 {
			first, err := backend(ctx, one)
			if err != nil {
				return err
			}
			second, err := backend(ctx, two)
			if err == nil && second == first {
				err = errPooled
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// backend returns the process of the server that answers, without a prepared statement.
func backend(ctx context.Context, c *pgx.Conn) (pid uint32, err error) {
	err = c.QueryRow(ctx, "select pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	return pid, err
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
