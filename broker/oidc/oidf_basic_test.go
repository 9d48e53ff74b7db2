package oidc

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// suite registers a client as the suite's operator does: with a secret, and without PKCE.
func (h *house) suite(id string) string {
	h.t.Helper()
	return h.client(broker.Client{ID: id, Name: "Suite " + id, AuthMethods: []string{"client_secret_basic", "client_secret_post"}, SkipPKCE: true, FirstParty: true})
}

func plain(pairs ...string) url.Values {
	return ask(append([]string{"client_id", "suite", "code_challenge", "-", "code_challenge_method", "-", "scope", "openid"}, pairs...)...)
}

// exchange redeems a code of the suite's client, with its secret in a header.
func (h *house) exchange(secret, code string) answer {
	h.t.Helper()
	r := newRequest(http.MethodPost, pathToken, url.Values{"grant_type": {grantCode}, "code": {code}, "redirect_uri": {callback}})
	r.SetBasicAuth("suite", secret)
	return h.send(r)
}

func TestOIDF_oidcc_server(t *testing.T) {
	h := newHouse(t)
	secret := h.suite("suite")
	state := strings.Repeat("aZ9-._~x", 16)
	a := h.browser().authorize(plain("state", state))
	q := a.location().Query()
	if q.Get("state") != state || q.Get("iss") != issuer || len(q["code"]) != 1 || len(q.Get("code")) < 22 {
		t.Fatalf("%s", a.Header.Get("Location"))
	}
	got := h.wants(h.exchange(secret, q.Get("code")), http.StatusOK, "")
	if !strings.Contains(got.Header.Get("Cache-Control"), "no-store") || got.json["expires_in"] != 600.0 || !strings.EqualFold(got.text("token_type"), "bearer") || len(got.text("access_token")) < 22 {
		t.Errorf("%v %s", got.Header, got.body)
	}
	head, claims := h.claims(got.text("id_token"))
	if head["alg"] != "RS256" || head["kid"] == nil {
		t.Errorf("%v", head)
	}
	allowed := []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "acr", "sid", "at_hash"}
	for name := range claims {
		if !slices.Contains(allowed, name) {
			t.Errorf("the ID token says %s, which nobody asked for", name)
		}
	}
	if claims["iss"] != issuer || claims["aud"] != "suite" || claims["nonce"] != "the-nonce" || claims["sub"] != "ana" {
		t.Errorf("%v", claims)
	}
}

func TestOIDF_oidcc_response_type_missing(t *testing.T) {
	h := newHouse(t)
	h.suite("suite")
	h.appHears(h.browser().get("/authorize?"+plain("response_type", "-").Encode()), "invalid_request")
}

func TestOIDF_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(t *testing.T) {
	h := newHouse(t)
	secret := h.suite("suite")
	got := h.wants(h.exchange(secret, h.browser().code(plain("nonce", "-"))), http.StatusOK, "")
	if _, claims := h.claims(got.text("id_token")); claims["nonce"] != nil {
		t.Errorf("nonce %v", claims["nonce"])
	}
}

func TestOIDF_oidcc_scope_profile_email_all(t *testing.T) {
	h := newHouse(t)
	secret := h.suite("suite")
	profile, email := []string{"name", "given_name", "family_name", "locale", "updated_at"}, []string{"email", "email_verified"}
	for scope, want := range map[string][]string{"openid": nil, "openid profile": profile, "openid email": email, "openid profile email": slices.Concat(profile, email)} {
		got := h.wants(h.exchange(secret, h.browser().code(plain("scope", scope))), http.StatusOK, "")
		info := h.userinfo(got.text("access_token"))
		for _, name := range want {
			if info.json[name] == nil {
				t.Errorf("%s: userinfo lacks %s", scope, name)
			}
		}
		if len(info.json) != len(want)+1 || info.text("sub") != "ana" {
			t.Errorf("%s: %s", scope, info.body)
		}
		_, claims := h.claims(got.text("id_token"))
		for _, name := range want {
			if claims[name] != nil {
				t.Errorf("%s: the ID token says %s", scope, name)
			}
		}
	}
	for _, name := range advertisedClaims(h) {
		if slices.Contains([]string{"address", "phone_number", "phone_number_verified", "picture", "website"}, name) {
			t.Errorf("%s is advertised and never given", name)
		}
	}
}

func advertisedClaims(h *house) []string { return texts(h.discovered()["claims_supported"]) }

func TestOIDF_oidcc_alternate_happy_flow(t *testing.T) {
	h := newHouse(t)
	secret := h.suite("suite")
	for _, q := range []url.Values{plain("scope", "email openid profile"), plain("scope", "openid  email"), plain("response_mode", "query")} {
		b := h.browser()
		if h.wants(h.exchange(secret, b.code(q)), http.StatusOK, "").text("id_token") == "" {
			t.Errorf("%v: no ID token", q)
		}
	}
}

