package storage_test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/seal"
	"gatehouse/storage"
	"gatehouse/storage/storetest"
)

func redisServer(t *testing.T) string {
	t.Helper()
	return storetest.Redis(t, os.Getenv("GATEHOUSE_TEST_REDIS"))
}

func sqliteFile(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "g.db") }

func open(t *testing.T, o storage.Options) *storage.Store {
	t.Helper()
	if o.Database == "" {
		o.Database = sqliteFile(t)
	}
	if o.Sealer == nil {
		k, err := seal.New(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		o.Sealer = k
	}
	s, err := storage.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func backend(s *storage.Store) storetest.Backend {
	return storetest.Backend{
		Atomic: s, Accounts: s, Identities: s, Sessions: s, Grants: s, Clients: s, Connections: s, Consents: s,
		AuditLog: s, Outbox: s, Logouts: s, UpstreamSessions: s, Keys: s, ReplayCache: s, Leases: s, Ephemeral: s,
	}
}

func TestTheStoreKeepsTheContractOfItsParts(t *testing.T) {
	t.Run("alone", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Backend { return backend(open(t, storage.Options{})) })
	})
	t.Run("with Redis", func(t *testing.T) {
		with := func(t *testing.T) *storage.Store { return open(t, storage.Options{Redis: redisServer(t)}) }
		storetest.Run(t, func(t *testing.T) storetest.Backend { return backend(with(t)) })
		storetest.Ephemeral(t, func(t *testing.T) broker.Ephemeral { return with(t) })
	})
}

