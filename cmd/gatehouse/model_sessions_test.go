package main

import (
	"fmt"
	"slices"
	"time"

	"gatehouse/broker"
)

// creation finds what a browser's request created, and asks
// the records whether it may have been created.
func (m *model) sessionsPerProof(b *window) {
	if m.cur.login == "" && m.cur.route != "callback" && m.cur.route != "login" && m.cur.route != "account" {
		return
	}
	l := m.in(b, m.cur.login)
	created := m.newAccounts(l)
	m.newIdentities(l, created)
	m.newSessions(b, l)
}

func (m *model) rows(query string, into func(scan func(...any) error) error) {
	m.t.Helper()
	rows, err := m.raw.QueryContext(m.ctx, query)
	m.must(err)
	defer rows.Close()
	for rows.Next() {
		m.must(into(rows.Scan))
	}
	m.must(rows.Err())
}

func (m *model) newAccounts(l *ledger) map[string]bool {
	created := map[string]bool{}
	type row struct{ id, email, hash, claimed string }
	var all []row
	m.rows(fmt.Sprintf("SELECT id, email, password_hash, claimed FROM accounts WHERE created_at = %d",
		m.now().UnixMicro()), func(scan func(...any) error) error {
		var r row
		err := scan(&r.id, &r.email, &r.hash, &r.claimed)
		if m.byID[r.id] == nil {
			all = append(all, r)
		}
		return err
	})
	for _, r := range all {
		created[r.id] = true
		m.count("account")
		password := ""
		if r.hash != "" {
			password = m.cur.values.Get("password")
		}
		if have := m.holder(r.email); have != nil || r.claimed != "" {
			m.fail("%s made a second account of %s", m.cur.browser.name, r.email)
		}
		proven := m.verifiedAddress(l, r.email, 0)
		for _, h := range l.held {
			proven = proven || h.email == r.email && h.level >= broker.EmailVerified
		}
		if !proven {
			m.fail("%s made the account of %s and never proved the address", m.cur.browser.name, r.email)
		}
		for _, old := range m.accounts {
			if old.unverified && old.email == r.email {
				m.forget(old)
				break
			}
		}
		a := m.enter(r.id, r.email, password)
		m.event(broker.EventAccountCreated, func(e broker.Event) bool { return e.Account == a.id })
		if password != "" {
			m.cheapen(a)
			l.proofs = append(l.proofs, noEvidence(a, m.now(), m.seq))
			m.cur.browser.person.password = password
		}
	}
	return created
}

func noEvidence(a *holder, at time.Time, seq int) evidence {
	return evidence{holder: a, gen: a.gen, at: at, seq: seq}
}

// verifiedAddress reports whether a code mailed to the address was given back in this login.
func (m *model) verifiedAddress(l *ledger, email string, since int) bool {
	return slices.ContainsFunc(l.proofs, func(p evidence) bool { return p.address == email && p.seq > since })
}

func (m *model) newIdentities(l *ledger, created map[string]bool) {
	type row struct {
		ident
		id, holder string
	}
	var all []row
	m.rows(fmt.Sprintf("SELECT id, account_id, connection, issuer, subject FROM identities WHERE linked_at = %d",
		m.now().UnixMicro()), func(scan func(...any) error) error {
		var r row
		err := scan(&r.id, &r.holder, &r.connection, &r.issuer, &r.subject)
		if have := m.idents[r.ident]; have == nil || have.id != r.id {
			all = append(all, r)
		}
		return err
	})
	for _, r := range all {
		if m.idents[r.ident] != nil {
			m.fail("identity %v moved", r.ident)
		}
		a := m.byID[r.holder]
		if a == nil {
			m.fail("identity %v belongs to no account", r.ident)
			continue
		}
		h := l.holds(r.ident)
		if h == nil {
			m.fail("%s linked %v to %s, and that identity never came back to this browser in login %s", m.cur.browser.name,
				r.ident, a.email, l.id)
		} else if why := m.unproven(l, h, a, created[a.id]); why != "" {
			m.fail("%s linked %v to %s: %s", m.cur.browser.name, r.ident, a.email, why)
		}
		m.idents[r.ident] = &bond{r.id, a, m.seq}
		if h != nil {
			h.gen = a.gen
		}
		m.event(broker.EventIdentityLinked, func(e broker.Event) bool {
			return e.Account == a.id && e.Connection == r.connection
		})
		if created[a.id] {
			continue
		}
		m.count("link")
		if a.restriction != nil {
			m.count("first bind of a lock")
		}
		told := false
		for _, mail := range m.readMail(nil) {
			told = told || mail.To == a.email
		}
		if !told {
			m.fail("no mail tells %s of the link", a.email)
		}
	}
}

