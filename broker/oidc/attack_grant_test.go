package oidc

import (
	"database/sql"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

func TestA1_CodeInjection(t *testing.T) {
	h := newHarness(t)
	other := h.client(broker.Client{ID: "other", Name: "Other", AuthMethods: []string{"client_secret_post"},
		FirstParty: true})
	code := h.browser().code(ask())
	for name, a := range map[string]answer{
		"no verifier":     h.token("grant_type", clients.GrantCode, "code", code, "redirect_uri", callback),
		"wrong verifier":  h.redeem(code, "code_verifier", verifier+"x"),
		"other client":    h.redeem(code, "client_id", "other", "client_secret", other),
		"other redirect":  h.redeem(code, "redirect_uri", callback+"/"),
		"no redirect":     h.token("grant_type", clients.GrantCode, "code", code, "code_verifier", verifier),
		"an edited code":  h.redeem(edited(code)),
		"no code":         h.redeem(""),
		"an endless code": h.redeem(strings.Repeat("A", 2000)),
	} {
		if a.StatusCode != http.StatusBadRequest || a.text("error") != "invalid_grant" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	h.wants(h.redeem(code), http.StatusOK, "")
}

// edited is another code of the same length.
func edited(code string) string {
	if last := len(code) - 1; code[last] != '2' {
		return code[:last] + "2"
	}
	return code[:len(code)-1] + "3"
}

func TestA1_ACodeIsOverAfterAMinute(t *testing.T) {
	h := newHarness(t)
	code := h.browser().code(ask())
	h.clock.add(broker.CodeLife)
	h.wants(h.redeem(code), http.StatusBadRequest, "invalid_grant")
}

func TestA2_PKCEMatrix(t *testing.T) {
	h := newHarness(t)
	secret := h.client(broker.Client{ID: "old", Name: "Old", AuthMethods: []string{"client_secret_post"},
		PKCE:       broker.PKCEOff,
		FirstParty: true})
	b := h.browser()
	b.code(ask())
	for _, client := range []string{"app", "old"} {
		for name, pairs := range map[string][]string{
			"plain":         {"code_challenge", verifier, "code_challenge_method", "plain"},
			"no method":     {"code_challenge_method", "-"},
			"s256":          {"code_challenge_method", "s256"},
			"short":         {"code_challenge", "abc"},
			"no base64":     {"code_challenge", strings.Repeat("!", 43)},
			"method only":   {"code_challenge", "-"},
			"empty, method": {"code_challenge", ""},
		} {
			a := b.get("/authorize?" + ask(append([]string{"client_id", client}, pairs...)...).Encode())
			if a.location().Query().Get("error") != "invalid_request" {
				t.Errorf("%s, %s: %s", client, name, a.Header.Get("Location"))
			}
		}
	}
	none := []string{"code_challenge", "-", "code_challenge_method", "-", "nonce", "-"}
	h.appHears(b.get("/authorize?"+ask(none...).Encode()), "invalid_request")
	auth := []string{"client_id", "old", "client_secret", secret}
	without := b.code(ask(append([]string{"client_id", "old"}, none...)...))
	h.wants(h.redeem(without, auth...), http.StatusBadRequest, "invalid_grant") // a verifier where there was no challenge
	plain := append([]string{"grant_type", clients.GrantCode, "code", without, "redirect_uri", callback}, auth...)
	h.wants(h.token(plain...), http.StatusOK, "")
	code := b.code(ask())
	for _, v := range []string{verifier[:42], strings.Repeat("v", 129), strings.Repeat("ü", 30), "", verifier + "\n"} {
		if a := h.redeem(code, "code_verifier", v); a.StatusCode != http.StatusBadRequest {
			t.Errorf("verifier %q: %d", v, a.StatusCode)
		}
	}
	h.wants(h.redeem(code), http.StatusOK, "")
}

func TestA3_RedirectURIsAreComparedByteForByte(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	b.code(ask())
	for _, uri := range append(strayURIs(), "-") {
		h.page(b.get("/authorize?"+ask("redirect_uri", uri).Encode()), broker.RedirectURIMismatch)
	}
	for _, id := range []string{"-", "", "nobody", "APP", "app ", "app\x00", "ápp", strings.Repeat("a", 4000)} {
		h.page(b.get("/authorize?"+ask("client_id", id).Encode()), broker.ClientUnknown)
	}
	h.page(b.get("/authorize"), broker.ClientUnknown)
	h.page(b.get("/authorize?"+ask("x", strings.Repeat("x", maxRequest)).Encode()), broker.RequestInvalid)
}

func FuzzA3_WhatIsAcceptedIsWhatWasRegistered(f *testing.F) {
	for _, s := range []string{callback, callback + "?", "http://127.0.0.1:1/cb", "http://127.0.0.1",
		"http://[::1]:65535/x"} {
		f.Add(s)
	}
	registered := []string{callback, "http://127.0.0.1/cb"}
	f.Fuzz(func(t *testing.T, uri string) {
		if !broker.MatchRedirect(registered, uri, true) || uri == callback {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" || u.Hostname() != "127.0.0.1" || u.Path != "/cb" || u.RawQuery != "" ||
			u.User != nil {
			t.Errorf("accepted %q", uri)
		}
	})
}

func TestA4_NothingLeadsAway(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	b.code(ask())
	for _, evil := range []string{"//evil.example", "/\\evil.example", "https:evil.example", "https://evil.example",
		"%0d%0aLocation:https://evil.example"} {
		for _, path := range []string{"/authorize?redirect_uri=", "/authorize?client_id=app&redirect_uri=",
			"/authorize?login=", "/authorize?post=", "/authorize?consent=",
			"/end_session?post_logout_redirect_uri=", "/end_session?client_id=app&post_logout_redirect_uri=",
			"/end_session?post=", "/consent/"} {
			a := b.get(path + url.QueryEscape(evil))
			if to := a.Header.Get("Location"); strings.Contains(to, "evil") || a.StatusCode/100 == 3 || a.StatusCode >= 500 {
				t.Errorf("%s%s: %d to %s", path, evil, a.StatusCode, to)
			}
		}
	}
}

func TestA5_TheSecondUseOfACodeEndsWhatTheFirstOneGot(t *testing.T) {
	h := newHarness(t)
	code := h.browser().code(ask())
	got := h.wants(h.redeem(code), http.StatusOK, "")
	h.clock.add(30 * time.Second)
	h.wants(h.redeem(code, "code_verifier", "x"+verifier), http.StatusBadRequest, "invalid_grant")
	if !h.active(got.text("access_token")) {
		t.Fatal("whoever does not know the verifier ended the family")
	}
	h.wants(h.redeem(code), http.StatusBadRequest, "invalid_grant")
	if h.active(got.text("access_token")) || h.active(got.text("refresh_token")) {
		t.Error("the family lives")
	}
	h.wants(h.userinfo(got.text("access_token")), http.StatusUnauthorized, "invalid_token")
	h.wants(h.refresh(got.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
	if e := h.events(broker.EventFilter{Verb: broker.EventGrantRevoked}); len(e) != 1 || e[0].Code != broker.CodeReused ||
		e[0].Account != "ana" || e[0].Client != "app" {
		t.Errorf("events %+v", e)
	}
}

func TestA6_ARefreshTokenThatComesTwiceEndsTheGrant(t *testing.T) {
	h := newHarness(t)
	first := h.signIn()
	second := h.wants(h.refresh(first.text("refresh_token")), http.StatusOK, "")
	if second.text("refresh_token") == first.text("refresh_token") {
		t.Fatal("it did not rotate")
	}
	h.clock.add(broker.RefreshGrace)
	h.open(ports{}) // a restart, or another replica
	h.wants(h.refresh(first.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
	h.wants(h.refresh(second.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
	h.wants(h.userinfo(second.text("access_token")), http.StatusUnauthorized, "invalid_token")
	if e := h.events(broker.EventFilter{Verb: broker.EventGrantRevoked}); len(e) != 1 || e[0].Code != broker.TokenReused {
		t.Errorf("events %+v", e)
	}
	if len(h.warned) != 1 || !strings.HasPrefix(h.warned[0], "ana@example.com of ") {
		t.Errorf("told: %q", h.warned)
	}
	refused := map[broker.Code]string{}
	for _, e := range h.events(broker.EventFilter{Verb: broker.EventTokenRefused}) {
		refused[e.Code] += e.Account
	}
	if len(refused) != 2 || refused[broker.TokenReused] != "ana" || refused[broker.Revoked] != "ana" {
		t.Errorf("events %v", refused)
	}
}

func TestA6_ARefreshTokenOneStepAheadOfTheDatabaseIsTheLiveOne(t *testing.T) {
	for name, c := range map[string]struct {
		back int // writes that a power cut took back
		live bool
	}{"one": {1, true}, "two": {2, false}} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			token := h.signIn().text("refresh_token")
			for range 3 {
				token = h.wants(h.refresh(token), http.StatusOK, "").text("refresh_token")
			}
			h.rewind(c.back)
			h.clock.add(time.Hour)
			if h.active(token) != c.live {
				t.Errorf("active: %v", !c.live)
			}
			if !c.live {
				h.wants(h.refresh(token), http.StatusBadRequest, "invalid_grant")
				if e := h.events(broker.EventFilter{Verb: broker.EventGrantRevoked}); len(e) != 1 ||
					e[0].Code != broker.TokenReused {
					t.Errorf("events %+v", e)
				}
				return
			}
			next := h.wants(h.refresh(token), http.StatusOK, "").text("refresh_token")
			if again := h.wants(h.refresh(token), http.StatusOK, "").text("refresh_token"); again != next {
				t.Error("a retry gets another successor")
			}
			newest := h.wants(h.refresh(next), http.StatusOK, "").text("refresh_token")
			h.clock.add(time.Hour)
			h.wants(h.refresh(token), http.StatusBadRequest, "invalid_grant") // it is an old one by now
			h.wants(h.refresh(newest), http.StatusBadRequest, "invalid_grant")
		})
	}
}

func TestA6_OneStepAheadOfAGrantThatEndedIsNothing(t *testing.T) {
	h := newHarness(t)
	token := h.signIn().text("refresh_token")
	token = h.wants(h.refresh(token), http.StatusOK, "").text("refresh_token")
	h.rewind(1)
	h.wants(h.call("/revoke", "token", token), http.StatusOK, "")
	h.wants(h.refresh(token), http.StatusBadRequest, "invalid_grant")
}

// rewind takes rotations of every grant back, as a power cut does.
func (h *harness) rewind(n int) {
	h.t.Helper()
	pool, err := sql.Open("sqlite", strings.TrimPrefix(h.url, "sqlite:"))
	h.must(err)
	defer func() { _ = pool.Close() }()
	_, err = pool.Exec(`UPDATE grants SET refresh_counter = refresh_counter - ?`, n)
	h.must(err)
}

func TestA6_WithinTheGraceARetryGetsTheSameSuccessor(t *testing.T) {
	h := newHarness(t)
	thief := h.client(broker.Client{ID: "thief", Name: "Thief", AuthMethods: []string{"client_secret_post"}})
	first := h.signIn().text("refresh_token")
	second := h.refresh(first).text("refresh_token")
	h.clock.add(broker.RefreshGrace - time.Second)
	if again := h.wants(h.refresh(first), http.StatusOK, "").text("refresh_token"); again != second {
		t.Error("a retry got another successor")
	}
	h.wants(h.refresh(second, "client_id", "thief", "client_secret", thief), http.StatusBadRequest, "invalid_grant")
	third := h.wants(h.refresh(second), http.StatusOK, "").text("refresh_token")
	h.wants(h.refresh(first), http.StatusBadRequest, "invalid_grant") // its successor was used
	h.wants(h.refresh(third), http.StatusBadRequest, "invalid_grant")
}

func TestA6_ConcurrentRefreshesGetOneSuccessor(t *testing.T) {
	h := newHarness(t)
	token := h.signIn().text("refresh_token")
	got := make(chan string, 8)
	race(8, func() { got <- h.refresh(token).text("refresh_token") })
	close(got)
	successor := ""
	for one := range got {
		if one == "" || successor != "" && one != successor {
			t.Fatalf("successors %q and %q", successor, one)
		}
		successor = one
	}
	f, _, err := h.db.Grant(h.ctx(), mustOpen(t, h, token).grant)
	h.must(err)
	if f.RefreshCounter != 2 {
		t.Errorf("refresh counter %d", f.RefreshCounter)
	}
	h.wants(h.refresh(successor), http.StatusOK, "")
}

func mustOpen(t *testing.T, h *harness, token string) shown {
	t.Helper()
	said, err := h.handler.strategy.openRefresh(token)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

func TestA6_AGrantIsOverAfterThirtyDays(t *testing.T) {
	h := newHarness(t)
	token := h.signIn().text("refresh_token")
	for range 29 {
		h.clock.add(24 * time.Hour)
		token = h.wants(h.refresh(token), http.StatusOK, "").text("refresh_token")
	}
	h.clock.add(24 * time.Hour)
	h.wants(h.refresh(token), http.StatusBadRequest, "invalid_grant")
}

func TestA7_ACodeOfAnEndedSessionGivesNothing(t *testing.T) {
	h := newHarness(t)
	code := h.browser().code(ask())
	sessions, err := h.db.SessionsOf(h.ctx(), "ana")
	h.must(err)
	h.must(h.db.EndSession(h.ctx(), sessions[0].ID, h.clock.Now()))
	h.wants(h.redeem(code), http.StatusBadRequest, "invalid_grant")
}

func TestA8_EveryResponseNamesTheIssuer(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	h.appHears(b.get("/authorize?"+ask("prompt", "none").Encode()), "login_required")
	h.appHears(b.get("/authorize?"+ask("response_type", "token").Encode()), "unsupported_response_type")
	if q := b.authorize(ask()).location().Query(); q.Get("iss") != issuer {
		t.Errorf("%v", q)
	}
	if a := h.send(newRequest(http.MethodGet, "/.well-known/openid-configuration",
		nil)); a.json["authorization_response_iss_parameter_supported"] != true {
		t.Error("discovery does not say so")
	}
}
