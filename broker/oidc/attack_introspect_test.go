package oidc

import (
	"bytes"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

func TestA21_IntrospectionRevealsNothingToStrangers(t *testing.T) {
	h := newHarness(t)
	stranger := h.client(broker.Client{ID: "stranger", Name: "Stranger", AuthMethods: []string{"client_secret_post"}})
	api := h.client(broker.Client{ID: "api", Name: "API", AuthMethods: []string{"client_secret_post"}})
	h.client(broker.Client{ID: "public", Name: "Public", AuthMethods: []string{"none"}})
	c, err := h.db.Client(h.ctx(), "app")
	h.must(err)
	c.Audience = []string{"api"}
	h.must(h.db.PutClient(h.ctx(), c))
	got := h.signIn()
	machine := h.token("grant_type", clients.GrantClient).text("access_token")
	for _, token := range []string{got.text("access_token"), got.text("refresh_token"), machine, "nonsense", ""} {
		a := h.call("/introspect", "token", token, "client_id", "stranger", "client_secret", stranger)
		if strings.TrimSpace(a.body) != `{"active":false}` {
			t.Errorf("a stranger learns %s", a.body)
		}
		h.wants(h.call("/introspect", "token", token, "client_id", "public"), http.StatusUnauthorized, "invalid_client")
	}
	for _, token := range []string{got.text("access_token"), machine} {
		if a := h.call("/introspect", "token", token, "client_id", "api", "client_secret", api); a.json["active"] != true ||
			!slices.Contains(a.json["aud"].([]any), any("api")) {
			t.Errorf("its audience learns %s", a.body)
		}
		h.wants(h.call("/revoke", "token", token, "client_id", "stranger", "client_secret", stranger), http.StatusBadRequest,
			"unauthorized_client")
	}
	token := got.text("access_token")
	own := h.call("/introspect", "token", token)
	if own.text("sub") != "ana" || own.text("client_id") != "app" || own.text("token_type") != "Bearer" ||
		own.json["exp"].(float64)-own.json["iat"].(float64) != 600 {
		t.Errorf("%s", own.body)
	}
	if !h.active(got.text("refresh_token")) {
		t.Error("the refresh token is not active")
	}
}

func TestA21_EveryTruncationAndEditIsInactive(t *testing.T) {
	h := newHarness(t)
	got := h.signIn()
	for _, token := range []string{got.text("access_token"), got.text("refresh_token")} {
		var forged []string
		for i := range token {
			edit := byte('A')
			if token[i] == 'A' {
				edit = 'B'
			}
			forged = append(forged, token[:i], token[:i]+token[i+1:], token[:i]+string(edit)+token[i+1:])
		}
		for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
			forged = append(forged, token[:len(token)-1]+string(last))
		}
		forged = append(forged, token+"A", token+"=", token+"\n", " "+token, token+"\r\n", strings.ToUpper(token),
			token+"."+token)
		for _, f := range forged {
			if f == token {
				continue
			}
			if _, err := h.handler.strategy.openAccess(f); err == nil {
				t.Fatalf("%q opens as an access token", f)
			}
			if _, err := h.handler.strategy.openRefresh(f); err == nil {
				t.Fatalf("%q opens as a refresh token", f)
			}
		}
		for _, f := range forged[:6] {
			if h.active(f) {
				t.Errorf("%q is active", f)
			}
		}
	}
}

func TestA23_NothingLeaksOnTheWay(t *testing.T) {
	h := newHarness(t)
	var log bytes.Buffer
	h.handler.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := h.browser()
	a := b.authorize(ask())
	if a.Header.Get("Referrer-Policy") != "no-referrer" || a.Header.Get("Cache-Control") != "no-store" || a.body != "" {
		t.Errorf("%v %q", a.Header, a.body)
	}
	code := a.location().Query().Get("code")
	got := h.redeem(code)
	h.redeem(code)
	h.refresh(got.text("refresh_token"))
	h.token("grant_type", clients.GrantCode, "code", "planted-code", "redirect_uri", callback, "code_verifier",
		"planted-verifier")
	h.token("grant_type", clients.GrantClient, "client_id", "app", "client_secret", "planted-secret")
	h.token("grant_type", clients.GrantClient, "scope", "films")
	for _, secret := range []string{code, got.text("access_token"), got.text("refresh_token"), got.text("id_token"),
		h.secret, "planted", verifier} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
		for _, e := range h.events(broker.EventFilter{}) {
			for _, v := range e.Detail {
				if strings.Contains(v, secret) {
					t.Errorf("the audit log holds %q: %+v", secret, e)
				}
			}
		}
	}
	if !strings.Contains(log.String(), "token refused") {
		t.Error("nothing was logged at all")
	}
}

func TestA24_NothingThatIsSentBecomesMarkup(t *testing.T) {
	h := newHarness(t)
	h.client(broker.Client{ID: "third", Name: `<script>alert(1)</script>`, AuthMethods: []string{"none"},
		Scopes: []string{"openid", "<b>x</b>"}, GrantTypes: []string{clients.GrantCode}})
	b := h.browser()
	b.code(ask())
	const payload = `"><script>alert(1)</script>`
	for _, name := range []string{"client_id", "redirect_uri", "state", "scope", "nonce", "prompt", "response_type",
		"response_mode", "ui_locales", "login_hint", "error_hint"} {
		a := b.get("/authorize?" + ask(name, payload).Encode())
		if strings.Contains(a.body, "<script>alert") || strings.ContainsAny(a.Header.Get("Location"), "<>\"") {
			t.Errorf("%s: %s %s", name, a.Header.Get("Location"), a.body)
		}
	}
	a := b.get(b.get("/authorize?" + ask("client_id", "third", "scope", "openid <b>x</b>").Encode()).Header.Get(
		"Location"))
	if a.StatusCode != http.StatusOK || strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "<b>x") ||
		!strings.Contains(a.body, "&lt;b&gt;x") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if csp := a.Header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp,
		"frame-ancestors 'none'") {
		t.Errorf("CSP %q", csp)
	}
	evil := h.token("grant_type", clients.GrantClient, "scope", payload)
	if strings.Contains(evil.body, "<script>") || evil.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s", evil.body)
	}
}
