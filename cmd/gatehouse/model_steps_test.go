package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/broker"
)

// somebodyBrowses does the next step in a tab of a random browser.
func (m *model) somebodyBrowses() {
	if m.focus == nil || m.chance(6) {
		m.focus = pick(m, m.browsers)
	}
	b, codes := m.focus, len(m.codes)
	t := b.tabs[0]
	if m.chance(18) {
		t = b.tabs[1]
	}
	defer func() {
		if len(m.codes) > codes && m.chance(60) {
			m.redeems(m.codes[len(m.codes)-1])
		}
	}()
	switch {
	case m.chance(15) && m.bindsRestricted(b, t):
	case t.back != "" && m.chance(85):
		m.comeBack(b, t)
	case t.upstream != "" && m.chance(85):
		m.atUpstream(b, t)
	case t.page != nil && len(t.page.papers)+len(t.page.links) > 0 && m.chance(80):
		m.onPage(b, t)
	case m.chance(12):
		m.say("%s opens the account", b.name)
		m.follow(b, t, m.do(b, http.MethodGet, pick(m, []string{"/account", "/login", "/login?sso_error=sso_cancelled"}),
			nil))
	case m.chance(8):
		m.signsOut(b, t)
	case m.chance(12) && m.session(b) != nil:
		m.changesMethods(b, t)
	default:
		m.asks(b, t)
	}
}

// asks sends the browser to the broker with an app's request.
func (m *model) asks(b *window, t *tab) {
	a := pick(m, m.apps)
	m.serial++
	req := &sent{app: a, verifier: broker.NewToken(), nonce: broker.NewToken(), at: m.now()}
	state := "state" + broker.NewToken()
	m.pending[state] = req
	m.secret(req.verifier)
	m.secret(state)
	sum := sha256.Sum256([]byte(req.verifier))
	q := url.Values{"response_type": {"code"}, "client_id": {a.id}, "redirect_uri": {a.redirect},
		"scope": {"openid profile email offline_access"},
		"state": {state}, "nonce": {req.nonce}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
		"code_challenge_method": {"S256"}}
	if m.chance(30) {
		q.Set("prompt", pick(m, []string{"none", "none", "login", "consent", "select_account", "select_account login"}))
	}
	if m.chance(12) {
		q.Set("max_age", pick(m, []string{"0", "30", "600", "7200"}))
	}
	if m.chance(15) {
		q.Set("connection", pick(m, m.conns))
	}
	if m.chance(10) {
		q.Set("scope", "openid")
	}
	m.say("%s asks for %s, %s %s %s", b.name, a.id, q.Get("prompt"), q.Get("max_age"), q.Get("connection"))
	t.back, t.upstream = "", ""
	m.follow(b, t, m.do(b, http.MethodGet, "/authorize?"+q.Encode(), nil))
}

// asked is what an app requested about freshness.
func asked(q url.Values) want {
	w := want{known: true, maxAge: -1, fresh: slices.Contains(strings.Fields(q.Get("prompt")), broker.PromptLogin)}
	if q.Has("max_age") {
		w.maxAge, _ = strconv.Atoi(q.Get("max_age"))
		if w.maxAge == 0 {
			w.fresh, w.maxAge = true, -1
		}
	}
	return w
}

// onPage follows a link or fills a form in.
func (m *model) onPage(b *window, t *tab) {
	p := t.page
	if len(p.papers) > 0 && (len(p.links) == 0 || m.chance(68)) {
		f := pick(m, p.papers)
		for range 2 { // rather on than back
			if f.route != "cancel" && f.route != "restart" && f.route != "wish" {
				break
			}
			f = pick(m, p.papers)
		}
		if f.values.Has("confirmation") && m.chance(40) {
			m.mixesUp(b, t, f)
			return
		}
		links := m.counts["link"]
		m.submit(b, t, f, f)
		if m.counts["link"] > links && m.chance(70) {
			m.triesAnother(b, t)
		}
		return
	}
	link := pick(m, p.links)
	for range 8 { // rather on than away
		if !strings.Contains(link, "lang=") && (strings.Contains(link, "/to/") || strings.HasPrefix(link, "/authorize")) {
			break
		}
		link = pick(m, p.links)
	}
	if strings.Contains(link, "lang=") && m.chance(80) {
		m.asks(b, t)
		return
	}
	m.say("%s follows %s", b.name, link)
	m.visit(b, t, link)
}

func (m *model) visit(b *window, t *tab, link string) {
	u, err := url.Parse(link)
	m.must(err)
	login, route := loginOf(u)
	if u.Host != "" || u.Fragment != "" && u.Path == "" {
		return
	}
	p := m.do(b, http.MethodGet, u.RequestURI(), nil)
	if route == "restart" && p.status == http.StatusSeeOther {
		m.in(b, login).clear()
	}
	m.follow(b, t, p)
}

