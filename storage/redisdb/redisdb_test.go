package redisdb_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/broker"
	"gatehouse/storage/redisdb"
	"gatehouse/storage/storetest"
)

// server is the Redis that the environment names; deploy/check.sh starts it.
func server(t testing.TB) string {
	t.Helper()
	return storetest.Redis(t, os.Getenv("GATEHOUSE_TEST_REDIS"))
}

func open(t testing.TB, o redisdb.Options) *redisdb.DB {
	t.Helper()
	if o.URL == "" {
		o.URL = server(t)
	}
	d, err := redisdb.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestRedis(t *testing.T) {
	storetest.Ephemeral(t, func(t *testing.T) broker.Ephemeral { return open(t, redisdb.Options{}) })
}

func TestRedisWithOneConnection(t *testing.T) {
	storetest.Ephemeral(t, func(t *testing.T) broker.Ephemeral { return open(t, redisdb.Options{Pool: 1}) })
}

func TestTheLifeIsCountedByOurClockNotTheServers(t *testing.T) {
	past := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	d, key := open(t, redisdb.Options{Now: func() time.Time { return past }}), broker.NewID()
	if err := d.Put(t.Context(), "shelf", key, []byte("v"), past.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(t.Context(), "shelf", key); err != nil {
		t.Fatal(err)
	}
}

func TestEveryKeyIsOursAndExpires(t *testing.T) {
	d, store := open(t, redisdb.Options{}), broker.NewID()
	soon := time.Now().Add(time.Minute)
	if err := d.Put(t.Context(), store, "key", []byte("v"), soon); err != nil {
		t.Fatal(err)
	}
	if err := d.Swap(t.Context(), store, "key", []byte("v"), []byte("w")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Count(t.Context(), store, "counter", soon); err != nil {
		t.Fatal(err)
	}
	options, err := redis.ParseURL(server(t))
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(options)
	defer c.Close()
	keys := c.Keys(t.Context(), "*"+store+"*").Val()
	if len(keys) != 2 {
		t.Fatalf("keys %q", keys)
	}
	for _, k := range keys {
		if ttl := c.PTTL(t.Context(), k).Val(); !strings.HasPrefix(k, "gatehouse:") || ttl <= 0 || ttl > time.Minute {
			t.Errorf("key %q lives %v", k, ttl)
		}
	}
}

func TestAServerThatEvictsIsRefused(t *testing.T) {
	u, err := url.Parse(server(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := open(t, redisdb.Options{}).CheckPolicy(t.Context()); err != nil {
		t.Fatal(err)
	}
	u.Host = storetest.Rewriting(t, u.Host, "maxmemory_policy:noeviction", "maxmemory_policy:any_forget")
	err = open(t, redisdb.Options{URL: u.String()}).CheckPolicy(t.Context())
	if err == nil || !strings.Contains(err.Error(), "any_forget") ||
		!strings.Contains(err.Error(), "set maxmemory-policy noeviction") {
		t.Fatalf("error %v", err)
	}
}

func TestAServerThatIsDownIsUnavailable(t *testing.T) {
	_, err := redisdb.Open(t.Context(), redisdb.Options{URL: "redis://127.0.0.1:1/0"})
	if !errors.Is(err, broker.Unavailable) {
		t.Fatalf("error %v", err)
	}
}

func TestH6_AUserThatMayNotLogInAnyMoreIsUnavailable(t *testing.T) {
	options, err := redis.ParseURL(server(t))
	if err != nil {
		t.Fatal(err)
	}
	admin := redis.NewClient(options)
	t.Cleanup(func() { _ = admin.Close() })
	do := func(args ...any) {
		t.Helper()
		if err := admin.Do(context.Background(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	user := "gatehouse-" + strings.ToLower(broker.NewID())
	do("ACL", "SETUSER", user, "on", ">secret", "~*", "+@all")
	t.Cleanup(func() { do("ACL", "DELUSER", user) })
	u, err := url.Parse(server(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, "secret")
	d := open(t, redisdb.Options{URL: u.String()})
	do("ACL", "SETUSER", user, "off")
	do("CLIENT", "KILL", "USER", user)
	if _, err := d.Get(t.Context(), "shelf", "nothing"); !errors.Is(err, broker.Unavailable) {
		t.Errorf("error %v", err)
	}
}

func TestAURLThatDoesNotParseKeepsItsPassword(t *testing.T) {
	_, err := redisdb.Open(t.Context(), redisdb.Options{URL: "redis://user:pa%ss@host/0"})
	if err == nil || strings.Contains(err.Error(), "pa%ss") {
		t.Fatalf("error %v", err)
	}
}

func TestH4_AServerThatIsNearlyFullHasNoRoomAndStillServes(t *testing.T) {
	u, err := url.Parse(server(t))
	if err != nil {
		t.Fatal(err)
	}
	full := *u
	full.Host = storetest.Rewriting(t, u.Host, "\r\nmaxmemory:0\r\n", "\r\nmaxmemory:9\r\n")
	for name, c := range map[string]struct {
		url  string
		want error
	}{"without a limit": {u.String(), nil}, "with one that is reached": {full.String(), broker.Busy}} {
		t.Run(name, func(t *testing.T) {
			d := open(t, redisdb.Options{URL: c.url})
			if err := d.Room(t.Context()); !errors.Is(err, c.want) {
				t.Fatalf("room: %v", err)
			}
			if err := d.Put(t.Context(), "shelf", broker.NewID(), []byte("v"), time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		})
	}
}
