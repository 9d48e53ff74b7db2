package oidc

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

// public adds a public client and returns its credentials.
func (h *harness) public(c broker.Client) []string {
	h.t.Helper()
	c.ID, c.Name, c.AuthMethods, c.FirstParty = "public", "Public", []string{"none"}, true
	h.client(c)
	return []string{"client_id", "public"}
}

func TestEveryAlgorithmThatDiscoveryNamesBindsATokenToItsKey(t *testing.T) {
	for _, jwt := range []bool{false, true} {
		h := newHarness(t).as(kind{jwt: jwt})
		named := list(h.send(newRequest(http.MethodGet, pathConfiguration, nil)).json["dpop_signing_alg_values_supported"])
		if !slices.Equal(named, []string{"ES256", "EdDSA", "Ed25519", "PS256", "RS256"}) {
			t.Fatalf("%v", named)
		}
		for _, alg := range named {
			h.prover = newProver(t, alg)
			got := h.signIn()
			token := got.text("access_token")
			if got.text("token_type") != "DPoP" {
				t.Errorf("%s: %s", alg, got.body)
			}
			h.wants(h.userinfo(token), http.StatusOK, "")
			said := h.call("/introspect", "token", token)
			if jkt, _ := said.json["cnf"].(map[string]any); said.text("token_type") != "DPoP" ||
				jkt["jkt"] != h.prover.thumbprint() {
				t.Errorf("%s: %s", alg, said.body)
			}
			if jwt {
				_, claims := h.claims(token)
				if cnf, _ := claims["cnf"].(map[string]any); cnf["jkt"] != h.prover.thumbprint() {
					t.Errorf("%s: %v", alg, claims)
				}
			}
			if again := h.refresh(got.text("refresh_token")); again.text("token_type") != "DPoP" ||
				h.userinfo(again.text("access_token")).StatusCode != http.StatusOK {
				t.Errorf("%s: %s", alg, again.body)
			}
			if machine := h.token("grant_type", clients.GrantClient); machine.text("token_type") != "DPoP" {
				t.Errorf("%s: %s", alg, machine.body)
			}
		}
		h.prover = nil
		if got := h.signIn(); got.text("token_type") != "Bearer" || h.call("/introspect", "token",
			got.text("access_token")).json["cnf"] != nil {
			t.Errorf("without a proof: %s", got.body)
		}
	}
}

