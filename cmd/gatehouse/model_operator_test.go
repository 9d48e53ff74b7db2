package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/mail"
	"gatehouse/broker/text"
	"gatehouse/storage"
)

// somebodyReplays repeats an earlier request, or sends one of another browser.
func (m *model) somebodyReplays() {
	b := pick(m, m.browsers)
	from := b
	switch {
	case m.focus != nil && m.chance(50): // what just happens is what is worth stealing
		from = m.focus
		if m.chance(30) {
			b = from
		}
	case m.chance(35):
		from = pick(m, m.browsers)
	}
	t := pick(m, b.tabs)
	switch r := m.rng.Float64() * 100; {
	case r < 25 && len(from.callbacks) > 0:
		back := pick(m, from.callbacks)
		if other := pick(m, m.browsers); m.chance(25) && len(other.callbacks) > 0 {
			back = crossed(back, pick(m, other.callbacks))
		}
		m.callback(b, t, back)
	case r < 75 && len(from.papers) > 0:
		f := from.papers[m.rng.IntN(len(from.papers))]
		confirmation := f
		if b.hostile && m.chance(25) && len(b.papers) > 0 {
			confirmation = pick(m, b.papers)
		}
		m.count("stale form")
		m.submit(b, t, f, confirmation)
	case len(from.papers) > 0: // a link that was passed on, or another page of a login
		if f := late(m, from.papers); f.login != "" {
			path := "/login/" + f.login
			if m.chance(50) {
				path = "/authorize?login=" + f.login
			}
			m.say("%s opens %s of %s", b.name, path, from.name)
			m.visit(b, t, path)
		}
	}
}

// crossed is the answer of one upstream request with the code of another.
func crossed(a, b string) string {
	u, _ := url.Parse(a)
	v, _ := url.Parse(b)
	q := u.Query()
	q.Set("code", v.Query().Get("code"))
	u.RawQuery = q.Encode()
	return u.RequestURI()
}

// theOperatorActs works through the storage, as the commands do.
func (m *model) theOperatorActs() {
	a := pick(m, m.accounts[max(0, len(m.accounts)-24):])
	if m.chance(60) {
		a = m.accounts[m.rng.IntN(min(len(m.accounts), 10))]
	}
	if a.unverified {
		return
	}
	switch r := m.rng.Float64() * 100; {
	case r < 12 || a.disabled:
		m.switches(a)
	case r < 32:
		m.restrictions(a)
	case r < 42:
		m.renews(a, broker.EventSignedOut, "signed everywhere out", func(*broker.Account) {}, nil)
	case r < 57:
		m.setsPassword(a)
	case r < 75:
		m.unlinks(a)
	case r < 85:
		m.switchesConnection(pick(m, m.conns))
	case r < 92:
		m.switchesApp(pick(m, m.apps))
	default:
		m.removesConsent(a)
	}
}

func (m *model) renews(a *holder, verb broker.Verb, what string, edit func(*broker.Account),
	more func(context.Context) error) {
	h := m.brokers[2]
	row, err := h.store.Account(m.ctx, a.id)
	m.must(err)
	edit(&row)
	m.must(h.renew(m.ctx, &row, verb, what, more))
	a.gen++
	m.say("operator: %s %s", a.email, what)
	m.count("operator")
}

func (m *model) switches(a *holder) {
	a.disabled = !a.disabled
	m.renews(a, broker.EventAccountChanged, onOff(a.disabled), func(row *broker.Account) {
		row.Disabled = a.disabled
	}, nil)
}

func (m *model) restrictions(a *holder) {
	verb, lock := broker.EventAccountRestricted, &broker.Restriction{Only: broker.OnlyMicrosoft,
		Connections: []string{"microsoft"}, Guests: true, SetBy: "operator", SetAt: m.now()}
	switch {
	case a.restriction != nil:
		verb, lock, a.restriction = broker.EventAccountUnrestricted, nil, nil
	case m.chance(25):
		lock.Only, lock.Connections = "google,club", []string{"google", "club"}
		fallthrough
	default:
		a.restriction = lock.Connections
	}
	m.count("lock")
	m.renews(a, verb, "lock "+fmt.Sprint(a.restriction), func(row *broker.Account) { row.Restriction = lock }, nil)
}

func (m *model) setsPassword(a *holder) {
	password := m.newPassword("set")
	texts, err := text.Load()
	m.must(err)
	for _, p := range m.people {
		if p.email == a.email {
			p.old, p.password = p.password, password
		}
	}
	delete(m.byPassword, a.password)
	a.password = password
	m.byPassword[password] = a
	m.renews(a, broker.EventPasswordChanged, "password set", func(row *broker.Account) {
		row.PasswordHash = cheapHash(password)
	}, func(ctx context.Context) error {
		return m.brokers[2].post(texts).Queue(ctx, mail.PasswordChanged{To: a.email, At: m.now()})
	})
	m.readMail(nil)
}

func (m *model) unlinks(a *holder) {
	var which ident
	for i, bond := range m.idents {
		if bond.holder == a && (which == ident{} || bond.seq < m.idents[which].seq) {
			which = i
		}
	}
	bond := m.idents[which]
	if bond == nil {
		return
	}
	texts, err := text.Load()
	m.must(err)
	row, err := m.brokers[2].store.Account(m.ctx, a.id)
	m.must(err)
	err = m.brokers[2].store.Atomic(m.ctx, func(ctx context.Context) error {
		return m.brokers[2].unlink(ctx, texts, row, bond.id)
	})
	if err != nil {
		return // the last way in
	}
	m.say("operator: unlinks %v from %s", which, a.email)
	m.count("unlink")
	m.unbound(which, bond)
	m.readMail(nil)
}

