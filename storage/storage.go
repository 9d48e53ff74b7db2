// Package storage opens the stores: durable data is in SQLite or PostgreSQL, ephemeral
// data there too or in Redis.
package storage

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"gatehouse/broker"
	"gatehouse/storage/gormdb"
	"gatehouse/storage/redisdb"
)

// Options say which stores to open, see gormdb.Options and redisdb.Options.
type Options struct {
	Database string // "sqlite:path" or "postgres://…"
	Pool     int    // connections to the database and, as many, to Redis; 0 for the defaults
	// Synchronous is SQLite's, see gormdb.Options.
	Synchronous string
	Redis       string // "redis://…"; empty to keep ephemeral data in the database
	Sealer      gormdb.Sealer
	Pinned      func(kind string) []string // settings of a kind that never change once live
	KeepEvents  time.Duration              // how long audit events are kept; 0 without end
	Refusals    int                        // of strangers, recorded per hour, kind and network; 0 for 100
	Now         func() time.Time
	Log         *slog.Logger
}

// Store implements every storage port of package broker. Clients and connections are
// read from memory for up to CacheLife; inside a transaction only connections, and only
// until it changes a client or a connection.
type Store struct {
	durable
	*cache
	broker.Ephemeral // of Redis or of the database

	redis    *redisdb.DB
	refusals int64
}

// durable puts the methods of the database one level deeper than those of cache and
// Ephemeral, so that Go promotes the latter.
type durable struct{ *gormdb.DB }

// Open connects. It does not migrate, see Migrate, and does not check whether the stores
// may be used, see Ready.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	db, err := gormdb.Open(ctx, gormdb.Options{
		URL: o.Database, Pool: o.Pool, Synchronous: o.Synchronous, Sealer: o.Sealer, Pinned: o.Pinned, Now: o.Now, Log: o.Log,
		KeepEvents: o.KeepEvents,
	})
	if err != nil {
		return nil, err
	}
	s := &Store{durable: durable{db}, cache: newCache(db, o.Now), Ephemeral: db, refusals: int64(cmp.Or(o.Refusals, 100))}
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

// Ready returns nil where the stores can be used: the schema fits, this process has the
// right keyring, and Redis evicts nothing. The error says what to fix. A load balancer
// asks Alive instead.
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

// Alive returns nil while the stores can be reached, agree about the time, and the
// database can be written. A full Redis counts as alive, see Room: no other replica has
// another one.
func (s *Store) Alive(ctx context.Context) error {
	skew, err := s.ClockSkew(ctx)
	if err != nil {
		return err
	}
	//defence:H5
	if skew.Abs() > MaxSkew {
		return broker.Unavailable.Because(
			errors.New("storage: the clocks of this node and of the database differ by " + skew.String()))
	}
	if err := s.Ping(ctx); err != nil {
		return err
	}
	if err := s.CheckWrite(ctx); err != nil {
		return err
	}
	if s.redis != nil {
		return s.redis.Ping(ctx)
	}
	return nil
}

// joining makes Redis follow the transactions of the database as far as possible: a
// roll-back removes what Put stored, and the other writes are refused inside, as they
// are without Redis.
type joining struct {
	*redisdb.DB
	sql *gormdb.DB
}

var errInTransaction = errors.New("storage: Take, Swap and Count must not be called inside a transaction")

func (j joining) Put(ctx context.Context, store, key string, v []byte, expires time.Time) error {
	err := j.DB.Put(ctx, store, key, v, expires)
	if err == nil {
		j.sql.OnRollback(ctx, func() {
			// The next try would find it. If this fails too, it expires by itself.
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