func TestA6_ARefreshTokenOfAPublicClientIsBoundToItsKey(t *testing.T) {
	h := newHarness(t)
	as := h.public(broker.Client{})
	h.prover = newProver(t, signing.ES256)
	owner, thief := h.prover, newProver(t, signing.ES256)
	got := h.wants(h.redeem(h.browser().code(ask("client_id", "public")), as...), http.StatusOK, "")
	first := got.text("refresh_token")
	for name, p := range map[string]*prover{"another key": thief, "no key": nil} {
		h.prover = p
		if a := h.refresh(first, as...); a.StatusCode != http.StatusBadRequest || a.text("error") != "invalid_grant" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	h.prover = owner
	second := h.wants(h.refresh(first, as...), http.StatusOK, "")
	if again := h.refresh(first, as...); again.text("refresh_token") != second.text("refresh_token") {
		t.Errorf("a retry within the grace: %s", again.body)
	}
	// A client with an old token but without the key cannot end the grant either.
	h.clock.add(broker.RefreshGrace)
	h.prover = thief
	h.wants(h.refresh(first, as...), http.StatusBadRequest, "invalid_grant")
	h.prover = owner
	third := h.wants(h.refresh(second.text("refresh_token"), as...), http.StatusOK, "")
	h.clock.add(broker.RefreshGrace)
	h.wants(h.refresh(first, as...), http.StatusBadRequest, "invalid_grant")
	h.wants(h.refresh(third.text("refresh_token"), as...), http.StatusBadRequest, "invalid_grant")
}

func TestARefreshTokenOfAConfidentialClientIsBoundToItsAuthentication(t *testing.T) {
	h := newHarness(t).as(kind{dpop: true})
	got := h.signIn()
	h.prover = newProver(t, signing.ES256)
	again := h.wants(h.refresh(got.text("refresh_token")), http.StatusOK, "")
	h.wants(h.userinfo(again.text("access_token")), http.StatusOK, "")
	h.wants(h.userinfo(got.text("access_token")), http.StatusUnauthorized, "invalid_token")
}

func TestACodeIsBoundToTheKeyThatItWasAskedWith(t *testing.T) {
	h := newHarness(t)
	public := h.public(broker.Client{})
	owner, thief := newProver(t, signing.ES256), newProver(t, signing.ES256)
	for _, as := range [][]string{nil, public} {
		id := "app"
		if as != nil {
			id = "public"
		}
		code := h.browser().code(ask("client_id", id, "dpop_jkt", owner.thumbprint()))
		for _, p := range []*prover{nil, thief} {
			h.prover = p
			h.wants(h.redeem(code, as...), http.StatusBadRequest, "invalid_grant")
		}
		h.prover = owner
		h.wants(h.redeem(code, as...), http.StatusOK, "") // what failed did not consume it
	}
	for _, bad := range []string{"x", owner.thumbprint() + "=", owner.thumbprint()[1:], strings.Repeat("A", 44)} {
		h.appHears(h.browser().authorize(ask("dpop_jkt", bad)), "invalid_request")
	}
}

func TestAClientThatPromisedDPoPGetsNoBearerToken(t *testing.T) {
	h := newHarness(t)
	as := h.public(broker.Client{DPoPBound: true})
	h.change("app", func(c *broker.Client) { c.DPoPBound = true })
	code, theirs := h.browser().code(ask()), h.browser().code(ask("client_id", "public"))
	h.wants(h.redeem(code), http.StatusBadRequest, "invalid_dpop_proof")
	h.wants(h.redeem(theirs, as...), http.StatusBadRequest, "invalid_dpop_proof")
	h.wants(h.token("grant_type", clients.GrantClient), http.StatusBadRequest, "invalid_dpop_proof")
	h.prover = newProver(t, signing.ES256)
	got := h.wants(h.redeem(code), http.StatusOK, "")
	h.wants(h.redeem(theirs, as...), http.StatusOK, "")
	h.wants(h.token("grant_type", clients.GrantClient), http.StatusOK, "")
	h.prover = nil
	h.wants(h.refresh(got.text("refresh_token")), http.StatusBadRequest, "invalid_dpop_proof")
	h.prover = newProver(t, signing.ES256)
	h.wants(h.refresh(got.text("refresh_token")), http.StatusOK, "") // the refusal consumed nothing
}

func TestABrowserAppMayShowProofsAndReadWhyTheyFail(t *testing.T) {
	h := newHarness(t).as(kind{dpop: true})
	for _, path := range []string{pathToken, pathUserinfo} {
		r := newRequest(http.MethodOptions, path, nil)
		if allowed := h.send(r).Header.Get("Access-Control-Allow-Headers"); !strings.Contains(allowed, "DPoP") {
			t.Errorf("%s: %q", path, allowed)
		}
	}
	got := h.signIn()
	r := newRequest(http.MethodGet, "/userinfo", nil)
	r.Header.Set("Origin", "https://app.example.com")
	r.Header.Set("Authorization", "DPoP "+got.text("access_token"))
	a := h.wants(h.send(r), http.StatusUnauthorized, "invalid_dpop_proof")
	if a.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" ||
		!strings.Contains(a.Header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
		t.Errorf("%v", a.Header)
	}
	post := newRequest(http.MethodPost, "/token", form("grant_type", clients.GrantClient))
	post.SetBasicAuth("app", h.secret)
	post.Header.Set("Origin", "https://app.example.com")
	post.Header.Set("DPoP", "x")
	if a := h.wants(h.send(post), http.StatusBadRequest, "invalid_dpop_proof"); a.Header.Get(
		"Access-Control-Allow-Origin") == "" {
		t.Errorf("%v", a.Header)
	}
	post = newRequest(http.MethodPost, "/token", form("grant_type", clients.GrantClient))
	post.SetBasicAuth("app", "wrong")
	post.Header.Set("DPoP", "x")
	h.wants(h.send(post), http.StatusUnauthorized, "invalid_client")
	if bare := h.send(newRequest(http.MethodGet, "/userinfo", nil)); len(bare.Header.Values("WWW-Authenticate")) != 2 {
		t.Errorf("%v", bare.Header)
	}
}
