// Package redisdb stores ephemeral values in Redis, in one round trip per call (two for a counter after its
// first count).
package redisdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/broker"
)

// prefix separates these keys from others in the same database.
const prefix = "gatehouse:"

// Options say which server to use.
type Options struct {
	// URL is "redis://user:password@host:port/db", "rediss://…" for TLS, or
	// "unix:///path/to/socket".
	URL string
	// Pool is the largest number of connections; 0 means 10 per processor.
	Pool int
	Now  func() time.Time // nil is time.Now
	Log  *slog.Logger     // nil is slog.Default; it also gets the driver's lines, process-wide
}

// DB implements broker.Ephemeral. Connection errors are Unavailable; the call may still have taken effect.
type DB struct {
	client *redis.Client
	now    func() time.Time
	swap   *redis.Script
	count  *redis.Script

	mu    sync.Mutex
	full  bool
	asked time.Time // when full was read
}

// Open connects to the server; Unavailable if it can't be reached.
func Open(ctx context.Context, o Options) (*DB, error) {
	options, err := redis.ParseURL(o.URL)
	if err != nil {
		// The cause may quote the URL, including the password.
		return nil, errors.New("storage: the Redis URL does not parse: it must look like " +
			"redis://user:password@host:6379/0, user and password percent-encoded")
	}
	options.PoolSize = o.Pool
	// Take and Count must not be repeated when only the reply was lost.
	options.MaxRetries = -1
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	redis.SetLogger(driverLog{o.Log})
	d := &DB{client: redis.NewClient(options), now: o.Now, swap: redis.NewScript(swapScript),
		count: redis.NewScript(countScript)}
	if err := d.client.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(unavailable(err), d.Close())
	}
	return d, nil
}

// driverLog writes the driver's messages to our log.
type driverLog struct{ *slog.Logger }

// Printf implements the driver's logger.
func (l driverLog) Printf(ctx context.Context, format string, v ...any) {
	l.WarnContext(ctx, "redis driver: "+fmt.Sprintf(format, v...))
}

// Close closes all connections.
func (d *DB) Close() error { return d.client.Close() }

// Ping returns nil if the server responds.
func (d *DB) Ping(ctx context.Context) error { return unavailable(d.client.Ping(ctx).Err()) }

// CheckPolicy refuses a server that may evict values before they expire, because an evicted replay mark could be
// used again.
func (d *DB) CheckPolicy(ctx context.Context) error {
	info, err := d.client.InfoMap(ctx, "memory").Result()
	if err != nil {
		return unavailable(err)
	}
	if policy := info["Memory"]["maxmemory_policy"]; policy != "noeviction" {
		return fmt.Errorf("storage: Redis has maxmemory-policy %q and would forget live logins and codes when it is full: "+
			"set maxmemory-policy noeviction, or give Gatehouse a Redis of its own", policy)
	}
	return nil
}

// Put implements broker.Ephemeral.
func (d *DB) Put(ctx context.Context, store, key string, v []byte, expires time.Time) error {
	err := d.client.SetArgs(ctx, name(store, key), v, redis.SetArgs{Mode: "NX", TTL: d.left(expires)}).Err()
	if errors.Is(err, redis.Nil) {
		return broker.Conflict
	}
	return unavailable(err)
}

// Get implements broker.Ephemeral.
func (d *DB) Get(ctx context.Context, store, key string) ([]byte, error) {
	return found(d.client.Get(ctx, name(store, key)).Bytes())
}

// Take implements broker.Ephemeral.
func (d *DB) Take(ctx context.Context, store, key string) ([]byte, error) {
	return found(d.client.GetDel(ctx, name(store, key)).Bytes())
}

// Swap implements broker.Ephemeral.
func (d *DB) Swap(ctx context.Context, store, key string, old, v []byte) error {
	answer, err := d.swap.Run(ctx, d.client, []string{name(store, key)}, old, v).Int()
	switch {
	case err != nil:
		return unavailable(err)
	case answer < 0:
		return broker.NotFound
	case answer == 0:
		return broker.Conflict
	}
	return nil
}

const swapScript = `local v = redis.call('GET', KEYS[1])
if not v then return -1 end
if v ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1`

// Count implements broker.Ephemeral. Most counters never reach two, and the script costs the server several
// times as much as a plain command.
func (d *DB) Count(ctx context.Context, store, key string, expires time.Time) (int64, error) {
	err := d.Put(ctx, store, key, []byte("1"), expires)
	if !errors.Is(err, broker.Conflict) {
		return 1, err
	}
	n, err := d.count.Run(ctx, d.client, []string{name(store, key)}, d.left(expires).Milliseconds()).Int64()
	return n, unavailable(err)
}

// fullAt is the part of maxmemory, in percent, beyond which the store counts as nearly full. The rest is for the
// sign-ins that have begun: Redis refuses every write when it is full, those of their next steps too.
const fullAt = 85

// roomLife is how long an answer about the memory holds.
const roomLife = time.Second

// Room implements broker.Ephemeral. A Redis without maxmemory always has room.
func (d *DB) Room(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.now(); now.Sub(d.asked).Abs() >= roomLife {
		info, err := d.client.InfoMap(ctx, "memory").Result()
		if err != nil {
			return unavailable(err)
		}
		used, _ := strconv.ParseUint(info["Memory"]["used_memory"], 10, 64)
		most, _ := strconv.ParseUint(info["Memory"]["maxmemory"], 10, 64)
		d.full, d.asked = most > 0 && used*100 >= most*fullAt, now
	}
	//defence:H4
	if d.full {
		return broker.Retry{Code: broker.Busy, After: 60}
	}
	return nil
}

const countScript = `local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return n`

// name includes the length of the store's name, so that no two pairs share a key.
func name(store, key string) string {
	return fmt.Sprintf("%s%d:%s:%s", prefix, len(store), store, key)
}

// left returns the time until expires by the process's clock; the server's clock is not used.
func (d *DB) left(expires time.Time) time.Duration {
	return max(expires.Sub(d.now()).Round(time.Millisecond), time.Millisecond)
}

func found(v []byte, err error) ([]byte, error) {
	if errors.Is(err, redis.Nil) {
		return nil, broker.NotFound
	}
	return v, unavailable(err)
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return broker.Unavailable.Because(fmt.Errorf("redis: %w", err))
}
