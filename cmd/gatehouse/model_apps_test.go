package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"

	"gatehouse/broker"
)

// reached handles the browser's redirect to an app.
func (m *model) reached(b *window, u *url.URL) {
	q := u.Query()
	req := m.pending[q.Get("state")]
	if q.Has("error") {
		m.count("error to app " + q.Get("error"))
		return
	}
	value := q.Get("code")
	if value == "" {
		return // a sign-out that led home
	}
	if req == nil || !strings.HasPrefix(u.String(), req.app.redirect+"?") || q.Get("iss") != m.issuer {
		m.fail("a code went to %s", u)
		return
	}
	s := m.session(b)
	if s == nil {
		m.fail("%s got a code without a session", b.name)
		return
	}
	if why := m.dead(s); why != "" {
		m.fail("%s got a code for %s: %s", b.name, s.holder.email, why)
	}
	m.secret(value)
	m.count("code")
	m.codes = append(m.codes, &code{value: value, sent: req, sitting: s, gen: s.holder.gen, at: m.now()})
	if len(m.codes) > 30 {
		m.codes = m.codes[10:]
	}
}

// signedIn checks pages that need a session.
func (m *model) signedIn(b *window, p *shown) {
	if p.status != http.StatusOK || p.path != "/account" && !strings.HasPrefix(p.path, "/consent/") {
		return
	}
	s := m.session(b)
	if s == nil {
		m.fail("%s sees %s without a session", b.name, p.path)
	} else if why := m.dead(s); why != "" {
		m.fail("%s sees %s as %s: %s", b.name, p.path, s.holder.email, why)
	}
	m.count("page inside")
}

func (m *model) signsOut(b *window, t *tab) {
	path := "/end_session"
	m.say("%s signs out", b.name)
	p := m.do(b, http.MethodGet, path, nil)
	m.follow(b, t, p)
	if t.page != nil && len(t.page.papers) > 0 && m.chance(80) {
		m.submit(b, t, t.page.papers[0], t.page.papers[0])
	}
}

// post sends an app's request to one of the replicas.
func (m *model) post(path string, values url.Values) (int, map[string]any) {
	return m.postTo(m.rng.IntN(len(m.handlers)), path, values)
}

