package oidc

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/egress"
	"gatehouse/broker/signing"
)

// publisher is an app's server that publishes its keys.
type publisher struct {
	*httptest.Server
	mu     sync.Mutex
	answer http.HandlerFunc
	hits   atomic.Int64
}

func (p *publisher) says(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = h
}

func (p *publisher) publishes(set, cacheControl string) {
	p.says(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", cacheControl)
		io.WriteString(w, set)
	})
}

// newPublisher also makes the egress client that reaches it.
func newPublisher(t *testing.T) (*publisher, *egress.Client) {
	t.Helper()
	p := &publisher{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.hits.Add(1)
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	out, err := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})})
	if err != nil {
		t.Fatal(err)
	}
	return p, out
}

// newPublished returns a harness with the client "remote", whose keys are at the publisher.
func newPublished(t *testing.T) (*harness, *publisher) {
	t.Helper()
	p, out := newPublisher(t)
	h := newHarnessWith(t, ports{egress: out})
	h.remote("remote", p.URL+"/keys?of=remote")
	return h, p
}

// remote registers a client past what ValidateClient would say of its URI.
func (h *harness) remote(id, uri string) {
	h.t.Helper()
	h.client(broker.Client{ID: id, Name: id, AuthMethods: []string{clients.MethodKey}, SecretHashes: []string{},
		KeysURI: "https://app.example.com/keys"})
	c, err := h.db.Client(h.ctx(), id)
	h.must(err)
	c.KeysURI = uri
	h.must(h.db.PutClient(h.ctx(), c))
}

func TestKeysAreFetchedOnceAndKeptForTheirTime(t *testing.T) {
	for cacheControl, life := range map[string]time.Duration{"": clients.KeysFresh, "max-age=1": clients.KeysFresh,
		"no-store": clients.KeysFresh, "public, max-age=600": 10 * time.Minute,
		"Max-Age=999999999": clients.KeysOld, "max-age=99999999999999999999": clients.KeysFresh} {
		h, p := newPublished(t)
		key := newHeldKey(t, "k", signing.ES256)
		p.publishes(keySetOf(t, key), cacheControl)
		prove := func(hits int64) {
			t.Helper()
			h.proven(h.asserts(key.signed(t, h.proof("remote"), nil)))
			if n := p.hits.Load(); n != hits {
				t.Errorf("%q: %d fetches, want %d", cacheControl, n, hits)
			}
		}
		prove(1)
		prove(1)
		h.clock.add(life - time.Second)
		prove(1)
		h.clock.add(time.Second)
		prove(2)
	}
}

// oidcc-refresh-token-rp-key-rotation: the app signs with a key that we have not seen.
func TestOIDF_oidcc_refresh_token_rp_key_rotation(t *testing.T) {
	h, p := newPublished(t)
	old, next := newHeldKey(t, "old", signing.ES256), newHeldKey(t, "next", signing.ES256)
	p.publishes(keySetOf(t, old), "max-age=900")
	h.proven(h.asserts(old.signed(t, h.proof("remote"), nil)))
	p.publishes(keySetOf(t, next), "max-age=900")
	h.clock.add(clients.KeysRetry)
	h.proven(h.asserts(next.signed(t, h.proof("remote"), nil)))
	h.unproven(h.asserts(old.signed(t, h.proof("remote"), nil))) // and the withdrawn one is invalid immediately
	if n := p.hits.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

func TestA9_MadeUpKidsFetchOnceInHalfAMinute(t *testing.T) {
	h, p := newPublished(t)
	key := newHeldKey(t, "k", signing.ES256)
	p.publishes(keySetOf(t, key), "")
	for minute := range int64(3) {
		for _, kid := range []string{"a", "b", "c", "d"} {
			h.unproven(h.asserts(heldKey{kid, key.alg, key.private}.signed(t, h.proof("remote"), nil)))
			h.clock.add(clients.KeysRetry / 5)
		}
		if n := p.hits.Load(); n != minute+1 {
			t.Errorf("%d fetches after %d half minutes", n, minute)
		}
		h.proven(h.asserts(key.signed(t, h.proof("remote"), nil)))
		h.clock.add(clients.KeysRetry / 5)
	}
	for _, a := range []string{"app", "nobody"} { // a client without keys there causes no fetch
		h.unproven(h.asserts(key.signed(t, h.proof(a), nil)))
	}
	if n := p.hits.Load(); n != 3 {
		t.Errorf("%d fetches", n)
	}
}

func TestKeysThatCannotBeFetchedAgainAreUsedForAQuarterOfAnHour(t *testing.T) {
	h, p := newPublished(t)
	key := newHeldKey(t, "k", signing.ES256)
	p.publishes(keySetOf(t, key), "")
	h.proven(h.asserts(key.signed(t, h.proof("remote"), nil)))
	p.says(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	h.clock.add(clients.KeysOld - time.Second)
	h.proven(h.asserts(key.signed(t, h.proof("remote"), nil)))
	h.proven(h.asserts(key.signed(t, h.proof("remote"), nil)))
	if n := p.hits.Load(); n != 2 {
		t.Errorf("%d fetches: a failed one is not tried again at once", n)
	}
	h.clock.add(time.Second)
	h.unproven(h.asserts(key.signed(t, h.proof("remote"), nil)))
	p.publishes(keySetOf(t, key), "")
	h.clock.add(clients.KeysRetry)
	h.proven(h.asserts(key.signed(t, h.proof("remote"), nil)))
}

func TestConcurrentCallersShareOneFetch(t *testing.T) {
	h, p := newPublished(t)
	key := newHeldKey(t, "k", signing.ES256)
	release := make(chan struct{})
	p.says(func(w http.ResponseWriter, _ *http.Request) { <-release; io.WriteString(w, keySetOf(t, key)) })
	var tokens []string
	for range 20 {
		tokens = append(tokens, key.signed(t, h.proof("remote"), nil))
	}
	var turn, good atomic.Int64
	race(20, func() {
		n := turn.Add(1)
		if n == 20 {
			close(release)
		}
		if a := h.asserts(tokens[n-1]); a.text("error") == "invalid_grant" {
			good.Add(1)
		}
	})
	if good.Load() != 20 || p.hits.Load() != 1 {
		t.Errorf("%d proven with %d fetches", good.Load(), p.hits.Load())
	}
}

func TestA9_WhatAPublisherCannotDo(t *testing.T) {
	key := newHeldKey(t, "k", signing.ES256)
	set := keySetOf(t, key)
	var canary atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		canary.Add(1)
		io.WriteString(w, set)
	}))
	defer other.Close()
	for name, answer := range map[string]http.HandlerFunc{
		"lead elsewhere": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) },
		"send too much": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, set+strings.Repeat(" ", clients.MaxKeySet))
		},
		"keep us waiting": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"send a page":     func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"send no keys":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"keys":[]}`) },
		"send another status": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			io.WriteString(w, set)
		},
		"send a private key": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Replace(set, `"kty"`, `"d":"AAAA","kty"`, 1))
		},
		"send a shared secret": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","kid":"k"}]}`)
		},
		"send a key for secrecy": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Replace(set, `"kty"`, `"use":"enc","kty"`, 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, p := newPublished(t)
			p.says(answer)
			h.unproven(h.asserts(key.signed(t, h.proof("remote"), nil)))
			if n := p.hits.Load(); n != 1 {
				t.Errorf("%d fetches", n)
			}
		})
	}
	if n := canary.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

