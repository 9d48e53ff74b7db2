package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// suite is an app that asks as the OpenID Foundation's conformance suite does, of the
// whole broker, with a browser without scripts that finds elements by their ids.
type suite struct {
	*harness
	b            *browser
	at           string // where it listens
	id, secret   string
	answers      chan url.Values // to its callback, by query or by form
	gone, backed chan url.Values // to its post-logout address, and from behind
	state        string
}

func newSuite(t *testing.T) *suite {
	s := &suite{harness: newHarness(t), b: newBrowser(t), id: "suite", secret: broker.NewToken(),
		state: strings.Repeat("aZ9-._~x", 16),
		// no handler waits for a reader
		answers: make(chan url.Values, 100), gone: make(chan url.Values, 100), backed: make(chan url.Values, 100)}
	s.advance(987654321)
	mux := http.NewServeMux()
	for path, heard := range map[string]chan url.Values{"/callback": s.answers, "/gone": s.gone,
		"/backchannel": s.backed} {
		mux.HandleFunc(path, func(_ http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			heard <- r.Form
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.at = server.URL
	c := broker.Client{ID: s.id, Name: "Suite", AuthMethods: clients.SecretMethods(),
		FirstParty: true, RedirectURIs: []string{s.at + "/callback"},
		PostLogoutRedirectURIs: []string{s.at + "/gone"}, BackchannelLogoutURI: s.at + "/backchannel",
		GrantTypes: []string{"authorization_code", "refresh_token"},
		Scopes:     []string{"openid", "profile", "email", "offline_access"}, CreatedAt: s.clock.now(),
		UpdatedAt: s.clock.now()}
	if err := s.h.addClient(s.ctx, c, s.secret); err != nil {
		t.Fatal(err)
	}
	return s
}

// request is an authorization request.
func (s *suite) request(pairs ...string) url.Values {
	q := url.Values{"client_id": {s.id}, "redirect_uri": {s.at + "/callback"}, "response_type": {"code"},
		"scope": {"openid"}, "state": {s.state}, "nonce": {"n-0S6_WzA2Mj"}}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q
}

// pressID presses the button with this id.
func (b *browser) pressID(id string, fields ...string) {
	b.t.Helper()
	for _, btn := range elements(b.page.root, "button") {
		if attr(btn, "id") == id {
			b.press(textOf(btn), fields...)
			return
		}
	}
	b.t.Fatalf("no button %s at %s:\n%s", id, b.page.url, textOf(b.page.root))
}

// shows reports whether the page has an element with this id.
func (p *page) shows(id string) bool {
	for d := range p.root.Descendants() {
		if attr(d, "id") == id {
			return true
		}
	}
	return false
}

// logged returns the one request that came to the app.
func (s *suite) logged(from chan url.Values) url.Values {
	s.t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(30 * time.Second):
		s.t.Fatalf("nothing was heard; the browser is at %s:\n%s", s.b.page.url, textOf(s.b.page.root))
		return nil
	}
}

// authorize signs in if asked to, and returns the app's response and whether
// the person had to prove who they are.
func (s *suite) authorize(pairs ...string) (said url.Values, asked bool) {
	s.t.Helper()
	s.b.open(s.file.Issuer + "/authorize?" + s.request(pairs...).Encode())
	return s.finish()
}

func (s *suite) finish() (said url.Values, asked bool) {
	s.t.Helper()
	if s.b.page.shows("email") && !s.b.page.shows("password") {
		s.b.pressID("continue", "email", "ben@example.test")
	}
	if s.b.page.shows("password") {
		s.b.pressID("signin", "password", demoPassword)
		asked = true
	}
	if s.b.page.shows("continue") {
		s.b.pressID("continue") // a posted answer
	}
	said = s.logged(s.answers)
	if said.Get("state") != s.state || said.Get("iss") != s.file.Issuer {
		s.t.Fatalf("%v", said)
	}
	return said, asked
}

// tokens are what a code or a refresh token is good for, and the ID token's claims.
func (s *suite) tokens(grant string, pairs ...string) (status int, got appTokens, id map[string]any) {
	s.t.Helper()
	form := url.Values{"grant_type": {grant}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	req, err := http.NewRequest(http.MethodPost, s.file.Issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(s.id, s.secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || json.Unmarshal(body, &got) != nil {
		s.t.Fatalf("%v %s", err, body)
	}
	if got.ID != "" {
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(got.ID, ".")[1])
		if err != nil || json.Unmarshal(raw, &id) != nil {
			s.t.Fatal(got.ID)
		}
	}
	return res.StatusCode, got, id
}

func (s *suite) signsIn(anew bool, pairs ...string) (got appTokens, id map[string]any) {
	s.t.Helper()
	said, asked := s.authorize(pairs...)
	status, got, id := s.tokens("authorization_code", "code", said.Get("code"), "redirect_uri", s.at+"/callback")
	if status != http.StatusOK || asked != anew || id["aud"] != s.id || id["nonce"] != "n-0S6_WzA2Mj" {
		s.t.Fatalf("%v: asked %t, %v, %d %v %v", pairs, asked, said, status, got, id)
	}
	if now := float64(s.clock.now().Unix()); id["iat"] != now || anew && id["auth_time"] != now {
		s.t.Errorf("%v: %v at %v", pairs, id, now)
	}
	return got, id
}

// signedOut requires that prompt=none is refused.
func (s *suite) signedOut() {
	s.t.Helper()
	if said, _ := s.authorize("prompt", "none"); said.Get("error") != "login_required" || said.Has("code") {
		s.t.Errorf("%v", said)
	}
}

// The modules of the Basic plan that are about the person, walked through the whole
// broker: the login pages, the sessions and the clock are its own.
func TestOIDF_walk_prompts_ages_and_hints(t *testing.T) {
	s := newSuite(t)
	s.signedOut() // oidcc-prompt-none-not-logged-in
	got, first := s.signsIn(true)
	s.advance(2 * time.Second)
	for _, silent := range [][]string{{"prompt", "none"}, {"max_age", "10000"}, {"prompt", "none", "id_token_hint",
		got.ID}, {"login_hint", "buffy@example.com", "ui_locales", "se", "display", "popup"}} {
		if _, again := s.signsIn(false, silent...); again["sub"] != first["sub"] ||
			again["auth_time"] != first["auth_time"] || again["sid"] != first["sid"] {
			t.Errorf("%v: %v, then %v", silent, first, again)
		}
	}
	for _, anew := range [][]string{{"prompt", "login"}, {"max_age", "1"}, {"max_age", "0"},
		{"prompt", "login", "response_mode", "form_post"}} {
		s.advance(2 * time.Second)
		if _, again := s.signsIn(true, anew...); again["sub"] != first["sub"] ||
			again["auth_time"].(float64) <= first["auth_time"].(float64) {
			t.Errorf("%v: %v, then %v", anew, first, again)
		}
	}
	if _, id := s.signsIn(false, "acr_values", "urn:gatehouse:acr:1 x"); id["acr"] != "urn:gatehouse:acr:1" {
		t.Errorf("%v", id)
	}
}

// oidcc-ensure-post-request-succeeds: the request is posted, without any cookie.
func TestOIDF_walk_a_posted_request(t *testing.T) {
	s := newSuite(t)
	s.signsIn(true)
	for _, mode := range []string{"query", "form_post"} {
		bare := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := bare.PostForm(s.file.Issuer+"/authorize", s.request("response_mode", mode))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		s.b.open(s.file.Issuer + res.Header.Get("Location"))
		if said, asked := s.finish(); said.Get("code") == "" || asked {
			t.Errorf("%s: %v", mode, said)
		}
	}
}

func TestOIDF_walk_codes_and_refresh_tokens(t *testing.T) {
	s := newSuite(t)
	said, _ := s.authorize("scope", "openid offline_access", "prompt", "consent")
	redeem := []string{"code", said.Get("code"), "redirect_uri", s.at + "/callback"}
	_, got, first := s.tokens("authorization_code", redeem...)
	s.advance(5 * time.Second)
	status, next, renewed := s.tokens("refresh_token", "refresh_token", got.Refresh, "scope", "openid offline_access")
	if status != http.StatusOK || renewed["auth_time"] != first["auth_time"] || renewed["sub"] != first["sub"] ||
		renewed["iat"].(float64) <= first["iat"].(float64) {
		t.Fatalf("%d %v, then %v", status, first, renewed)
	}
	s.advance(25 * time.Second)
	if status, again, _ := s.tokens("authorization_code", redeem...); status != http.StatusBadRequest ||
		again.Error != "invalid_grant" {
		t.Errorf("the code once more: %d %v", status, again)
	}
	for _, token := range []string{got.Access, next.Access} {
		req, err := http.NewRequest(http.MethodGet, s.file.Issuer+"/userinfo", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("its token: %d %v", res.StatusCode, res.Header)
		}
	}
}

func TestOIDF_walk_sign_outs(t *testing.T) {
	s := newSuite(t)
	for _, q := range []url.Values{{}, {"state": {s.state}}, {"post_logout_redirect_uri": {s.at + "/gone"},
		"state": {s.state}}} {
		s.signsIn(true)
		s.b.open(s.file.Issuer + "/end_session?" + q.Encode())
		s.b.pressID("leave")
		if s.logged(s.backed); !s.b.page.shows("signedout") {
			t.Errorf("%v: %s", q, textOf(s.b.page.root))
		}
		s.signedOut()
	}
	got, id := s.signsIn(true)
	s.b.open(s.file.Issuer + "/end_session?" + url.Values{"id_token_hint": {got.ID}, "post_logout_redirect_uri": {
		s.at + "/gone"}, "state": {s.state}}.Encode())
	if back := s.logged(s.gone); back.Get("state") != s.state || len(back) != 1 {
		t.Errorf("%v", back)
	}
	told := s.logged(s.backed)
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(told.Get("logout_token"), ".")[1])
	var said map[string]any
	if err != nil || json.Unmarshal(raw, &said) != nil || said["sid"] != id["sid"] || said["sub"] != id["sub"] ||
		said["aud"] != s.id || len(told) != 1 {
		t.Errorf("%v %v", told, said)
	}
	s.signedOut()
	select {
	case v := <-s.gone:
		t.Errorf("somebody was sent on: %v", v)
	default:
	}
}
