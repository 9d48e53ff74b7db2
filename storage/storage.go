// Package storage opens what Gatehouse keeps: the durable in SQLite or
// PostgreSQL, the ephemeral there too or in Redis.
package storage

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gatehouse/broker"
	"gatehouse/storage/gormdb"
	"gatehouse/storage/redisdb"
)

// Options say where, see gormdb.Options and redisdb.Options.
type Options struct {
	Database string // "sqlite:path" or "postgres://…"
	Pool     int    // connections to the database and, as many, to Redis; 0 for the defaults
	// Synchronous is SQLite's, see gormdb.Options.
	Synchronous string
	Redis       string // "redis://…", or empty: what is ephemeral goes into the database
	Sealer      gormdb.Sealer
	Pinned      func(kind string) []string // settings of a kind that a live connection keeps
	Now         func() time.Time
	Log         *slog.Logger
}

// Store implements every port of package broker that keeps something. Clients
// and connections are read from memory for up to CacheLife; inside a transaction
// only connections, and those until it has changed one.
type Store struct {
	durable
	*cache
	broker.Ephemeral // the one in use, which hides that of the database

	redis *redisdb.DB
}

// durable puts the methods of the database one level deeper than those of the
// cache and of Ephemeral, which therefore win.
type durable struct{ *gormdb.DB }

// Open connects. It does not migrate (see Migrate) and does not check that what
// it found may be used, see Ready.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	db, err := gormdb.Open(ctx, gormdb.Options{
		URL: o.Database, Pool: o.Pool, Synchronous: o.Synchronous, Sealer: o.Sealer, Pinned: o.Pinned, Now: o.Now, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	s := &Store{durable: durable{db}, cache: newCache(db, o.Now), Ephemeral: db}
	if o.Redis == "" {
		return s, nil
	}
	s.redis, err = redisdb.Open(ctx, redisdb.Options{URL: o.Redis, Pool: o.Pool, Now: o.Now, Log: o.Log})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.Ephemeral = joining{s.redis, db}
	return s, nil
}

// Close closes all connections.
func (s *Store) Close() error {
	err := s.DB.Close()
	if s.redis != nil {
		err = errors.Join(err, s.redis.Close())
	}
	return err
}

// EphemeralIn is "redis", "sqlite" or "postgres".
func (s *Store) EphemeralIn() string {
	if s.redis != nil {
		return "redis"
	}
	return s.Dialect()
}

// Ready reports whether the stores answer and may be used: the schema fits, this
// process holds the right keyring, and Redis forgets nothing. The error says
// what to fix. For the question of a load balancer see Alive.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.DB.Ready(ctx); err != nil {
		return err
	}
	if err := s.CheckCanary(ctx); err != nil {
		return err
	}
	if s.redis != nil {
		return s.redis.CheckPolicy(ctx)
	}
	return nil
}

// MaxSkew is how far the clocks of a node and its database may differ
// (SECURITY.md H5).
const MaxSkew = 5 * time.Second

// Alive reports whether the stores answer now and agree about the time.
func (s *Store) Alive(ctx context.Context) error {
	skew, err := s.ClockSkew(ctx)
	if err != nil {
		return err
	}
	//defence:H5
	if skew.Abs() > MaxSkew {
		return broker.Unavailable.Because(errors.New(
			"storage: the clocks of this node and of the database differ by " + skew.String()))
	}
	if err := s.Ping(ctx); err != nil {
		return err
	}
	if s.redis != nil {
		return s.redis.Ping(ctx)
	}
	return nil
}

// joining lets Redis follow the transactions of the database as far as it can:
// what was put is taken back by a roll-back, and the rest is refused inside, as
// it is without Redis.
type joining struct {
	*redisdb.DB
	sql *gormdb.DB
}

var errInTransaction = errors.New("storage: Take, Swap and Count have no place inside a transaction")

func (j joining) Put(ctx context.Context, store, key string, v []byte, expires time.Time) error {
	err := j.DB.Put(ctx, store, key, v, expires)
	if err == nil {
		j.sql.OnRollback(ctx, func() {
			// Left behind, it would be in the way of the next try and expire by itself.
			_, _ = j.DB.Take(context.WithoutCancel(ctx), store, key)
		})
	}
	return err
}

func (j joining) Take(ctx context.Context, store, key string) ([]byte, error) {
	if j.sql.InTransaction(ctx) {
		return nil, errInTransaction
	}
	return j.DB.Take(ctx, store, key)
}

func (j joining) Swap(ctx context.Context, store, key string, old, v []byte) error {
	if j.sql.InTransaction(ctx) {
		return errInTransaction
	}
	return j.DB.Swap(ctx, store, key, old, v)
}

func (j joining) Count(ctx context.Context, store, key string, expires time.Time) (int64, error) {
	if j.sql.InTransaction(ctx) {
		return 0, errInTransaction
	}
	return j.DB.Count(ctx, store, key, expires)
}
