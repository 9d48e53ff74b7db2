package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
)

// mutations are redirect URIs that some parser may take for the
// registered one, but none is equal to it (SECURITY.md A3). Only the port of a loopback
// literal may differ (RFC 8252 §7.3), so none of them changes only the port.
func mutations(registered string) (all []string) {
	u, _ := url.Parse(registered)
	host, path, scheme := u.Host, u.Path, u.Scheme+"://"
	name, port := u.Hostname(), u.Port()
	for _, tail := range []string{"/", "//", "?", "?x=1", "#", "#x", "?code=x", "&x=1", ";x", ";x=1", "..;/x", "/..;/",
		"/.", "/..", "/../callback", "/./", "%2f", "%2F", "%3f", "%23", "%00",
		"%20", "%09", "%0a", "%0d%0aLocation:%20https://evil.example", " ", "\t", "\n", "\r\n", "\x00", "\\", "\\..", "%5c",
		".", "%2e", ".evil", "*", "a", "s", ",", ", https://evil.example",
		" https://evil.example", "|https://evil.example", "@evil.example", "%40evil.example", "\u2028", "\u00a0", "\u200b",
		"é", "%c0%af", "%ff", "'", "\"", "<", "{}", "`"} {
		all = append(all, registered+tail)
	}
	for _, h := range []string{"evil.example", host + ".evil.example", host + "@evil.example", host + "@@evil.example",
		host + ":@evil.example", "evil.example@" + host, "a:b@" + host, "@" + host,
		host + "%40evil.example", host + "\\@evil.example", "evil.example\\@" + host, "evil.example#@" + host,
		"evil.example?@" + host, "evil.example%23@" + host, "evil.example%5c@" + host,
		"evil.example%2f@" + host, "evil.example\t@" + host, name + "." + ":" + port, name + ":0" + port,
		name + ":" + port + "1", name + ":", "localhost:" + port, "127.1:" + port,
		"2130706433:" + port, "0x7f.1:" + port, "0177.0.0.1:" + port, "[::ffff:127.0.0.1]:" + port, "[::1]:" + port,
		"127.0.0.2:" + port, "0.0.0.0:" + port, "１２７.0.0.1:" + port, "127。0。0。1:" + port,
		"127.0.0.1%00.evil.example:" + port, "127.0.0.1%2eevil.example:" + port, " " + host, "\t" + host, "/" + host,
		"\\" + host, host + "\u2044evil.example"} {
		all = append(all, scheme+h+path)
	}
	for _, s := range []string{"https://", "HTTP://", "Http://", "http:", "http:/", "http:///", "http:\\\\", "//", "",
		" http://", "\thttp://", "\x00http://", "javascript://", "JaVaScRiPt:alert(1)//", "data:text/html,//",
		"file://", "ftp://", "ws://", "view-source:http://", "blob:http://", "about://", "com.example.app://", "intent://",
		"mailto:", "http%3a//"} {
		all = append(all, s+host+path)
	}
	for _, p := range []string{"", "/", "/Callback", "/CALLBACK", "//callback", "/./callback", "/x/../callback",
		"/x/..;/callback", "/%63allback", "/callbac%6B", "/callback%252f", "\\callback", "/callback/callback", "/call\tback",
		"/call\nback", "/callbacc", "/callbackk", "/*", "/call*"} {
		all = append(all, scheme+host+p)
	}
	all = slices.DeleteFunc(all, func(uri string) bool { return uri == registered })
	return append(all, registered+registered, registered+" "+registered, registered+","+registered,
		url.QueryEscape(registered), "-", "null", "undefined", "urn:ietf:wg:oauth:2.0:oob",
		"https://evil.example/?"+registered, "https://evil.example/#"+registered, "https://evil.example/"+registered,
		strings.Repeat(registered, 80))
}

