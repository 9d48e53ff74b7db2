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

// How a document of an upstream is kept.
const (
	loadTime    = 10 * time.Second // one load may take
	patience    = 3 * time.Second  // a login waits for a renewal that it could do without
	retryFirst  = 5 * time.Second  // between attempts while there is nothing to serve
	retryRenew  = 30 * time.Second // between loads once there is (SECURITY.md B7, B8)
	minLife     = 5 * time.Minute
	maxLife     = 24 * time.Hour
	defaultLife = time.Hour
)

// cache keeps one document of one upstream. It is loaded when first asked for, by one goroutine at a time and on
// nobody's request context, and is served beyond its life while the upstream is down, for at most maxStale.
type cache[T any] struct {
	// load gets the document it replaces, nil at first, and says how long the new one is good.
	load     func(ctx context.Context, old *T) (T, time.Duration, error)
	now      func() time.Time
	maxStale time.Duration // zero: for ever

	mu      sync.Mutex
	value   *T
	expires time.Time
	tried   time.Time     // when the last load began
	renewed time.Time     // when renew last began one
	err     error         // of the last load
	flight  chan struct{} // closed when the load under way ends; nil while there is none
}

// settled tells whether get would answer at once. The caller holds no lock.
func (c *cache[T]) settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value != nil && !c.due()
}

// due tells whether somebody should load, and wait for it: there is nothing fresh to serve, nobody loads already what can be
// served stale meanwhile, and the last attempt is not too recent. The caller holds mu.
func (c *cache[T]) due() bool {
	now := c.now()
	if c.value == nil {
		return c.flight != nil || c.tried.IsZero() || now.Sub(c.tried) >= retryFirst
	}
	return !now.Before(c.expires) && c.flight == nil && now.Sub(c.tried) >= retryRenew
}

// get returns the document, loading it if need be. Where there is one, only the login that starts its renewal waits,
// and not for long: while the upstream hangs, the others are served what there is.
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
	return c.served()
}

// renew loads the document once more because old did not hold what was looked for, unless that was done a moment
// ago: whatever the last load did not bring is unknown until the next one may happen. It answers the
// document that is newer than old, or nil.
func (c *cache[T]) renew(ctx context.Context, old *T) *T {
	c.mu.Lock()
	flight := c.flight
	//defence:B7 B8
	if c.value == old && flight == nil && (c.renewed.IsZero() || c.now().Sub(c.renewed) >= retryRenew) {
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

// served is what there is to serve. The caller holds mu.
func (c *cache[T]) served() (*T, error) {
	switch {
	case c.value != nil && (c.maxStale == 0 || c.now().Sub(c.expires) <= c.maxStale):
		return c.value, nil
	case c.err != nil:
		return nil, c.err
	}
	return nil, broker.ConnectionUnavailable.Because(context.DeadlineExceeded)
}

// start begins a load that outlives the request which happened to need it. The caller holds mu.
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

// guarded keeps a panic over an upstream's bytes from ending the process.
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

// lifeOf reads how long a response is good (RFC 9111 §5.2.2).
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
