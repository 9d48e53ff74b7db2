package oidc

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
)

// published lists the kids of the JWKS.
func (h *house) published() []string {
	h.t.Helper()
	var set jose.JSONWebKeySet
	h.must(json.Unmarshal([]byte(h.send(newRequest(http.MethodGet, "/jwks", nil)).body), &set))
	var kids []string
	for _, k := range set.Keys {
		if !k.IsPublic() || k.Use != "sig" || k.KeyID == "" || k.Algorithm == "" {
			h.t.Errorf("a key of the JWKS: %+v", k)
		}
		kids = append(kids, k.KeyID)
	}
	return kids
}

func (h *house) signs(alg string) string {
	h.t.Helper()
	key, err := h.door.keys.signer(alg)
	h.must(err)
	return key.ID
}

func (h *house) tick() {
	h.t.Helper()
	h.must(h.door.keys.Tick(h.ctx()))
}

func TestTheFirstStartMakesOneKeyOfEachKind(t *testing.T) {
	h := newHouseWith(t, ports{bare: true})
	first := h.published()
	if len(first) != 3 {
		t.Fatalf("keys %v", first)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			k := &Keys{Store: h.db, Leases: h.db, Atomic: h.db, Journal: h.db, Now: h.clock.Now}
			if err := k.Start(h.ctx()); err != nil || len(k.current.Load().all) != 3 {
				t.Errorf("another replica: %v", err)
			}
		})
	}
	all.Wait()
	if again := h.published(); !slices.Equal(first, again) {
		t.Errorf("keys %v, then %v", first, again)
	}
	if e := h.events(broker.EventFilter{Verb: broker.EventKeyChanged}); len(e) != 3 {
		t.Errorf("events %+v", e)
	}
}

func TestReplicasThatStartTogetherMakeOneSetOfKeys(t *testing.T) {
	h := newHouse(t)
	for _, k := range madeKeys() {
		h.must(h.db.DeleteSigningKey(h.ctx(), k.ID))
	}
	replicas := make([]*Keys, 3)
	var all sync.WaitGroup
	for i := range replicas {
		replicas[i] = &Keys{Store: h.db, Leases: h.db, Atomic: h.db, Journal: h.db, Now: h.clock.Now}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(h.ctx(), time.Minute)
			defer cancel()
			if err := replicas[i].Start(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, k := range replicas {
		if len(k.current.Load().all) != 3 || string(k.jwks().body) != string(replicas[0].jwks().body) {
			t.Errorf("%d keys", len(k.current.Load().all))
		}
	}
}

func TestA22_KeysRotateWithoutASecondOfOutage(t *testing.T) {
	h := newHouse(t)
	old := h.signs(algRS256)
	id := h.signIn().text("id_token")
	h.clock.add(keyLife - keyLead - time.Minute)
	h.tick()
	if n := len(h.published()); n != 3 {
		t.Fatalf("%d keys before their time", n)
	}
	h.clock.add(time.Minute)
	h.tick()
	if n := len(h.published()); n != 6 || h.signs(algRS256) != old {
		t.Fatalf("%d keys are published, %s signs", n, h.signs(algRS256))
	}
	known := h.published() // what an app has cached
	h.clock.add(keyLead - time.Second)
	h.tick()
	if h.signs(algRS256) != old {
		t.Fatal("a key signs before it was published for a day")
	}
	h.clock.add(time.Second)
	h.tick()
	if now := h.signs(algRS256); now == old || !slices.Contains(known, now) {
		t.Fatalf("%s signs, apps know %v", now, known)
	}
	if !slices.Contains(h.published(), old) {
		t.Fatal("the old key left while its tokens live")
	}
	h.clock.add(keyTail)
	h.tick()
	if slices.Contains(h.published(), old) || len(h.published()) != 3 {
		t.Errorf("published %v", h.published())
	}
	if _, err := h.door.readHint(id); err != nil {
		t.Errorf("the hint of a retired key: %v", err)
	}
	h.clock.add(hintLife)
	h.tick()
	if _, err := h.door.readHint(id); err == nil {
		t.Error("a hint from 90 days ago")
	}
	rows, err := h.db.SigningKeys(h.ctx())
	h.must(err)
	if slices.ContainsFunc(rows, func(k broker.SigningKey) bool { return k.ID == old }) {
		t.Error("the row of the old key is still there")
	}
}

func TestA22_TheFleetFollowsWithinAMinute(t *testing.T) {
	h := newHouse(t)
	other := &Keys{Store: h.db, Leases: h.db, Atomic: h.db, Journal: h.db, Now: h.clock.Now}
	h.must(other.Start(h.ctx()))
	id := h.signIn().text("id_token")
	before := h.published()
	h.must(other.RotateNow(h.ctx(), false))
	h.tick()
	if now := h.published(); len(now) != 6 || h.signs(algRS256) != before[slices.Index(before, h.signs(algRS256))] {
		t.Fatalf("published %v", now)
	}
	h.clock.add(time.Minute)
	h.must(other.RotateNow(h.ctx(), false))
	if h.tick(); len(h.published()) != 6 {
		t.Error("there are two next keys")
	}
	h.clock.add(time.Minute)
	h.must(other.RotateNow(h.ctx(), true))
	h.tick()
	now := h.published()
	if len(now) != 3 || slices.ContainsFunc(now, func(kid string) bool { return slices.Contains(before, kid) }) || !slices.Contains(now, h.signs(algRS256)) {
		t.Errorf("after an emergency %v, before it %v", now, before)
	}
	if _, err := h.door.readHint(id); err == nil {
		t.Error("an emergency leaves the old tokens good as hints")
	}
	if err := other.RotateNow(h.ctx(), true); err == nil {
		t.Error("two rotations at once")
	}
}

func TestDocumentsAreBuiltOnceAndCached(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"} {
		a := h.send(newRequest(http.MethodGet, path, nil))
		tag := a.Header.Get("ETag")
		if a.StatusCode != http.StatusOK || tag == "" || !strings.HasPrefix(a.Header.Get("Cache-Control"), "public, max-age=") || a.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", path, a.StatusCode, a.Header)
		}
		r := newRequest(http.MethodGet, path, nil)
		r.Header.Set("If-None-Match", `"x", W/`+tag)
		if again := h.send(r); again.StatusCode != http.StatusNotModified || again.body != "" {
			t.Errorf("%s: %d %q", path, again.StatusCode, again.body)
		}
	}
	meta := h.send(newRequest(http.MethodGet, "/.well-known/openid-configuration", nil)).json
	for name, path := range map[string]string{"issuer": "", "authorization_endpoint": "/authorize", "token_endpoint": "/token", "userinfo_endpoint": "/userinfo",
		"jwks_uri": "/jwks", "revocation_endpoint": "/revoke", "introspection_endpoint": "/introspect", "end_session_endpoint": "/end_session"} {
		if meta[name] != issuer+path {
			t.Errorf("%s is %v", name, meta[name])
		}
	}
	if meta["request_uri_parameter_supported"] != false || meta["request_parameter_supported"] != false || meta["code_challenge_methods_supported"].([]any)[0] != "S256" ||
		meta["id_token_signing_alg_values_supported"].([]any)[0] != "RS256" || len(meta["ui_locales_supported"].([]any)) < 4 {
		t.Errorf("%v", meta)
	}
}

