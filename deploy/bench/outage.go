package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// outageRate is how many people per second try each failing upstream.
const outageRate = 3

// outage is a set of failing upstreams, each with its own connection, and the people who try them.
type outage struct {
	s             *stack // its upstream works except for the token call
	refused, hung atomic.Int64
	wrong         atomic.Pointer[error]
}

// outages measures operations that other upstreams' failures must not slow down, alternately with and without
// the failures.
func outages(ctx context.Context, o options, s *stack) error {
	bad, end, err := s.breakUpstreams(ctx)
	if err != nil {
		return fmt.Errorf("outage: %w", err)
	}
	defer end()
	for _, name := range []string{"refresh ES256", "userinfo", "introspection", "login federated ES256"} {
		if err := bad.beside(ctx, o, s, name); err != nil {
			return fmt.Errorf("outage: %s: %w", name, err)
		}
	}
	if err := bad.wrong.Load(); err != nil {
		return fmt.Errorf("outage: %w", *err)
	}
	fmt.Printf("outage: %d logins at failing upstreams were refused and %d hung; no other login failed: ok\n",
		bad.refused.Load(), bad.hung.Load())
	return nil
}

func (bad *outage) beside(ctx context.Context, o options, s *stack, name string) error {
	c, err := s.ready(ctx, o.workers, s.operation(name))
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.warm(ctx, o.duration/5); err != nil {
		return err
	}
	calm := func(ctx context.Context) (sample, error) { return c.drive(ctx, o.duration/5) }
	sums, ratio, err := compare(ctx, [2]driving{calm, func(ctx context.Context) (sample, error) {
		end, own, store := bad.begin(ctx)
		defer end()
		before := bad.refused.Load()
		r, err := calm(ctx)
		refused := float64(bad.refused.Load() - before)
		r.own -= own * refused
		r.store -= store * refused
		return r, err
	}}, inTurns)
	if err != nil {
		return err
	}
	fmt.Printf("%-34s calm %.3f CPU ms, p50 %.1f ms, p99 %.1f; outage %.3f CPU ms, p50 %.1f ms, p99 %.1f; ratio %.2f\n",
		"outage: "+name,
		sums[0].cpuMS(), ms(sums[0].at(50)), ms(sums[0].at(99)), sums[1].cpuMS(), ms(sums[1].at(50)), ms(sums[1].at(99)),
		ratio)
	return nil
}

// breakUpstreams adds three connections: to a port that refuses, to a port that accepts and never responds, and
// to an upstream that stops responding half-way through a login.
func (s *stack) breakUpstreams(ctx context.Context) (_ *outage, end func(), err error) {
	down, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	slow, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nothing reads
	if err != nil {
		return nil, nil, err
	}
	stalled, err := startUpstream()
	if err != nil {
		return nil, nil, errors.Join(err, slow.Close())
	}
	stalled.stalls.Store(true)
	end = func() {
		_ = slow.Close()
		stalled.close()
	}
	for id, issuer := range map[string]string{"down": "http://127.0.0.1:" + down,
		"slow": "http://" + slow.Addr().String(), "stalled": stalled.issuer} {
		if err := s.connect(ctx, id, issuer, stalled); err != nil {
			end()
			return nil, nil, err
		}
	}
	with := *s
	with.upstream = stalled
	return &outage{s: &with}, end, nil
}

// begin sends people to the failing upstreams until end is called. It returns once some of them hang, with the
// CPU milliseconds that each refusal costs by itself.
func (bad *outage) begin(ctx context.Context) (end func(), own, store float64) {
	ctx, cancel := context.WithCancel(ctx)
	h := newHTTP(100)
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(time.Second / outageRate)
		defer tick.Stop()
		for {
			for _, id := range []string{"down", "slow", "stalled"} {
				all.Go(func() { bad.try(ctx, newBrowser(bad.s, h), id) })
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	wait(ctx, time.Second)
	ownBefore, storeBefore := bad.s.cpu()
	before := bad.refused.Load()
	wait(ctx, time.Second)
	own, store = bad.s.cpu()
	refused := float64(max(1, bad.refused.Load()-before))
	return func() {
		cancel()
		all.Wait()
		h.CloseIdleConnections()
	}, (own - ownBefore) / refused, (store - storeBefore) / refused
}

// try signs a person in through a failing connection. The login must be refused immediately, or hang.
func (bad *outage) try(ctx context.Context, b *browser, id string) {
	_, _, err := b.follow(ctx, http.MethodGet, bad.s.request("ES256", url.Values{"connection": {id}}).url, nil, person(0))
	switch {
	case ctx.Err() != nil:
		bad.hung.Add(1)
	case errors.Is(err, errBusy):
		bad.refused.Add(1)
	default:
		err = fmt.Errorf("a login at the %s upstream was not refused: %v", id, err)
		bad.wrong.Store(&err)
	}
}
