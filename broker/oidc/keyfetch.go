package oidc

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

// How clients' keys are fetched (FOSITE.md §3).
const (
	keysFresh   = 5 * time.Minute  // good without a question, where the answer does not say more
	keysOld     = 15 * time.Minute // never good beyond
	keysAgain   = 30 * time.Second // between two fetches of one URI
	keysTimeout = 2 * time.Second
	keysMost    = 1000 // URIs that are remembered
)

// keyFetcher keeps the keys of the clients that publish them at a jwks_uri. Nothing
// is fetched when a client is registered (SECURITY.md A20), and nothing is tried twice.
type keyFetcher struct {
	http *http.Client // of egress: the URI is somebody else's choice
	now  func() time.Time

	mu  sync.Mutex
	all map[string]*fetchedKeys
}

// fetchedKeys are the keys of one URI.
type fetchedKeys struct {
	keys   clientKeys
	fresh  time.Time
	old    time.Time
	asked  time.Time     // the last try
	err    error         // what it came to
	flight chan struct{} // closed when the try under way has ended; nil where none is
}

// find answers a key of the URI. It asks again where the keys are not fresh, or none
// of them fits: the client may have a new one.
func (f *keyFetcher) find(ctx context.Context, uri, kid, alg string) (clientKey, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entry(uri)
	for {
		now := f.now()
		key, found := clientKey{}, false
		if now.Before(e.old) {
			key, found = e.keys.find(kid, alg)
		}
		if found && now.Before(e.fresh) {
			return key, true, nil
		}
		if e.flight == nil {
			// A stranger who makes kids up gets one fetch out of us each half a minute.
			//defence:A9
			if !e.asked.IsZero() && now.Before(e.asked.Add(keysAgain)) {
				return key, found, e.err
			}
			e.flight, e.asked = make(chan struct{}), now
			go f.fly(context.WithoutCancel(ctx), uri, e) // those who wait share it, whoever leaves
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
			return clientKey{}, false, err
		}
	}
}

// entry is called with the lock held.
func (f *keyFetcher) entry(uri string) *fetchedKeys {
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

func (f *keyFetcher) fly(ctx context.Context, uri string, e *fetchedKeys) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	keys, life, err := f.fetch(ctx, uri)
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.err = err; err == nil {
		e.keys, e.fresh, e.old = keys, f.now().Add(life), f.now().Add(keysOld)
	}
	close(e.flight)
	e.flight = nil
}

func (f *keyFetcher) fetch(ctx context.Context, uri string) (clientKeys, time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, 0, errors.New("oidc: the jwks_uri is no URL")
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := f.http.Do(r)
	if err != nil {
		return nil, 0, fmt.Errorf("oidc: jwks_uri: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("oidc: jwks_uri: status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1)) // keyList refuses the one more
	if err != nil {
		return nil, 0, fmt.Errorf("oidc: jwks_uri: %w", err)
	}
	if _, problem := keyList(body); problem != "" {
		return nil, 0, fmt.Errorf("oidc: jwks_uri: %s", problem)
	}
	return parseClientKeys(body), lifeOf(res.Header), nil
}

// lifeOf is max-age (RFC 9111 §5.2.2.1), held between keysFresh and keysOld.
func lifeOf(h http.Header) time.Duration {
	life := keysFresh
	for directive := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		seconds, err := strconv.Atoi(value)
		if err == nil && strings.EqualFold(name, "max-age") && seconds < int(keysOld/time.Second) {
			life = max(life, time.Duration(seconds)*time.Second)
		} else if err == nil && strings.EqualFold(name, "max-age") {
			life = keysOld
		}
	}
	return life
}
