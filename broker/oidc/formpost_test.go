package oidc

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gatehouse/broker"
)

var (
	formOf  = regexp.MustCompile(`<form method="post" action="([^"]*)" data-autopost>`)
	fieldOf = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// form reads the target and fields of a page that posts a response.
func (a answer) form() (target string, fields url.Values) {
	at := formOf.FindStringSubmatch(a.body)
	if at == nil {
		return "", nil
	}
	fields = url.Values{}
	for _, f := range fieldOf.FindAllStringSubmatch(a.body, -1) {
		fields.Add(html.UnescapeString(f[1]), html.UnescapeString(f[2]))
	}
	return html.UnescapeString(at[1]), fields
}

// logged is what the app at callback hears, by whichever response mode; nothing
// where the browser stays with us.
func (h *harness) logged(a answer) url.Values {
	h.t.Helper()
	if a.StatusCode == http.StatusSeeOther {
		if u := a.location(); u.Scheme+"://"+u.Host+u.Path == callback {
			return u.Query()
		}
		return nil
	}
	target, fields := a.form()
	if fields == nil {
		return nil
	}
	csp := a.Header.Get("Content-Security-Policy")
	if target != callback || a.StatusCode != http.StatusOK || !strings.Contains(csp, "; form-action "+callback+"; ") ||
		a.Header.Get("Cache-Control") != "no-store" {
		h.t.Errorf("%d to %q, %v", a.StatusCode, target, a.Header)
	}
	for name, values := range fields {
		if len(values) != 1 {
			h.t.Errorf("%s comes %d times", name, len(values))
		}
	}
	return fields
}

func TestAPostedResponseIsAPageWithAButton(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	a := b.authorize(ask("response_mode", "form_post", "ui_locales", "de"))
	q := h.logged(a)
	if q.Get("code") == "" || q.Get("state") != "the-state" || q.Get("iss") != issuer || len(q) != 3 {
		t.Fatalf("%d %v %s", a.StatusCode, q, a.body)
	}
	for _, text := range []string{`<button class="btn primary" type="submit" id="continue">`,
		`<script type="module" src="/assets/autopost.`, `lang="de"`, "The App"} {
		if !strings.Contains(a.body, text) {
			t.Errorf("the page lacks %s", text)
		}
	}
	if strings.Contains(a.body, "http-equiv=\"refresh\"") || a.Header.Get("Location") != "" {
		t.Error("there is a second way out")
	}
	h.wants(h.redeem(q.Get("code")), http.StatusOK, "")
}

// A response is posted to the exact bytes that were registered.
func TestA3_A4_AResponseIsPostedToTheRegisteredURIOnly(t *testing.T) {
	h := newHarness(t)
	uris := []string{callback, "https://app.example.com/a%2Fb?x=%7E1&y=", "https://app.example.com:8443/a;b,c",
		"http://127.0.0.1/cb", "http://[::1]/cb", "com.example.app:/cb"}
	h.client(broker.Client{ID: "many", Name: "Many", AuthMethods: []string{"none"}, Native: true, FirstParty: true,
		RedirectURIs: uris})
	b := h.browser()
	b.code(ask())
	post := []string{"client_id", "many", "response_mode", "form_post"}
	for _, uri := range uris[:4] {
		a := b.get("/authorize?" + ask(append(post, "redirect_uri", uri)...).Encode())
		target, fields := a.form()
		if target != uri || fields.Get("code") == "" {
			t.Errorf("%s: %d to %s %v", uri, a.StatusCode, target, fields)
		}
	}
	// No policy can name an IPv6 address, and no form is posted to a scheme of an app.
	for _, uri := range uris[4:] {
		a := b.get("/authorize?" + ask(append(post, "redirect_uri", uri)...).Encode())
		if _, fields := a.form(); fields != nil || !strings.Contains(a.body+a.Header.Get("Location"),
			"error=unsupported_response_mode") {
			t.Errorf("%s: %d %s", uri, a.StatusCode, a.body)
		}
	}
	for _, uri := range []string{"https://evil.example/", callback + "/", callback + "?x", "-", "javascript:alert(1)"} {
		a := b.get("/authorize?" + ask("response_mode", "form_post", "redirect_uri", uri).Encode())
		if _, fields := a.form(); fields != nil {
			t.Errorf("%s: posted %v", uri, fields)
		}
		h.page(a, broker.RedirectURIMismatch)
	}
}

func TestA8_APostedResponseNamesTheIssuerEvenInAnError(t *testing.T) {
	h := newHarness(t)
	h.client(broker.Client{ID: "third", Name: "Third", AuthMethods: []string{"none"}})
	b := h.browser()
	hears := func(a answer, name string) {
		t.Helper()
		q := h.logged(a)
		if q.Get("error") != name || q.Get("iss") != issuer || q.Get("state") != "the-state" || q.Has("code") ||
			a.Header.Get("Location") != "" {
			t.Errorf("%d %v, want %s", a.StatusCode, q, name)
		}
	}
	post := func(pairs ...string) answer {
		return b.get("/authorize?" + ask(append([]string{"response_mode", "form_post"}, pairs...)...).Encode())
	}
	hears(post("prompt", "none"), "login_required")
	hears(post("response_type", "token"), "unsupported_response_type")
	hears(post("scope", "openid admin"), "invalid_scope")
	hears(post("request", "x"), "request_not_supported")
	hears(post("code_challenge", "-"), "invalid_request")
	id := strings.TrimPrefix(post().location().Path, "/login/")
	hears(b.get("/authorize?login="+id+"&error=user_not_provisioned"), "access_denied")
	b.code(ask())
	hears(post("client_id", "third", "prompt", "none"), "consent_required")
	path := post("client_id", "third").Header.Get("Location")
	hears(b.post(path, url.Values{"decision": {"cancel"}}), "access_denied") // the answer to a POST
	if q := h.logged(b.get("/authorize?" + h.pushed(ask("response_mode", "form_post")).Encode())); q.Get("code") == "" ||
		q.Get("iss") != issuer {
		t.Errorf("pushed: %v", q)
	}
	twice := ask()
	twice["response_mode"] = []string{"form_post", "form_post"}
	h.appHears(b.get("/authorize?"+twice.Encode()), "invalid_request")
}

func TestA14_APostedResponseNeedsConsentToo(t *testing.T) {
	h, b, secret := third(t)
	a := b.get("/authorize?" + thirdAsks("response_mode", "form_post").Encode())
	path := a.Header.Get("Location")
	if !strings.HasPrefix(path, "/consent/") {
		t.Fatalf("%d %s", a.StatusCode, path)
	}
	back := "/authorize?consent=" + strings.TrimPrefix(path, "/consent/")
	if a := b.get(back); h.logged(a) != nil {
		t.Fatalf("answered before the person did: %s", a.body)
	}
	b.post(path, url.Values{"decision": {"allow"}})
	q := h.logged(b.get(back))
	if q.Get("code") == "" {
		t.Fatalf("%v", q)
	}
	h.wants(h.redeem(q.Get("code"), "client_id", "third", "client_secret", secret), http.StatusOK, "")
}

func TestA23_APostedResponseLeavesNoTrace(t *testing.T) {
	h := newHarness(t)
	a := h.browser().authorize(ask("response_mode", "form_post"))
	code := h.logged(a).Get("code")
	csp := a.Header.Get("Content-Security-Policy")
	if a.Header.Get("Referrer-Policy") != "no-referrer" || a.Header.Get("Cache-Control") != "no-store" ||
		strings.Contains(csp, "unsafe") ||
		!strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("%v", a.Header)
	}
	if strings.Count(a.body, code) != 1 {
		t.Error("the code stands in more than its field")
	}
	for _, from := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
		if !strings.HasPrefix(from[1], "/") || strings.HasPrefix(from[1], "//") {
			t.Errorf("%s is loaded from elsewhere", from[1])
		}
	}
}

