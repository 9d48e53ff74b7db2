package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gatehouse/broker"
)

const (
	thirdCallback = "https://third.example.test/callback"
	hostVerifier  = "a-verifier-of-forty-three-characters-or-more-0123456789"
)

// addThird registers an app that must ask for consent.
func (s *attackHarness) addThird(t *testing.T) (secret string) {
	t.Helper()
	now := s.h.now()
	secret = broker.NewToken()
	err := s.h.addClient(s.ctx, broker.Client{ID: "third", Name: "Third <b>&\"Party\"</b>",
		AuthMethods: []string{"client_secret_post"}, IDTokenAlg: "ES256",
		RedirectURIs: []string{thirdCallback}, GrantTypes: []string{"authorization_code", "refresh_token", grantDevice},
		Scopes: []string{"openid", "profile", "email", "offline_access"}, CreatedAt: now, UpdatedAt: now}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// asking is a flawless authorization request of the sample app, with changes; a
// value of "-" takes a parameter away.
func (s *attackHarness) asking(changes ...string) url.Values {
	sum := sha256.Sum256([]byte(hostVerifier))
	q := url.Values{"response_type": {"code"}, "client_id": {"courts-booking"}, "redirect_uri": {s.file.App + "/callback"},
		"scope": {"openid profile email offline_access"}, "state": {"a-state"}, "nonce": {"a-nonce"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(changes); i += 2 {
		if q.Set(changes[i], changes[i+1]); changes[i+1] == "-" {
			q.Del(changes[i])
		}
	}
	return q
}

// insider is a browser with everything that an attacker may want to reach: a
// session, a login that is open, a request that waits for consent and a device that
// waits for an answer.
type insider struct {
	*browser
	login, consent, device string
}

func (s *attackHarness) insider(t *testing.T) insider {
	t.Helper()
	b := s.signedIn(t, "ben@example.test")
	in := insider{browser: b}
	in.consent = s.hop(t, b, "/authorize?"+s.asking("client_id", "third", "redirect_uri", thirdCallback).Encode())
	in.device = s.device(t, b)
	in.login = s.hop(t, b, "/authorize?"+s.asking("prompt", "login", "login_hint", "ben@example.test").Encode())
	if !strings.HasPrefix(in.consent, "/consent/") || !strings.HasPrefix(in.login, "/login/") {
		t.Fatalf("the insider stands at %+v", in)
	}
	return in
}

func (s *attackHarness) signedIn(t *testing.T, email string) *browser {
	t.Helper()
	b := newBrowser(t)
	b.open(s.file.App + "/login")
	b.press("Continue", "email", email)
	b.press("Sign in", "password", demoPassword)
	b.sees("Signed in as " + map[string]string{"ben@example.test": "Ben Carter", "ana@example.test": "Ana Silva"}[email])
	return b
}

// hop makes one GET and returns its redirect target, without following it.
func (s *attackHarness) hop(t *testing.T, b *browser, path string) string {
	t.Helper()
	p := b.send(s.request(t, http.MethodGet, path, nil))
	return p.header.Get("Location")
}

// device opens the confirmation page of a device and returns its path.
func (s *attackHarness) device(t *testing.T, b *browser) string {
	t.Helper()
	req := s.request(t, http.MethodPost, "/device_authorization", url.Values{"scope": {"openid"}, "client_id": {"third"},
		"client_secret": {s.third}})
	var call struct {
		Code string `json:"user_code"`
	}
	if a := s.send(t, "a device", req); json.Unmarshal([]byte(a.body), &call) != nil || call.Code == "" {
		t.Fatalf("no device: %d %s", a.StatusCode, a.body)
	}
	b.open(s.file.Issuer + "/device")
	b.press("Continue", "user_code", call.Code)
	if !strings.HasPrefix(b.page.url.Path, "/device/") {
		t.Fatalf("no question: %s", textOf(b.page.root))
	}
	return b.page.url.Path
}

// path fills in a pattern.
func (in insider) path(pattern string) string {
	_, path, _ := strings.Cut(pattern, " ")
	id := strings.TrimPrefix(in.login, "/login/")
	if strings.HasPrefix(path, "/consent/") {
		id = strings.TrimPrefix(in.consent, "/consent/")
	}
	if strings.HasPrefix(path, "/device/") {
		id = strings.TrimPrefix(in.device, "/device/")
	}
	connection := "google"
	if strings.HasSuffix(path, "/deauthorize") || strings.HasSuffix(path, "/data-deletion") {
		connection = "facebook"
	}
	return strings.NewReplacer("{id}", id, "{connection}", connection, "{code}", "NOSUCHCODE", "{name}", "app.css", "{$}",
		"").Replace(path)
}

func TestA15_A24_E17_H1_EveryRouteWithstandsEveryParameter(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	in := s.insider(t)
	routes, names := mountedRoutes(t), readParameters(t)
	for _, route := range routes {
		method, _, _ := strings.Cut(route, " ")
		for i, p := range payloads() {
			if method == http.MethodOptions && i > 3 {
				break // there is nothing to read them
			}
			all := url.Values{}
			for _, name := range names {
				all.Set(name, p.value)
			}
			s.send(t, route+" all "+p.name, s.request(t, method, in.path(route), all))
			s.send(t, route+" all "+p.name+", signed in", in.as(s.request(t, method, in.path(route), all)))
			one := url.Values{names[len(p.name)%len(names)]: {p.value, "again"}, "x[]": {p.value}, "x[y][z]": {p.value},
				p.value: {"x"}}
			s.send(t, route+" arrays "+p.name, in.as(s.request(t, method, in.path(route), one)))
		}
		for _, broken := range []string{"%", "%zz", "a=%", "a=%u0041", "a;b", "&&&===", "%00=%00", "\xff=\xff",
			strings.Repeat("a=&", 101)} {
			s.send(t, route+" broken "+broken[:min(len(broken), 9)], in.as(s.raw(t, method, in.path(route), broken)))
		}
		if strings.Contains(route, "{") {
			s.paths(t, route)
		}
	}
	s.everyRouteWasReached(t, routes)
	t.Logf("%d requests to %d routes", s.sent, len(routes))
}

// paths puts each payload where a route takes an id.
func (s *attackHarness) paths(t *testing.T, route string) {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	stranger := newBrowser(t)
	for _, p := range payloads() {
		if p.value == "" {
			continue
		}
		filled := regexp.MustCompile(`\{\w+\}`).ReplaceAllLiteralString(path, url.PathEscape(p.value))
		s.send(t, route+" path "+p.name, stranger.as(s.request(t, method, filled, nil)))
	}
}

// everyRouteWasReached reads the access log: each pattern of the router was requested,
// and the source mentions all of them.
func (s *attackHarness) everyRouteWasReached(t *testing.T, routes []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, line := range s.records(t) {
		if r, _ := line["route"].(string); r != "" {
			seen[r] = true
		}
	}
	for _, r := range routes {
		if !seen[r] {
			t.Errorf("no request reached %s", r)
		}
		delete(seen, r)
	}
	for r := range seen {
		t.Errorf("%s is served and was not read from the source", r)
	}
}
