package oidc

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

func TestFAPI2_EveryLineOfTheSecurityProfile(t *testing.T) {
	for line, holds := range map[string]func(t *testing.T, k *bank){
		"5.3.2.1-1 discovery metadata":               func(t *testing.T, k *bank) { k.lineDiscovery() },
		"5.3.2.1-2 no password grant":                func(t *testing.T, k *bank) { k.linePassword() },
		"5.3.2.1-3 confidential clients only":        lineConfidential,
		"5.3.2.1-4 sender-constrained tokens only":   func(t *testing.T, k *bank) { k.lineBound() },
		"5.3.2.1-5 DPoP":                             func(t *testing.T, k *bank) { k.lineBound() },
		"5.3.2.1-6 private_key_jwt":                  func(t *testing.T, k *bank) { k.lineAuthentication() },
		"5.3.2.1-7 no open redirector":               func(t *testing.T, k *bank) { k.lineRedirector() },
		"5.3.2.1-8 the audience is the issuer":       func(t *testing.T, k *bank) { k.lineAudience() },
		"5.3.2.1-9 no refresh token rotation":        func(t *testing.T, k *bank) { k.lineRotation() },
		"5.3.2.1-11 codes live 60 seconds at most":   func(t *testing.T, k *bank) { k.lineCodeLife() },
		"5.3.2.1-12 codes are bound to the DPoP key": func(t *testing.T, k *bank) { k.lineCodeKey() },
		"5.3.2.1-13 clocks 10 s ahead, not 60 s":     func(t *testing.T, k *bank) { k.lineClocks() },
		"5.3.2.2-1 authorization code": func(t *testing.T, k *bank) {
			k.wants(k.redeem(k.code()),
				http.StatusOK, "")
		},
		"5.3.2.2-3 no request without PAR": func(t *testing.T, k *bank) {
			k.appHears(k.direct(),
				"invalid_request")
		},
		"5.3.2.2-4 no PAR without authentication": func(t *testing.T, k *bank) { k.linePushAuthentication() },
		"5.3.2.2-5 PKCE with S256":                func(t *testing.T, k *bank) { k.linePKCE() },
		"5.3.2.2-6 redirect_uri in PAR":           func(t *testing.T, k *bank) { k.lineRedirectURI() },
		"5.3.2.2-7 iss in responses":              func(t *testing.T, k *bank) { k.lineIss() },
		"5.3.2.2-8 no http redirect URIs":         lineHTTPS,
		"5.3.2.2-9 a code once":                   func(t *testing.T, k *bank) { k.lineOnce() },
		"5.3.2.2-10 303, never 307":               func(t *testing.T, k *bank) { k.line303() },
		"5.3.2.2-12 a pushed request under 600 s": func(t *testing.T, k *bank) { k.linePushedLife() },
		"5.3.2.2-14 nonces of 64 characters": func(t *testing.T, k *bank) {
			k.code("nonce", strings.Repeat("n",
				64))
		},
		"5.4.1 PS256, ES256 or EdDSA, RSA of 2048":    func(t *testing.T, k *bank) { k.lineAlgorithms() },
		"6.1 the same at refresh: key, client, proof": func(t *testing.T, k *bank) { k.lineRefresh() },
	} {
		t.Run(line, func(t *testing.T) { holds(t, newBank(t)) })
	}
}

// direct is a request that was not pushed.
func (k *bank) direct() answer { return k.b.get("/authorize?" + ask("client_id", k.id).Encode()) }

func (k *bank) lineDiscovery() {
	meta := k.discovered()
	for _, name := range []string{"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri",
		"pushed_authorization_request_endpoint"} {
		if meta[name] == nil {
			k.t.Errorf("%s is missing", name)
		}
	}
	if meta["authorization_response_iss_parameter_supported"] != true ||
		!slices.Contains(texts(meta["token_endpoint_auth_methods_supported"]), clients.MethodKey) ||
		!slices.Equal(texts(meta["code_challenge_methods_supported"]), []string{"S256"}) {
		k.t.Errorf("%v", meta)
	}
}