func TestOIDF_oidcc_ensure_post_request_succeeds(t *testing.T) {
	h := newHouse(t)
	secret := h.suite("suite")
	post := newRequest(http.MethodPost, pathAuthorize, plain())
	post.Header.Set("Sec-Fetch-Site", "cross-site")
	a := h.send(post)
	b := h.browser()
	for range 4 {
		if code := a.location().Query().Get("code"); code != "" {
			if got := h.exchange(secret, code); got.text("id_token") == "" {
				t.Errorf("%s", got.body)
			}
			return
		}
		next := a.Header.Get("Location")
		if id, ok := strings.CutPrefix(next, "/login/"); ok {
			next = "/authorize?login=" + id
		}
		a = b.get(next)
	}
	t.Errorf("no code: %d %s", a.StatusCode, a.Header.Get("Location"))
}

func TestOIDF_oidcc_prompt_login_and_max_age_1(t *testing.T) {
	for _, again := range []string{"prompt=login", "max_age=1"} {
		h := newHouse(t)
		secret := h.suite("suite")
		b := h.browser()
		name, value, _ := strings.Cut(again, "=")
		_, first := h.claims(h.exchange(secret, b.code(plain(name, value))).text("id_token"))
		h.clock.add(2 * time.Second)
		a := b.get("/authorize?" + plain(name, value).Encode())
		id, asked := strings.CutPrefix(a.location().Path, "/login/")
		if !asked {
			t.Fatalf("%s: nobody was asked: %s", again, a.Header.Get("Location"))
		}
		code := b.get("/authorize?login=" + id).location().Query().Get("code")
		_, second := h.claims(h.exchange(secret, code).text("id_token"))
		before, _ := first["auth_time"].(float64)
		after, _ := second["auth_time"].(float64)
		if after <= before || before == 0 || first["sub"] != second["sub"] {
			t.Errorf("%s: auth_time %v, then %v", again, first["auth_time"], second["auth_time"])
		}
	}
}

func TestOIDF_oidcc_silent_max_age_10000_prompt_none_logged_in_id_token_hint(t *testing.T) {
	h := newHouse(t)
	secret := h.suite("suite")
	b := h.browser()
	got := h.exchange(secret, b.code(plain()))
	_, first := h.claims(got.text("id_token"))
	h.clock.add(2 * time.Second)
	for _, pairs := range [][]string{{"max_age", "10000"}, {"prompt", "none"}, {"prompt", "none", "id_token_hint", got.text("id_token")}} {
		a := b.get("/authorize?" + plain(pairs...).Encode())
		code := a.location().Query().Get("code")
		_, again := h.claims(h.wants(h.exchange(secret, code), http.StatusOK, "").text("id_token"))
		if again["sub"] != first["sub"] || again["auth_time"] != first["auth_time"] || again["auth_time"] == nil {
			t.Errorf("%v: %v, then %v", pairs, first, again)
		}
	}
}

func TestOIDF_oidcc_prompt_none_not_logged_in(t *testing.T) {
	h := newHouse(t)
	h.suite("suite")
	state := strings.Repeat("s", 128)
	a := h.browser().get("/authorize?" + plain("prompt", "none", "state", state).Encode())
	q := a.location().Query()
	if a.StatusCode != http.StatusSeeOther || q.Get("error") != "login_required" || q.Get("state") != state || q.Get("iss") != issuer {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
}

func TestOIDF_oidcc_display_locales_login_hint_unknown_parameter(t *testing.T) {
	h := newHouse(t)
	secret := h.suite("suite")
	for _, pair := range [][2]string{{"display", "page"}, {"display", "popup"}, {"ui_locales", "se"}, {"ui_locales", "fr de"}, {"claims_locales", "se"}, {"login_hint", "bob@example.com"}, {"extra", "foobar"}} {
		if got := h.exchange(secret, h.browser().code(plain(pair[0], pair[1]))); got.text("id_token") == "" {
			t.Errorf("%v: %s", pair, got.body)
		}
	}
}

func TestOIDF_oidcc_ensure_registered_redirect_uri(t *testing.T) {
	h := newHouse(t)
	h.suite("suite")
	h.page(h.browser().get("/authorize?"+plain("redirect_uri", callback+"x").Encode()), broker.RedirectURIMismatch)
}

func TestOIDF_oidcc_ensure_request_with_valid_pkce_succeeds(t *testing.T) {
	h := newHouse(t)
	secret := h.suite("suite")
	code := h.browser().code(plain("code_challenge", challengeOf(verifier), "code_challenge_method", "S256"))
	h.wants(h.redeem(code, "client_id", "suite", "client_secret", secret), http.StatusOK, "") // oidcc-server-client-secret-post, too
}

func TestOIDF_oidcc_request_objects_are_refused_in_the_right_words(t *testing.T) {
	h := newHouse(t)
	h.suite("suite")
	meta := h.discovered()
	if meta["request_parameter_supported"] != false || meta["request_uri_parameter_supported"] != false {
		t.Errorf("%v %v", meta["request_parameter_supported"], meta["request_uri_parameter_supported"])
	}
	h.appHears(h.browser().get("/authorize?"+plain("request", "eyJhbGciOiJub25lIn0.e30.").Encode()), "request_not_supported")
	h.appHears(h.browser().get("/authorize?"+plain("request_uri", "https://app.example.com/request.jwt").Encode()), "request_uri_not_supported")
}
