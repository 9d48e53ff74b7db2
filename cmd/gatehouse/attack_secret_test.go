package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

// records are the lines of the log; each must be JSON by itself (SECURITY.md G16).
func (s *attackHarness) records(t *testing.T) (all []map[string]any) {
	t.Helper()
	for _, line := range s.log.lines() {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("a line of the log is no JSON: %q", line)
		}
		all = append(all, r)
	}
	return all
}

// planted maps the kind of a secret to its values.
type planted map[string]string

// addQueries plants every value that a browser had in a URL of ours or that came
// to us with one.
func (p planted) addQueries(s *attackHarness, trail []string) {
	for _, step := range trail {
		_, raw, _ := strings.Cut(step, " ")
		u, err := url.Parse(raw)
		if err != nil || u.Scheme+"://"+u.Host != s.file.Issuer && !strings.Contains(step, "/callback") {
			continue
		}
		for name, values := range u.Query() {
			if public(u.Path, name) {
				continue
			}
			p[name+" of "+u.Path] = values[0]
		}
	}
}

// public reports whether a value may be seen: names of apps and issuers, the scopes
// granted, where a registered URI is, and an upstream's own words of refusal,
// which the log has in one line, cut short, for the operator (SECURITY.md B24).
func public(path, name string) bool {
	if strings.HasPrefix(path, "/callback/") && strings.HasPrefix(name, "error") {
		return true
	}
	return slices.Contains([]string{"client_id", "iss", "scope", "redirect_uri", "post_logout_redirect_uri"}, name)
}

// in lists the secrets that text contains, encoded or not.
func (p planted) in(text []byte) (found []string) {
	for what, secret := range p {
		if len(secret) < 8 {
			continue
		}
		asJSON, _ := json.Marshal(secret)
		for _, spelled := range []string{secret, url.QueryEscape(secret), strings.Trim(string(asJSON), `"`)} {
			if bytes.Contains(text, []byte(spelled)) {
				found = append(found, what)
				break
			}
		}
	}
	slices.Sort(found)
	return found
}

