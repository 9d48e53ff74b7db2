package gormdb_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/storage/gormdb"
	"gatehouse/storage/storetest"
)

func TestH6_ADeadlockIsRetriedAndBothTransactionsCommit(t *testing.T) {
	d := open(t, postgresSchema(t), gormdb.Options{})
	for _, id := range []string{"a", "b"} {
		if err := d.CreateAccount(t.Context(), broker.Account{ID: id, Email: id}); err != nil {
			t.Fatal(err)
		}
	}
	var met sync.WaitGroup
	met.Add(2)
	tries := make(chan string, 10)
	errs := make(chan error, 2)
	for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		go func() {
			first := true
			errs <- d.Atomic(t.Context(), func(ctx context.Context) error {
				tries <- order[0]
				for i, id := range order {
					if err := d.ChangeAccount(ctx, broker.Account{ID: id, Email: id, Name: order[0]}, 0); err != nil {
						return errors.New("swallowed: the cause is hidden")
					}
					if i == 0 && first { // both hold one row and wait for the other
						first = false
						met.Done()
						met.Wait()
					}
				}
				return nil
			})
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if len(tries) < 3 { // PostgreSQL may end both of them
		t.Errorf("%d tries, want 3 or 4: no deadlock happened", len(tries))
	}
}

func TestH6_AWriterWaitsForAnotherProcess(t *testing.T) {
	at := sqliteFile(t)
	d := open(t, at, gormdb.Options{})
	other := raw(t, at)
	other.SetMaxOpenConns(1)
	if _, err := other.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- d.CreateAccount(t.Context(), broker.Account{ID: "a"}) }()
	for d.Stats()[0].InUse == 0 {
		runtime.Gosched()
	}
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	if _, err := other.Exec(`COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestH6_AServerThatEndsOurConnectionsIsUnavailableOnceAndThenServesAgain(t *testing.T) {
	at := postgresSchema(t)
	d := open(t, at, gormdb.Options{Pool: 1})
	err := d.Atomic(t.Context(), func(ctx context.Context) error {
		if err := d.CreateAccount(ctx, broker.Account{ID: "a"}); err != nil {
			return err
		}
		terminate(t, at)
		return d.Record(ctx, broker.Event{Account: "a"})
	})
	if !errors.Is(err, broker.Unavailable) {
		t.Fatalf("error %v", err)
	}
	if _, err := d.Account(t.Context(), "a"); !errors.Is(err, broker.NotFound) {
		t.Fatalf("afterwards: %v", err)
	}
}

func TestH6_ConnectionsThatTheServerEndedWhileTheyWereIdleFailNothing(t *testing.T) {
	at, name := postgresSchema(t), broker.NewID()
	const conns = 8
	d := open(t, at+"&application_name="+name, gormdb.Options{Pool: conns})
	warm := func() {
		var met, all sync.WaitGroup
		met.Add(conns)
		for range conns {
			all.Go(func() {
				err := d.Atomic(t.Context(), func(ctx context.Context) error {
					_, err := d.Accounts(ctx, "", 1)
					met.Done()
					met.Wait()
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	pool := raw(t, at)
	for round := range 5 {
		warm()
		var n int
		err := pool.QueryRow(`SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
			WHERE application_name = $1`, name).Scan(&n)
		if err != nil || n != conns {
			t.Fatalf("ended %d connections, %v", n, err)
		}
		for i := range conns {
			if err := d.Record(t.Context(), broker.Event{Account: fmt.Sprint(round, i)}); err != nil {
				t.Errorf("a write: %v", err)
			}
		}
	}
	if events, err := d.Events(t.Context(), broker.EventFilter{}); err != nil || len(events) != 5*conns {
		t.Errorf("%d events, %v", len(events), err)
	}
}

func TestH6_ADatabaseThatHangsFailsEachCallInTimeAndKeepsNoConnection(t *testing.T) {
	line, through := storetest.NewLine(t, postgresSchema(t))
	d := open(t, through, gormdb.Options{Pool: 4, Deadline: 200 * time.Millisecond})
	other := raw(t, through)
	calls := map[string]func() error{
		"a read": func() error { _, err := d.Account(t.Context(), "a"); return err },
		"a hot write": func() error {
			return d.Put(t.Context(), "s", broker.NewID(), nil, time.Now().Add(time.Minute))
		},
		"a transaction": func() error {
			return d.Atomic(t.Context(), func(ctx context.Context) error {
				return d.CreateAccount(ctx, broker.Account{ID: broker.NewID(), Email: broker.NewID()})
			})
		},
		"a ping": func() error { return d.Ping(t.Context()) },
	}
	flood := func(how string, pinged bool) {
		t.Helper()
		var all sync.WaitGroup
		for name, call := range calls {
			if name == "a ping" && !pinged {
				continue
			}
			for range 15 {
				all.Go(func() {
					if err := call(); !errors.Is(err, broker.Unavailable) {
						t.Errorf("%s while %s: %v", name, how, err)
					}
				})
			}
		}
		all.Wait()
	}
	serves := func(how string) {
		t.Helper()
		for name, call := range calls {
			var err error
			for range 20 { // a connection that was being made may still fail
				if err = call(); err == nil || errors.Is(err, broker.NotFound) {
					break
				}
			}
			if err != nil && !errors.Is(err, broker.NotFound) {
				t.Errorf("%s after %s: %v", name, how, err)
			}
		}
		if !together(t, d, 4) {
			t.Errorf("not all connections can be used after %s", how)
		}
	}
	serves("the start")
	tx, err := other.Begin()
	if err == nil {
		_, err = tx.Exec(`LOCK TABLE accounts, ephemeral`)
	}
	if err != nil {
		t.Fatal(err)
	}
	flood("tables are locked", false)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	serves("the lock")
	line.Stall()
	flood("the server hangs", true)
	line.Resume()
	serves("the hang")
}

// together reports whether n transactions can run at the same time, within a few tries.
func together(t *testing.T, d *gormdb.DB, n int64) bool {
	t.Helper()
	for range 20 {
		var inside, done atomic.Int64
		var all sync.WaitGroup
		met := make(chan struct{})
		for range n {
			all.Go(func() {
				_ = d.Atomic(t.Context(), func(ctx context.Context) error {
					_, err := d.Accounts(ctx, "", 1)
					if err == nil && inside.Add(1) == n {
						close(met)
					}
					select {
					case <-met:
						done.Add(1)
					case <-ctx.Done():
					}
					return err
				})
			})
		}
		if all.Wait(); done.Load() == n {
			return true
		}
	}
	return false
}

// terminate ends the connections that hold a transaction in this schema.
func terminate(t *testing.T, at string) {
	t.Helper()
	pool := raw(t, at)
	var schema string
	if err := pool.QueryRow(`SELECT current_schema()`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := pool.QueryRow(`SELECT count(pg_terminate_backend(a.pid))
		FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
		JOIN pg_namespace s ON s.oid = c.relnamespace JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE s.nspname = $1 AND a.pid <> pg_backend_pid()`, schema).Scan(&n); err != nil || n == 0 {
		t.Fatalf("ended %d connections, %v", n, err)
	}
}

func TestATransactionThatIsOverRefusesStatements(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		d := open(t, new(t), gormdb.Options{})
		var leaked context.Context
		if err := d.Atomic(t.Context(), func(ctx context.Context) error { leaked = ctx; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := d.CreateAccount(leaked, broker.Account{ID: "a"}); !errors.Is(err, broker.Unavailable) {
			t.Fatalf("error %v", err)
		}
	})
}

func TestHooksFollowTheOutcome(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		d := open(t, new(t), gormdb.Options{})
		var happened []string
		run := func(end error) {
			_ = d.Atomic(t.Context(), func(ctx context.Context) error {
				return d.Atomic(ctx, func(ctx context.Context) error {
					d.AfterCommit(ctx, func() { happened = append(happened, "after commit") })
					d.OnRollback(ctx, func() { happened = append(happened, "on rollback") })
					happened = append(happened, "inside")
					return end
				})
			})
		}
		run(nil)
		run(errors.New("no"))
		d.AfterCommit(t.Context(), func() { happened = append(happened, "immediately") })
		d.OnRollback(t.Context(), func() { happened = append(happened, "never") })
		want := []string{"inside", "after commit", "inside", "on rollback", "immediately"}
		if len(happened) != len(want) {
			t.Fatalf("%q", happened)
		}
		for i := range want {
			if happened[i] != want[i] {
				t.Fatalf("%q", happened)
			}
		}
	})
}

func TestOnlyPinnedSettingsOfALiveConnectionAreKept(t *testing.T) {
	d := open(t, sqliteFile(t), gormdb.Options{Pinned: func(string) []string { return []string{"tenant"} }})
	c := broker.Connection{ID: "c", Kind: "microsoft", State: broker.Live,
		Settings: map[string]string{"tenant": "t", "prompt": "a"}}
	if err := d.PutConnection(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	c.Settings = map[string]string{"tenant": "t", "other": "b"}
	if err := d.PutConnection(t.Context(), c); err != nil {
		t.Fatalf("a free setting: %v", err)
	}
	c.Settings = map[string]string{"tenant": "u"}
	if err := d.PutConnection(t.Context(), c); !errors.Is(err, broker.Conflict) {
		t.Fatalf("a pinned setting: %v", err)
	}
}

func TestATransactionOnSQLiteHoldsTheLockFromItsBeginning(t *testing.T) {
	at := sqliteFile(t)
	d := open(t, at, gormdb.Options{})
	other := raw(t, at)
	other.SetMaxOpenConns(1)
	if _, err := other.Exec(`PRAGMA busy_timeout = 0`); err != nil {
		t.Fatal(err)
	}
	if err := d.Atomic(t.Context(), func(ctx context.Context) error {
		if _, err := d.Account(ctx, "nobody"); !errors.Is(err, broker.NotFound) {
			return err
		}
		if _, err := other.Exec(`INSERT INTO leases (name, holder, until) VALUES ('a', 'b', 0)`); err == nil {
			t.Error("another process wrote between our read and our write, which then fails")
		}
		return d.CreateAccount(ctx, broker.Account{ID: "a"})
	}); err != nil {
		t.Fatal(err)
	}
}
