package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

// attackHarness is a harness that records its log, for tests that attack it.
type attackHarness struct {
	*harness
	log    *logCapture
	client *http.Client
	third  string // the secret of the app that must ask for consent
	sent   int
}

// logCapture is a log that may be read while it is written.
type logCapture struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (h *logCapture) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.Write(p)
}
func (h *logCapture) lines() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Split(strings.TrimSpace(h.b.String()), "\n")
}

func newAttackHarness(t *testing.T, more ...string) *attackHarness {
	t.Helper()
	log := &logCapture{}
	s := &attackHarness{harness: newHarnessWithLog(t, log, append(more, "client_registration: true")...), log: log,
		client: &http.Client{Timeout: 20 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	s.third = s.addThird(t)
	return s
}

// answer is a response with its body, read to the end.
type answer struct {
	*http.Response
	body string
	url  *url.URL
	root *html.Node // of an HTML answer
}

func (a *answer) html() bool { return strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") }

// send sends one request as it is, without adding cookies and without
// following redirects, and checks what must hold for every response.
func (s *attackHarness) send(t *testing.T, what string, req *http.Request) *answer {
	t.Helper()
	s.sent++
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	a := &answer{res, string(body), req.URL, nil}
	if a.html() {
		if a.root, err = html.Parse(strings.NewReader(a.body)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	s.sound(t, what, a)
	return a
}

// sound checks what must hold for every response, whatever was sent.
func (s *attackHarness) sound(t *testing.T, what string, a *answer) {
	t.Helper()
	if ours := a.Header.Get("X-Request-Id") != ""; !ours {
		// net/http refuses malformed requests before any handler sees them.
		if !slices.Contains([]int{400, 417, 431, 501, 505}, a.StatusCode) || a.html() {
			t.Errorf("%s: %d without a request id", what, a.StatusCode)
		}
		return
	}
	h := a.Header
	for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer"} {
		if h.Get(name) != want {
			t.Errorf("%s: %s is %q", what, name, h.Get(name))
		}
	}
	// An app that opens the sign-in in a popup needs its window.opener; the account's pages cut it off.
	if account := strings.HasPrefix(a.url.Path+"/", "/account/"); account != (h.Get("Cross-Origin-Opener-Policy") != "") {
		t.Errorf("%s: Cross-Origin-Opener-Policy is %q", what, h.Get("Cross-Origin-Opener-Policy"))
	}
	s.checkPolicy(t, what, a)
	s.checkCookies(t, what, a)
	if to := h.Get("Location"); to != "" {
		s.leadsHome(t, what+": Location", a.url, to)
	} else if a.StatusCode >= 300 && a.StatusCode < 400 && a.StatusCode != http.StatusNotModified {
		t.Errorf("%s: %d without a Location", what, a.StatusCode)
	}
	if a.StatusCode >= 500 && a.root == nil {
		t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
	}
	switch {
	case a.Request.Method == http.MethodHead:
	case a.root != nil:
		s.checkPage(t, what, a)
	case strings.HasPrefix(h.Get("Content-Type"), "application/json"), h.Get("Content-Type") == "application/jwk-set+json":
		s.checkJSON(t, what, a)
	case a.url.Path == "/robots.txt":
	case a.body != "" && !strings.HasPrefix(a.url.Path, "/assets/") && a.StatusCode != http.StatusNotFound:
		t.Errorf("%s: %d with a body of type %q", what, a.StatusCode, h.Get("Content-Type"))
	}
}

func (s *attackHarness) checkPolicy(t *testing.T, what string, a *answer) {
	t.Helper()
	csp := a.Header.Get("Content-Security-Policy")
	for _, need := range []string{"default-src 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(csp, need) {
			t.Errorf("%s: the policy is %q", what, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || strings.ContainsAny(csp, "\"<>") {
		t.Errorf("%s: the policy is %q", what, csp)
	}
	public := strings.HasPrefix(a.url.Path, "/assets/") || strings.HasPrefix(a.url.Path, "/.well-known/") ||
		a.url.Path == "/jwks"
	if cache := a.Header.Get("Cache-Control"); cache != "no-store" && (a.html() || !public) {
		t.Errorf("%s: Cache-Control is %q", what, cache)
	}
}

// checkCookies is SECURITY.md E14.
func (s *attackHarness) checkCookies(t *testing.T, what string, a *answer) {
	t.Helper()
	for _, c := range a.Cookies() {
		if !strings.HasPrefix(c.Name, "gh_") || c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode ||
			c.Path != "/" || c.Domain != "" {
			t.Errorf("%s: sets the cookie %s", what, c.Raw)
		}
		if a.Request != nil && a.Request.Method == http.MethodPost && c.MaxAge >= 0 {
			t.Errorf("%s: a POST sets the cookie %s", what, c.Raw)
		}
	}
}

// leadsHome fails for a redirect target that is neither ours, nor a registered URI, nor a
// connected upstream (SECURITY.md A4).
func (s *attackHarness) leadsHome(t *testing.T, what string, from *url.URL, target string) {
	t.Helper()
	u, err := from.Parse(target)
	if err != nil || strings.ContainsAny(target, "\r\n\t\\\x00") {
		t.Errorf("%s: leads to %q", what, target)
		return
	}
	origin := u.Scheme + "://" + u.Host
	bare, _, _ := strings.Cut(u.String(), "?")
	switch {
	case u.User != nil || u.Fragment != "" && u.Path != from.Path:
	case origin == s.file.Issuer, bare == s.file.App+"/callback", bare == s.file.App+"/", bare == thirdCallback:
		return
	case u.Hostname() == "127.0.0.1" && u.Path == "/callback" && u.Scheme == "http": // the native app, on any port
		return
	case slices.ContainsFunc(s.file.Connections, func(c fakeidp.DemoConnection) bool {
		return c.Issuer == origin
	}) && strings.HasPrefix(from.Path, "/login/"):
		return
	}
	t.Errorf("%s: leads to %q", what, target)
}

// checkPage parses an HTML response: nothing that was sent may have become
// markup, script, or a way out (SECURITY.md A24, A4).
func (s *attackHarness) checkPage(t *testing.T, what string, a *answer) {
	t.Helper()
	if !utf8.ValidString(a.body) || a.Header.Get("Content-Type") != "text/html; charset=utf-8" || strings.Contains(a.body,
		"\x00") {
		t.Errorf("%s: a page of type %q that is no text", what, a.Header.Get("Content-Type"))
	}
	for n := range a.root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if slices.Contains([]string{"iframe", "object", "embed", "base", "style"}, n.Data) || n.Data == "script" &&
			!strings.HasPrefix(attr(n, "src"), "/assets/") {
			t.Errorf("%s: the page has a <%s>", what, n.Data)
		}
		for _, at := range n.Attr {
			switch at.Key {
			case "href", "src", "action", "formaction", "xlink:href":
				if strings.HasPrefix(at.Val, "#") {
					continue
				}
				if at.Key == "href" && attr(n, "rel") == "noreferrer noopener" && strings.HasPrefix(at.Val, "https://") {
					continue // the app's home page, policy or terms, which a person may choose to open
				}
				s.leadsHome(t, what+": "+at.Key, a.url, at.Val)
			case "content":
				if _, to, ok := strings.Cut(at.Val, "url="); ok {
					s.leadsHome(t, what+": refresh", a.url, to)
				}
			}
			if strings.HasPrefix(at.Key, "on") || at.Key == "srcdoc" || at.Key == "style" {
				t.Errorf("%s: an element has the attribute %s=%q", what, at.Key, at.Val)
			}
		}
	}
	code, ref := shownRefusal(a.root)
	if code != "" {
		s.decided(t, what, a, code, ref)
	} else if a.StatusCode >= 400 && !slices.Contains([]int{400, 403, 409, 422, 429, 502, 503}, a.StatusCode) {
		t.Errorf("%s: %d on a page that names no code", what, a.StatusCode)
	}
	if a.StatusCode >= 500 && !meant(broker.Code(code)) && noticeOf(a.root) == "" {
		t.Errorf("%s: %d %s", what, a.StatusCode, textOf(a.root))
	}
}

// meant reports whether a status of 500 or above is the status of the code.
func meant(c broker.Code) bool {
	return c == broker.Busy || c == broker.UpstreamRejected || c == broker.UpstreamMisconfigured ||
		c == broker.ConnectionUnavailable
}

// noticeOf is the title of the banner on a page of the journey.
func noticeOf(root *html.Node) string {
	for _, n := range elements(root, "p") {
		if attr(n, "class") == "note-title" {
			return textOf(n)
		}
	}
	return ""
}

// shownRefusal reads code and reference from a refusal.
func shownRefusal(root *html.Node) (code, ref string) {
	for _, dl := range elements(root, "dl") {
		if attr(dl, "id") == "details" {
			if v := elements(dl, "code"); len(v) >= 2 { // then what the app sent
				return textOf(v[0]), textOf(v[1])
			}
		}
	}
	return "", ""
}

// unrecorded are the codes that strangers can cause without limit, so they
// leave no Event; only the metric and the log have them.
func unrecorded(c broker.Code) bool {
	return slices.Contains([]broker.Code{broker.NotFound, broker.MethodNotAllowed, broker.Misdirected, broker.TooLarge,
		broker.Busy,
		broker.Unavailable, broker.RateLimited}, c)
}

// decided checks a refusal against the table of codes and the audit log.
func (s *attackHarness) decided(t *testing.T, what string, a *answer, code, ref string) {
	t.Helper()
	c := broker.Code(code)
	if !slices.Contains(broker.Codes(), c) || c == broker.Internal {
		t.Errorf("%s: the code is %q", what, code)
		return
	}
	if a.StatusCode != c.Meaning().Status {
		t.Errorf("%s: %s is answered %d", what, code, a.StatusCode)
	}
	events, err := s.h.store.Events(context.Background(), broker.EventFilter{Reference: ref, Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case ref == "":
		t.Errorf("%s: %s without a reference", what, code)
	case unrecorded(c) != (len(events) == 0):
		t.Errorf("%s: %s has %d events", what, code, len(events))
	case len(events) > 1 || len(events) == 1 && (events[0].Code != c || events[0].Address == ""):
		t.Errorf("%s: the reference of %s finds %+v", what, code, events)
	}
}
