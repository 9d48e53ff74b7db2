package login_test

import (
	"cmp"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// browser keeps cookies and follows redirects as one would.
type browser struct {
	at      string // its network address, if it is another than usual
	g       *fixture
	cookies map[string]string
	lang    string
	mute    bool // blocks cookies
}

func (g *fixture) browser() *browser { return &browser{g: g, cookies: map[string]string{}} }

// page is what a browser ends up with.
type page struct {
	status int
	url    string // the last one asked for, or the foreign one it was sent to
	body   string
	header http.Header
}

func (b *browser) request(method, path string, form url.Values) page {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, "https://id.example.test"+path, body)
	r.RemoteAddr = cmp.Or(b.at, "203.0.113.7") + ":4000"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if b.lang != "" {
		r.Header.Set("Accept-Language", b.lang)
	}
	for n, v := range b.cookies {
		r.AddCookie(&http.Cookie{Name: n, Value: v})
	}
	w := httptest.NewRecorder()
	b.g.mux.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else if !b.mute {
			b.cookies[c.Name] = c.Value
		}
	}
	return page{w.Code, path, w.Body.String(), w.Header()}
}

// copied is another tab of the browser, with the cookies of this moment.
func (b *browser) copied() *browser {
	c := *b
	c.cookies = maps.Clone(b.cookies)
	return &c
}

// get follows redirects until a page, or a foreign address, which it only names.
func (b *browser) get(path string) page {
	for range 12 {
		p := b.request("GET", path, nil)
		next := p.header.Get("Location")
		if p.status != http.StatusSeeOther {
			return p
		}
		if !strings.HasPrefix(next, "/") {
			return page{p.status, next, "", p.header}
		}
		path = next
	}
	b.g.t.Fatalf("redirects do not end: %s", path)
	return page{}
}

var refresh = regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]*)"`)

// post sends a form and follows what comes: a redirect or the hand-off page.
func (b *browser) post(path string, pairs ...string) page {
	p := b.request("POST", path, pairsOf(pairs))
	if p.status == http.StatusSeeOther {
		return b.get(p.header.Get("Location"))
	}
	if m := refresh.FindStringSubmatch(p.body); p.status == http.StatusOK && m != nil {
		return b.get(strings.ReplaceAll(m[1], "&amp;", "&"))
	}
	return p
}

func pairsOf(pairs []string) url.Values {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return form
}

// begin opens the sign-in page of the app and returns it and its path.
func (b *browser) begin() (path string, p page) {
	b.g.t.Helper()
	p = b.get("/authorize")
	path, _, _ = strings.Cut(p.url, "?")
	return path, p
}

// through goes to an upstream and returns with a code.
func (b *browser) through(path, connection, code string) page {
	b.g.t.Helper()
	return b.get(b.callback(path, connection, code))
}

// callback goes to an upstream and returns the callback URL without following it.
func (b *browser) callback(path, connection, code string) string {
	b.g.t.Helper()
	path, query, _ := strings.Cut(path, "?")
	away := b.get(path + "/to/" + connection + "?" + query)
	u, err := url.Parse(away.url)
	if err != nil || u.Host == "" {
		b.g.t.Fatalf("did not depart: %d %s\n%s", away.status, away.url, away.body)
	}
	return "/callback/" + connection + "?" + url.Values{"state": {u.Query().Get("state")}, "code": {code}}.Encode()
}

// hidden reads a hidden input of a page.
func (p page) hidden(name string) string {
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(p.body)
	if m == nil {
		return ""
	}
	return m[1]
}

func (p page) has(t *testing.T, status int, texts ...string) {
	t.Helper()
	if p.status != status {
		t.Errorf("%s: status %d, want %d\n%s", p.url, p.status, status, p.body)
	}
	for _, s := range texts {
		if !strings.Contains(p.body, s) {
			t.Errorf("%s lacks %q:\n%s", p.url, s, p.body)
		}
	}
}

// atApp checks that the person landed at the app, signed in.
func (p page) atApp(t *testing.T, email string) {
	t.Helper()
	p.has(t, http.StatusOK, "APP email="+email+" state=the-app-s-state")
}

func (p page) sid() string {
	_, after, _ := strings.Cut(p.body, "sid=")
	sid, _, _ := strings.Cut(after, " ")
	return sid
}
