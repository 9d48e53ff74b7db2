package oidc

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// renew is a refresh by a client of the suite, with its secret in a header.
func (h *harness) renew(id, secret, token string, pairs ...string) answer {
	h.t.Helper()
	r := newRequest(http.MethodPost, pathToken, form(append([]string{"grant_type", clients.GrantRefresh, "refresh_token",
		token},
		pairs...)...))
	r.SetBasicAuth(id, secret)
	return h.send(r)
}

func TestOIDF_oidcc_refresh_token(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		got, first := p.signsIn("scope", "openid offline_access", "prompt", "consent")
		token := got.text("refresh_token")
		if !regexp.MustCompile(`^[!-~]{32,}$`).MatchString(token) {
			t.Fatalf("%s", got.body)
		}
		p.wants(p.renew("suite2", p.second, token), http.StatusBadRequest, "invalid_grant")
		p.clock.add(5 * time.Second)
		again := p.wants(p.renew("suite", p.secret, token, "scope", "openid offline_access"), http.StatusOK, "")
		renewed := p.proper(url.Values{}, again) // without a nonce (OIDC Core §12.2)
		for _, same := range []string{"iss", "sub", "aud", "auth_time", "azp", "sid"} {
			if renewed[same] != first[same] {
				t.Errorf("%s was %v and is %v", same, first[same], renewed[same])
			}
		}
		if renewed["iat"].(float64) <= first["iat"].(float64) || again.text("access_token") == got.text("access_token") ||
			again.text("refresh_token") == "" {
			t.Errorf("nothing new: %v", renewed)
		}
	})
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

// reused wants the second use of a code refused, and what the first one got dead.
func reused(later time.Duration) func(t *testing.T, p *plan) {
	return func(t *testing.T, p *plan) {
		got, _ := p.signsIn("scope", "openid offline_access")
		p.clock.add(later)
		a := p.wants(p.exchange(), http.StatusBadRequest, "invalid_grant")
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v", a.Header)
		}
		a = p.wants(p.userinfo(got.text("access_token")), http.StatusUnauthorized, "invalid_token")
		if said := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(said, "Bearer ") || !strings.Contains(said,
			`error="invalid_token"`) {
			t.Errorf("%q", said)
		}
		p.wants(p.renew("suite", p.secret, got.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
	}
}

func TestOIDF_oidcc_codereuse(t *testing.T) {
	bothPlans(t, reused(0))
}

func TestOIDF_oidcc_codereuse_30seconds(t *testing.T) {
	bothPlans(t, reused(30*time.Second))
}

func TestTheSecondUseOfACodeEndsTokensOfEveryKind(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			h := newHarness(t).as(k)
			code := h.browser().code(ask())
			got := h.wants(h.redeem(code), http.StatusOK, "")
			h.wants(h.userinfo(got.text("access_token")), http.StatusOK, "")
			h.clock.add(30 * time.Second)
			h.wants(h.redeem(code), http.StatusBadRequest, "invalid_grant")
			h.wants(h.userinfo(got.text("access_token")), http.StatusUnauthorized, "invalid_token")
			h.wants(h.refresh(got.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
		})
	}
}

// What every kind of access token is worth to who guesses.
func TestOIDF_common_access_token_entropy(t *testing.T) {
	for _, k := range kinds() {
		h := newHarness(t).as(k)
		got := h.signIn()
		for _, name := range []string{"access_token", "refresh_token"} {
			if bits := entropy(got.text(name)); bits < 128 {
				t.Errorf("%s: the %s has %.0f bits", k.name, name, bits)
			}
		}
		machine := h.wants(h.token("grant_type", clients.GrantClient), http.StatusOK, "").text("access_token")
		if other := h.token("grant_type",
			clients.GrantClient).text("access_token"); machine == other || entropy(machine) < 128 {
			t.Errorf("%s: %s, then %s", k.name, machine, other)
		}
	}
	h := newHarness(t)
	if code := h.browser().code(ask()); len(code) < len(broker.NewToken()) || entropy(code) < 128 {
		t.Errorf("the code %s", code)
	}
}