func (k *bank) linePassword() {
	k.wants(k.posts(pathToken, form("grant_type", "password", "username", "ana", "password", "x")),
		http.StatusBadRequest, "unsupported_grant_type")
}

// registers reports whether the bank may be registered with the change.
func (k *bank) registrable(change func(*broker.Client)) bool {
	c, err := k.db.Client(k.ctx(), k.id)
	k.must(err)
	change(&c)
	return len(clients.Validate(c)) == 0
}

func lineConfidential(t *testing.T, k *bank) {
	if k.registrable(func(c *broker.Client) { c.AuthMethods = []string{"none"} }) {
		t.Error("a public client may be registered")
	}
	k.wants(k.send(k.prove(newRequest(http.MethodPost, pathPush, ask("client_id", k.id)), "")),
		http.StatusUnauthorized, "invalid_client")
}

func lineHTTPS(t *testing.T, k *bank) {
	loopback := func(native bool) func(*broker.Client) {
		return func(c *broker.Client) { c.Native, c.RedirectURIs = native, []string{"http://127.0.0.1/cb"} }
	}
	if k.registrable(loopback(false)) || !k.registrable(loopback(true)) {
		t.Error("http is for native clients on a loopback address only")
	}
}

func (k *bank) lineBound() {
	got := k.wants(k.redeem(k.code()), http.StatusOK, "")
	if got.text("token_type") != "DPoP" {
		k.t.Errorf("%s", got.body)
	}
	k.wants(k.shows("Bearer", got.text("access_token")), http.StatusUnauthorized, "invalid_token")
	code := k.code()
	k.prover = nil
	k.wants(k.redeem(code), http.StatusBadRequest, "invalid_dpop_proof")
	k.wants(k.posts(pathToken, form("grant_type", clients.GrantClient)), http.StatusBadRequest, "invalid_dpop_proof")
}

func (k *bank) lineAuthentication() {
	secret, hash := clients.NewSecret(k.keyring, k.id)
	k.change(k.id, func(c *broker.Client) { c.SecretHashes = []string{hash} }) // as no registration allows
	post := form("grant_type", clients.GrantClient, "client_id", k.id, "client_secret", secret.Reveal())
	k.wants(k.send(k.prove(newRequest(http.MethodPost, pathToken, post), "")), http.StatusUnauthorized, "invalid_client")
	basic := k.prove(newRequest(http.MethodPost, pathToken, form("grant_type", clients.GrantClient)), "")
	basic.SetBasicAuth(k.id, secret.Reveal())
	k.wants(k.send(basic), http.StatusUnauthorized, "invalid_client")
	k.wants(k.posts(pathToken, form("grant_type", clients.GrantClient)), http.StatusOK, "")
}

func (k *bank) lineRedirector() {
	k.page(k.b.get("/authorize?"+ask("client_id", k.id, "redirect_uri", "https://evil.example/").Encode()),
		broker.RedirectURIMismatch)
}

func (k *bank) lineAudience() {
	for _, aud := range []any{issuer + pathToken, issuer + pathPush, []string{issuer}, []string{issuer,
		issuer + pathToken}} {
		claims := k.proof(k.id)
		claims["aud"] = aud
		k.wants(k.postsAs(pathPush, k.key.signed(k.t, claims, nil), ask("client_id", k.id)), http.StatusUnauthorized,
			"invalid_client")
	}
	k.push()
}

func (k *bank) lineRotation() {
	token := k.wants(k.redeem(k.code()), http.StatusOK, "").text("refresh_token")
	for range 3 {
		got := k.wants(k.posts(pathToken, form("grant_type", clients.GrantRefresh, "refresh_token", token)), http.StatusOK,
			"")
		if got.text("refresh_token") != token || got.text("token_type") != "DPoP" {
			k.t.Fatalf("%s", got.body)
		}
		k.wants(k.shows("DPoP", got.text("access_token"), k.prover.proof(k.harness, http.MethodGet, pathUserinfo,
			got.text("access_token"), nil)), http.StatusOK, "")
		k.clock.add(5 * broker.RefreshGrace)
	}
	k.clock.add(broker.RefreshLife) // it has its end all the same
	k.wants(k.posts(pathToken, form("grant_type", clients.GrantRefresh, "refresh_token", token)), http.StatusBadRequest,
		"invalid_grant")
}

