package redisdb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/broker"
	"gatehouse/storage/storetest"
)

// gate holds up the first command that comes alone, and sees the messages of many.
type gate struct {
	held, let chan struct{}
	many      [][]redis.Cmder
	panics    bool
}

func (g *gate) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if slices.Contains(cmd.Args(), any("gatehouse:5:shelf:held")) {
			close(g.held)
			<-g.let
		}
		return next(ctx, cmd)
	}
}

func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() != "get" {
			return next(ctx, cmds) // a new connection says hello
		}
		g.many = append(g.many, cmds)
		if g.panics {
			panic(http.ErrAbortHandler)
		}
		return next(ctx, cmds)
	}
}

// server is the Redis that the environment names; deploy/check.sh starts one.
func server(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(storetest.Redis(t, os.Getenv("GATEHOUSE_TEST_REDIS")))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// held is a DB with a command on its way that does not arrive before gate.let is closed.
func held(t *testing.T, at *url.URL, patience time.Duration) (*DB, *gate) {
	t.Helper()
	d, err := Open(t.Context(), Options{URL: at.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	d.together.patience = patience
	g := &gate{held: make(chan struct{}), let: make(chan struct{})}
	d.client.AddHook(g)
	go func() { _, _ = d.Get(t.Context(), "shelf", "held") }()
	<-g.held
	return d, g
}

// queue has n wait behind the one that is held; others tells what became of them.
func queue(t *testing.T, d *DB, n int) (others func() []error, cancel []context.CancelFunc) {
	t.Helper()
	first := broker.NewID()
	other, err := Open(t.Context(), Options{URL: server(t).String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	for i := range n {
		if err := other.Put(t.Context(), first, fmt.Sprint(i), fmt.Append(nil, i), time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	errs := make([]chan error, n)
	for i := range n {
		ctx, end := context.WithCancel(t.Context())
		errs[i], cancel = make(chan error, 1), append(cancel, end)
		go func() {
			defer func() {
				if recover() != nil {
					errs[i] <- http.ErrAbortHandler
				}
			}()
			v, err := d.Get(ctx, first, fmt.Sprint(i))
			if err == nil && string(v) != fmt.Sprint(i) {
				err = fmt.Errorf("the answer of another: %q", v)
			}
			errs[i] <- err
		}()
		await(d, i+1)
	}
	return func() (all []error) {
		for _, c := range errs {
			all = append(all, <-c)
		}
		return all
	}, cancel
}

// await waits until n wait.
func await(d *DB, n int) {
	for {
		d.together.mu.Lock()
		now := len(d.together.waiting)
		d.together.mu.Unlock()
		if now == n {
			return
		}
		runtime.Gosched()
	}
}

func TestWhatIsAskedMeanwhileGoesInOneMessage(t *testing.T) {
	d, g := held(t, server(t), time.Hour)
	others, _ := queue(t, d, 8)
	close(g.let)
	for i, err := range others() {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if len(g.many) != 1 || len(g.many[0]) != 8 {
		t.Errorf("messages %v", g.many)
	}
	if _, err := d.Get(t.Context(), "shelf", "nothing"); !errors.Is(err, broker.NotFound) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestARequestThatEndsWaitsForNoMessageAndStopsNone(t *testing.T) {
	d, g := held(t, server(t), time.Hour)
	others, cancel := queue(t, d, 4)
	cancel[0]() // who would have sent for all
	cancel[2]()
	await(d, 2)
	close(g.let)
	for i, err := range others() {
		if gone := i == 0 || i == 2; gone != errors.Is(err, broker.Unavailable) || !gone && err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if len(g.many) != 1 || len(g.many[0]) != 2 {
		t.Errorf("messages %v", g.many)
	}
}

func TestH6_AnAnswerThatIsMissingIsNoEmptyOne(t *testing.T) {
	d, g := held(t, server(t), time.Hour)
	others, _ := queue(t, d, 4)
	g.panics = true
	close(g.let)
	for i, err := range others() {
		if i == 0 && !errors.Is(err, http.ErrAbortHandler) || i > 0 && !errors.Is(err, broker.Unavailable) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := d.Get(t.Context(), "shelf", "nothing"); !errors.Is(err, broker.NotFound) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestH6_AMessageThatMayNotLogInAnswersNothing(t *testing.T) {
	admin, err := Open(t.Context(), Options{URL: server(t).String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	do := func(args ...any) {
		t.Helper()
		if err := admin.client.Do(context.WithoutCancel(t.Context()), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	user := "gatehouse-" + strings.ToLower(broker.NewID())
	do("ACL", "SETUSER", user, "on", ">secret", "~*", "+@all")
	defer do("ACL", "DELUSER", user)
	at := server(t)
	at.User = url.UserPassword(user, "secret")

	d, g := held(t, at, time.Hour)
	others, _ := queue(t, d, 4)
	do("ACL", "SETUSER", user, "off") // its password was changed, say
	do("CLIENT", "KILL", "USER", user)
	close(g.let)
	for i, err := range others() {
		if !errors.Is(err, broker.Unavailable) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if len(g.many) != 1 {
		t.Errorf("messages %v", g.many)
	}
}

func TestWhoHasWaitedLongEnoughGoesAlone(t *testing.T) {
	d, g := held(t, server(t), time.Millisecond)
	if _, err := d.Get(t.Context(), "shelf", "nothing"); !errors.Is(err, broker.NotFound) {
		t.Errorf("while the message before hangs: %v", err)
	}
	close(g.let)
}