func (m *model) postTo(handler int, path string, values url.Values) (int, map[string]any) {
	req := httptest.NewRequest(http.MethodPost, m.issuer+path, strings.NewReader(values.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.RemoteAddr = "10.1.0.1:99"
	rec := httptest.NewRecorder()
	m.handlers[handler].ServeHTTP(rec, req)
	var answer map[string]any
	_ = json.Unmarshal(rec.Body.Bytes(), &answer)
	if rec.Code >= 500 {
		m.t.Errorf("step %d: %s answers %d %s", m.n, path, rec.Code, rec.Body)
	}
	return rec.Code, answer
}

func (a *modelApp) form(values url.Values) url.Values {
	values.Set("client_id", a.id)
	if !a.public {
		values.Set("client_secret", a.secret)
	}
	return values
}

func (m *model) anAppActs() {
	r := m.rng.Float64() * 100
	switch {
	case r < 45 && len(m.codes) > 0:
		m.redeems(late(m, m.codes))
	case r < 52 && len(m.codes) > 0:
		m.redeemsTwiceAtOnce(late(m, m.codes))
	case r < 72 && len(m.refreshes) > 0:
		m.refresh(late(m, m.refreshes))
	case r < 88 && len(m.accesses) > 0:
		m.uses(late(m, m.accesses))
	case r < 92 && len(m.refreshes) > 0:
		m.revokes(late(m, m.refreshes))
	default:
		m.somebodyBrowses()
	}
}

func (m *model) redeems(c *code) {
	a, verifier, redirect := c.app, c.verifier, c.app.redirect
	right := true
	switch r := m.rng.Float64() * 100; {
	case r < 5:
		a = pick(m, m.apps)
	case r < 10:
		verifier = broker.NewToken()
	case r < 12:
		redirect = "https://courts.example.test/other"
	}
	right = a == c.app && verifier == c.verifier && redirect == c.app.redirect && !a.off
	m.say("%s redeems a code of %s (right: %v, for %s)", a.id, c.app.id, right, c.sitting.holder.email)
	status, answer := m.post("/token", a.form(url.Values{"grant_type": {"authorization_code"}, "code": {c.value},
		"redirect_uri": {redirect}, "code_verifier": {verifier}}))
	m.redeemed(c, right, status, answer)
}

func (m *model) redeemed(c *code, right bool, status int, answer map[string]any) {
	fresh := m.now().Before(c.at.Add(broker.CodeLife))
	why := m.dead(c.sitting)
	if why == "" && !m.consents(c) {
		why = "the consent was taken back"
	}
	switch {
	case status != http.StatusOK:
		if c.grant != nil && right && fresh {
			m.count("code reused")
			c.grant.over = true
			m.ended(c.grant)
		} else if right && fresh && why == "" && c.gen == c.sitting.holder.gen {
			m.fail("a good code is refused: %v", answer)
		}
		return
	case !right:
		m.fail("a code was redeemed by the wrong app, with a wrong verifier or for another address")
	case c.grant != nil:
		m.fail("a code was redeemed twice")
	case !fresh:
		m.fail("a code was redeemed after %s", m.now().Sub(c.at))
	case why != "":
		m.fail("a code was redeemed for %s: %s", c.sitting.holder.email, why)
	case c.gen != c.sitting.holder.gen:
		m.fail("a code of an older authority was redeemed")
	}
	m.count("code redeemed")
	c.grant = m.newGrant(c)
	if c.grant != nil {
		m.tokens(c.grant, answer)
		m.idToken(c, answer)
	}
}

// consents reports whether the database still has the consent that a code depends on.
func (m *model) consents(c *code) bool {
	given := 0
	m.must(m.raw.QueryRowContext(m.ctx, fmt.Sprintf("SELECT count(*) FROM consents WHERE account_id = '%s' AND "+
		"client_id = '%s'", c.sitting.holder.id, c.app.id)).Scan(&given))
	return c.app.first || given > 0
}

// newGrant reads the row that a redemption wrote.
func (m *model) newGrant(c *code) (f *grant) {
	m.rows(fmt.Sprintf("SELECT id, client_id, account_id, session_id FROM grants WHERE created_at = %d",
		m.now().UnixMicro()), func(scan func(...any) error) error {
		var id, client, holder, session string
		err := scan(&id, &client, &holder, &session)
		if m.grants[id] != nil || client != c.app.id || session != c.sitting.id {
			return err
		}
		if holder != c.sitting.holder.id {
			m.fail("the family is another account's")
		}
		f = &grant{id: id, app: c.app, from: c.sitting, gen: c.gen, ends: m.now().Add(broker.RefreshLife)}
		m.grants[id] = f
		return err
	})
	if f == nil {
		m.fail("a code was redeemed, and no family began")
		return nil
	}
	m.event(broker.EventTokenIssued, func(e broker.Event) bool {
		return e.Detail["grant_id"] == f.id && e.Account == f.from.holder.id
	})
	return f
}

func (m *model) tokens(f *grant, answer map[string]any) {
	if v, ok := answer["refresh_token"].(string); ok {
		m.secret(v)
		if len(f.tokens) == 0 || f.tokens[len(f.tokens)-1] != v {
			f.tokens = append(f.tokens, v)
			m.refreshes = append(m.refreshes, &refresh{v, f, len(f.tokens) - 1})
		}
	} else if len(f.tokens) == 0 {
		f.ends = m.now().Add(broker.AccessLife)
	}
	v, _ := answer["access_token"].(string)
	m.secret(v)
	m.accesses = append(m.accesses, &accessToken{v, f, m.now().Add(broker.AccessLife)})
	if len(m.refreshes) > 60 {
		m.refreshes = m.refreshes[20:]
	}
	if len(m.accesses) > 60 {
		m.accesses = m.accesses[20:]
	}
}

// idToken says of the person what the session was created with.
func (m *model) idToken(c *code, answer map[string]any) {
	raw, _ := answer["id_token"].(string)
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		m.fail("no ID token: %v", answer)
		return
	}
	m.secret(raw)
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	m.must(err)
	var claims struct{ Sub, Sid, Nonce, Aud string }
	m.must(json.Unmarshal(body, &claims))
	if claims.Sub != c.sitting.holder.id || claims.Sid != c.sitting.id || claims.Nonce != c.nonce {
		m.fail("the ID token is of %+v, not of %s", claims, c.sitting.holder.id)
	}
}

// redeemsTwiceAtOnce redeems one code at two replicas concurrently.
func (m *model) redeemsTwiceAtOnce(c *code) {
	m.say("%s redeems a code twice at once", c.app.id)
	values := c.app.form(url.Values{"grant_type": {"authorization_code"}, "code": {c.value},
		"redirect_uri": {c.app.redirect}, "code_verifier": {c.verifier}}).Encode()
	var status [2]int
	var answers [2]map[string]any
	var both sync.WaitGroup
	for i := range 2 {
		both.Go(func() {
			form, _ := url.ParseQuery(values)
			status[i], answers[i] = m.postTo(i, "/token", form)
		})
	}
	both.Wait()
	first := 0
	if status[1] == http.StatusOK {
		first = 1
	}
	m.redeemed(c, !c.app.off, status[first], answers[first])
	m.redeemed(c, !c.app.off, status[1-first], answers[1-first])
}

// ended fails if a grant is still valid in the database.
func (m *model) ended(f *grant) {
	m.count("family ended")
	var at int64
	var by string
	m.must(m.raw.QueryRowContext(m.ctx, fmt.Sprintf("SELECT ended_at, ended_by FROM grants WHERE id = '%s'", f.id)).Scan(
		&at, &by))
	if at == 0 || by == "" {
		m.fail("family %s lives on after a reuse", f.id)
	}
}

func (m *model) refresh(r *refresh) {
	f, a := r.grant, r.grant.app
	if m.chance(25) { // one that was used
		i := m.rng.IntN(len(f.tokens))
		r = &refresh{f.tokens[i], f, i}
	}
	if m.chance(5) {
		a = pick(m, m.apps)
	}
	why := m.deadGrant(f)
	right := a == f.app && !a.off
	newest := r.index == len(f.tokens)-1
	grace := r.index == len(f.tokens)-2 && m.now().Before(f.turned.Add(broker.RefreshGrace))
	m.say("%s refreshes %s, token %d of %d of %s (%s)", a.id, f.id[:4], r.index, len(f.tokens), f.from.holder.email, why)
	status, answer := m.post("/token", a.form(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.value}}))
	switch {
	case status != http.StatusOK && right && why == "" && (newest || grace):
		m.fail("a good refresh token is refused: %v", answer)
	case status != http.StatusOK && right && why == "":
		m.count("refresh reused")
		f.over = true
		m.ended(f)
		m.event(broker.EventGrantRevoked, func(e broker.Event) bool { return e.Detail["grant_id"] == f.id })
		if !slices.ContainsFunc(m.readMail(nil), func(mail broker.Mail) bool { return mail.To == f.from.holder.email }) {
			m.fail("no mail tells %s that an app was signed out", f.from.holder.email)
		}
	case status != http.StatusOK:
		m.count("refresh refused")
	case !right:
		m.fail("%s refreshed with the token of %s", a.id, f.app.id)
	case why != "":
		m.fail("a refresh token of %s was good: %s", f.from.holder.email, why)
	case !newest && !grace:
		m.fail("a used refresh token was good")
	default:
		m.count("refreshed")
		if newest {
			f.turned = m.now()
		} else if answer["refresh_token"] != f.tokens[len(f.tokens)-1] {
			m.fail("a retry got another successor")
		}
		m.tokens(f, answer)
	}
}