func TestA24_NoPayloadBreaksOutOfThePostedForm(t *testing.T) {
	h := newHarness(t)
	h.client(broker.Client{ID: "evil", Name: `"><svg onload=alert(1)>`, AuthMethods: []string{"none"}, FirstParty: true,
		RedirectURIs: []string{callback, `https://app.example.com/cb?a="><b>`,
			"https://app.example.com/cb;script-src%20'unsafe-inline'"}})
	b := h.browser()
	b.code(ask())
	for _, payload := range []string{`"><script>alert(1)</script>`, `"></form><form action=https://evil.example>`,
		`' onfocus=alert(1) autofocus x='`, "</script><script>alert(1)</script>", `javascript:alert(1)`,
		"&quot;&gt;&lt;img src=x onerror=alert(1)&gt;", `{{.}}`, "${alert(1)}", "\u2028\u2029", "<!--", "]]>",
		"\u202e\u0000"[:3], strings.Repeat("<", 500), `" formaction="https://evil.example`, "<base href=//evil.example>",
		"%22%3E%3Cscript%3E"} {
		for _, pairs := range [][]string{{"state", payload}, {"state", payload, "prompt", payload},
			{"state", payload, "scope", payload}, {"state", payload, "client_id", "evil"}, {"state", payload, "ui_locales",
				payload}} {
			a := b.get("/authorize?" + ask(append([]string{"response_mode", "form_post"}, pairs...)...).Encode())
			q := h.logged(a)
			if q.Get("state") != payload || q.Get("iss") != issuer {
				t.Errorf("%q: %v", payload, q)
			}
			if n := strings.Count(a.body, "<script"); n > 2 || strings.Contains(a.body, "<svg onload") ||
				len(formOf.FindAllString(a.body, -1)) != 1 || strings.Count(a.body, "<form") != 1 || strings.Contains(a.body,
				"alert(1)</script>") {
				t.Errorf("%q: %d scripts in %s", payload, n, a.body)
			}
		}
	}
	for _, payload := range []string{"a\x00b", "a\nb", "\x1b[31m", "a\xff"} {
		a := b.get("/authorize?" + ask("response_mode", "form_post", "state", payload).Encode())
		if q := h.logged(a); q.Get("error") != "invalid_request" || q.Has("state") {
			t.Errorf("%q: %v", payload, q)
		}
	}
}
