package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The limits for fetching clients' keys (FOSITE.md §3).
const (
	KeysFresh   = 5 * time.Minute  // lifetime, unless the response has another
	KeysOld     = 15 * time.Minute // the longest lifetime
	KeysRetry   = 30 * time.Second // between two fetches of one URI
	keysTimeout = 2 * time.Second
	keysMost    = 1000 // cached URIs
)

// Fetcher caches the keys that clients publish at their jwks_uri. Registration fetches nothing (SECURITY.md
// A20), and a failed fetch is not retried immediately.
type Fetcher struct {
	HTTP *http.Client // of egress, because the client chose the URI
	Now  func() time.Time

	mu  sync.Mutex
	all map[string]*fetchedKeys
}

// fetchedKeys are the keys of one URI.
type fetchedKeys struct {
	keys   Keys
	fresh  time.Time
	old    time.Time
	asked  time.Time     // the last fetch
	err    error         // its result
	flight chan struct{} // closed when the current fetch ends; nil if there is none
}

// Find returns a key of the URI. It fetches the keys if they have expired or none fits, because the client may
// have a new one.
func (f *Fetcher) Find(ctx context.Context, uri, kid, alg string) (Key, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entry(uri)
	for {
		now := f.Now()
		key, found := Key{}, false
		if now.Before(e.old) {
			key, found = e.keys.Find(kid, alg)
		}
		if found && now.Before(e.fresh) {
			return key, true, nil
		}
		if e.flight == nil {
			// A stranger with invented kids causes one fetch per half minute.
			//defence:A9
			if !e.asked.IsZero() && now.Before(e.asked.Add(KeysRetry)) {
				return key, found, e.err
			}
			e.flight, e.asked = make(chan struct{}), now
			go f.fly(context.WithoutCancel(ctx), uri, e) // waiting requests share it, even if one disconnects
		}
		flight := e.flight
		f.mu.Unlock()
		var err error
		select {
		case <-flight:
		case <-ctx.Done():
			err = ctx.Err()
		}
		f.mu.Lock()
		if err != nil {
			return Key{}, false, err
		}
	}
}

// entry must be called with mu held.
func (f *Fetcher) entry(uri string) *fetchedKeys {
	if e := f.all[uri]; e != nil {
		return e
	}
	for other, e := range f.all {
		if len(f.all) < keysMost {
			break
		}
		if e.flight == nil {
			delete(f.all, other)
		}
	}
	if f.all == nil {
		f.all = map[string]*fetchedKeys{}
	}
	e := &fetchedKeys{}
	f.all[uri] = e
	return e
}

func (f *Fetcher) fly(ctx context.Context, uri string, e *fetchedKeys) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	keys, life, err := f.fetch(ctx, uri)
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.err = err; err == nil {
		e.keys, e.fresh, e.old = keys, f.Now().Add(life), f.Now().Add(KeysOld)
	}
	close(e.flight)
	e.flight = nil
}

func (f *Fetcher) fetch(ctx context.Context, uri string) (Keys, time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, 0, errors.New("clients: the jwks_uri is not a URL")
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := f.HTTP.Do(r)
	if err != nil {
		return nil, 0, fmt.Errorf("clients: jwks_uri: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("clients: jwks_uri: status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxKeySet+1)) // keyList refuses the extra byte
	if err != nil {
		return nil, 0, fmt.Errorf("clients: jwks_uri: %w", err)
	}
	if _, problem := keyList(body); problem != "" {
		return nil, 0, fmt.Errorf("clients: jwks_uri: %s", problem)
	}
	return ParseKeys(body), lifeOf(res.Header), nil
}

// lifeOf returns max-age (RFC 9111 §5.2.2.1), between KeysFresh and KeysOld.
func lifeOf(h http.Header) time.Duration {
	life := KeysFresh
	for directive := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		seconds, err := strconv.Atoi(value)
		if err == nil && strings.EqualFold(name, "max-age") && seconds < int(KeysOld/time.Second) {
			life = max(life, time.Duration(seconds)*time.Second)
		} else if err == nil && strings.EqualFold(name, "max-age") {
			life = KeysOld
		}
	}
	return life
}
