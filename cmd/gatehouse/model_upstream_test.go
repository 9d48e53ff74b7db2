package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"

	"gatehouse/broker"
)

// sentUpstream records which browser went to which upstream with which state.
func (m *model) sentUpstream(b *window, conn string, t *tab) {
	from, err := url.Parse(t.page.path)
	m.must(err)
	to, err := url.Parse(t.upstream)
	m.must(err)
	login, _ := loginOf(from)
	state := to.Query().Get("state")
	m.secret(state)
	if login == "" && from.Path == "/authorize" { // the app named the connection: the login has shown itself nowhere yet
		login = m.stored(state).Login
		m.led(b, t.page, &url.URL{Path: "/login/" + login})
	}
	m.upstreamRequests[state] = &upstreamRequest{browser: b, login: login, connection: conn,
		reauthenticate: from.Query().Get("prove") == "1", waiting: slices.Clone(m.in(b, login).held), at: m.now()}
	m.count("departure")
}

// stored is the upstream request that the broker keeps under a state.
func (m *model) stored(state string) broker.UpstreamRequest {
	h := m.brokers[2]
	key := h.keyring.Hash("login.state", []byte(state))
	row, err := h.store.Ephemeral.Get(m.ctx, "upstream", key)
	m.must(err)
	var kept struct {
		V []byte `json:"v"`
	}
	m.must(json.Unmarshal(row, &kept))
	plain, err := h.keyring.Open(kept.V, "login.upstream", key)
	m.must(err)
	var t broker.UpstreamRequest
	m.must(json.Unmarshal(plain, &t))
	return t
}

// base is where a simulated upstream lives.
func (m *model) base(conn string) string {
	c, err := m.brokers[2].store.Connection(m.ctx, conn)
	m.must(err)
	if c.Kind == "oidc" {
		return c.Issuer + "/"
	}
	return c.Settings["authority"] + "/"
}

// atUpstream signs in there as one of the person's own accounts, or, at a shared
// machine, as another person.
func (m *model) atUpstream(b *window, t *tab) {
	u, err := url.Parse(t.upstream)
	m.must(err)
	var conn string
	for _, c := range m.conns {
		if strings.HasPrefix(t.upstream, m.base(c)) {
			conn = c
		}
	}
	who := b.person
	if m.chance(15) {
		who = pick(m, m.people)
	}
	theirs := slices.DeleteFunc(slices.Clone(who.personas), func(p *persona) bool { return p.connection != conn })
	m.choose(b, t, u, pick(m, theirs))
}

// choose comes back from an upstream as this persona.
func (m *model) choose(b *window, t *tab, u *url.URL, p *persona) {
	conn := p.connection
	q := u.Query()
	q.Set("persona", p.login)
	path := u.Path + "/choose"
	if m.chance(4) {
		path = u.Path + "/cancel"
	}
	rec := httptest.NewRecorder()
	m.sims[conn].ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path+"?"+q.Encode(), nil))
	back, err := url.Parse(rec.Header().Get("Location"))
	if err != nil || back.Path == "" {
		t.upstream = ""
		return
	}
	m.say("%s is %s (%s, %d) at %s", b.name, p.login, p.email, p.level, conn)
	t.upstream, t.back = "", back.RequestURI()
	if code := back.Query().Get("code"); code != "" {
		m.upCodes[code] = &upCode{persona: p, state: back.Query().Get("state"), at: m.now()}
		m.secret(code)
	}
	b.callbacks = append(b.callbacks, t.back)
	if n := len(b.callbacks); n > 6 {
		b.callbacks = b.callbacks[n-6:]
	}
	if m.chance(85) {
		m.comeBack(b, t)
	}
}

func (m *model) comeBack(b *window, t *tab) {
	back := t.back
	t.back = ""
	m.callback(b, t, back)
}

// callback delivers an upstream's response, and records what it really proves.
func (m *model) callback(b *window, t *tab, back string) {
	u, err := url.Parse(back)
	m.must(err)
	q := u.Query()
	upstreamRequest, code := m.upstreamRequests[q.Get("state")], m.upCodes[q.Get("code")]
	m.seq++
	m.next = act0{request: upstreamRequest}
	m.say("%s comes back with %s", b.name, back)
	if upstreamRequest != nil {
		conn := strings.TrimPrefix(u.Path, "/callback/")
		late := m.now().Sub(upstreamRequest.at) > broker.UpstreamRequestLife
		switch {
		case upstreamRequest.browser != b:
			m.count("foreign state")
		case upstreamRequest.used:
			m.count("state replayed")
		case conn != upstreamRequest.connection || late:
		default:
			upstreamRequest.used = true
			if code != nil && !code.used && code.state == q.Get("state") && code.connection == conn && m.live[conn] {
				m.gives(b, upstreamRequest, code)
			}
		}
		if upstreamRequest.browser == b {
			m.in(b, upstreamRequest.login).at = m.now()
		} else {
			m.next.request = nil
		}
	}
	m.follow(b, t, m.do(b, http.MethodGet, back, nil))
}

