package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/broker"
)

// What people do to their own sign-in methods, at the account page.

// linkRequest is a link that was asked for inside.
type linkRequest struct {
	holder *holder
	auth   time.Time // of the session that asked
	at     time.Time
}

// asksInside records that a signed-in person asked for a link.
func (m *model) asksInside(s *sitting, dead, action string, p *shown) {
	u, err := url.Parse(p.next())
	m.must(err)
	if action != broker.MethodsPath+"/link" || !strings.Contains(u.Path, "/to/") || s == nil || dead != "" {
		return
	}
	login, _ := loginOf(u)
	m.inside[login] = &linkRequest{holder: s.holder, auth: s.auth, at: m.now()}
	m.count("asked inside")
}

// unasked returns why a link from the account page may not be, empty if it may.
func (m *model) unasked(ask *linkRequest, a *holder) string {
	s := m.session(m.cur.browser)
	switch {
	case ask.holder != a:
		return "another account asked for it"
	case s == nil || s.holder != a || m.dead(s) != "":
		return "nobody is signed in to the account in this browser"
	case ask.at.Sub(ask.auth) > broker.LinkFresh || m.now().Sub(s.auth) > broker.LinkFresh+broker.UpstreamRequestLife:
		return "whoever asked had not proven themselves of late"
	}
	m.count("linked inside")
	return ""
}

// partsWith checks what a form of the account page unlinked.
func (m *model) partsWith(b *window, s *sitting, dead string, action string) {
	rest, inside := strings.CutPrefix(action, broker.MethodsPath+"/")
	id, ok := strings.CutSuffix(rest, "/unlink")
	if !inside || !ok {
		return
	}
	left := 0
	m.rows(fmt.Sprintf("SELECT count(*) FROM identities WHERE id = '%s'", strings.ReplaceAll(id, "'", "")),
		func(scan func(...any) error) error { return scan(&left) })
	for which, bond := range m.idents {
		if bond.id != id || left > 0 {
			continue
		}
		if why := m.clings(s, dead, which, bond); why != "" {
			m.fail("%s unlinked %v of %s: %s", b.name, which, bond.holder.email, why)
		}
		m.say("  %v is unlinked", which)
		m.count("unlinked inside")
		m.event(broker.EventIdentityUnlinked, func(e broker.Event) bool {
			return e.Account == bond.holder.id && e.Actor == bond.holder.id
		})
		m.unbound(which, bond)
	}
}

// clings returns why an identity could not be unlinked, empty if it could.
func (m *model) clings(s *sitting, dead string, which ident, bond *bond) string {
	a := bond.holder
	switch {
	case s == nil || dead != "" || s.holder != a:
		return "nobody was signed in to the account"
	case m.now().Sub(s.auth) > broker.LinkFresh:
		return "they had not proven themselves of late"
	case slices.Contains(a.restriction, which.connection):
		return "the lock holds them to it"
	case a.password != "" && a.restriction == nil:
		return ""
	}
	for i, other := range m.idents {
		if other.holder == a && i != which && m.live[i.connection] && (a.restriction == nil || slices.Contains(a.restriction,
			i.connection)) {
			return ""
		}
	}
	return "it was the last way in"
}

// unbound removes an identity from the records, with what was created from it.
func (m *model) unbound(which ident, bond *bond) {
	delete(m.idents, which)
	for _, s := range m.sessions {
		if s.identity == bond.id {
			m.endSitting(s)
		}
	}
	for _, l := range m.logins { // the proof dies with the link
		l.held = slices.DeleteFunc(l.held, func(h *held) bool { return h.ident == which && h.gen >= 0 })
	}
}

// changesMethods goes to the account page and links or unlinks there, now and then
// what belongs to another person.
func (m *model) changesMethods(b *window, t *tab) {
	m.say("%s looks at their ways to sign in", b.name)
	m.follow(b, t, m.do(b, http.MethodGet, broker.MethodsPath, nil))
	if m.chance(30) { // an unlink's question, of any identity there is
		var ids []string
		for _, bond := range m.idents {
			ids = append(ids, bond.id)
		}
		if slices.Sort(ids); len(ids) > 0 {
			own := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
				s := m.session(b)
				return s == nil || !slices.ContainsFunc(m.identsOf(s.holder), func(i string) bool { return i == id })
			})
			if len(own) > 0 && m.chance(75) {
				ids = own
			}
			action := broker.MethodsPath + "/" + pick(m, ids) + "/unlink"
			m.submit(b, t, &paper{action: action, values: url.Values{}}, &paper{})
			return
		}
	}
	if t.page != nil && len(t.page.papers) > 0 {
		f := pick(m, t.page.papers)
		m.submit(b, t, f, f)
	}
}

func (m *model) identsOf(a *holder) (ids []string) {
	for _, bond := range m.idents {
		if bond.holder == a {
			ids = append(ids, bond.id)
		}
	}
	return ids
}
