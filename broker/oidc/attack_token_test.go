package oidc

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

func TestA9_AClientAuthenticatesExactlyAsRegistered(t *testing.T) {
	h := newHarness(t)
	secrets := map[string]string{"app": h.secret}
	methods := map[string]string{"app": "client_secret_basic", "poster": "client_secret_post", "public": "none"}
	secrets["poster"] = h.client(broker.Client{ID: "poster", Name: "Poster", AuthMethods: []string{"client_secret_post"},
		FirstParty: true})
	h.client(broker.Client{ID: "public", Name: "Public", AuthMethods: []string{"none"}, FirstParty: true})
	try := func(id, method, secret, code string) answer {
		form := url.Values{"grant_type": {clients.GrantCode}, "code": {code}, "redirect_uri": {callback},
			"code_verifier": {verifier}}
		if method != "client_secret_basic" {
			form.Set("client_id", id)
		}
		if method == "client_secret_post" {
			form.Set("client_secret", secret)
		}
		r := newRequest(http.MethodPost, "/token", form)
		if method == "client_secret_basic" {
			r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
		}
		return h.send(r)
	}
	for id, registered := range methods {
		// see also attack_assertion_test.go
		for _, method := range []string{"client_secret_basic", "client_secret_post", "none"} {
			for _, secret := range []string{"", "wrong", secrets["app"], secrets["poster"]} {
				good := method == registered && (method == "none" || secret != "" && secret == secrets[id]) ||
					registered == "none" && secret == "" // an empty secret is none
				code := "none"
				if good {
					code = h.browser().code(ask("client_id", id))
				}
				a := try(id, method, secret, code)
				if good && a.StatusCode != http.StatusOK || !good && (a.StatusCode != http.StatusUnauthorized ||
					a.text("error") != "invalid_client") {
					t.Errorf("%s (%s) by %s: %d %s", id, registered, method, a.StatusCode, a.body)
				}
			}
		}
	}
	both := newRequest(http.MethodPost, "/token", url.Values{"grant_type": {clients.GrantClient}, "client_id": {"app"},
		"client_secret": {h.secret}})
	both.SetBasicAuth("app", h.secret)
	h.wants(h.send(both), http.StatusBadRequest, "invalid_request")
	differ := newRequest(http.MethodPost, "/token", url.Values{"grant_type": {clients.GrantClient},
		"client_id": {"poster"}})
	differ.SetBasicAuth("app", h.secret)
	h.wants(h.send(differ), http.StatusBadRequest, "invalid_request")
	h.wants(h.token("grant_type", clients.GrantClient, "client_id", "app", "client_assertion_type",
		"urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", "x.y.z"),
		http.StatusUnauthorized, "invalid_client")
	bearer := newRequest(http.MethodPost, "/token", url.Values{"grant_type": {clients.GrantClient}})
	bearer.Header.Set("Authorization", "Bearer x")
	h.wants(h.send(bearer), http.StatusUnauthorized, "invalid_client")
	h.wants(h.token("grant_type", clients.GrantClient, "client_id", "nobody", "client_secret", h.secret),
		http.StatusUnauthorized,
		"invalid_client")
}

func TestA9_TwoSecretsLiveAndAHashIsWorthNothingElsewhere(t *testing.T) {
	h := newHarness(t)
	c, err := h.db.Client(h.ctx(), "app")
	h.must(err)
	second, hash := clients.NewSecret(h.keyring, "app")
	c.SecretHashes = append(c.SecretHashes, hash)
	h.must(h.db.PutClient(h.ctx(), c))
	first := h.secret
	for _, secret := range []string{first, second.Reveal()} {
		h.secret = secret
		h.wants(h.token("grant_type", clients.GrantClient), http.StatusOK, "")
	}
	h.client(broker.Client{ID: "copy", Name: "Copy", AuthMethods: []string{"client_secret_post"},
		SecretHashes: []string{hash}})
	h.wants(h.token("grant_type", clients.GrantClient, "client_id", "copy", "client_secret", second.Reveal()),
		http.StatusUnauthorized, "invalid_client")
	c.SecretHashes = []string{hash}
	h.must(h.db.PutClient(h.ctx(), c))
	h.secret = first
	h.wants(h.token("grant_type", clients.GrantClient), http.StatusUnauthorized, "invalid_client")
}