// switchesBackOn ends what would stop all sign-ins for too long.
func (m *model) switchesBackOn() {
	for _, id := range m.conns {
		if !m.live[id] {
			m.switchesConnection(id)
			return
		}
	}
	for _, a := range m.apps {
		if a.off {
			m.switchesApp(a)
			return
		}
	}
}

func (m *model) switchesConnection(id string) {
	c, err := m.brokers[2].store.Connection(m.ctx, id)
	m.must(err)
	m.live[id] = !m.live[id]
	if c.State = broker.Disabled; m.live[id] {
		c.State = broker.Live
	}
	m.must(m.brokers[2].storeConnection(m.ctx, c, string(c.State)))
	m.say("operator: %s is %s", id, c.State)
	m.wait(storage.CacheLife + time.Second)
}

func (m *model) switchesApp(a *modelApp) {
	c, err := m.brokers[2].store.Client(m.ctx, a.id)
	m.must(err)
	a.off = !a.off
	c.Disabled = a.off
	m.must(m.brokers[2].putClient(m.ctx, c, onOff(a.off)))
	m.say("operator: app %s is off: %v", a.id, a.off)
	m.wait(storage.CacheLife + time.Second)
}

func (m *model) removesConsent(a *holder) {
	err := m.brokers[2].store.RemoveConsent(m.ctx, a.id, "third", m.now())
	if errors.Is(err, broker.NotFound) {
		return
	}
	m.must(err)
	m.must(m.brokers[2].record(m.ctx, broker.Event{Verb: broker.EventConsentRemoved, Account: a.id, Client: "third"}))
	m.say("operator: %s no longer consents to third", a.email)
	m.count("consent removed")
	for _, f := range m.grants {
		if f.app.id == "third" && f.from.holder == a {
			f.over = true
		}
	}
}

// lookAtEverything compares the whole database with the records.
func (m *model) lookAtEverything() {
	m.searchLogs()
	now := m.now().UnixMicro()
	accounts := 0
	m.rows("SELECT id, email, claimed, disabled, auth_epoch FROM accounts", func(scan func(...any) error) error {
		var id, email, claimed string
		var disabled any
		var epoch int64
		err := scan(&id, &email, &claimed, &disabled, &epoch)
		accounts++
		if a := m.byID[id]; a == nil || a.unverified != (claimed != "") || !a.unverified && a.email != email {
			m.fail("account %s %s is in no book", id, email)
		}
		return err
	})
	if accounts != len(m.accounts) {
		m.fail("there are %d accounts, and %d in the books", accounts, len(m.accounts))
	}
	bonds := 0
	m.rows("SELECT id, account_id, connection, issuer, subject FROM identities", func(scan func(...any) error) error {
		var id, holder string
		var i ident
		err := scan(&id, &holder, &i.connection, &i.issuer, &i.subject)
		bonds++
		if b := m.idents[i]; b == nil || b.id != id || b.holder.id != holder {
			m.fail("identity %v of %s is in no book", i, holder)
		}
		return err
	})
	if bonds != len(m.idents) {
		m.fail("there are %d identities, and %d in the books", bonds, len(m.idents))
	}
	m.rows(
		fmt.Sprintf(
			"SELECT s.id FROM sessions s JOIN accounts a ON a.id = s.account_id AND a.auth_epoch = s.epoch WHERE s.ended_at "+
				"= 0 AND s.expires_at > %d", now), func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			if s := m.sessions[id]; s == nil {
				m.fail("session %s was born unseen", id)
			} else if why := m.dead(s); why != "" && m.live[s.connection] == (s.connection != "") {
				m.fail("session %s of %s lives: %s", id, s.holder.email, why)
			}
			return err
		})
	m.rows(
		fmt.Sprintf(
			"SELECT f.id FROM grants f JOIN accounts a ON a.id = f.account_id AND a.auth_epoch = f.epoch WHERE f.ended_at "+
				"= 0 AND f.expires_at > %d", now), func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			if f := m.grants[id]; f == nil {
				m.fail("family %s was born unseen", id)
			} else if why := m.deadGrant(f); why != "" && m.live[f.from.connection] == (f.from.connection != "") {
				m.fail("family %s of %s lives: %s", id, f.from.holder.email, why)
			}
			return err
		})
	m.throwAway()
}

// throwAway removes expired records, as the janitor does.
func (m *model) throwAway() {
	_, _, err := m.brokers[2].store.Purge(m.ctx, m.now(), 5000)
	m.must(err)
	old := m.now().Add(-2 * broker.LoginLife)
	for key, l := range m.logins {
		if l.at.Before(old) {
			delete(m.logins, key)
			delete(m.wants, l.id)
		}
	}
	for state, t := range m.upstreamRequests {
		if t.at.Before(old) {
			delete(m.upstreamRequests, state)
		}
	}
	for value, c := range m.upCodes {
		if c.at.Before(old) {
			delete(m.upCodes, value)
		}
	}
	for id, f := range m.grants {
		if !m.now().Before(f.ends) {
			delete(m.grants, id)
		}
	}
	for value, s := range m.cookies {
		if !m.now().Before(s.ends.Add(time.Hour)) {
			delete(m.cookies, value)
			delete(m.sessions, s.id)
		}
	}
	for state, r := range m.pending {
		if r.at.Before(old.Add(-24 * time.Hour)) {
			delete(m.pending, state)
		}
	}
}
