package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// sample is what driving an operation gave.
type sample struct {
	done       int64
	took       time.Duration
	own, store float64 // CPU milliseconds
	latencies  []time.Duration
}

// drive repeats an operation at some concurrency for a while; the first error ends it.
func (s *stack) drive(ctx context.Context, workers int, duration time.Duration, op operation) (r sample, _ error) {
	h := newHTTP(workers * 2)
	defer h.CloseIdleConnections()
	doers := make([]doer, workers)
	for w := range workers {
		var err error
		if doers[w], err = op.prepare(ctx, newBrowser(s, h), w); err != nil {
			return r, err
		}
	}
	var n atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	var mu sync.Mutex
	own, store := s.cpu()
	began := time.Now()
	for _, do := range doers {
		all.Go(func() {
			var mine []time.Duration
			for time.Since(began) < duration && failed.Load() == nil {
				from := time.Now()
				if err := do(ctx, int(n.Add(1))); err != nil {
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
	ownAfter, storeAfter := s.cpu()
	if err := failed.Load(); err != nil {
		return r, *err
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
	if _, err := s.drive(ctx, o.workers, o.duration/5, op); err != nil { // to warm up
		return err
	}
	r, err := s.drive(ctx, o.workers, o.duration, op)
	if err != nil {
		return err
	}
	if r.done == 0 {
		return errors.New("nothing was done in time")
	}
	n := float64(r.done)
	must := op.must[s.engine]
	fmt.Printf("%-34s %9.0f %9.3f %9.3f %9.3f %9.3f %9.3f  %s\n", op.name, n/r.took.Seconds(), r.own/n, r.store/n, (r.own+r.store)/n, op.crypto,
		must, verdict((r.own+r.store)/n, must))
	return nil
}

// crowd is 64 browsers of one person at once, over few database connections: nobody may be refused, and nobody wait for ever.
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
		p50, p99 := r.latencies[len(r.latencies)/2], r.latencies[len(r.latencies)*99/100]
		fmt.Printf("one person 64 times, pool %-8s %9.0f per s, p50 %v, p99 %v (target 3 × p50), no error: ok\n", pool,
			float64(r.done)/r.took.Seconds(), p50.Round(time.Millisecond), p99.Round(time.Millisecond))
	}
	return nil
}

// measureStart restarts the broker on what it has, and looks at it at rest.
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
	fmt.Printf("resident at rest %.0f MiB, must be 45: %s\n", rss, verdict(rss, 45))
	return nil
}