// unproven returns what is missing before this identity may belong to the account.
func (m *model) unproven(l *ledger, h *held, a *holder, created bool) string {
	proved := m.verifiedAddress(l, a.email, h.seq)
	if a.disabled || a.unverified {
		return "the account is disabled or unverified"
	}
	if a.restriction != nil {
		if !slices.Contains(a.restriction, h.connection) {
			return "the account is locked to other connections"
		}
		for i, bond := range m.idents {
			if bond.holder == a && slices.Contains(a.restriction, i.connection) {
				return "the locked account has an identity already"
			}
		}
	}
	if created {
		if proved || h.email == a.email && h.level >= broker.EmailVerified {
			return ""
		}
		return "the address of the new account was not proven"
	}
	if ask := m.inside[l.id]; ask != nil {
		return m.unasked(ask, a)
	}
	code := proved || m.codeGiven(l, a.email)
	switch {
	case m.cur.route == "link" || m.cur.route == "own":
		if m.cur.form == nil || holding(m.cur.form.held, h.ident) == nil {
			return "the page that was confirmed showed another identity"
		}
		if a.password != "" && m.cur.values.Get("password") != a.password {
			return "the password was not given"
		}
		if (a.password == "" || a.restriction != nil && h.level < broker.EmailAuthoritative) && !code {
			return "the mailed code was not given"
		}
		if a.password == "" && a.restriction != nil && h.level < broker.EmailAuthoritative {
			return "a locked account without a password was bound on a code alone"
		}
		return ""
	case m.cur.came != nil && m.cur.request.reauthenticate:
		if bond := m.idents[m.cur.came.ident]; bond == nil || bond.holder != a {
			return "the other identity is not the owner's"
		}
		if a.password != "" || a.restriction != nil || holding(m.cur.request.waiting, h.ident) == nil {
			return "another identity proves nothing here"
		}
		return ""
	}
	return "nobody gave a proof in this request (" + m.cur.route + ")"
}

// codeGiven reports whether this very request brings the code that the login mailed.
func (m *model) codeGiven(l *ledger, email string) bool {
	c := l.mail
	return c != nil && c.to == email && c.code == m.cur.values.Get("code") && m.now().Before(c.at.Add(broker.MailedLife))
}

func (m *model) newSessions(b *window, l *ledger) {
	type row struct {
		sitting
		holder      string
		authTime    int64
		epoch, ends int64
	}
	var all []row
	m.rows(
		fmt.Sprintf(
			"SELECT id, account_id, method, connection, identity, auth_time, epoch, expires_at FROM sessions WHERE "+
				"created_at = %d", m.now().UnixMicro()), func(scan func(...any) error) error {
			var r row
			err := scan(&r.id, &r.holder, &r.method, &r.connection, &r.identity, &r.authTime, &r.epoch, &r.ends)
			if m.sessions[r.id] == nil {
				all = append(all, r)
			}
			return err
		})
	for _, r := range all {
		a := m.byID[r.holder]
		s := &sitting{id: r.id, method: r.method, connection: r.connection, identity: r.identity, holder: a, browser: b,
			ends: time.UnixMicro(r.ends)}
		if r.authTime != 0 {
			s.auth = time.UnixMicro(r.authTime)
		}
		m.sessions[r.id] = s
		if a == nil {
			m.fail("a session of no account")
			continue
		}
		s.gen = a.gen
		m.count("session")
		m.count("session by " + s.method)
		m.say("  session of %s by %s%s", a.email, s.method, s.connection)
		if why := m.unexplained(l, s, r.authTime); why != "" {
			m.fail("%s got a session of %s in login %s, by %s %s: %s", b.name, a.email, l.id, s.method, s.connection, why)
		}
		m.event(broker.EventSignedIn, func(e broker.Event) bool { return e.Session == s.id && e.Account == a.id })
		l.clear() // each proof is worth one session
	}
}