func (k *bank) lineCodeLife() {
	code := k.code()
	k.clock.add(time.Minute)
	k.wants(k.redeem(code), http.StatusBadRequest, "invalid_grant")
}

func (k *bank) lineCodeKey() {
	code, mine := k.code(), k.prover
	k.prover = newProver(k.t, signing.ES256)
	k.wants(k.redeem(code), http.StatusBadRequest, "invalid_grant")
	k.prover = mine
	k.wants(k.redeem(code), http.StatusOK, "")
}

func (k *bank) lineClocks() {
	now := k.clock.Now().Unix()
	for _, name := range []string{"iat", "nbf"} {
		for ahead, good := range map[int64]bool{10: true, 61: false} {
			claims := k.proof(k.id)
			claims[name] = now + ahead
			a := k.postsAs(pathPush, k.key.signed(k.t, claims, nil), ask("client_id", k.id))
			if (a.StatusCode == http.StatusCreated) != good {
				k.t.Errorf("%s %d s ahead: %d %s", name, ahead, a.StatusCode, a.body)
			}
		}
	}
}

func (k *bank) linePushAuthentication() {
	k.wants(k.send(k.prove(newRequest(http.MethodPost, pathPush, ask("client_id", k.id)), "")), http.StatusUnauthorized,
		"invalid_client")
}

func (k *bank) linePKCE() {
	for _, pairs := range [][]string{bare, {"code_challenge_method", "plain"}, {"code_challenge_method", "-"}} {
		k.wants(k.push(pairs...), http.StatusBadRequest, "invalid_request") // the nonce is no substitute
	}
	if k.registrable(func(c *broker.Client) { c.PKCE = "" }) {
		k.t.Error("it may be registered without PKCE")
	}
}

func (k *bank) lineRedirectURI() {
	k.wants(k.push("redirect_uri", "-"), http.StatusBadRequest, "invalid_request")
	k.wants(k.push("redirect_uri", ""), http.StatusBadRequest, "invalid_request")
}

func (k *bank) lineIss() {
	q, err := url.ParseQuery(k.names(k.push()))
	k.must(err)
	if said := k.b.authorize(q).location().Query(); said.Get("iss") != issuer || !said.Has("code") {
		k.t.Errorf("%v", said)
	}
	if said := k.direct().location().Query(); said.Get("iss") != issuer || !said.Has("error") {
		k.t.Errorf("%v", said)
	}
	if k.registrable(func(c *broker.Client) { c.ErrorIss = broker.ErrorIssOff }) {
		k.t.Error("it may be registered without iss in errors")
	}
}

func (k *bank) lineOnce() {
	code := k.code()
	k.wants(k.redeem(code), http.StatusOK, "")
	k.wants(k.redeem(code), http.StatusBadRequest, "invalid_grant")
}

func (k *bank) line303() {
	q, err := url.ParseQuery(k.names(k.push()))
	k.must(err)
	if a := k.b.get("/authorize?" + q.Encode()); a.StatusCode != http.StatusSeeOther {
		k.t.Errorf("to the login: %d", a.StatusCode)
	}
	if a := k.b.authorize(q); a.StatusCode != http.StatusSeeOther {
		k.t.Errorf("to the app: %d", a.StatusCode)
	}
}

func (k *bank) linePushedLife() {
	if a := k.push(); a.json["expires_in"].(float64) >= 600 {
		k.t.Errorf("%s", a.body)
	}
}

func (k *bank) lineAlgorithms() {
	got := k.wants(k.redeem(k.code()), http.StatusOK, "")
	if head, _ := k.opened(got.text("id_token")); head.Algorithm != signing.ES256 {
		k.t.Errorf("an ID token by %s", head.Algorithm)
	}
	for _, alg := range []string{signing.RS256, "none", "HS256"} {
		if k.registrable(func(c *broker.Client) { c.IDTokenAlg = alg }) ||
			k.registrable(func(c *broker.Client) { c.AuthAlg = alg }) {
			k.t.Errorf("%s may be registered", alg)
		}
	}
}

