package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"

	"gatehouse/broker"
)

// window is one browser: its cookies, its tabs, and the pages it can go back to.
type window struct {
	*person
	name, address string
	jar           map[string]string
	tabs          []*tab
	papers        []*paper // forms that were shown, the newest last
	callbacks     []string // ways back from upstreams
}

type tab struct {
	page     *shown
	upstream string // at an upstream
	back     string // on the way back from there
}

// shown is an answer, read.
type shown struct {
	status int
	header http.Header
	body   string
	path   string
	root   *html.Node
	papers []*paper
	links  []string
}

// paper is a form as it was shown.
type paper struct {
	action  string
	values  url.Values
	fields  []string
	buttons []url.Values
	login   string
	route   string
	held    []*held
	seq     int
}

// do sends one request of a browser to one of the replicas, and checks its effects.
func (m *model) do(b *window, method, path string, values url.Values) *shown {
	m.seq++
	req := httptest.NewRequest(method, m.issuer+path, strings.NewReader(values.Encode()))
	req.RemoteAddr = b.address
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("User-Agent", "window "+b.person.name)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", m.issuer)
	}
	for _, name := range sortedKeys(b.jar) {
		req.AddCookie(&http.Cookie{Name: name, Value: b.jar[name]})
	}
	login, route := loginOf(req.URL)
	m.cur, m.next = m.next, act0{}
	m.cur.browser, m.cur.login, m.cur.route, m.cur.values = b, login, route, values
	if m.cur.request != nil {
		m.cur.login = m.cur.request.login
	}
	m.count("request")
	rec := httptest.NewRecorder()
	m.handlers[m.rng.IntN(len(m.handlers))].ServeHTTP(rec, req)
	p := &shown{status: rec.Code, header: rec.Header(), body: rec.Body.String(), path: req.URL.RequestURI()}
	before := m.cookies[b.jar["gh_session"]]
	m.sessionsPerProof(b)
	m.takeCookies(b, rec.Result().Cookies(), before)
	m.read(b, p)
	return p
}

func sortedKeys(jar map[string]string) []string {
	var names []string
	for name := range jar {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// loginOf names the login of a request, and what it does to it.
func loginOf(u *url.URL) (login, route string) {
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	switch {
	case parts[0] == "login" && len(parts) > 1:
		route = "show"
		if len(parts) > 2 {
			route = parts[2]
		}
		return parts[1], route
	case parts[0] == "authorize":
		return u.Query().Get("login"), "authorize"
	}
	return "", parts[0]
}

func (m *model) takeCookies(b *window, cookies []*http.Cookie, before *sitting) {
	for _, c := range cookies {
		if len(c.Value) == 52 {
			m.secret(c.Value)
		}
		if c.MaxAge < 0 {
			delete(b.jar, c.Name)
			continue
		}
		b.jar[c.Name] = c.Value
		if c.Name != "gh_session" {
			continue
		}
		s := m.cookies[c.Value]
		if s == nil {
			s = m.justCreated()
			m.cookies[c.Value] = s
		}
		switch {
		case s == nil:
			m.fail("%s got a session cookie and no session was born", b.name)
		case s.browser != b:
			m.fail("%s got the session of %s", b.name, s.browser.name)
		case before != nil && before != s && !before.over && m.now().Before(before.ends):
			m.endSitting(before)
			m.count("session replaced")
		}
	}
	if before != nil && b.jar["gh_session"] == "" {
		m.endSitting(before)
		m.count("signed out")
	}
}

// justCreated is the session that this very request made and that has no cookie yet.
func (m *model) justCreated() *sitting {
	for _, s := range m.sessions {
		if s.browser == m.cur.browser && s.holder != nil && s.ends.Equal(m.now().Add(broker.SessionLife)) && !m.hasCookie(s) {
			return s
		}
	}
	return nil
}

func (m *model) hasCookie(s *sitting) bool {
	for _, other := range m.cookies {
		if other == s {
			return true
		}
	}
	return false
}

// session is the session of the browser's cookie, by our records.
func (m *model) session(b *window) *sitting { return m.cookies[b.jar["gh_session"]] }

// read parses a response.
func (m *model) read(b *window, p *shown) {
	if p.status >= 500 && !strings.Contains(p.body, "<code>busy</code>") && !meant(broker.Code(codeIn(p.body))) {
		m.fail("%s got %d for %s: %.600s", b.name, p.status, p.path, p.body)
	}
	if !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") {
		return
	}
	root, err := html.Parse(strings.NewReader(p.body))
	m.must(err)
	p.root = root
	m.refusal(p)
	for n := range root.Descendants() {
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "a" && strings.HasPrefix(attr(n, "href"), "/"):
			p.links = append(p.links, attr(n, "href"))
		case n.Data == "form":
			p.papers = append(p.papers, m.paper(b, n))
		}
	}
	b.papers = append(b.papers, p.papers...)
	if n := len(b.papers); n > 24 {
		b.papers = b.papers[n-24:]
	}
}