func (m *model) gives(b *window, upstreamRequest *upstreamRequest, c *upCode) {
	c.used = true
	l := m.in(b, upstreamRequest.login)
	h := &held{persona: c.persona, at: c.at, seq: m.seq, gen: -1}
	if bond := m.idents[c.ident]; bond != nil {
		h.gen = bond.holder.gen
	}
	m.next.came = h
	if upstreamRequest.reauthenticate {
		return
	}
	// Where the app asked for a fresh sign-in, the broker may have turned this answer down.
	if w := m.wants[upstreamRequest.login]; w.known && !w.fresh && w.maxAge < 0 {
		l.held = nil
	}
	l.held = append(l.held, h)
}

// mixesUp has two identities under way in one login: the page of the first is
// confirmed when the second has come back (SECURITY.md C3).
func (m *model) mixesUp(b *window, t *tab, f *paper) {
	other := b.tabs[0]
	if other == t {
		other = b.tabs[1]
	}
	m.say("%s mixes two identities up in login %s", b.name, f.login)
	if m.goesAs(b, other, f.login, f) {
		m.count("mixed up")
		m.submit(b, t, f, f)
	}
}

// goesAs sends a tab of a login to an upstream and back, as a person who asserts
// the same address as the person before.
func (m *model) goesAs(b *window, t *tab, login string, f *paper) bool {
	email := b.email
	if f != nil && len(f.held) > 0 {
		email = f.held[len(f.held)-1].email
	}
	var same []*persona
	for _, p := range m.people {
		for _, face := range p.personas {
			if face.email == email && email != "" && m.idents[face.ident] == nil {
				same = append(same, face)
			}
		}
	}
	if len(same) == 0 {
		return false
	}
	p := pick(m, same)
	t.back, t.upstream = "", ""
	m.visit(b, t, "/login/"+login+"/to/"+p.connection)
	if t.upstream == "" {
		return false
	}
	u, err := url.Parse(t.upstream)
	m.must(err)
	m.choose(b, t, u, p)
	if t.back != "" {
		m.comeBack(b, t)
	}
	return true
}

// triesAnother checks that linking one identity does not link the next one too (SECURITY.md C4).
func (m *model) triesAnother(b *window, t *tab) {
	t.back, t.upstream = "", ""
	m.visit(b, t, "/login?sso_error=sso_cancelled")
	u, err := url.Parse(t.page.path)
	m.must(err)
	login, _ := loginOf(u)
	if login == "" || !m.goesAs(b, t, login, nil) {
		return
	}
	m.count("another after a link")
	for _, f := range t.page.papers {
		if f.route == "link" {
			right := b.person.password
			b.person.password = marker + " guess"
			m.submit(b, t, f, f)
			if b.person.password == marker+" guess" {
				b.person.password = right
			}
			return
		}
	}
}

// bindsRestricted is a person under a restriction who has no identity of it
// yet: the first bind takes the password and a mailed code.
func (m *model) bindsRestricted(b *window, t *tab) bool {
	a := m.holder(b.email)
	if a == nil || a.restriction == nil || a.disabled || a.password == "" {
		return false
	}
	for i, bond := range m.idents {
		if bond.holder == a && slices.Contains(a.restriction, i.connection) {
			return false
		}
	}
	var mine []*persona
	for _, p := range b.personas {
		if p.email == b.email && p.level >= broker.EmailVerified && slices.Contains(a.restriction, p.connection) {
			mine = append(mine, p)
		}
	}
	if len(mine) == 0 {
		return false
	}
	p := pick(m, mine)
	t.back, t.upstream = "", ""
	m.visit(b, t, "/login?sso_error=sso_cancelled")
	u, err := url.Parse(t.page.path)
	m.must(err)
	login, _ := loginOf(u)
	m.visit(b, t, "/login/"+login+"/to/"+p.connection)
	if u, err = url.Parse(t.upstream); err != nil || t.upstream == "" {
		return true
	}
	m.choose(b, t, u, p)
	for range 2 {
		for _, f := range t.page.papers {
			if f.route == "link" || f.route == "resend" {
				m.submit(b, t, f, f)
				break
			}
		}
	}
	return true
}