func (m *model) uses(t *accessToken) {
	why := m.deadGrant(t.grant)
	if !m.now().Before(t.ends) {
		why = "the token has expired"
	}
	if t.grant.app.off {
		why = "the app is disabled"
	}
	if m.chance(40) {
		status, answer := m.post("/introspect", m.apps[0].form(url.Values{"token": {t.value}}))
		if active := answer["active"] == true; active && (why != "" || t.grant.app != m.apps[0]) {
			m.fail("introspection: the token of %s is active (%d): %s", t.grant.from.holder.email, status, why)
		}
		m.count("introspection")
		return
	}
	req := httptest.NewRequest(http.MethodGet, m.issuer+"/userinfo", nil)
	req.Header.Set("Authorization", "Bearer "+t.value)
	rec := httptest.NewRecorder()
	pick(m, m.handlers).ServeHTTP(rec, req)
	switch ok := rec.Code == http.StatusOK; {
	case ok && why != "":
		m.fail("userinfo of %s is told: %s", t.grant.from.holder.email, why)
	case ok && !strings.Contains(rec.Body.String(), t.grant.from.holder.id):
		m.fail("userinfo tells of somebody else: %s", rec.Body)
	case !ok && why == "":
		m.fail("a good access token is refused: %d %s", rec.Code, rec.Body)
	case ok:
		m.count("userinfo")
	}
}

func (m *model) revokes(r *refresh) {
	m.say("%s revokes %s", r.grant.app.id, r.grant.id[:4])
	status, _ := m.post("/revoke", r.grant.app.form(url.Values{"token": {r.value}}))
	if status == http.StatusOK {
		r.grant.over = true
		m.count("revoked")
	}
}
