package oidc

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

func TestASignInEndsInTokensThatSayWhatIsKnown(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	a := b.authorize(ask())
	q := a.location().Query()
	if a.StatusCode != http.StatusSeeOther || q.Get("state") != "the-state" || q.Get("iss") != issuer || len(q) != 3 {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	got := h.wants(h.redeem(q.Get("code")), http.StatusOK, "")
	if got.text("token_type") != "Bearer" || got.json["expires_in"] != 600.0 ||
		got.text("scope") != "openid profile email offline_access" {
		t.Errorf("%s", got.body)
	}
	if c := got.Header.Get("Cache-Control"); c != "no-store" {
		t.Errorf("Cache-Control %q", c)
	}
	header, claims := h.claims(got.text("id_token"))
	if header["alg"] != "RS256" || header["typ"] != "JWT" || h.handler.keys.Find(header["kid"].(string)) == nil {
		t.Errorf("header %v", header)
	}
	now := float64(h.clock.Now().Unix())
	sum := sha256.Sum256([]byte(got.text("access_token")))
	sessions, err := h.db.SessionsOf(h.ctx(), "ana")
	h.must(err)
	want := map[string]any{"iss": issuer, "sub": "ana", "aud": "app", "nonce": "the-nonce", "iat": now, "exp": now + 600,
		"auth_time": now,
		"sid":       sessions[0].ID, "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
		"name": "Ana Lima", "given_name": "Ana", "family_name": "Lima", "locale": "es", "updated_at": now,
		"preferred_username": "ana@example.com", "email": "ana@example.com", "email_verified": true}
	for name, v := range want {
		if claims[name] != v {
			t.Errorf("%s is %v, want %v", name, claims[name], v)
		}
	}
	if len(claims) != len(want)+1 || claims["amr"].([]any)[0] != "pwd" {
		t.Errorf("claims nobody asked for: %v", claims)
	}
	if e := h.events(broker.EventFilter{Verb: broker.EventTokenIssued}); len(e) != 1 || e[0].Account != "ana" ||
		e[0].Client != "app" || e[0].Session != sessions[0].ID {
		t.Errorf("events %+v", e)
	}
}

func TestWhatIsNotKnownIsNotSaid(t *testing.T) {
	h := newHarness(t)
	h.logins.authn = broker.Authn{Method: broker.ByPassword}
	_, claims := h.claims(h.signIn("nonce", "-").text("id_token"))
	for _, name := range []string{"auth_time", "amr", "acr", "nonce"} {
		if v, ok := claims[name]; ok {
			t.Errorf("%s is %v", name, v)
		}
	}
}

func TestASecondRequestUsesTheSessionWithoutAPage(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	b.code(ask())
	h.clock.add(time.Minute)
	a := b.get("/authorize?" + ask("prompt", "none", "state", "-").Encode())
	if q := a.location().Query(); a.StatusCode != http.StatusSeeOther || q.Get("code") == "" || q.Has("state") {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	got := h.wants(h.redeem(a.location().Query().Get("code")), http.StatusOK, "")
	if _, claims := h.claims(got.text("id_token")); claims["auth_time"] != float64(
		h.clock.Now().Add(-time.Minute).Unix()) {
		t.Errorf("auth_time %v", claims["auth_time"])
	}
}

func TestARequestGetsTheLoginItAskedFor(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	b.code(ask())
	h.clock.add(time.Minute)
	age := 30
	for name, c := range map[string]struct {
		q    url.Values
		want broker.Login
	}{
		"prompt=login": {ask("prompt", "login"), broker.Login{Fresh: true, For: "ana", Email: "ana@example.com"}},
		"prompt=login for another person": {ask("prompt", "login", "login_hint", "ben@"),
			broker.Login{Fresh: true, Hint: "ben@"}},
		"prompt=select_account": {ask("prompt", "select_account"), broker.Login{Pick: true}},
		"max_age=0":             {ask("max_age", "0"), broker.Login{Fresh: true, For: "ana", Email: "ana@example.com"}},
		"max_age that is over": {ask("max_age", "30"), broker.Login{MaxAge: &age, For: "ana",
			Email: "ana@example.com"}},
		"another connection": {ask("connection", "google"), broker.Login{Connection: "google"}},
		"login_hint, ui_locales": {ask("prompt", "login", "login_hint", "ana@", "ui_locales", "xx fr-CA en"),
			broker.Login{Fresh: true, Hint: "ana@", Locale: "fr"}},
	} {
		a := b.get("/authorize?" + c.q.Encode())
		l, ok := h.logins.pending[strings.TrimPrefix(a.location().Path, "/login/")]
		if a.StatusCode != http.StatusSeeOther || !ok {
			t.Errorf("%s: no login: %d %s", name, a.StatusCode, a.Header.Get("Location"))
			continue
		}
		if l.Fresh != c.want.Fresh || l.Pick != c.want.Pick || l.Connection != c.want.Connection || l.Hint != c.want.Hint ||
			l.Locale != c.want.Locale || l.For != c.want.For || l.Email != c.want.Email ||
			(l.MaxAge == nil) != (c.want.MaxAge == nil) || l.MaxAge != nil && *l.MaxAge != age || l.ClientID != "app" ||
			l.Request.Get("state") != "the-state" {
			t.Errorf("%s: %+v", name, l)
		}
		if back := b.get("/authorize?login=" + l.ID); back.location().Query().Get("code") == "" {
			t.Errorf("%s: no code after it: %d %s", name, back.StatusCode, back.Header.Get("Location"))
		}
		h.clock.add(time.Minute)
	}
	if a := b.get("/authorize?" + ask("max_age", "3600").Encode()); a.location().Query().Get("code") == "" {
		t.Errorf("a session that is young enough: %s", a.Header.Get("Location"))
	}
}

func TestWhatIsMerelyToleratedIsNoError(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	for _, pair := range [][2]string{{"acr_values", "urn:x"}, {"display", "popup"}, {"claims_locales", "de"},
		{"claims", "{}"}, {"audience", "https://evil.example"},
		{"response_mode", "query"}, {"unknown", "x"}} {
		if a := b.authorize(ask(pair[0], pair[1])); a.location().Query().Get("code") == "" {
			t.Errorf("%v: %d %s", pair, a.StatusCode, a.Header.Get("Location"))
		}
	}
}

func TestPromptNoneNeverShowsAPage(t *testing.T) {
	h := newHarness(t)
	h.client(broker.Client{ID: "third", Name: "Third", AuthMethods: []string{"none"}})
	b := h.browser()
	h.appHears(b.get("/authorize?"+ask("prompt", "none").Encode()), "login_required")
	b.code(ask())
	h.appHears(b.get("/authorize?"+ask("prompt", "none", "max_age", "0").Encode()), "login_required")
	h.appHears(b.get("/authorize?"+ask("prompt", "none", "client_id", "third").Encode()), "consent_required")
	h.appHears(b.get("/authorize?"+ask("prompt", "none login").Encode()), "invalid_request")
	h.appHears(b.get("/authorize?"+ask("prompt", "create").Encode()), "invalid_request")
}

func TestTheHintNamesWhoMustAnswer(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	got := h.redeem(b.code(ask()))
	hint := got.text("id_token")
	h.clock.add(time.Hour)
	if a := b.get("/authorize?" + ask("prompt", "none", "id_token_hint", hint).Encode()); a.location().Query().Get(
		"code") == "" {
		t.Errorf("an expired hint for this person: %s", a.Header.Get("Location"))
	}
	h.appHears(b.get("/authorize?"+ask("prompt", "none", "id_token_hint", hint[:len(hint)-4]).Encode()), "invalid_request")

	other := ana(h.clock.Now())
	other.ID, other.Email = "bob", "bob@example.com"
	h.must(h.db.CreateAccount(h.ctx(), other))
	h.logins.account = "bob"
	c := h.browser()
	c.code(ask())
	h.appHears(c.get("/authorize?"+ask("prompt", "none", "id_token_hint", hint).Encode()), "login_required")
	if a := c.get("/authorize?" + ask("id_token_hint", hint).Encode()); !strings.HasPrefix(a.Header.Get("Location"),
		"/login/") {
		t.Errorf("whoever is there is not whom the app asked for: %s", a.Header.Get("Location"))
	}
	h.appHears(c.authorize(ask("id_token_hint", hint)), "login_required")
}

func TestEveryAlgorithmSignsAndHashesItsOwnWay(t *testing.T) {
	h := newHarness(t)
	for _, alg := range []string{signing.RS256, signing.ES256, signing.EdDSA} {
		secret := h.client(broker.Client{ID: "c-" + alg, Name: "C", AuthMethods: []string{"client_secret_post"},
			IDTokenAlg: alg, FirstParty: true})
		code := h.browser().code(ask("client_id", "c-"+alg))
		got := h.wants(h.redeem(code, "client_id", "c-"+alg, "client_secret", secret), http.StatusOK, "")
		header, claims := h.claims(got.text("id_token"))
		want := ""
		if sum := sha512.Sum512([]byte(got.text("access_token"))); alg == signing.EdDSA {
			want = base64.RawURLEncoding.EncodeToString(sum[:32])
		} else {
			sum := sha256.Sum256([]byte(got.text("access_token")))
			want = base64.RawURLEncoding.EncodeToString(sum[:16])
		}
		if header["alg"] != alg || claims["at_hash"] != want {
			t.Errorf("%s: %v, at_hash %v, want %s", alg, header, claims["at_hash"], want)
		}
		if said, err := h.handler.readHint(got.text("id_token")); err != nil || said.Subject != "ana" ||
			said.Audience != "c-"+alg {
			t.Errorf("%s: we do not know it again: %+v %v", alg, said, err)
		}
	}
}

func TestUserinfoReturnsWhatTheScopesAllow(t *testing.T) {
	h := newHarness(t)
	all := h.userinfo(h.signIn().text("access_token"))
	if all.StatusCode != http.StatusOK || all.text("sub") != "ana" || all.text("name") != "Ana Lima" ||
		all.text("email") != "ana@example.com" ||
		all.json["email_verified"] != true || all.text("locale") != "es" || all.json["updated_at"] == nil {
		t.Errorf("%d %s", all.StatusCode, all.body)
	}
	token := h.signIn("scope", "openid").text("access_token")
	if few := h.userinfo(token); len(few.json) != 1 || few.text("sub") != "ana" {
		t.Errorf("%s", few.body)
	}
	post := newRequest(http.MethodPost, "/userinfo", nil)
	post.Header.Set("Authorization", "bearer "+token)
	if a := h.send(post); a.text("sub") != "ana" {
		t.Errorf("POST with a header: %d %s", a.StatusCode, a.body)
	}
	if a := h.send(newRequest(http.MethodPost, "/userinfo", url.Values{"access_token": {token}})); a.text("sub") != "ana" {
		t.Errorf("POST with a form: %d %s", a.StatusCode, a.body)
	}
	if a := h.send(newRequest(http.MethodGet, "/userinfo?access_token="+token,
		nil)); a.StatusCode != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("a token in the URL: %d", a.StatusCode)
	}
	both := newRequest(http.MethodPost, "/userinfo", url.Values{"access_token": {token}})
	both.Header.Set("Authorization", "Bearer "+token)
	h.wants(h.send(both), http.StatusBadRequest, "invalid_request")
	h.wants(h.userinfo(h.signIn("scope", "photos").text("access_token")), http.StatusForbidden, "insufficient_scope")
	h.wants(h.userinfo(token+"x"), http.StatusUnauthorized, "invalid_token")
	offline, machine := h.signIn(), h.token("grant_type", clients.GrantClient)
	h.clock.add(broker.AccessLife - time.Second)
	h.wants(h.userinfo(offline.text("access_token")), http.StatusOK, "")
	h.clock.add(time.Second)
	h.wants(h.userinfo(token), http.StatusUnauthorized, "invalid_token")
	h.wants(h.userinfo(offline.text("access_token")), http.StatusUnauthorized, "invalid_token")
	if h.active(offline.text("access_token")) || h.active(machine.text("access_token")) ||
		!h.active(offline.text("refresh_token")) {
		t.Error("an access token outlives ten minutes, or a refresh token does not")
	}
}

func TestClientCredentialsHaveNoPerson(t *testing.T) {
	h := newHarness(t)
	got := h.wants(h.token("grant_type", clients.GrantClient), http.StatusOK, "")
	if got.text("scope") != "photos" || got.json["refresh_token"] != nil || got.json["id_token"] != nil {
		t.Errorf("%s", got.body)
	}
	token := got.text("access_token")
	said := h.call("/introspect", "token", token)
	if said.json["active"] != true || said.text("sub") != "app" || said.text("jti") == "" ||
		said.text("scope") != "photos" {
		t.Errorf("%s", said.body)
	}
	h.wants(h.userinfo(token), http.StatusForbidden, "insufficient_scope")
	h.wants(h.token("grant_type", clients.GrantClient, "scope", "openid"), http.StatusBadRequest, "invalid_scope")
	h.wants(h.token("grant_type", clients.GrantClient, "scope", "videos"), http.StatusBadRequest, "invalid_scope")
	h.wants(h.call("/revoke", "token", token), http.StatusOK, "")
	h.wants(h.call("/revoke", "token", token), http.StatusOK, "")
	if h.active(token) {
		t.Error("a revoked token is active")
	}
}

func TestNoOfflineAccessNoRefreshToken(t *testing.T) {
	h := newHarness(t)
	got := h.signIn("scope", "openid")
	if got.json["refresh_token"] != nil {
		t.Errorf("%s", got.body)
	}
	if got := h.signIn("scope", ""); got.json["id_token"] != nil || got.text("access_token") == "" {
		t.Errorf("without openid: %s", got.body)
	}
}

func TestRevokingEndsTheGrant(t *testing.T) {
	h := newHarness(t)
	for _, kind := range []string{"access_token", "refresh_token"} {
		got := h.signIn()
		h.wants(h.call("/revoke", "token", got.text(kind)), http.StatusOK, "")
		if h.active(got.text("access_token")) || h.active(got.text("refresh_token")) {
			t.Errorf("%s: alive after it was revoked", kind)
		}
		h.wants(h.refresh(got.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
		h.wants(h.userinfo(got.text("access_token")), http.StatusUnauthorized, "invalid_token")
	}
	h.wants(h.call("/revoke", "token", "nonsense"), http.StatusOK, "")
	h.wants(h.call("/revoke", "token_type_hint", "access_token"), http.StatusBadRequest, "invalid_request")
	if n := len(h.events(broker.EventFilter{Verb: broker.EventGrantRevoked})); n != 2 {
		t.Errorf("%d events", n)
	}
}

func TestAPostedRequestComesBackAsAGet(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	b.code(ask())
	post := newRequest(http.MethodPost, "/authorize", ask())
	post.Header.Set("Sec-Fetch-Site", "cross-site")
	a := h.send(post) // without the Lax cookie, as a browser would
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/authorize?post=") ||
		len(a.Cookies()) != 0 {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	path := a.Header.Get("Location")
	if a = b.get(path); a.location().Query().Get("code") == "" {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	h.page(b.get(path), broker.RequestInvalid)
	r := newRequest(http.MethodPost, "/authorize", ask("redirect_uri", "https://evil.example/"))
	r.Header.Set("Accept", "text/html")
	h.page(h.send(r), broker.RedirectURIMismatch)
}

func TestALoginThatEndedInARefusalIsReportedToTheApp(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	id := strings.TrimPrefix(b.get("/authorize?"+ask().Encode()).location().Path, "/login/")
	q := h.appHears(b.get("/authorize?login="+id+"&error=user_not_provisioned"), "access_denied")
	if q.Get("error_description") != "user_not_provisioned" || q.Get("state") != "the-state" {
		t.Errorf("%v", q)
	}
	for _, code := range []string{"nonsense", "csrf", "wrong_password"} {
		h.page(b.get("/authorize?login="+id+"&error="+code), broker.RequestInvalid)
	}
	h.page(b.get("/authorize?login=unknown&error=user_not_provisioned"), broker.LoginUnknown)
	h.page(b.get("/authorize?login=unknown"), broker.LoginUnknown)
	h.logins.err = broker.InteractionRequired
	if a := b.get("/authorize?login=x%2Fy"); a.Header.Get("Location") != "/login/x%2Fy" {
		t.Errorf("something is left to ask: %s", a.Header.Get("Location"))
	}
}

func TestACustomSchemeNeedsAClick(t *testing.T) {
	h := newHarness(t)
	const uri = "com.example.app:/callback"
	h.client(broker.Client{ID: "native", Name: "Native", AuthMethods: []string{"none"}, Native: true, FirstParty: true,
		RedirectURIs: []string{uri, "http://127.0.0.1/cb"}})
	b := h.browser()
	a := b.authorize(ask("client_id", "native", "redirect_uri", uri))
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, `href="com.example.app:/callback?code=`) {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	a = b.authorize(ask("client_id", "native", "redirect_uri", "http://127.0.0.1:49152/cb"))
	code := a.location().Query().Get("code")
	if a.location().Host != "127.0.0.1:49152" || code == "" {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	h.wants(h.redeem(code, "client_id", "native", "redirect_uri", "http://127.0.0.1:49152/cb"), http.StatusOK, "")
}