func TestA3_NoMutationOfARedirectURIIsFollowed(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	in := s.insider(t)
	registered := s.file.App + "/callback"
	all := mutations(registered)
	if slices.Sort(all); len(slices.Compact(all)) < 150 {
		t.Fatalf("only %d mutations", len(all))
	}
	for _, client := range []string{"courts-booking", "third"} {
		for _, uri := range all {
			q := s.asking("client_id", client)
			q.Set("redirect_uri", uri)
			for _, silent := range []string{"", "none"} {
				if q.Set("prompt", silent); silent == "" {
					q.Del("prompt")
				}
				s.refusedAtHome(t, fmt.Sprintf("%s %q", client, uri), in.as(s.request(t, http.MethodGet, "/authorize", q)),
					broker.RedirectURIMismatch)
			}
		}
	}
	for _, uri := range all[:60] {
		q := s.asking("redirect_uri", uri)
		s.refusedAtHome(t, fmt.Sprintf("posted %q", uri), in.as(s.request(t, http.MethodPost, "/authorize", q)),
			broker.RedirectURIMismatch)
		if said := s.redeem(t, "authorization_code", url.Values{"code": {s.code(t, in.browser)}, "redirect_uri": {uri},
			"code_verifier": {hostVerifier}}); said["error"] != "invalid_grant" && said["error"] != "invalid_request" {
			t.Errorf("a code for %q: %v", uri, said)
		}
	}
	for _, twice := range []url.Values{{"redirect_uri": {registered, registered}},
		{"redirect_uri": {registered, "https://evil.example/"}}, {"client_id": {"courts-booking", "third"}}} {
		q := s.asking()
		for k, v := range twice {
			q[k] = v
		}
		s.refusedAtHome(t, fmt.Sprint(twice), in.as(s.request(t, http.MethodGet, "/authorize", q)), broker.RequestInvalid)
	}
	for _, id := range []string{"", "nobody", "Courts-Booking", "courts-booking ", " courts-booking", "courts-booking\x00",
		"courts-bookinġ", "courts-booking%00", "' OR 1=1 --", "*", "%", "courts_booking", strings.Repeat("c", 129),
		s.file.Issuer} {
		s.refusedAtHome(t, fmt.Sprintf("client %q", id), in.as(s.request(t, http.MethodGet, "/authorize",
			s.asking("client_id", id))), broker.ClientUnknown)
	}
}

// refusedAtHome requires our own page with a code, and no redirect.
func (s *attackHarness) refusedAtHome(t *testing.T, what string, req *http.Request, want broker.Code) {
	t.Helper()
	a := s.send(t, what, req)
	code := ""
	if a.root != nil {
		code, _ = shownRefusal(a.root)
	}
	if a.StatusCode != http.StatusBadRequest || code != string(want) || a.Header.Get("Location") != "" {
		t.Errorf("%s: %d, %q, leads to %q, want %s", what, a.StatusCode, code, a.Header.Get("Location"), want)
	}
	if a.root == nil {
		return
	}
	for _, name := range []string{"a", "form", "meta", "link", "img", "script", "iframe", "base", "button"} {
		for _, e := range elements(a.root, name) {
			for _, at := range e.Attr {
				// It may stand there as text for developers, and in the query of a link to our own page.
				path, _, _ := strings.Cut(at.Val, "?")
				if strings.Contains(path, "evil.example") || strings.Contains(at.Val, "evil.example") && path != "/authorize" {
					t.Errorf("%s: <%s %s=%q>", what, name, at.Key, at.Val)
				}
			}
		}
	}
}

func TestA4_NoRouteLeadsOutOfTheBroker(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	in := s.insider(t)
	g := s.grant(t, in.browser)
	names := []string{"return_to", "returnTo", "next", "redirect", "redirect_to", "url", "continue", "target", "goto",
		"rd", "RelayState", "post_logout_redirect_uri", "redirect_uri", "state", "iss", "posted", "post", "login",
		"connection", "lang"}
	evils := []string{"//evil.example", `/\evil.example`, `\\evil.example`, "https:evil.example", "https://evil.example",
		"///evil.example", "/%2f/evil.example", "/\t/evil.example", "%0d%0aLocation:https://evil.example",
		"http://evil.example@" + strings.TrimPrefix(s.file.App, "http://"), "javascript:alert(1)", "evil.example"}
	for _, route := range mountedRoutes(t) {
		method, _, _ := strings.Cut(route, " ")
		for _, evil := range evils {
			q := url.Values{}
			for _, name := range names {
				q.Set(name, evil)
			}
			what := route + " to " + evil
			req := in.as(s.request(t, method, in.path(route), q))
			req.Header.Set("Referer", evil)
			if a := s.send(t, what, req); strings.Contains(a.Header.Get("Location"), "//evil") ||
				strings.Contains(a.Header.Get("Refresh"), "evil") {
				t.Errorf("%s: leads to %s", what, a.Header.Get("Location"))
			}
		}
	}
	for _, evil := range append(evils, mutations(s.file.App+"/")...) {
		for _, with := range []url.Values{{}, {"client_id": {"courts-booking"}}, {"id_token_hint": {g.id},
			"client_id": {"third"}}, {"id_token_hint": {g.id + "x"}}} {
			with.Set("post_logout_redirect_uri", evil)
			a := s.send(t, fmt.Sprintf("a sign-out to %q", evil), newBrowser(t).as(s.request(t, http.MethodGet, "/end_session",
				with)))
			if to := a.Header.Get("Location"); to != "" {
				t.Errorf("a sign-out to %q leads to %q", evil, to)
			}
		}
		with := url.Values{"id_token_hint": {g.id}, "post_logout_redirect_uri": {evil}}
		if a := s.send(t, "a stranger's sign-out", s.request(t, http.MethodGet, "/end_session", with)); a.Header.Get(
			"Location") != "" {
			t.Errorf("a sign-out with a hint to %q leads to %q", evil, a.Header.Get("Location"))
		}
	}
}
