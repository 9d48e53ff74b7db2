package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/broker"
)

// walk sends a request in a browser and follows it while it stays at the
// broker, so that what was stored on the way is seen on the page that shows it.
func (s *attackHarness) walk(t *testing.T, what string, b *browser, req *http.Request) *answer {
	t.Helper()
	for range 6 {
		a := s.send(t, what, b.as(req))
		b.client.Jar.SetCookies(req.URL, a.Cookies())
		next := a.Header.Get("Location")
		if next == "" && a.root != nil {
			next = (&page{root: a.root}).refresh()
		}
		u, err := req.URL.Parse(next)
		if next == "" || err != nil || u.Scheme+"://"+u.Host != s.file.Issuer {
			return a
		}
		if req, err = http.NewRequest(http.MethodGet, u.String(), nil); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		req.Header.Set("Accept", "text/html")
	}
	t.Errorf("%s: goes round in circles", what)
	return nil
}

// aim is a valid request in which one parameter will be attacked.
type aim struct {
	method, path string
	good         url.Values
	more         []string // parameters that it may have beside those
	fresh        func() (b *browser, path string, good url.Values)
	each         bool // fresh for every payload, not only for every parameter
	header       http.Header
}

// fire tries each parameter of an aim with every payload, once and given twice.
func (s *attackHarness) fire(t *testing.T, name string, in insider, x aim) {
	t.Helper()
	params := x.more
	for p := range x.good {
		params = append(params, p)
	}
	b, path, good := in.browser, x.path, x.good
	for _, p := range params {
		for i, load := range append(payloads(), payload{"twice", ""}) {
			if x.fresh != nil && (x.each || i == 0) {
				b, path, good = x.fresh()
			}
			form := url.Values{}
			for k, v := range good {
				form[k] = v
			}
			if form[p] = []string{load.value}; load.name == "twice" {
				form[p] = []string{"a", "a"}
			}
			req := s.request(t, x.method, path, form)
			for k, v := range x.header {
				req.Header[k] = v
			}
			s.walk(t, name+": "+p+" "+load.name, b, req)
		}
	}
}