func codeIn(body string) string {
	_, rest, _ := strings.Cut(body, "<code>")
	code, _, _ := strings.Cut(rest, "</code>")
	return code
}

func (m *model) paper(b *window, n *html.Node) *paper {
	f := &paper{action: attr(n, "action"), values: url.Values{}, seq: m.seq}
	u, err := url.Parse(f.action)
	m.must(err)
	f.login, f.route = loginOf(u)
	if f.login != "" {
		f.held = slices.Clone(m.in(b, f.login).held)
	}
	for in := range n.Descendants() {
		switch {
		case in.Type != html.ElementNode:
		case in.Data == "input":
			f.values.Set(attr(in, "name"), attr(in, "value"))
			f.fields = append(f.fields, attr(in, "name"))
		case in.Data == "button":
			v := url.Values{}
			if name := attr(in, "name"); name != "" {
				v.Set(name, attr(in, "value"))
			}
			f.buttons = append(f.buttons, v)
		}
	}
	return f
}

// refusal checks a refusal against the audit log.
func (m *model) refusal(p *shown) {
	code, ref := shownRefusal(p.root)
	if code == "" {
		return
	}
	m.count("refusal")
	m.count("refusal " + code)
	c := broker.Code(code)
	if !slices.Contains(broker.Codes(), c) || c == broker.Internal || p.status != c.Meaning().Status {
		m.fail("%s is refused with %d %s", p.path, p.status, code)
		return
	}
	if unrecorded(c) {
		return
	}
	events, err := m.brokers[2].store.Events(m.ctx, broker.EventFilter{Reference: ref, Limit: 2})
	m.must(err)
	if len(events) != 1 || events[0].Code != c {
		m.fail("the reference %s of %s finds %v", ref, code, events)
	}
}

// next is where a response redirects to, empty for a page to stay on.
func (p *shown) next() string {
	next := p.header.Get("Location")
	if next == "" && p.root != nil {
		for _, n := range elements(p.root, "meta") {
			if strings.EqualFold(attr(n, "http-equiv"), "refresh") {
				_, next, _ = strings.Cut(attr(n, "content"), "url=")
			}
		}
	}
	return next
}

// follow follows a response's redirects, in a tab.
func (m *model) follow(b *window, t *tab, p *shown) {
	for range 12 {
		t.page, t.upstream = p, ""
		next := p.next()
		if next != "" && p.header.Get("Location") == "" && m.chance(10) {
			return // the person stays on the hand-off page
		}
		if next == "" {
			m.signedIn(b, p)
			return
		}
		u, err := url.Parse(next)
		m.must(err)
		if u.Host != "" && u.Scheme+"://"+u.Host != m.issuer {
			m.leave(b, t, u)
			return
		}
		m.led(b, p, u)
		if m.chance(3) {
			t.page = &shown{path: u.RequestURI(), links: []string{u.RequestURI()}} // the connection broke
			return
		}
		p = m.do(b, http.MethodGet, u.RequestURI(), nil)
	}
	m.fail("%s goes round in circles at %s", b.name, p.path)
}

// led learns of logins: what was asked of them goes over to their copies.
func (m *model) led(b *window, p *shown, u *url.URL) {
	login, _ := loginOf(u)
	if login == "" {
		return
	}
	from, err := url.Parse(p.path)
	m.must(err)
	old, _ := loginOf(from)
	if _, there := m.wants[login]; there || old == login {
		return
	}
	w := want{maxAge: -1}
	if old != "" {
		w = m.wants[old]
	} else if q := from.Query(); q.Has("client_id") {
		w = asked(q)
	} else if from.Path == "/login" {
		w.known = true
	} else if strings.HasPrefix(from.Path, broker.MethodsPath) {
		w.known, w.fresh = true, m.inside[login] == nil // else they prove themselves again first
	}
	w.created = m.now()
	m.wants[login] = w
}

// leave handles redirects to an upstream or to an app.
func (m *model) leave(b *window, t *tab, u *url.URL) {
	for _, conn := range m.conns {
		if c := m.sims[conn]; strings.HasPrefix(u.String(), m.base(conn)) && c != nil {
			t.upstream = u.String()
			m.sentUpstream(b, conn, t)
			return
		}
	}
	m.reached(b, u)
}
