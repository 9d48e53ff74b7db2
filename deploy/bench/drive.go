package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// sample is the result of driving an operation.
type sample struct {
	done       int64
	took       time.Duration
	own, store float64 // CPU milliseconds
	latencies  []time.Duration
}

// cpuMS is the CPU cost of one operation.
func (r sample) cpuMS() float64 { return (r.own + r.store) / float64(r.done) }

func (r sample) at(percent int) time.Duration { return r.latencies[len(r.latencies)*percent/100] }

// warmth is how often each worker runs the operation before the measurement: PostgreSQL plans a statement again
// during its first five executions on a connection.
const warmth = 8

// crew holds the workers that are ready for an operation.
type crew struct {
	s     *stack
	http  *http.Client
	doers []doer
	n     atomic.Int64
}

func (s *stack) ready(ctx context.Context, workers int, op operation) (_ *crew, err error) {
	c := &crew{s: s, http: newHTTP(workers * 2), doers: make([]doer, workers)}
	for w := range workers {
		if c.doers[w], err = op.prepare(ctx, newBrowser(s, c.http), w); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *crew) close() { c.http.CloseIdleConnections() }

// drive prepares an operation and repeats it for the duration.
func (s *stack) drive(ctx context.Context, workers int, duration time.Duration, op operation) (sample, error) {
	c, err := s.ready(ctx, workers, op)
	if err != nil {
		return sample{}, err
	}
	defer c.close()
	return c.drive(ctx, duration)
}

// drive repeats the operation for the duration; the first error ends it.
func (c *crew) drive(ctx context.Context, duration time.Duration) (r sample, _ error) {
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	var mu sync.Mutex
	own, store := c.s.cpu()
	began := time.Now()
	for _, do := range c.doers {
		all.Go(func() {
			var mine []time.Duration
			for time.Since(began) < duration && failed.Load() == nil {
				from := time.Now()
				if err := do(ctx, int(c.n.Add(1))); err != nil {
					failed.Store(&err)
					return
				}
				mine = append(mine, time.Since(from))
			}
			mu.Lock()
			defer mu.Unlock()
			r.latencies = append(r.latencies, mine...)
		})
	}
	all.Wait()
	r.took = time.Since(began)
	ownAfter, storeAfter := c.s.cpu()
	if err := failed.Load(); err != nil {
		return r, *err
	}
	if len(r.latencies) == 0 {
		return r, errors.New("no operation finished in time")
	}
	r.done, r.own, r.store = int64(len(r.latencies)), ownAfter-own, storeAfter-store
	slices.Sort(r.latencies)
	return r, nil
}

func (s *stack) cpu() (own, store float64) {
	for _, cmd := range s.stores {
		store += cpu(cmd.Process.Pid)
	}
	return cpu(s.broker.Process.Pid), store
}

func (s *stack) measure(ctx context.Context, o options, op operation) error {
	c, err := s.ready(ctx, o.workers, op)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.warm(ctx, o.duration/5); err != nil {
		return err
	}
	r, err := c.drive(ctx, o.duration)
	if err != nil {
		return err
	}
	n := float64(r.done)
	fmt.Printf("%-34s %9.0f %9.3f %9.3f %9.3f %9.3f  %s\n", op.name, n/r.took.Seconds(), r.own/n, r.store/n,
		r.cpuMS(), op.crypto, verdict(r.cpuMS(), op.must))
	return nil
}

// warm drives the crew until connections, caches and prepared statements are as in production. Then it waits up
// to ten seconds for background work to end.
func (c *crew) warm(ctx context.Context, duration time.Duration) error {
	s := c.s
	if s.database() != "" { // otherwise autovacuum charges earlier work to the next operation
		if err := s.sql(ctx, "vacuum analyze; checkpoint;"); err != nil {
			return err
		}
	}
	for done := int64(0); done < int64(warmth*len(c.doers)); {
		r, err := c.drive(ctx, duration)
		if err != nil {
			return err
		}
		done += r.done
	}
	for range 20 {
		own, store := s.cpu()
		wait(ctx, time.Second/2)
		if ownAfter, storeAfter := s.cpu(); ownAfter+storeAfter-own-store <= tick {
			break
		}
	}
	return nil
}

// crowd runs 64 browsers of one person at once, over few database connections: none may be refused, and none may
// starve.
func crowd(ctx context.Context, o options, dir, engine string) error {
	for _, pool := range []string{"4", "1"} {
		s, err := openStack(ctx, dir, engine, o.binary, "GATEHOUSE_DATABASE_POOL="+pool)
		if err != nil {
			return err
		}
		op := operation{prepare: func(ctx context.Context, b *browser, _ int) (doer, error) {
			_, err := newBrowser(s, b.http).federated(ctx, "ES256", person(0))
			return func(ctx context.Context, _ int) error {
				_, err := newBrowser(s, b.http).federated(ctx, "ES256", person(0))
				return err
			}, err
		}}
		r, err := s.drive(ctx, 64, o.duration, op)
		s.close()
		if err != nil {
			return fmt.Errorf("one person 64 times, pool %s: %w", pool, err)
		}
		fmt.Printf("one person 64 times, pool %-8s %9.0f per s, p50 %v, p99 %v (at most 4 × p50), no error: ok\n", pool,
			float64(r.done)/r.took.Seconds(), r.at(50).Round(time.Millisecond), r.at(99).Round(time.Millisecond))
	}
	return nil
}

// measureStart restarts the broker on its data, and measures it at rest.
func (s *stack) measureStart(ctx context.Context) error {
	var took []time.Duration
	for range 5 {
		stop(s.broker, syscall.SIGTERM)
		from := time.Now()
		if err := s.startBroker(ctx); err != nil {
			return err
		}
		took = append(took, time.Since(from))
	}
	slices.Sort(took)
	ms := float64(took[2].Microseconds()) / 1000
	fmt.Printf("start to first 200 %.0f ms, must be 60: %s\n", ms, verdict(ms, 60))
	time.Sleep(3 * time.Second)
	rss := resident(s.broker.Process.Pid)
	fmt.Printf("resident at rest %.0f MiB, must be 50: %s\n", rss, verdict(rss, 50))
	return nil
}
