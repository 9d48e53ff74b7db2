package oidc

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker/clients"
)

// published lists the kids of the JWKS.
func (h *harness) published() []string {
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

func (h *harness) signs(alg string) string {
	h.t.Helper()
	key, err := h.handler.keys.Signer(alg)
	h.must(err)
	return key.ID
}

func (h *harness) tick() {
	h.t.Helper()
	h.must(h.handler.keys.Tick(h.ctx()))
}

func TestDocumentsAreBuiltOnceAndCached(t *testing.T) {
	h := newHarness(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
		"/jwks"} {
		a := h.send(newRequest(http.MethodGet, path, nil))
		tag := a.Header.Get("ETag")
		if a.StatusCode != http.StatusOK || tag == "" || !strings.HasPrefix(a.Header.Get("Cache-Control"),
			"public, max-age=") || a.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", path, a.StatusCode, a.Header)
		}
		r := newRequest(http.MethodGet, path, nil)
		r.Header.Set("If-None-Match", `"x", W/`+tag)
		if again := h.send(r); again.StatusCode != http.StatusNotModified || again.body != "" {
			t.Errorf("%s: %d %q", path, again.StatusCode, again.body)
		}
	}
	meta := h.send(newRequest(http.MethodGet, "/.well-known/openid-configuration", nil)).json
	for name, path := range map[string]string{"issuer": "", "authorization_endpoint": "/authorize",
		"token_endpoint": "/token", "userinfo_endpoint": "/userinfo",
		"jwks_uri": "/jwks", "revocation_endpoint": "/revoke", "introspection_endpoint": "/introspect",
		"end_session_endpoint": "/end_session"} {
		if meta[name] != issuer+path {
			t.Errorf("%s is %v", name, meta[name])
		}
	}
	if meta["request_uri_parameter_supported"] != false || meta["request_parameter_supported"] != false ||
		meta["code_challenge_methods_supported"].([]any)[0] != "S256" ||
		meta["id_token_signing_alg_values_supported"].([]any)[0] != "RS256" || len(meta["ui_locales_supported"].([]any)) < 4 {
		t.Errorf("%v", meta)
	}
}

func TestG19_OnlyPagesOfTheClientMayReadItsTokensAndAnyHeaderAndErrorPasses(t *testing.T) {
	h := newHarness(t)
	got := h.signIn()
	for origin, good := range map[string]bool{"https://app.example.com": true, "https://evil.example": false,
		"null": false, "http://app.example.com": false, "": false} {
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
		token := newRequest(http.MethodPost, "/token", map[string][]string{"grant_type": {clients.GrantClient}})
		token.SetBasicAuth("app", h.secret)
		wrong := newRequest(http.MethodPost, "/token", map[string][]string{"grant_type": {clients.GrantRefresh},
			"refresh_token": {"x"}})
		wrong.SetBasicAuth("app", h.secret)
		pushed := newRequest(http.MethodPost, "/par", ask())
		pushed.SetBasicAuth("app", h.secret)
		for _, r := range []*http.Request{info, token, wrong, pushed} {
			if allowed := with(r); (allowed == origin && origin != "") != good {
				t.Errorf("%s from %q: allowed %q", r.URL.Path, origin, allowed)
			}
		}
	}
	for name, r := range map[string]*http.Request{
		"no token":          newRequest(http.MethodGet, "/userinfo", nil),
		"a revoked token":   newRequest(http.MethodGet, "/userinfo", nil),
		"an unknown client": newRequest(http.MethodPost, "/token", form("grant_type", clients.GrantCode, "client_id", "x")),
		"a wrong secret": newRequest(http.MethodPost, "/token", form("grant_type", clients.GrantCode, "client_id", "app",
			"client_secret", "x")),
	} {
		if name == "a revoked token" {
			h.call("/revoke", "token", got.text("refresh_token"))
			r.Header.Set("Authorization", "Bearer "+got.text("access_token"))
		}
		r.Header.Set("Origin", "https://app.example.com")
		if a := h.send(r); a.StatusCode != http.StatusUnauthorized || a.Header.Get("Access-Control-Allow-Origin") != "*" ||
			a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v", name, a.StatusCode, a.Header)
		}
	}
	for _, path := range []string{"/token", "/userinfo", "/revoke", "/jwks", "/par"} {
		r := newRequest(http.MethodOptions, path, nil)
		r.Header.Set("Origin", "https://app.example.com")
		r.Header.Set("Access-Control-Request-Headers", "authorization,x-requested-with")
		if a := h.send(r); a.Header.Get("Access-Control-Allow-Headers") != "authorization,x-requested-with" {
			t.Errorf("%s: %v", path, a.Header)
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
