package providers

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/broker"
)

// How long a document of an upstream is cached and how often it is loaded.
const (
	loadTime    = 10 * time.Second // limit of one load
	patience    = 3 * time.Second  // a login waits this long for a renewal while an older document is usable
	retryFirst  = 5 * time.Second  // between attempts while there is no document
	retryRenew  = 30 * time.Second // between loads once there is one (SECURITY.md B7, B8)
	minLife     = 5 * time.Minute
	maxLife     = 24 * time.Hour
	defaultLife = time.Hour
)

// cache holds one document of one upstream. It is loaded on first use, by one goroutine at a time, and
// independently of the request's cancellation. While the upstream is down it is served past its expiry, for at
// most maxStale.
type cache[T any] struct {
	// load gets the document that it replaces, nil at first, and returns the new one and its lifetime.
	load     func(ctx context.Context, old *T) (T, time.Duration, error)
	now      func() time.Time
	maxStale time.Duration // zero: no limit

	mu      sync.Mutex
	value   *T
	expires time.Time
	tried   time.Time     // when the last load began
	renewed time.Time     // when renew last began one
	err     error         // of the last load
	flight  chan struct{} // closed when the current load ends; nil if there is none
}

// fresh reports whether get returns without waiting. The caller must not hold mu.
func (c *cache[T]) fresh() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value != nil && !c.due()
}

// due reports whether get must load the document or wait for a load. It is false while a stale document can be
// served and a load is running or was tried recently. The caller holds mu.
func (c *cache[T]) due() bool {
	now := c.now()
	if c.value == nil {
		return c.flight != nil || c.tried.IsZero() || now.Sub(c.tried) >= retryFirst
	}
	return !now.Before(c.expires) && c.flight == nil && now.Sub(c.tried) >= retryRenew
}

// get returns the document, loading it if necessary. If a stale one exists, only the login that starts the
// renewal waits, for at most patience; others get the stale one.
func (c *cache[T]) get(ctx context.Context) (*T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due() {
		flight, wait := c.flight, loadTime
		if c.value != nil {
			wait = patience
		}
		if flight == nil {
			flight = c.start(ctx)
		}
		c.mu.Unlock()
		waitFor(ctx, flight, wait)
		c.mu.Lock()
	}
	switch {
	case c.value != nil && (c.maxStale == 0 || c.now().Sub(c.expires) <= c.maxStale):
		return c.value, nil
	case c.err != nil:
		return nil, c.err
	}
	return nil, broker.ConnectionUnavailable.Because(context.DeadlineExceeded)
}

// renew loads the document again because old lacks something, unless a renewal began less than retryRenew ago.
// It returns the document that replaced old, or nil.
func (c *cache[T]) renew(ctx context.Context, old *T) *T {
	c.mu.Lock()
	flight := c.flight
	if c.value == old && flight == nil &&
		//defence:B7 B8
		(c.renewed.IsZero() || c.now().Sub(c.renewed) >= retryRenew) {
		c.renewed = c.now()
		flight = c.start(ctx)
	}
	c.mu.Unlock()
	if flight != nil {
		waitFor(ctx, flight, loadTime)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.value == old {
		return nil
	}
	return c.value
}

// start begins a load that is not cancelled with the request that needs it. The caller holds mu.
func (c *cache[T]) start(ctx context.Context) chan struct{} {
	flight, old := make(chan struct{}), c.value
	c.flight, c.tried = flight, c.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime)
	go func() {
		defer cancel()
		value, life, err := c.guarded(ctx, old)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err = err; err == nil {
			c.value, c.expires = &value, c.now().Add(min(max(life, minLife), maxLife))
		}
		c.flight = nil
		close(flight)
	}()
	return flight
}

// guarded turns a panic in load into an error, so that an upstream's bytes cannot end the process.
func (c *cache[T]) guarded(ctx context.Context, old *T) (value T, life time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = broker.UpstreamRejected.Because(fmt.Errorf("panic while loading: %v", p))
		}
	}()
	return c.load(ctx, old)
}

func waitFor(ctx context.Context, flight <-chan struct{}, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-flight:
	case <-ctx.Done():
	case <-timer.C:
	}
}

// lifeOf returns how long a response may be cached (RFC 9111 §5.2.2).
func lifeOf(h http.Header) time.Duration {
	life := defaultLife
	for directive := range strings.SplitSeq(strings.ToLower(h.Get("Cache-Control")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return minLife
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				life = time.Duration(seconds) * time.Second
			}
		}
	}
	return life
}