func TestOnlyPagesOfTheClientMayReadItsTokens(t *testing.T) {
	h := newHouse(t)
	got := h.signIn()
	for origin, good := range map[string]bool{"https://app.example.com": true, "https://evil.example": false, "null": false, "http://app.example.com": false, "": false} {
		with := func(r *http.Request) string {
			r.Header.Set("Origin", origin)
			a := h.send(r)
			if a.Header.Get("Access-Control-Allow-Credentials") != "" || a.Header.Get("Vary") != "Origin" {
				t.Errorf("%v", a.Header)
			}
			return a.Header.Get("Access-Control-Allow-Origin")
		}
		info := newRequest(http.MethodGet, "/userinfo", nil)
		info.Header.Set("Authorization", "Bearer "+got.text("access_token"))
		token := newRequest(http.MethodPost, "/token", map[string][]string{"grant_type": {grantClient}})
		token.SetBasicAuth("app", h.secret)
		wrong := newRequest(http.MethodPost, "/token", map[string][]string{"grant_type": {grantRefresh}, "refresh_token": {"x"}})
		wrong.SetBasicAuth("app", h.secret)
		pushed := newRequest(http.MethodPost, "/par", ask())
		pushed.SetBasicAuth("app", h.secret)
		for _, r := range []*http.Request{info, token, wrong, pushed} {
			if allowed := with(r); (allowed == origin && origin != "") != good {
				t.Errorf("%s from %q: allowed %q", r.URL.Path, origin, allowed)
			}
		}
	}
	for _, path := range []string{"/token", "/userinfo", "/revoke", "/jwks", "/par"} {
		r := newRequest(http.MethodOptions, path, nil)
		r.Header.Set("Origin", "https://app.example.com")
		if a := h.send(r); a.StatusCode != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Credentials") != "" ||
			!strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("%s: %d %v", path, a.StatusCode, a.Header)
		}
	}
	for _, path := range []string{"/authorize", "/introspect", "/end_session"} {
		r := newRequest(http.MethodOptions, path, nil)
		r.Header.Set("Origin", "https://app.example.com")
		if a := h.send(r); a.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
}