func TestA19_A20_NoKeysAreFetchedFromWhereWeMustNotGo(t *testing.T) {
	key := newHeldKey(t, "k", signing.ES256)
	var canary atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		canary.Add(1)
		io.WriteString(w, keySetOf(t, key))
	}))
	defer inside.Close()
	u, err := url.Parse(inside.URL)
	if err != nil {
		t.Fatal(err)
	}
	strict, err := egress.New(egress.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := newHarnessWith(t, ports{egress: strict})
	for i, uri := range []string{inside.URL, "https://" + u.Host, "http://localhost:" + u.Port(),
		"http://2130706433:" + u.Port(), "http://0x7f.0.0.1:" + u.Port(), "http://127.1:" + u.Port(),
		"http://[::ffff:127.0.0.1]:" + u.Port(), "http://[::1]:" + u.Port(), "http://0:" + u.Port(),
		"http://user:pass@127.0.0.1:" + u.Port(), "https://169.254.169.254/latest/meta-data",
		"https://10.0.0.1/", "https://192.168.0.1", "https://[fe80::1]", "https://[fd00::1]", "file:///etc/passwd",
		"gopher://" + u.Host, "data:application/json,{}", "//" + u.Host, "", "%"} {
		if uri == "" {
			continue
		}
		id := "client" + string(rune('a'+i))
		h.remote(id, uri) // as no registration would let it
		h.unproven(h.asserts(key.signed(t, h.proof(id), nil)))
		c, err := h.db.Client(h.ctx(), id)
		h.must(err)
		if _, named := strings.CutPrefix(uri, "https://"); !named && len(clients.Validate(c)) == 0 {
			t.Errorf("%q may be registered", uri)
		}
	}
	if n := canary.Load(); n != 0 {
		t.Errorf("somebody inside was called %d times", n)
	}
}

func TestAClientsKeysAreStoredAsTheyAre(t *testing.T) {
	set := keySetOf(t, newHeldKey(t, "a", signing.ES256))
	h := newHarness(t)
	h.client(broker.Client{ID: "machine", Name: "Machine", AuthMethods: []string{clients.MethodKey},
		SecretHashes: []string{}, Keys: set})
	if c, err := h.db.Client(h.ctx(), "machine"); err != nil || c.Keys != set {
		t.Errorf("%s %v", c.Keys, err)
	}
}

// oidcc-ensure-client-assertion-with-iss-aud-succeeds: aud is the issuer.
func TestOIDF_oidcc_ensure_client_assertion_with_iss_aud_succeeds(t *testing.T) {
	h := newHarness(t)
	key := newHeldKey(t, "k", signing.RS256)
	h.client(broker.Client{ID: "suite", Name: "Suite", AuthMethods: []string{clients.MethodKey}, SecretHashes: []string{},
		Keys: keySetOf(t, key), FirstParty: true})
	asserted := func() []string {
		return []string{"client_id", "suite", "client_assertion_type", assertionType, "client_assertion",
			key.signed(t, h.proof("suite"), nil)}
	}
	got := h.wants(h.redeem(h.browser().code(ask("client_id", "suite")), asserted()...), http.StatusOK, "")
	h.wants(h.refresh(got.text("refresh_token"), asserted()...), http.StatusOK, "")
	h.wants(h.call("/token", append(asserted(), "grant_type", clients.GrantClient)...), http.StatusOK, "")
	meta := h.send(newRequest(http.MethodGet, pathConfiguration, nil)).json
	for _, endpoint := range []string{"token", "revocation", "introspection"} {
		methods, _ := meta[endpoint+"_endpoint_auth_methods_supported"].([]any)
		algs, _ := meta[endpoint+"_endpoint_auth_signing_alg_values_supported"].([]any)
		if len(methods) < 3 || len(algs) != len(clients.AssertionAlgs()) {
			t.Errorf("%s: %v %v", endpoint, methods, algs)
		}
	}
}