// unexplained returns why the records do not allow this session.
func (m *model) unexplained(l *ledger, s *sitting, authTime int64) string {
	a := s.holder
	if why := m.allows(a, s.method, s.connection); why != "" {
		return why
	}
	at := time.UnixMicro(authTime)
	byPassword, known := false, authTime == 0
	for _, p := range l.proofs {
		if p.holder == a && p.gen == a.gen {
			byPassword = true
			known = known || p.at.Equal(at)
		}
		known = known || p.address == a.email && p.at.Equal(at)
	}
	for _, h := range l.held {
		known = known || h.at.Equal(at)
	}
	if !known {
		return fmt.Sprintf("nobody proved anything at its auth_time %s", at)
	}
	w := m.wants[l.id]
	since := w.created.Truncate(time.Second) // a proof of this login satisfies every max_age
	if s.method == "upstream" && w.fresh {
		since = since.Add(-broker.ClockSkew)
	}
	if w.known && at.Before(since) && (w.fresh || w.maxAge >= 0 && m.now().Sub(at) > time.Duration(w.maxAge)*time.Second) {
		return "the app asked for a fresher proof"
	}
	switch s.method {
	case "password":
		if !byPassword {
			return "the password was not given in this login"
		}
		return ""
	case "upstream":
		if c := l.linkTargets; c != nil && byPassword && c.holder == a && c.gen == a.gen && c.identity == s.identity &&
			c.connection == s.connection {
			for _, bond := range m.idents {
				if bond.id == s.identity {
					return ""
				}
			}
			return "its identity was unlinked"
		}
		for i, bond := range m.idents {
			if bond.id != s.identity {
				continue
			}
			h := l.holds(i)
			switch {
			case bond.holder != a || i.connection != s.connection:
				return "the identity is somebody else's"
			case h == nil:
				return "the identity did not come back to this browser in this login"
			case h.gen >= 0 && h.gen != a.gen:
				return "the account's older authority has ended"
			}
			return ""
		}
		return "it names no identity"
	}
	return "it names no method"
}

// event fails where a decision has no Event of this moment.
func (m *model) event(verb broker.Verb, is func(broker.Event) bool) {
	m.t.Helper()
	all, err := m.brokers[2].store.Events(m.ctx, broker.EventFilter{Verb: verb, Since: m.now(), Limit: 100})
	m.must(err)
	if !slices.ContainsFunc(all, is) {
		m.fail("there is no Event %s of it among %d", verb, len(all))
	}
}

func (m *model) forget(a *holder) {
	delete(m.byID, a.id)
	delete(m.byPassword, a.password)
	m.accounts = slices.DeleteFunc(m.accounts, func(b *holder) bool { return a == b })
	for i, bond := range m.idents {
		if bond.holder == a {
			delete(m.idents, i)
		}
	}
}

// cheapen replaces a new account's password hash with a cheap one.
func (m *model) cheapen(a *holder) {
	row, err := m.brokers[2].store.Account(m.ctx, a.id)
	m.must(err)
	row.PasswordHash = cheapHash(a.password)
	m.must(m.brokers[2].store.ChangeAccount(m.ctx, row, row.AuthEpoch))
}
