package oidc

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
)

// renew is a refresh by a client of the suite, with its secret in a header.
func (h *house) renew(id, secret, token string, pairs ...string) answer {
	h.t.Helper()
	r := newRequest(http.MethodPost, pathToken, form(append([]string{"grant_type", grantRefresh, "refresh_token", token}, pairs...)...))
	r.SetBasicAuth(id, secret)
	return h.send(r)
}

func TestOIDF_oidcc_refresh_token(t *testing.T) {
	h := newHouse(t)
	secret, second := h.suite("suite"), h.suite("suite2")
	got := h.wants(h.exchange(secret, h.browser().code(plain("scope", "openid offline_access"))), http.StatusOK, "")
	if got.text("refresh_token") == "" {
		t.Fatalf("%s", got.body)
	}
	h.wants(h.renew("suite2", second, got.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
	_, first := h.claims(got.text("id_token"))
	h.clock.add(5 * time.Second)
	again := h.wants(h.renew("suite", secret, got.text("refresh_token"), "scope", "openid offline_access"), http.StatusOK, "")
	_, renewed := h.claims(again.text("id_token"))
	for _, same := range []string{"iss", "sub", "aud", "auth_time", "azp"} {
		if renewed[same] != first[same] {
			t.Errorf("%s was %v and is %v", same, first[same], renewed[same])
		}
	}
	if renewed["iat"].(float64) <= first["iat"].(float64) || again.text("access_token") == got.text("access_token") {
		t.Errorf("nothing new: %v", renewed)
	}
	h.wants(h.userinfo(again.text("access_token")), http.StatusOK, "")
}

func TestOIDF_oidcc_refresh_token_after_prompt_consent(t *testing.T) {
	h, b, secret := third(t)
	q := thirdAsks("scope", "openid offline_access", "prompt", "consent")
	path := b.get("/authorize?" + q.Encode()).Header.Get("Location")
	b.post(path, url.Values{"decision": {"allow"}})
	code := b.get("/authorize?consent=" + path[len("/consent/"):]).location().Query().Get("code")
	got := h.wants(h.redeem(code, "client_id", "third", "client_secret", secret), http.StatusOK, "")
	h.wants(h.refresh(got.text("refresh_token"), "client_id", "third", "client_secret", secret), http.StatusOK, "")
}

func TestOIDF_oidcc_codereuse(t *testing.T)           { codeReuse(t, 0) }
func TestOIDF_oidcc_codereuse_30seconds(t *testing.T) { codeReuse(t, 30*time.Second) }

// codeReuse ends what the first use got, whatever kind of token that was.
func codeReuse(t *testing.T, later time.Duration) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			h := newHouse(t).as(k)
			code := h.browser().code(ask())
			got := h.wants(h.redeem(code), http.StatusOK, "")
			h.wants(h.userinfo(got.text("access_token")), http.StatusOK, "")
			h.clock.add(later)
			h.wants(h.redeem(code), http.StatusBadRequest, "invalid_grant")
			h.wants(h.userinfo(got.text("access_token")), http.StatusUnauthorized, "invalid_token")
			h.wants(h.refresh(got.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
		})
	}
}

func TestOIDF_oidcc_userinfo_get(t *testing.T) {
	h := newHouse(t)
	secret := h.suite("suite")
	a := h.wants(h.userinfo(h.exchange(secret, h.browser().code(plain())).text("access_token")), http.StatusOK, "")
	if a.text("sub") != "ana" || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v %s", a.Header, a.body)
	}
}

func TestOIDF_oidcc_userinfo_post_header(t *testing.T) {
	for _, k := range kinds() {
		h := newHouse(t).as(k)
		got := h.signIn()
		r := newRequest(http.MethodPost, pathUserinfo, nil)
		r.Header.Set("Authorization", got.text("token_type")+" "+got.text("access_token"))
		if a := h.wants(h.send(h.prove(r, got.text("access_token"))), http.StatusOK, ""); a.text("sub") != "ana" {
			t.Errorf("%s: %s", k.name, a.body)
		}
	}
}

func TestOIDF_oidcc_userinfo_post_body(t *testing.T) {
	for _, k := range kinds()[:2] { // what is bound has no place in a body (RFC 9449 §7.1)
		h := newHouse(t).as(k)
		a := h.wants(h.send(newRequest(http.MethodPost, pathUserinfo, url.Values{"access_token": {h.signIn().text("access_token")}})), http.StatusOK, "")
		if a.text("sub") != "ana" {
			t.Errorf("%s: %s", k.name, a.body)
		}
	}
}

func TestOIDF_oidcc_idtoken_signature(t *testing.T) {
	h := newHouse(t)
	set := h.jwksNow()
	for alg, want := range map[string]jose.SignatureAlgorithm{"": jose.RS256, algRS256: jose.RS256, algES256: jose.ES256, algEdDSA: jose.EdDSA} {
		h.change("app", func(c *broker.Client) { c.IDTokenAlg = alg })
		jws, err := jose.ParseSignedCompact(h.signIn().text("id_token"), []jose.SignatureAlgorithm{want})
		if err != nil {
			t.Errorf("%q: %v", alg, err)
			continue
		}
		keys := set.Key(jws.Signatures[0].Protected.KeyID)
		if len(keys) != 1 || keys[0].Algorithm != string(want) {
			t.Errorf("%q: the JWKS has %d keys of this id", alg, len(keys))
			continue
		}
		if _, err := jws.Verify(keys[0].Key); err != nil {
			t.Errorf("%q: %v", alg, err)
		}
	}
}