// journey walks through the broker, on right and wrong paths, and returns all
// the secrets that were used.
func (s *attackHarness) journey(t *testing.T) planted {
	t.Helper()
	p := planted{"a person's password": demoPassword, "an app's secret": s.file.Clients[0].Secret,
		"another app's secret": s.third}
	connections, err := s.h.store.Connections(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range connections {
		p["the secret of "+c.ID] = c.Secrets[0].Reveal()
	}
	var browsers []*browser
	start := func() *browser {
		b := newBrowser(t)
		browsers = append(browsers, b)
		b.open(s.file.App + "/login?login_hint=planted-hint@example.test")
		return b
	}
	s.walkLinks(start)
	s.walkCodes(start, p)
	s.walkTroubles(t, start)
	in := s.insider(t)
	browsers = append(browsers, in.browser)
	s.walkTokens(t, in, p)
	s.walkApps(t, in, p)
	p["the state of a posted sign-out"] = "planted-state"
	s.walk(t, "a posted sign-out", newBrowser(t), s.request(t, http.MethodPost, "/end_session",
		url.Values{"id_token_hint": {p["an ID token"]}, "state": {"planted-state"}})) // it ends the session of in
	s.walkStranger(t, p)
	for i, b := range browsers {
		p.addQueries(s, b.trail)
		for name, value := range cookiesOf(b, s) {
			if name == "gh_last" {
				continue // the id of a connection
			}
			p[fmt.Sprintf("the cookie %s of browser %d", name, i)] = value
		}
	}
	if len(p) < 50 {
		t.Fatalf("only %d secrets were planted: %v", len(p), p)
	}
	return p
}

func (s *attackHarness) walkLinks(start func() *browser) {
	b := start()
	b.click("Continue with Google")
	b.click("Ana")
	b.press("Link and sign in", "password", "planted wrong password")
	b.press("Link and sign in", "password", demoPassword)
	s.returned(b, "Ana Silva")
	b.click("Sign out")
	b = start()
	b.press("Continue", "email", "ben@example.test")
	b.press("Sign in", "password", "planted wrong password")
	b.press("Sign in", "password", demoPassword)
	s.returned(b, "Ben Carter")
	b = start()
	b.click("Continue with Microsoft")
	b.click("Eva")
}

func (s *attackHarness) walkCodes(start func() *browser, p planted) {
	b := start()
	b.click("Continue with Facebook")
	b.click("Fay")
	b.press("I’m new")
	p["a wrong mailed code"] = "planted-000000"
	b.press("Continue", "code", "planted-000000")
	code := s.mailedCode("fay@example.test")
	p["a mailed code in a sentence"], p["and in another"] = code+" is", "code "+code
	b.press("Continue", "code", code)
	b.press("Create account")
	s.returned(b, "Fay Okoro")
}

// walkTroubles has upstreams refuse, send forged tokens and fail.
func (s *attackHarness) walkTroubles(t *testing.T, start func() *browser) {
	t.Helper()
	for _, trouble := range []func(*fakeidp.Fault){
		func(f *fakeidp.Fault) {
			f.TokenError = fakeidp.OAuthError{Code: "invalid_grant", Description: "planted-by-upstream"}
		},
		func(f *fakeidp.Fault) {
			f.AuthorizeError = fakeidp.OAuthError{Code: "server_error", Description: "planted-by-upstream"}
		},
		func(f *fakeidp.Fault) { f.Down(fakeidp.AtToken) },
		func(f *fakeidp.Fault) { f.Down(fakeidp.AtUserInfo, fakeidp.AtPermissions) },
		func(f *fakeidp.Fault) {
			f.Break(fakeidp.Break{Status: 200, Body: "planted-by-upstream"}, fakeidp.AtToken, fakeidp.AtUserInfo)
		},
		func(f *fakeidp.Fault) {
			f.Break(fakeidp.Break{Redirect: "https://evil.example/planted-by-upstream"}, fakeidp.AtToken, fakeidp.AtUserInfo)
		},
		func(f *fakeidp.Fault) { f.Forge = fakeidp.ForgeCorrupt },
		func(f *fakeidp.Fault) { f.SetClaim("nonce", "planted-by-upstream") },
		func(f *fakeidp.Fault) { f.SetClaim("iss", "https://evil.example/planted-by-upstream") },
		func(f *fakeidp.Fault) { f.SetClaim("aud", "planted-by-upstream") },
	} {
		for name, who := range map[string]string{"google": "Google", "facebook": "Facebook", "club": "Harbour Club"} {
			s.sims[name].Misbehave(trouble)
			b := start()
			b.click("Continue with " + who)
			if links := elements(b.page.root, "a"); strings.HasPrefix(b.page.url.String(), s.sims[name].BaseURL()) &&
				len(links) > 0 {
				b.click(textOf(links[0]))
			}
			s.sims[name].Behave()
		}
	}
	b := start()
	back, err := url.Parse(stopAtCallback(b))
	if err != nil {
		t.Fatal(err)
	}
	s.walk(t, "an answer that is posted", b, s.request(t, http.MethodPost, back.Path, back.Query()))
	b.trail = append(b.trail, "GET "+back.String())
}

// walkTokens uses each token correctly and incorrectly.
func (s *attackHarness) walkTokens(t *testing.T, in insider, p planted) {
	t.Helper()
	g := s.grant(t, in.browser)
	p["a code"], p["an access token"], p["a refresh token"], p["an ID token"] = g.code, g.access, g.refresh, g.id
	p["a code verifier"] = hostVerifier
	places := s.places(in)
	for at, token := range map[string]string{"userinfo": g.access, "userinfo posted": g.access + "x",
		"introspect": g.refresh, "refresh": g.refresh, "hint": g.id} {
		places[at](t, at, token)
	}
	s.advance(time.Minute)
	places["refresh"](t, "a refresh token that comes twice", g.refresh)
	places["code"](t, "a code that comes twice", g.code)
	second := s.grant(t, in.browser)
	p["a second code"], p["a second refresh token"], p["a second access token"] = second.code, second.refresh,
		second.access
	places["code"](t, "a code that comes twice", second.code)
	s.call(t, "revoke", "/revoke", url.Values{"token": {second.refresh}})
	s.walk(t, "consent", in.browser, s.request(t, http.MethodPost, in.consent, url.Values{"decision": {"allow"}}))
}

// walkStranger sends secrets in the wrong places.
func (s *attackHarness) walkStranger(t *testing.T, p planted) {
	t.Helper()
	const secret = "planted-by-stranger"
	p["a stranger's secret"], p["a wrong password"] = secret, "planted wrong password"
	for _, path := range []string{"/" + secret, "/login/" + secret, "/login?a=" + secret, "/login?a;b=" + secret,
		"/login?%zz" + secret, "/authorize?code_challenge=" + secret, "/authorize?state=" + secret,
		"/callback/" + secret + "?state=" + secret, "/callback/google?error=" + secret + "&state=" + secret,
		"/consent/" + secret, "/data-deletion/" + secret, "/login?sso_error=" + secret, "/assets/" + secret,
		"/device/" + secret, "/device?user_code=" + secret, "/register/" + secret,
		"/authorize?client_id=third&request_uri=urn:ietf:params:oauth:request_uri:" + secret} {
		s.send(t, path, s.request(t, http.MethodGet, path, nil))
	}
	for _, path := range []string{"/token", "/authorize", "/introspect", "/par", "/revoke", "/userinfo", "/end_session",
		"/callback/google", "/callback/facebook/deauthorize", "/login/x/password",
		"/device_authorization", "/device", "/device/x", "/register", "/callback/club/logout"} {
		form := url.Values{}
		for _, name := range []string{"grant_type", "code", "refresh_token", "token", "access_token", "password",
			"client_secret", "signed_request", "device_code", "user_code", "logout_token", "client_assertion", "request_uri",
			secret} {
			form.Set(name, secret)
		}
		for _, kind := range []string{"application/x-www-form-urlencoded", secret + "/x", "multipart/form-data; boundary=" +
			secret, secret + "/" + secret + "; " + secret} {
			req := s.request(t, http.MethodPost, path, form)
			req.Header.Set("Content-Type", kind)
			req.Header.Set("Authorization", "Basic "+basicOf("nobody", secret)) // a client_id is named in the log
			req.Header.Set("Cookie", "gh_session="+secret+"; "+secret+"="+secret)
			req.Header.Set("Origin", "https://"+secret+".example")
			req.Header.Set("Sec-Fetch-Site", secret)
			req.Header.Set("DPoP", secret)
			s.send(t, path, req)
		}
	}
	s.bytesOf(t, "no HTTP", "GET /"+secret+" HTTP/1.1\r\nHost: "+secret+"\r\nX: "+secret+"\x00\r\n\r\n")
	s.bytesOf(t, "another host", "GET /"+secret+" HTTP/1.1\r\nHost: evil.example\r\nUser-Agent: "+secret+"\r\n\r\n") // the log names the host
}

func TestA23_G16_G17_NoSecretIsLoggedRecordedOrStored(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	p := s.journey(t)
	for _, line := range s.log.lines() {
		if found := p.in([]byte(line)); found != nil {
			t.Errorf("the log shows %v: %.500s", found, line)
		}
	}
	if n := len(s.records(t)); n < 300 {
		t.Errorf("only %d lines were logged", n)
	}
	events, err := s.h.store.Events(s.ctx, broker.EventFilter{Limit: 5000})
	if err != nil || len(events) < 100 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	for _, e := range events {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if found := p.in(b); found != nil {
			t.Errorf("an event shows %v: %s", found, b)
		}
	}
	s.atRest(t, p)
}

// atRest reads the files of the database as a thief of the disk would.
func (s *attackHarness) atRest(t *testing.T, p planted) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.data, "gatehouse.db*"))
	if err != nil || len(files) < 2 { // the file and its audit log
		t.Fatalf("the database is in %v, %v", files, err)
	}
	// What an app asked waits for its answer as it was asked, and so do the ID
	// tokens that it sent as hints: they name somebody and open nothing here. A
	// login's id opens nothing without its browser's cookie.
	waiting := regexp.MustCompile(
		`^((login_hint|state|nonce|code_challenge|login) of /(authorize|callback)|(id_token_hint|state) of /` +
			`end_session|an ID token|the state of a posted sign-out)$`)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others may read %s: %v, %v", filepath.Base(file), info.Mode(), err)
		}
		for _, what := range p.in(b) {
			if !waiting.MatchString(what) {
				t.Errorf("%s shows %s: %s", filepath.Base(file), what, around(b, p[what]))
			}
		}
	}
}

func around(b []byte, secret string) string {
	i := max(bytes.Index(b, []byte(secret)), 0)
	return fmt.Sprintf("%.300q", b[max(0, i-100):min(len(b), i+150)])
}
