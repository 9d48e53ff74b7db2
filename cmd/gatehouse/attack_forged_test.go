package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
)

// openPosts are the routes that accept a cross-site POST: they use none of our cookies.
var openPosts = []string{"POST /authorize", "POST /callback/{connection}", "POST /callback/{connection}/data-deletion",
	"POST /callback/{connection}/deauthorize", "POST /callback/{connection}/logout",
	"POST /device_authorization", "POST /end_session", "POST /introspect", "POST /par", "POST /register", "POST /revoke",
	"POST /token", "POST /userinfo"}

func TestE15_NoRouteThatActsOnACookieTakesAPostFromElsewhere(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	in := s.insider(t)
	before := in.state(t, s)
	origins := []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
		{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://evil.localhost"}},
		{"Origin": {"https://evil.example"}},
		{"Origin": {"null"}},
	}
	bodies := map[string]string{"application/x-www-form-urlencoded": "decision=allow&password=" + demoPassword,
		"text/plain": "decision=allow&a=b",
		"multipart/form-data; boundary=x": "--x\r\nContent-Disposition: form-data; " +
			"name=\"decision\"\r\n\r\nallow\r\n--x--\r\n", "application/json": `{"decision":"allow"}`}
	guarded := 0
	for _, route := range mountedRoutes(t) {
		method, _, _ := strings.Cut(route, " ")
		if method != http.MethodPost {
			continue
		}
		if !slices.Contains(openPosts, route) {
			guarded++
		}
		for _, origin := range origins {
			for kind, body := range bodies {
				req := in.as(s.raw(t, method, in.path(route), body))
				req.Header.Del("Sec-Fetch-Site")
				req.Header.Del("Origin")
				for name, v := range origin {
					req.Header[name] = v
				}
				req.Header.Set("Content-Type", kind)
				what := route + " " + kind + " from " + origin.Get("Origin")
				a := s.send(t, what, req)
				if len(a.Cookies()) > 0 {
					t.Errorf("%s: sets a cookie", what)
				}
				if slices.Contains(openPosts, route) {
					continue
				}
				if a.root == nil {
					t.Fatalf("%s: %d and no page", what, a.StatusCode)
				}
				code, _ := shownRefusal(a.root)
				if refused := a.StatusCode == http.StatusForbidden && code == string(broker.CrossOrigin); !refused &&
					!strings.HasPrefix(kind, "multipart/") || a.StatusCode < 400 {
					t.Errorf("%s: %d %q", what, a.StatusCode, code)
				}
			}
		}
	}
	if guarded < 12 {
		t.Errorf("only %d routes are guarded", guarded)
	}
	if after := in.state(t, s); after != before {
		t.Errorf("the browser stood at %s, and now at %s", before, after)
	}
}

// state is what this browser has: who is signed in, and what its login and its consent wait for.
func (in insider) state(t *testing.T, s *attackHarness) string {
	t.Helper()
	all := ""
	for _, path := range []string{"/account", in.login, in.consent, in.device} {
		p := in.send(s.request(t, http.MethodGet, path, nil))
		title := elements(p.root, "h1")
		if p.status != http.StatusOK || len(title) == 0 {
			t.Fatalf("%s: %d", path, p.status)
		}
		all += path + ": " + textOf(title[0]) + "\n"
	}
	return all
}

func TestE16_ASessionIsOverAfterEightHoursWhateverHappensInIt(t *testing.T) {
	s := newAttackHarness(t)
	in := s.insider(t)
	alive := func() bool {
		u, err := url.Parse(s.hop(t, in.browser, "/authorize?"+s.asking("prompt", "none").Encode()))
		if err != nil {
			t.Fatal(err)
		}
		return u.Query().Has("code")
	}
	for range 7 {
		if !alive() {
			t.Fatal("it ended early")
		}
		s.advance(broker.SessionLife / 8)
	}
	if !alive() {
		t.Fatal("it ended early")
	}
	s.advance(broker.SessionLife / 8)
	if alive() {
		t.Error("it lives")
	}
	if to := s.hop(t, in.browser, "/account"); !strings.HasPrefix(to, "/login") {
		t.Errorf("the account page leads to %q", to)
	}
}
