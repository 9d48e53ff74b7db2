package redisdb_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/broker"
	"gatehouse/storage/redisdb"
	"gatehouse/storage/storetest"
)

// server is the Redis that the environment names; deploy/check.sh starts one.
func server(t testing.TB) string {
	t.Helper()
	u := os.Getenv("GATEHOUSE_TEST_REDIS")
	if u == "" {
		t.Fatal("set GATEHOUSE_TEST_REDIS to the URL of a Redis server that tests may flush, or run deploy/check.sh")
	}
	return u
}

func open(t testing.TB, o redisdb.Options) *redisdb.DB {
	t.Helper()
	o.URL = server(t)
	options, err := redis.ParseURL(o.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(options)
	defer c.Close()
	if err := c.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	d, err := redisdb.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestRedis(t *testing.T) {
	storetest.Fleeting(t, func(t *testing.T) broker.Fleeting { return open(t, redisdb.Options{}) })
}

func TestRedisWithOneConnection(t *testing.T) {
	storetest.Fleeting(t, func(t *testing.T) broker.Fleeting { return open(t, redisdb.Options{Pool: 1}) })
}

func TestTheLifeIsCountedByOurClockNotTheServers(t *testing.T) {
	past := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	d := open(t, redisdb.Options{Now: func() time.Time { return past }})
	if err := d.Put(t.Context(), "shelf", "key", []byte("v"), past.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(t.Context(), "shelf", "key"); err != nil {
		t.Fatal(err)
	}
}

func TestEveryKeyIsOursAndExpires(t *testing.T) {
	d := open(t, redisdb.Options{})
	soon := time.Now().Add(time.Minute)
	if err := d.Put(t.Context(), "shelf", "key", []byte("v"), soon); err != nil {
		t.Fatal(err)
	}
	if err := d.Swap(t.Context(), "shelf", "key", []byte("v"), []byte("w")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Count(t.Context(), "counter", "key", soon); err != nil {
		t.Fatal(err)
	}
	options, _ := redis.ParseURL(server(t))
	c := redis.NewClient(options)
	defer c.Close()
	keys := c.Keys(t.Context(), "*").Val()
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
	d := open(t, redisdb.Options{})
	options, _ := redis.ParseURL(server(t))
	c := redis.NewClient(options)
	defer c.Close()
	before := c.ConfigGet(t.Context(), "maxmemory-policy").Val()["maxmemory-policy"]
	defer c.ConfigSet(t.Context(), "maxmemory-policy", before)
	for policy, accepted := range map[string]bool{"noeviction": true, "allkeys-lru": false, "volatile-ttl": false} {
		if err := c.ConfigSet(t.Context(), "maxmemory-policy", policy).Err(); err != nil {
			t.Fatal(err)
		}
		if err := d.CheckPolicy(t.Context()); (err == nil) != accepted {
			t.Errorf("%s: %v", policy, err)
		}
	}
}

func TestAServerThatIsAwayIsUnavailable(t *testing.T) {
	_, err := redisdb.Open(t.Context(), redisdb.Options{URL: "redis://127.0.0.1:1/0"})
	if !errors.Is(err, broker.Unavailable) {
		t.Fatalf("error %v", err)
	}
}

func TestAURLThatDoesNotParseKeepsItsPassword(t *testing.T) {
	_, err := redisdb.Open(t.Context(), redisdb.Options{URL: "redis://user:pa%ss@host/0"})
	if err == nil || strings.Contains(err.Error(), "pa%ss") {
		t.Fatalf("error %v", err)
	}
}