func TestA24_E15_E17_EveryParameterOfARightRequest(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	in := s.insider(t)
	c := s.file.Clients[0]
	choices := []string{"prompt", "max_age", "login_hint", "ui_locales", "id_token_hint", "connection", "response_mode",
		"acr_values", "claims",
		"request", "request_uri", "registration", "lang", "display", "post", "login", "error", "consent", "switch"}
	basic := http.Header{"Authorization": {"Basic " + basicOf(c.ID, c.Secret)}, "Accept": {"application/json"}}
	stranger := func() (*browser, string, url.Values) { return newBrowser(t), "/authorize", s.asking() }
	credentials := url.Values{"client_id": {"third"}, "client_secret": {s.third}}
	with := func(more ...string) url.Values {
		v := url.Values{}
		for k, x := range credentials {
			v[k] = x
		}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	for name, x := range map[string]aim{
		"authorize": {method: "GET", path: "/authorize", good: s.asking(), more: choices},
		"authorize afresh": {method: "GET", good: s.asking(), more: []string{"login_hint", "ui_locales", "connection",
			"prompt"}, fresh: stranger, each: true},
		"authorize posted": {method: "POST", path: "/authorize", good: s.asking("client_id", "third", "redirect_uri",
			thirdCallback), more: choices},
		"authorize by form": {method: "GET", path: "/authorize", good: s.asking("response_mode", "form_post"), more: choices},
		"push": {method: "POST", path: "/par", good: with("response_type", "code", "redirect_uri",
			thirdCallback), more: choices},
		"login": {method: "GET", path: "/login", more: []string{"sso_error", "lang", "ui_locales",
			"login_hint"}},
		"end_session": {method: "GET", path: "/end_session", more: []string{"id_token_hint", "client_id",
			"post_logout_redirect_uri", "state", "ui_locales", "post", "stay", "logout_hint"}},
		"end_session posted": {method: "POST", path: "/end_session", more: []string{"id_token_hint",
			"post_logout_redirect_uri", "state", "client_id"}},
		"confirm": {method: "POST", path: "/end_session/confirm", good: url.Values{"leaving": {"x"}},
			more: []string{"decision"}},
		"consent": {method: "POST", path: in.consent, more: []string{"decision"}},
		"a code": {method: "POST", path: "/token", good: with("grant_type", "authorization_code", "code",
			broker.NewToken(), "redirect_uri", thirdCallback, "code_verifier", hostVerifier), more: []string{"scope",
			"client_assertion", "client_assertion_type", "resource", "audience"}},
		"a refresh token": {method: "POST", path: "/token", good: with("grant_type", "refresh_token", "refresh_token",
			"r1.a.b.c.d"), more: []string{"scope"}},
		"a client": {method: "POST", path: "/token", good: url.Values{"grant_type": {"client_credentials"},
			"scope": {""}}, header: basic},
		"introspect": {method: "POST", path: "/introspect", good: url.Values{"token": {"x"}},
			more: []string{"token_type_hint", "client_id"}, header: basic},
		"revoke":          {method: "POST", path: "/revoke", good: with("token", "x"), more: []string{"token_type_hint"}},
		"userinfo posted": {method: "POST", path: "/userinfo", more: []string{"access_token"}},
		"device": {method: "POST", path: "/device_authorization", good: with("scope", "openid"),
			more: []string{"resource", "client_assertion", "claims"}},
		"device typed": {method: "POST", path: "/device", good: url.Values{"user_code": {"BCDF-GHJK"}},
			more: []string{"lang"}},
		"device linked":   {method: "GET", path: "/device", more: []string{"user_code", "lang"}},
		"device answered": {method: "POST", path: in.device, more: []string{"decision", "user_code"}},
		"logout token":    {method: "POST", path: "/callback/club/logout", more: []string{"logout_token"}},
		"deauthorize":     {method: "POST", path: "/callback/facebook/deauthorize", more: []string{"signed_request"}},
		"deletion":        {method: "POST", path: "/callback/facebook/data-deletion", more: []string{"signed_request"}},
	} {
		s.fire(t, name, in, x)
	}
	t.Logf("%d requests", s.sent)
}

func TestA24_B1_EveryParameterOfTheJourney(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	at := func(b *browser) string { return b.page.url.Path }
	enter := func() (*browser, string) {
		b := newBrowser(t)
		return b, s.hop(t, b, "/authorize?"+s.asking().Encode())
	}
	start := func() *browser {
		b, login := enter()
		b.open(s.file.Issuer + login)
		return b
	}
	typed := func() *browser {
		b := start()
		b.press("Continue", "email", strings.ToLower(broker.NewID())+"@example.test")
		return b
	}
	google := func(who string) *browser {
		b := start()
		b.click("Continue with Google")
		b.click(who)
		return b
	}
	own := func() *browser {
		b := google("Noor")
		b.press("Sign in and link")
		return b
	}
	fields := func(b *browser, verb string) (*browser, string, url.Values) {
		return b, at(b) + "/" + verb, formOf(b, verb)
	}
	state := func() (*browser, string, url.Values) {
		b, login := enter()
		s.beginUpstream(t, b, login, "google")
		back, err := url.Parse(b.stopBefore("Ana", "/callback/"))
		if err != nil {
			t.Fatal(err)
		}
		return b, back.Path, back.Query()
	}
	for name, x := range map[string]aim{
		"show": {method: "GET", more: []string{"lang", "sent", "copy", "ui_locales"}, fresh: func() (*browser, string,
			url.Values) {
			b := start()
			return b, at(b), nil
		}},
		"email": {method: "POST", more: []string{"email"}, each: true, fresh: func() (*browser, string, url.Values) {
			return fields(start(), "email")
		}},
		"password": {method: "POST", more: []string{"email", "password"}, each: true, fresh: func() (*browser, string,
			url.Values) {
			return fields(typed(), "password")
		}},
		"wish": {method: "POST", more: []string{"wish"}, fresh: func() (*browser, string, url.Values) {
			b := typed()
			return b, at(b) + "/wish", nil
		}},
		"link": {method: "POST", more: []string{"confirmation", "password", "code"}, fresh: func() (*browser, string,
			url.Values) {
			return fields(google("Ana"), "link")
		}},
		"own": {method: "POST", more: []string{"confirmation", "email", "password"}, fresh: func() (*browser, string,
			url.Values) {
			return fields(own(), "own")
		}},
		"register": {method: "POST", more: []string{"confirmation", "family_name", "password"}, fresh: func() (*browser,
			string, url.Values) {
			b, path, form := fields(google("Noor"), "register")
			form.Set("given_name", "\x00") // so that no account is made
			return b, path, form
		}},
		"code": {method: "POST", more: []string{"code"}, fresh: func() (*browser, string, url.Values) {
			b := start()
			b.click("Continue with Facebook")
			b.click("Fay")
			b.press("I’m new")
			return fields(b, "code")
		}},
		"callback": {method: "GET", more: []string{"code", "state", "error", "error_description", "error_subcode", "iss",
			"posted"}, each: true, fresh: state},
		"posted": {method: "POST", more: []string{"code", "state", "error", "posted"}, fresh: state},
		"to": {method: "GET", more: []string{"choose", "again", "prove", "copy"}, fresh: func() (*browser, string,
			url.Values) {
			b := start()
			return b, at(b) + "/to/google", nil
		}},
	} {
		s.fire(t, name, insider{}, x)
	}
	t.Logf("%d requests", s.sent)
}

// formOf returns what the page's form for a verb would send.
func formOf(b *browser, verb string) url.Values {
	form := url.Values{}
	for _, f := range elements(b.page.root, "form") {
		if strings.HasSuffix(attr(f, "action"), "/"+verb) {
			for _, in := range elements(f, "input") {
				form.Set(attr(in, "name"), attr(in, "value"))
			}
			return form
		}
	}
	b.t.Fatalf("there is no form for %s on %s: %s", verb, b.page.url, textOf(b.page.root))
	return nil
}

// stopAtCallback goes to Google as Ana and stops on the way back.
func stopAtCallback(b *browser) string {
	b.click("Continue with Google")
	return b.stopBefore("Ana", "/callback/")
}