// submit sends a form; the link confirmation in it may be of another one.
func (m *model) submit(b *window, t *tab, f, confirmation *paper) {
	values := url.Values{}
	for name, v := range f.values {
		values[name] = slices.Clone(v)
	}
	if len(f.buttons) > 0 {
		for name, v := range pick(m, f.buttons) {
			values[name] = v
		}
	}
	if !confirmation.values.Has("confirmation") {
		confirmation = f
	}
	if confirmation != f {
		values.Set("confirmation", confirmation.values.Get("confirmation"))
	}
	l := m.in(b, f.login)
	m.fill(b, l, f, values)
	m.say("%s submits %s %v", b.name, f.action, values)
	m.seq++
	for _, a := range m.accounts {
		if a.password != "" && a.password == values.Get("password") && f.route != "register" {
			l.proofs = append(l.proofs, evidence{holder: a, gen: a.gen, at: m.now(), seq: m.seq})
		}
	}
	if c := l.mail; c != nil && (f.route == "code" || f.route == "confirm" || f.route == "link") &&
		c.code == values.Get("code") && m.now().Before(c.at.Add(broker.MailedLife)) {
		l.proofs = append(l.proofs, evidence{address: c.to, at: m.now(), seq: m.seq})
		m.count("mailed code right")
	}
	switch s := m.session(b); {
	case f.route == "continue" && s != nil && s.id == values.Get("session"):
		l.linkTargets = s
	case f.route == "confirm" && l.linkTargets != nil && (l.linkTargets != s || m.dead(s) != ""):
		l.linkTargets = nil // a password alone does not bring it back
	}
	m.next = act0{form: confirmation}
	before, dead := m.session(b), ""
	if before != nil {
		dead = m.dead(before)
	}
	p := m.do(b, http.MethodPost, f.action, values)
	m.asksInside(before, dead, f.action, p)
	m.partsWith(b, before, dead, f.action)
	if (f.route == "restart" || f.route == "cancel") && p.status == http.StatusSeeOther {
		l.clear()
	}
	if p.status == http.StatusUnprocessableEntity && values.Has("password") && f.route != "register" {
		m.wrongPassword(values)
	}
	m.readMail(l)
	m.follow(b, t, p)
}

// wrongPassword: a page that says so has its Event, unless it is about something else.
func (m *model) wrongPassword(values url.Values) {
	if values.Get("password") == "" || m.byPassword[values.Get("password")] != nil || values.Has("code") ||
		!strings.Contains(values.Get("email")+"@",
			"@example.test") && values.Get("email") != "" {
		return
	}
	m.count("wrong password")
	m.event(broker.EventPasswordFailed, func(broker.Event) bool { return true })
}

// fill types what this person would type, or what an attacker tries.
func (m *model) fill(b *window, l *ledger, f *paper, values url.Values) {
	for _, name := range f.fields {
		switch name {
		case "email":
			if f.route != "email" && f.route != "own" {
				continue
			}
			values.Set("email", b.email)
			switch {
			case f.route == "own" && m.chance(70):
			case m.chance(12) || b.hostile && m.chance(40):
				values.Set("email", pick(m, m.people).email)
			case m.chance(3):
				values.Set("email", "no address")
			}
		case "password":
			values.Set("password", b.person.password)
			switch {
			case f.route == "register":
				m.serial++
				values.Set("password", m.newPassword(b.person.name))
			case b.person.password == "" && m.chance(90):
				// No account, or one without a password: mostly skipped, because it costs the most.
				values.Set("password", pick(m, m.people).old)
			case m.chance(8) && b.old != "":
				values.Set("password", b.old)
			case m.chance(6):
				values.Set("password", marker+" guess")
			}
			m.secret(values.Get("password"))
		case "given_name":
			values.Set("given_name", "Some")
		case "code":
			values.Set("code", m.knownCode(b, l))
		}
	}
}

// knownCode is a code that this person can know: from their own mailbox.
func (m *model) knownCode(b *window, l *ledger) string {
	mine := m.inbox[b.email]
	switch {
	case len(mine) > 0 && m.chance(75):
		return mine[len(mine)-1].code
	case len(mine) > 1 && m.chance(50):
		return pick(m, mine).code
	case m.chance(20) && l.mail != nil && !b.hostile:
		return l.mail.code // another person tells them the code
	}
	return fmt.Sprintf("%06d", m.rng.IntN(1_000_000))
}

// readMail empties the outbox; codes belong to the login that asked for them.
func (m *model) readMail(l *ledger) []broker.Mail {
	store := m.brokers[2].store
	mails, err := store.DueMail(m.ctx, m.now(), m.now().Add(time.Second), 20)
	m.must(err)
	for _, mail := range mails {
		m.must(store.MailSent(m.ctx, mail.ID))
		code := sixDigits.FindString(mail.Subject)
		if code == "" {
			continue
		}
		c := mailed{mail.To, code, m.now()}
		m.secret(code)
		m.inbox[c.to] = append(m.inbox[c.to], c)
		if n := len(m.inbox[c.to]); n > 5 {
			m.inbox[c.to] = m.inbox[c.to][n-5:]
		}
		if l != nil {
			l.mail = &c
		}
		m.event(broker.EventCodeSent, func(broker.Event) bool { return true })
	}
	return mails
}
