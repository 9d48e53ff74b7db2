package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser is a person's browser without JavaScript: cookies, redirects, forms,
// links and meta refresh, on plain HTTP. It keeps every URL it went through.
type browser struct {
	t      *testing.T
	client *http.Client
	trail  []string
	page   *page
}

// page is what the browser shows.
type page struct {
	url    *url.URL
	status int
	header http.Header
	body   string
	root   *html.Node
}

// localhostJar hands out Secure cookies over http too, as browsers do for
// localhost (W3C Secure Contexts §3.1).
type localhostJar struct{ http.CookieJar }

func asHTTPS(u *url.URL) *url.URL { v := *u; v.Scheme = "https"; return &v }

func (j localhostJar) SetCookies(u *url.URL, c []*http.Cookie) { j.CookieJar.SetCookies(asHTTPS(u), c) }
func (j localhostJar) Cookies(u *url.URL) []*http.Cookie       { return j.CookieJar.Cookies(asHTTPS(u)) }

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, client: &http.Client{Jar: localhostJar{jar},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// open follows redirects and hand-off pages until there is none.
func (b *browser) open(address string) *page {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.follow(req)
}

func (b *browser) follow(req *http.Request) *page {
	b.t.Helper()
	for range 30 {
		p := b.send(req)
		next := p.header.Get("Location")
		if next == "" || p.status < 300 || p.status > 399 {
			if next = p.refresh(); next == "" {
				return p
			}
		}
		u, err := p.url.Parse(next)
		if err != nil {
			b.t.Fatal(err)
		}
		if req, err = http.NewRequest(http.MethodGet, u.String(), nil); err != nil {
			b.t.Fatal(err)
		}
	}
	b.t.Fatalf("went round in circles: %v", b.trail)
	return nil
}

func (b *browser) send(req *http.Request) *page {
	b.t.Helper()
	req.Header.Set("Accept-Language", "en")
	b.trail = append(b.trail, req.Method+" "+req.URL.String())
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	root, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	b.page = &page{req.URL, res.StatusCode, res.Header, string(body), root}
	return b.page
}

// click follows the link whose text is, or begins with, text.
func (b *browser) click(text string) *page {
	b.t.Helper()
	for _, a := range elements(b.page.root, "a") {
		if strings.HasPrefix(textOf(a), text) {
			u, err := b.page.url.Parse(attr(a, "href"))
			if err != nil {
				b.t.Fatal(err)
			}
			return b.open(u.String())
		}
	}
	b.t.Fatalf("no link %q on %s:\n%s", text, b.page.url, textOf(b.page.root))
	return nil
}

// press submits the form that has the button, with the fields filled in.
func (b *browser) press(button string, fields ...string) *page {
	b.t.Helper()
	req := b.form(button, fields...)
	return b.follow(req)
}

// form is the request that pressing the button makes.
func (b *browser) form(button string, fields ...string) *http.Request {
	b.t.Helper()
	for _, form := range elements(b.page.root, "form") {
		for _, btn := range elements(form, "button") {
			if textOf(btn) != button {
				continue
			}
			values := url.Values{}
			for _, in := range elements(form, "input") {
				if attr(in, "type") == "checkbox" && !has(in, "checked") {
					continue
				}
				values.Set(attr(in, "name"), attr(in, "value"))
			}
			if name := attr(btn, "name"); name != "" {
				values.Set(name, attr(btn, "value"))
			}
			for i := 0; i+1 < len(fields); i += 2 {
				values.Set(fields[i], fields[i+1])
			}
			return b.post(attr(form, "action"), values)
		}
	}
	b.t.Fatalf("no button %q on %s:\n%s", button, b.page.url, textOf(b.page.root))
	return nil
}

// post makes a same-origin POST of this page.
func (b *browser) post(action string, values url.Values) *http.Request {
	b.t.Helper()
	u, err := b.page.url.Parse(action)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, u.String(), strings.NewReader(values.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Origin", u.Scheme+"://"+u.Host)
	return req
}

// sees fails unless the page has the heading.
func (b *browser) sees(heading string) {
	b.t.Helper()
	if got := b.page.heading(); got != heading {
		b.t.Fatalf("want the page %q, got %q (%d) at %s:\n%s\ntrail: %s", heading, got, b.page.status, b.page.url,
			textOf(b.page.root), strings.Join(b.trail, "\n  "))
	}
}

func (p *page) heading() string {
	if h := elements(p.root, "h1"); len(h) > 0 {
		return textOf(h[0])
	}
	return ""
}

// refresh is the target of a hand-off page.
func (p *page) refresh() string {
	for _, m := range elements(p.root, "meta") {
		if strings.EqualFold(attr(m, "http-equiv"), "refresh") {
			_, target, _ := strings.Cut(attr(m, "content"), "url=")
			return target
		}
	}
	return ""
}

func elements(n *html.Node, tag string) (out []*html.Node) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == tag {
			out = append(out, d)
		}
	}
	return out
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