func TestA10_WhatAnotherDeploymentGaveIsNothingHere(t *testing.T) {
	here, there := newHarness(t), newHarnessWith(t, ports{bare: true})
	got := there.signIn()
	here.wants(here.userinfo(got.text("access_token")), http.StatusUnauthorized, "invalid_token")
	here.wants(here.refresh(got.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
	here.wants(here.redeem(there.browser().code(ask())), http.StatusBadRequest, "invalid_grant")
	if _, err := here.handler.readHint(got.text("id_token")); err == nil {
		t.Error("an ID token of another deployment is a hint here")
	}
	for _, token := range []string{got.text("access_token"), got.text("refresh_token"), got.text("id_token")} {
		if here.active(token) {
			t.Error("a token of another deployment is active here")
		}
		here.wants(here.call("/revoke", "token", token), http.StatusOK, "")
	}
	if !there.active(got.text("access_token")) {
		t.Error("it was revoked from here")
	}
	b := here.browser()
	b.code(ask())
	for name, value := range there.cookiesOf() {
		if (&browser{here, map[string]string{name: value}}).alive() {
			t.Errorf("the cookie %s of another deployment is good here", name)
		}
	}
	here.wants(here.token("grant_type", clients.GrantClient, "client_id", "app", "client_secret", there.secret),
		http.StatusUnauthorized, "invalid_client")
}

// cookiesOf are the cookies of a browser that is signed in.
func (h *harness) cookiesOf() map[string]string {
	b := h.browser()
	b.code(ask())
	return b.cookies
}

func TestA10_WhatOneClientGotIsNothingToAnother(t *testing.T) {
	h, b, got := signedIn(t)
	secret := h.client(broker.Client{ID: "other", Name: "Other", AuthMethods: []string{"client_secret_post"},
		FirstParty: true})
	as := []string{"client_id", "other", "client_secret", secret}
	code := b.code(ask())
	h.wants(h.redeem(code, as...), http.StatusBadRequest, "invalid_grant")
	h.wants(h.refresh(got.text("refresh_token"), as...), http.StatusBadRequest, "invalid_grant")
	for _, token := range []string{got.text("access_token"), got.text("refresh_token"), got.text("id_token"), code} {
		if a := h.call("/introspect", append(as, "token", token)...); strings.TrimSpace(a.body) != `{"active":false}` {
			t.Errorf("introspection says %s", a.body)
		}
		if a := h.call("/revoke", append(as, "token", token)...); a.json["error"] != nil &&
			a.text("error") != "unauthorized_client" {
			t.Errorf("revocation says %s", a.body)
		}
	}
	a := b.get(leave("id_token_hint", got.text("id_token"), "client_id", "other", "post_logout_redirect_uri", goodbye))
	if a.StatusCode != http.StatusOK || !b.alive() {
		t.Errorf("signed out by the hint of another client: %d", a.StatusCode)
	}
	if !h.active(got.text("access_token")) {
		t.Error("the other client ended it")
	}
	h.wants(h.refresh(got.text("refresh_token")), http.StatusOK, "")
	h.wants(h.redeem(code), http.StatusOK, "")
}

func TestA11_NoTokenPassesForAnother(t *testing.T) {
	h := newHarness(t)
	got := h.signIn()
	code := h.browser().code(ask())
	tokens := map[string]string{"access": got.text("access_token"), "refresh": got.text("refresh_token"),
		"id": got.text("id_token"), "code": code}
	for name, token := range tokens {
		if a := h.userinfo(token); (a.StatusCode == http.StatusOK) != (name == "access") {
			t.Errorf("%s at userinfo: %d", name, a.StatusCode)
		}
		if a := h.refresh(token); name != "refresh" {
			h.wants(a, http.StatusBadRequest, "invalid_grant")
		}
		if name != "code" {
			h.wants(h.redeem(token), http.StatusBadRequest, "invalid_grant")
		}
		if active := h.active(token); name == "id" && active || name == "code" && active {
			t.Errorf("%s is active", name)
		}
		if _, err := h.handler.readHint(token); (err == nil) != (name == "id") {
			t.Errorf("%s as id_token_hint: %v", name, err)
		}
	}
}

func TestA11_AForgedHintIsNone(t *testing.T) {
	h := newHarness(t)
	id := h.signIn().text("id_token")
	part := strings.Split(id, ".")
	encoded := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	key, err := h.handler.keys.Signer(signing.ES256)
	h.must(err)
	rsaKey, err := h.handler.keys.Signer(signing.RS256)
	h.must(err)
	other, err := key.Sign(idToken{Issuer: "https://evil.example", Subject: "ana", Audience: "app"})
	h.must(err)
	typed, err := key.SignAs("logout+jwt", idToken{Issuer: issuer, Subject: "ana", Audience: "app"})
	h.must(err)
	for name, token := range map[string]string{
		"alg none":          encoded(`{"alg":"none"}`) + "." + part[1] + ".",
		"HS256, public key": encoded(`{"alg":"HS256","kid":"`+rsaKey.ID+`","typ":"JWT"}`) + "." + part[1] + "." + part[2],
		"another key":       encoded(`{"alg":"RS256","kid":"`+key.ID+`","typ":"JWT"}`) + "." + part[1] + "." + part[2],
		"unknown key":       encoded(`{"alg":"RS256","kid":"x","typ":"JWT"}`) + "." + part[1] + "." + part[2],
		"edited":            part[0] + "." + encoded(`{"iss":"`+issuer+`","sub":"eve","aud":"app"}`) + "." + part[2],
		"another issuer":    other, "another type": typed, "cut": id[:len(id)-10], "nothing": "", "dots": "..",
	} {
		if said, err := h.handler.readHint(token); err == nil {
			t.Errorf("%s: %+v", name, said)
		}
	}
}

func TestA12_OnlyTheCodeFlowExists(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	for _, kind := range []string{"token", "id_token", "code token", "code id_token", "id_token token",
		"code id_token token", "none", "code code", "password"} {
		h.appHears(b.get("/authorize?"+ask("response_type", kind).Encode()), "unsupported_response_type")
	}
	h.appHears(b.get("/authorize?"+ask("response_type", "-").Encode()), "invalid_request")
	for _, mode := range []string{"fragment", "form_post.jwt", "FORM_POST", "query.jwt", "web_message"} {
		h.appHears(b.get("/authorize?"+ask("response_mode", mode).Encode()), "unsupported_response_mode")
	}
	for _, grant := range []string{"password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer",
		"urn:ietf:params:oauth:grant-type:token-exchange", "authorization_code refresh_token"} {
		h.wants(h.token("grant_type", grant, "username", "ana", "password", "x"), http.StatusBadRequest,
			"unsupported_grant_type")
	}
	// it is not registered for it
	h.wants(h.token("grant_type", clients.GrantDevice, "device_code", "x"), http.StatusBadRequest, "unauthorized_client")
	meta := h.send(newRequest(http.MethodGet, "/.well-known/openid-configuration", nil)).json
	if types := meta["response_types_supported"].([]any); len(types) != 1 || types[0] != "code" {
		t.Errorf("response types %v", types)
	}
}

func TestA13_NoMoreScopeThanRegistered(t *testing.T) {
	h := newHarness(t)
	h.appHears(h.browser().get("/authorize?"+ask("scope", "openid admin").Encode()), "invalid_scope")
	got := h.signIn("scope", "openid offline_access")
	h.wants(h.refresh(got.text("refresh_token"), "scope", "openid email"), http.StatusBadRequest, "invalid_scope")
	c, err := h.db.Client(h.ctx(), "app")
	h.must(err)
	c.GrantTypes = []string{clients.GrantCode}
	h.must(h.db.PutClient(h.ctx(), c))
	h.wants(h.token("grant_type", clients.GrantClient), http.StatusBadRequest, "unauthorized_client")
}

func TestA19_ARequestCausesNoOutboundCalls(t *testing.T) {
	h := newHarness(t)
	var calls atomic.Int64
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer canary.Close()
	b := h.browser()
	for _, scope := range []string{"openid", "photos"} {
		for param, name := range map[string]string{"request_uri": "request_uri_not_supported",
			"request": "request_not_supported", "registration": "registration_not_supported"} {
			for _, value := range []string{canary.URL, "eyJhbGciOiJub25lIn0.e30.", "urn:ietf:params:oauth:request-uri:x", "{}"} {
				h.appHears(b.get("/authorize?"+ask(param, value, "scope", scope).Encode()), name)
				posted := h.send(newRequest(http.MethodPost, "/authorize", ask(param, value, "scope", scope)))
				h.appHears(b.get(posted.Header.Get("Location")), name)
				h.token("grant_type", clients.GrantCode, "code", "x", param, value)
				h.call("/introspect", "token", "x", param, value)
				h.push(ask(param, value))
				b.get(leave(param, value))
			}
		}
	}
	for _, param := range []string{"jwks_uri", "client_uri", "logo_uri", "sector_identifier_uri", "resource",
		"claims_locales", "redirect_uri"} {
		b.get("/authorize?" + ask(param, canary.URL).Encode())
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("a stranger made us call him %d times", n)
	}
}
