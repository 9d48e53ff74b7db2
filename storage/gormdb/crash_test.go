package gormdb_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/storage/gormdb"
)

// grant writes what belongs together at a code's redemption.
func grant(ctx context.Context, d *gormdb.DB, id string) error {
	return grantBy(ctx, d, id, func(int) {})
}

// grantBy calls after for each statement that it has run.
func grantBy(ctx context.Context, d *gormdb.DB, id string, after func(statement int)) error {
	return d.Atomic(ctx, func(ctx context.Context) error {
		for n, write := range []func() error{
			func() error {
				return d.CreateGrant(ctx, broker.Grant{ID: id, ClientID: "app", AccountID: "a", ExpiresAt: later()}, true)
			},
			func() error { return d.Put(ctx, "token", id, []byte("v"), later()) },
			func() error { return d.Record(ctx, broker.Event{Verb: broker.EventTokenIssued, Account: id}) },
		} {
			if err := write(); err != nil {
				return err
			}
			after(n + 1)
		}
		return nil
	})
}

// granted reports whether the whole grant is there. Half a grant is fatal, unless the
// server is still at the commit.
func granted(t *testing.T, d *gormdb.DB, id string) bool {
	t.Helper()
	for try := 0; ; try++ {
		_, _, err := d.Grant(t.Context(), id)
		_, err2 := d.Get(t.Context(), "token", id)
		events, err3 := d.Events(t.Context(), broker.EventFilter{Account: id})
		if err3 == nil && (err == nil) == (err2 == nil) && (err == nil) == (len(events) == 1) {
			return err == nil
		}
		if try == 100 {
			t.Fatalf("half a grant: row %v, token %v, events %d, %v", err, err2, len(events), err3)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestMain runs the child of the test below.
func TestMain(m *testing.M) {
	if at := os.Getenv("GATEHOUSE_TEST_CHILD"); at != "" {
		fmt.Println(grantOnAndOn(at, os.Getenv("GATEHOUSE_TEST_STOP")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// grantOnAndOn creates grants until it is killed, and prints each one. In the 20th it
// stops after the given statement and waits to be killed.
func grantOnAndOn(at, stop string) error {
	d, err := gormdb.Open(context.Background(), gormdb.Options{URL: at})
	for n := 1; err == nil; n++ {
		id := broker.NewID()
		fmt.Println("begins " + id)
		if err = grantBy(context.Background(), d, id, func(statement int) {
			if n == 20 && fmt.Sprint(statement) == stop {
				fmt.Println("stops " + id)
				time.Sleep(time.Hour)
			}
		}); err == nil {
			fmt.Println("granted " + id)
		}
	}
	return err
}

func TestH7_AKilledProcessLosesNoGrantItAcknowledgedAndLeavesNoHalf(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		at := new(t)
		d := open(t, at, gormdb.Options{})
		if err := d.CreateAccount(t.Context(), broker.Account{ID: "a", Email: "a"}); err != nil {
			t.Fatal(err)
		}
		for kill := range 5 {
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), "GATEHOUSE_TEST_CHILD="+at, fmt.Sprintf("GATEHOUSE_TEST_STOP=%d", kill))
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			said, lines := map[string]string{}, bufio.NewScanner(out)
			for lines.Scan() {
				what, id, found := strings.Cut(lines.Text(), " ")
				if found && (what == "begins" || what == "granted") {
					said[id] = what
				}
				// Between two statements, at the commit, or somewhere.
				if stops := kill >= 1 && kill <= 3; stops && what == "stops" || !stops && len(said) == 20+kill {
					_ = child.Process.Kill()
				}
			}
			_ = child.Wait()
			if len(said) < 20 {
				t.Fatalf("the child printed only %v", said)
			}
			for id, what := range said {
				if !granted(t, d, id) && what == "granted" {
					t.Fatalf("%s was acknowledged and is lost", id)
				}
			}
		}
	})
}

// cutter passes bytes to PostgreSQL and closes the connection at the n-th message of the
// client, before or after the server has received it.
type cutter struct {
	net.Listener
	server string
	left   atomic.Int64
	after  bool
}

func (c *cutter) run() {
	for {
		client, err := c.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", c.server)
		if err != nil {
			_ = client.Close()
			return
		}
		go c.pass(client, server)
		go func() {
			defer client.Close()
			buffer := make([]byte, 64<<10)
			for {
				n, err := server.Read(buffer)
				if err != nil || c.left.Load() <= 0 {
					return
				}
				if _, err := client.Write(buffer[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func (c *cutter) pass(client, server net.Conn) {
	defer client.Close()
	defer server.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		last := c.left.Add(-1) <= 0
		if !last || c.after {
			if _, err := server.Write(buffer[:n]); err != nil {
				return
			}
		}
		if last {
			return
		}
	}
}

func TestH6_ACutAtAnyMessageLeavesNoHalfGrantAndIsRefused(t *testing.T) {
	at := postgresSchema(t)
	d := open(t, at, gormdb.Options{})
	if err := d.CreateAccount(t.Context(), broker.Account{ID: "a", Email: "a"}); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	cuts, whole := 0, 0
	for n := int64(1); whole < 2; n++ {
		for _, after := range []bool{false, true} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			c := &cutter{Listener: l, server: u.Host, after: after}
			c.left.Store(1000)
			go c.run()
			through := *u
			through.Host = l.Addr().String()
			cut, err := gormdb.Open(t.Context(), gormdb.Options{URL: through.String(), Pool: 1})
			if err != nil {
				t.Fatal(err)
			}
			c.left.Store(n)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			id := broker.NewID()
			err = grant(ctx, cut, id)
			cancel()
			there := granted(t, d, id)
			switch {
			case err == nil && !there:
				t.Fatalf("cut at message %d: acknowledged and lost", n)
			case err == nil:
				whole++
			case !errors.Is(err, broker.Unavailable):
				t.Fatalf("cut at message %d: %v, want unavailable", n, err)
			default:
				cuts++
			}
			_ = cut.Close()
			_ = l.Close()
		}
	}
	if cuts < 10 {
		t.Fatalf("only %d cuts", cuts)
	}
}