func (k *bank) lineRefresh() {
	other := k.bank("other", signing.ES256)
	token := k.wants(k.redeem(k.code()), http.StatusOK, "").text("refresh_token")
	refresh := func() url.Values { return form("grant_type", clients.GrantRefresh, "refresh_token", token) }
	k.wants(other.posts(pathToken, refresh()), http.StatusBadRequest, "invalid_grant")
	mine := k.prover
	k.prover = nil
	k.wants(k.posts(pathToken, refresh()), http.StatusBadRequest, "invalid_dpop_proof")
	k.prover = mine
	k.wants(k.posts(pathToken, refresh()), http.StatusOK, "")
	k.wants(k.posts(pathRevoke, form("token", token)), http.StatusOK, "")
	k.wants(k.posts(pathToken, refresh()), http.StatusBadRequest, "invalid_grant")
}

func TestFAPI2_NothingOfTheClientIsSignedByRS256(t *testing.T) {
	k := newBank(t)
	mine, weak := k.prover, newProver(t, signing.RS256)
	got := k.wants(k.redeem(k.code()), http.StatusOK, "")
	k.prover = weak
	k.wants(k.push(), http.StatusBadRequest, "invalid_dpop_proof")
	k.wants(k.posts(pathToken, form("grant_type", clients.GrantRefresh, "refresh_token", got.text("refresh_token"))),
		http.StatusBadRequest, "invalid_dpop_proof")
	k.prover = nil
	code := k.code()
	k.prover = weak
	a := k.wants(k.redeem(code), http.StatusBadRequest, "invalid_dpop_proof")
	if !strings.Contains(a.text("error_description"), "--fapi2") {
		t.Errorf("%s", a.body)
	}
	k.change(k.id, func(c *broker.Client) { c.FAPI2 = false })
	bound := k.wants(k.redeem(k.code()), http.StatusOK, "").text("access_token")
	k.wants(k.userinfo(bound), http.StatusOK, "")
	k.change(k.id, func(c *broker.Client) { c.FAPI2 = true })
	k.wants(k.userinfo(bound), http.StatusUnauthorized, "invalid_dpop_proof")
	k.prover = mine
	rs := newHeldKey(t, "rs", signing.RS256)
	k.change(k.id, func(c *broker.Client) { c.AuthAlg, c.Keys = "", keySetOf(t, rs) })
	k.wants(k.postsAs(pathPush, rs.signed(t, k.proof(k.id), nil), ask("client_id", k.id)), http.StatusUnauthorized,
		"invalid_client")
	k.change(k.id, func(c *broker.Client) { c.FAPI2 = false })
	k.wants(k.postsAs(pathPush, rs.signed(t, k.proof(k.id), nil), ask("client_id", k.id)), http.StatusCreated, "")
}

// lateGrants does something between the reading of a grant and its Rotate.
type lateGrants struct {
	broker.Grants
	before func()
}

func (g *lateGrants) Rotate(ctx context.Context, id string, from, to int64, at time.Time) error {
	if g.before != nil {
		g.before()
	}
	return g.Grants.Rotate(ctx, id, from, to, at)
}

func TestFAPI2_A7_ARefreshWithoutRotationIsExactAboutTheAccount(t *testing.T) {
	late := &lateGrants{}
	k := newHarnessWith(t, ports{grants: func(real broker.Grants) broker.Grants { late.Grants = real; return late }}).
		bank("bank", signing.ES256)
	token := k.wants(k.redeem(k.code()), http.StatusOK, "").text("refresh_token")
	refresh := func() answer {
		return k.posts(pathToken, form("grant_type", clients.GrantRefresh, "refresh_token", token))
	}
	k.wants(refresh(), http.StatusOK, "")
	late.before = func() {
		a, err := k.db.Account(k.ctx(), "ana")
		k.must(err)
		seen := a.AuthEpoch
		a.AuthEpoch++
		k.must(k.db.ChangeAccount(k.ctx(), a, seen))
		late.before = nil
	}
	k.wants(refresh(), http.StatusBadRequest, "invalid_grant")
}
