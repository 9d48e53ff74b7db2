package redisdb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/broker"
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

// gated is a DB with a command on its way that does not arrive before gate.let is
// closed, and n others, of which others tells what became of them, that wait for it.
func gated(t *testing.T, n int) (d *DB, g *gate, others func() []error, cancel []context.CancelFunc) {
	t.Helper()
	url := os.Getenv("GATEHOUSE_TEST_REDIS")
	if url == "" {
		t.Fatal("set GATEHOUSE_TEST_REDIS to the URL of a Redis server where tests may write, or run deploy/check.sh")
	}
	d, err := Open(t.Context(), Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	g = &gate{held: make(chan struct{}), let: make(chan struct{})}
	d.client.AddHook(g)
	first := broker.NewID()
	for i := range n {
		if err := d.Put(t.Context(), first, fmt.Sprint(i), fmt.Append(nil, i), time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	go func() { _, _ = d.Get(t.Context(), "shelf", "held") }()
	<-g.held
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
	return d, g, func() (all []error) {
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
	d, g, others, _ := gated(t, 8)
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
	d, g, others, cancel := gated(t, 4)
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
	d, g, others, _ := gated(t, 4)
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
