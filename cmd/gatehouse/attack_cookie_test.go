package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
)

func TestE13_E14_CookiesThatWeNeverSetAreWorthNothing(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	in := s.insider(t)
	other := s.signedIn(t, "ana@example.test")
	mine, theirs := cookiesOf(in.browser, s), cookiesOf(other, s)
	if mine["gh_session"] == "" || mine["gh_browser"] == "" {
		t.Fatalf("the insider has %v", mine)
	}
	session := mine["gh_session"]
	for what, header := range map[string]string{
		"garbage": "gh_session=hostileghx; gh_browser=hostileghx; " +
			"gh_lang=hostileghx; gh_last=<script>; gh_pick=hostileghx",
		"100 cookies":               strings.Repeat("gh_session=AAAA; ", 100),
		"a planted session":         "gh_session=" + broker.NewToken() + "; gh_browser=" + broker.NewToken(),
		"an empty one":              "gh_session=; gh_browser=",
		"the session twice":         "gh_session=" + session + "; gh_session=" + session,
		"beside a planted one":      "gh_session=" + session + "; gh_session=" + broker.NewToken(),
		"in lower case":             "gh_session=" + strings.ToLower(session),
		"with a space":              "gh_session=\"" + session + " \"",
		"one character short":       "gh_session=" + session[1:],
		"with the prefix of https":  "__Host-gh_session=" + session,
		"as the other's browser":    "gh_session=" + mine["gh_browser"],
		"another browser's browser": "gh_browser=" + theirs["gh_browser"],
		"no cookies at all":         "",
		"control characters":        "gh_session=a,b\"; \u00e9=1; =; gh_session",
		"semicolons":                strings.Repeat(";", 8000),
	} {
		for _, path := range []string{"/account", "/login", in.login, in.consent, "/authorize?" + s.asking("prompt",
			"none").Encode(), "/end_session"} {
			req := s.request(t, http.MethodGet, path, nil)
			if header != "" {
				req.Header["Cookie"] = []string{header}
			}
			a := s.send(t, what+" on "+path, req)
			if strings.Contains(a.body, "ben@example.test") || strings.Contains(a.Header.Get("Location"), "code=") ||
				strings.Contains(a.body, "Ben Carter") {
				t.Errorf("%s on %s: let in: %d %s", what, path, a.StatusCode, a.Header.Get("Location"))
			}
			for _, c := range a.Cookies() {
				if c.MaxAge >= 0 && c.Value != "" && strings.Contains(header, c.Value) {
					t.Errorf("%s on %s: the planted cookie was taken over: %s", what, path, c.Raw)
				}
			}
		}
	}
	// The session itself is still valid: strangers cannot end it.
	a := s.send(t, "the owner", in.as(s.request(t, http.MethodGet, "/account", nil)))
	if !strings.Contains(a.body, "ben@example.test") {
		t.Errorf("the owner's session is gone: %d %s", a.StatusCode, textOf(a.root))
	}
}

func TestA21_EveryEditOfASessionOrBrowserCookieIsNone(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	in := s.insider(t)
	mine := cookiesOf(in.browser, s)
	for name, path := range map[string]string{"gh_session": "/account", "gh_browser": in.login} {
		value := mine[name]
		whole := s.send(t, name, in.as(s.request(t, http.MethodGet, path, nil)))
		if whole.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d before any edit", name, whole.StatusCode)
		}
		for i, edited := range edits(value) {
			req := s.request(t, http.MethodGet, path, nil)
			for k, v := range mine {
				if k == name {
					v = edited
				}
				req.Header.Add("Cookie", k+"="+v)
			}
			req.Header.Set("Cookie", strings.Join(req.Header.Values("Cookie"), "; "))
			a := s.send(t, fmt.Sprintf("%s, edit %d", name, i), req)
			if a.StatusCode == http.StatusOK && a.root != nil && (path != "/account" || strings.Contains(a.body,
				"ben@example.test")) {
				t.Errorf("%s: the edit %q opens %s", name, edited, path)
			}
		}
	}
}

// cookiesOf are the cookies that a browser has for us.
func cookiesOf(b *browser, s *attackHarness) map[string]string {
	found := map[string]string{}
	req, err := http.NewRequest(http.MethodGet, s.file.Issuer+"/", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(req.URL) {
		found[c.Name] = c.Value
	}
	return found
}

// edits are a token cut at every position, with every byte changed, and in other encodings.
func edits(token string) (all []string) {
	for i := range len(token) {
		b := []byte(token)
		if b[i]++; b[i] == '{' || b[i] == '[' || b[i] == ':' || b[i] == ';' || b[i] == ',' || b[i] == '/' {
			b[i] = 'A'
		}
		if b[i] == token[i] {
			b[i] = 'B'
		}
		all = append(all, token[:i], string(b))
	}
	all = append(all, token+"A", token+"=", token+token, strings.ToLower(token), strings.ToUpper(token), token+".",
		"."+token, token+"%00", token+"\\")
	return slices.DeleteFunc(all, func(s string) bool { return s == token })
}