func TestEphemeralDataIsWhereItIsConfigured(t *testing.T) {
	alone, with := open(t, storage.Options{}), open(t, storage.Options{Redis: redisServer(t)})
	if alone.EphemeralIn() != "sqlite" || with.EphemeralIn() != "redis" {
		t.Fatalf("%s, %s", alone.EphemeralIn(), with.EphemeralIn())
	}
	key := broker.NewID()
	if err := with.Put(t.Context(), "shelf", key, []byte("v"), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := with.DB.Get(t.Context(), "shelf", key); !errors.Is(err, broker.NotFound) {
		t.Fatalf("it went into the database: %v", err)
	}
}

// clock is a time that moves only by Add.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestAClientChangedElsewhereIsSeenWithinFiveSecondsAndOneChangedHereImmediately(t *testing.T) {
	at, c := sqliteFile(t), &clock{now: time.Now()}
	k, err := seal.New(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o := storage.Options{Database: at, Sealer: k, Now: c.Now}
	here, there := open(t, o), open(t, o)
	put := func(s *storage.Store, name string) {
		t.Helper()
		conn := broker.Connection{ID: "c", Name: name, Settings: map[string]string{"k": name}}
		if err := errors.Join(
			s.PutClient(t.Context(), broker.Client{ID: "app", Name: name}), s.PutConnection(t.Context(), conn)); err != nil {
			t.Fatal(err)
		}
	}
	sees := func(s *storage.Store, want string) {
		t.Helper()
		client, err1 := s.Client(t.Context(), "app")
		conn, err2 := s.Connection(t.Context(), "c")
		list, err3 := s.Connections(t.Context())
		if err := errors.Join(err1, err2, err3); err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if client.Name != want || conn.Name != want || list[0].Name != want {
			t.Fatalf("sees %s, %s, %s, want %s", client.Name, conn.Name, list[0].Name, want)
		}
		// A caller's changes to its copy must not reach others.
		conn.Settings["k"], list[0].Settings["k"] = "changed", "changed"
		if again, err := s.Connection(t.Context(), "c"); err != nil || again.Settings["k"] != want {
			t.Fatalf("a caller changed what is kept: %v, %v", again.Settings, err)
		}
	}
	put(here, "1")
	sees(here, "1")
	sees(there, "1")
	put(here, "2")
	sees(here, "2")
	sees(there, "1") // it is cached, so there is no query
	c.Add(storage.CacheLife)
	sees(there, "2")
	put(here, "3")
	c.Add(-time.Hour) // a clock that is set back must not prolong it
	sees(there, "3")
	if err := errors.Join(here.DeleteClient(t.Context(), "app"), here.DeleteConnection(t.Context(), "c")); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Client(t.Context(), "app"); !errors.Is(err, broker.NotFound) {
		t.Fatalf("deleted: %v", err)
	}
	if list, err := here.Connections(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("deleted: %v, %v", list, err)
	}
}

func TestWhatATransactionHasNotCommittedIsNotRemembered(t *testing.T) {
	s := open(t, storage.Options{})
	put := func(ctx context.Context, name string) {
		if err := s.PutClient(ctx, broker.Client{ID: "app", Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	sees := func(ctx context.Context, want string) {
		t.Helper()
		if c, err := s.Client(ctx, "app"); err != nil || c.Name != want {
			t.Fatalf("sees %q, %v, want %q", c.Name, err, want)
		}
	}
	put(t.Context(), "old")
	for _, end := range []error{errors.New("rolled back"), nil} {
		err := s.Atomic(t.Context(), func(ctx context.Context) error {
			put(ctx, "new")
			sees(ctx, "new")
			sees(t.Context(), "old") // outside, from a reader
			return end
		})
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		if end != nil {
			sees(t.Context(), "old")
		}
	}
	sees(t.Context(), "new")
}

func TestATransactionReadsConnectionsFromMemoryUntilItChangesSomethingAndClientsNever(t *testing.T) {
	for what, change := range map[string]func(ctx context.Context, s *storage.Store) error{
		"a client": func(ctx context.Context, s *storage.Store) error { return s.PutClient(ctx, broker.Client{ID: "other"}) },
		"a connection": func(ctx context.Context, s *storage.Store) error {
			return s.PutConnection(ctx, broker.Connection{ID: "other", Position: 1})
		},
	} {
		t.Run(what, func(t *testing.T) {
			at := sqliteFile(t)
			here, there := open(t, storage.Options{Database: at}), open(t, storage.Options{Database: at})
			put := func(name string) {
				t.Helper()
				conn := broker.Connection{ID: "c", Name: name}
				if err := errors.Join(
					here.PutClient(t.Context(), broker.Client{ID: "app", Name: name}),
					here.PutConnection(t.Context(), conn)); err != nil {
					t.Fatal(err)
				}
			}
			sees := func(ctx context.Context, appWanted, connWanted string) {
				t.Helper()
				client, err1 := there.Client(ctx, "app")
				conn, err2 := there.Connection(ctx, "c")
				list, err3 := there.Connections(ctx)
				if err := errors.Join(err1, err2, err3); err != nil || client.Name != appWanted ||
					conn.Name != connWanted || list[0].Name != connWanted {
					t.Errorf("sees %s, %s, %v, %v, want %s, %s", client.Name, conn.Name, list, err, appWanted, connWanted)
				}
			}
			put("1")
			sees(t.Context(), "1", "1")
			put("2")
			stop := errors.New("stop")
			err := there.Atomic(t.Context(), func(ctx context.Context) error {
				sees(ctx, "2", "1")
				if err := change(ctx, there); err != nil {
					return err
				}
				sees(ctx, "2", "2")
				sees(t.Context(), "1", "1") // what the transaction reads is not cached
				return stop
			})
			if !errors.Is(err, stop) {
				t.Fatal(err)
			}
			sees(t.Context(), "1", "1")
		})
	}
}

func TestWhatATransactionReadOfAConnectionIsKept(t *testing.T) {
	at := sqliteFile(t)
	here, there := open(t, storage.Options{Database: at}), open(t, storage.Options{Database: at})
	put := func(name string) {
		t.Helper()
		if err := here.PutConnection(t.Context(), broker.Connection{ID: "c", Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	put("1")
	for range 2 {
		err := there.Atomic(t.Context(), func(ctx context.Context) error {
			if c, err := there.Connection(ctx, "c"); err != nil || c.Name != "1" {
				t.Errorf("sees %q, %v", c.Name, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		put("2") // the second transaction makes no query
	}
}

func TestARollBackRemovesWhatWentToRedis(t *testing.T) {
	s := open(t, storage.Options{Redis: redisServer(t)})
	key, stop := broker.NewID(), errors.New("stop")
	put := func(end error) error {
		return s.Atomic(t.Context(), func(ctx context.Context) error {
			if err := s.Put(ctx, "shelf", key, []byte("v"), time.Now().Add(time.Minute)); err != nil {
				return err
			}
			return end
		})
	}
	if err := put(stop); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if err := put(nil); err != nil {
		t.Fatalf("the next try met the value of the first: %v", err)
	}
	if err := put(nil); !errors.Is(err, broker.Conflict) {
		t.Fatalf("a key that is taken: %v", err)
	}
	if _, err := s.Get(t.Context(), "shelf", key); err != nil {
		t.Fatalf("a roll-back removed a value that it had not stored: %v", err)
	}
}

func TestReadyRefusesWhatWouldGoWrongLater(t *testing.T) {
	o := storage.Options{Database: sqliteFile(t), Redis: redisServer(t)}
	s := open(t, o)
	if err := errors.Join(s.Ready(t.Context()), s.Alive(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := open(t, o).Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "keyring") {
		t.Fatalf("another keyring: %v", err)
	}
	u, err := url.Parse(o.Redis)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = storetest.Rewriting(t, u.Host, "maxmemory_policy:noeviction", "maxmemory_policy:any_forget")
	err = open(t, storage.Options{Redis: u.String()}).Ready(t.Context())
	if err == nil || !strings.Contains(err.Error(), "noeviction") {
		t.Fatalf("a Redis that evicts: %v", err)
	}
}

func TestOneJanitorAtATimePurgesUntilNothingIsLeft(t *testing.T) {
	s := open(t, storage.Options{})
	now := time.Now()
	for range 1100 {
		if err := s.MarkUsed(t.Context(), "kind", broker.NewID(), now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	removed := 0
	j := storage.Janitor{Leases: s, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
		Purge: func(ctx context.Context, now time.Time, batch int) (int, bool, error) {
			n, more, err := s.Purge(ctx, now, batch)
			removed += n
			return n, more, err
		}}
	if mine, err := s.Lease(t.Context(), "janitor", "another replica", now, now.Add(time.Minute)); err != nil || !mine {
		t.Fatal(mine, err)
	}
	if err := j.Round(t.Context(), "us"); err != nil || removed != 0 {
		t.Fatalf("removed %d under another's lease, %v", removed, err)
	}
	now = now.Add(2 * time.Minute)
	if err := j.Round(t.Context(), "us"); err != nil || removed != 1100 {
		t.Fatalf("removed %d of 1100, %v", removed, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j.Run(ctx) // returns
}

func TestH6_AStoreThatCannotWriteIsNotAlive(t *testing.T) {
	at := sqliteFile(t)
	s, other := open(t, storage.Options{Database: at}), open(t, storage.Options{Database: at})
	err := other.Atomic(t.Context(), func(ctx context.Context) error {
		if err := other.Record(ctx, broker.Event{}); err != nil {
			return err
		}
		brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := s.Alive(brief); !errors.Is(err, broker.Unavailable) {
			t.Errorf("while another process keeps the file: %v", err)
		}
		return nil
	})
	if err := errors.Join(err, s.Alive(t.Context())); err != nil {
		t.Fatal(err)
	}
}
