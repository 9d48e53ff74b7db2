package main

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/broker"
)

// The records of the model. Nothing in them comes from decisions of the broker.

// ident is a person at an upstream.
type ident struct{ connection, issuer, subject string }

// persona is a person who can be chosen at an upstream, and how far its claims are trusted.
type persona struct {
	ident
	login, email string
	level        broker.Level
}

type person struct {
	name, email string
	password    string // what they would type; empty if they do not know one
	old         string
	hostile     bool
	personas    []*persona
}

type holder struct {
	id, email, password  string
	gen                  int // rises whenever everything older must be dead
	disabled, unverified bool
	restriction          []string // connections; nil for none
}

// bond is an identity in the database.
type bond struct {
	id     string
	holder *holder
	seq    int // of the request that made it
}

// sitting is a session.
type sitting struct {
	id, method, connection, identity string
	holder                           *holder
	gen                              int
	browser                          *window
	auth                             time.Time // time of the last proof, zero for never
	ends                             time.Time
	over                             bool
}

type ledger struct {
	id          string
	at          time.Time
	held        []*held // what an upstream may have left in this login last
	proofs      []evidence
	mail        *mailed  // the last code that this login sent
	linkTargets *sitting // on the account chooser
}

type held struct {
	*persona
	at  time.Time // of the authentication there
	seq int
	gen int // of the account, where the identity was linked by then; -1 where not
}

// evidence is a correct password or mailed code, given in a login.
type evidence struct {
	holder  *holder // by password
	address string  // by code
	gen     int
	at      time.Time
	seq     int
}

type mailed struct {
	to, code string
	at       time.Time
}

type want struct {
	known, fresh bool
	maxAge       int // -1 for none
	created      time.Time
}

type upstreamRequest struct {
	browser           *window
	login, connection string
	reauthenticate    bool
	waiting           []*held
	at                time.Time
	used              bool
}

type upCode struct {
	*persona
	state string
	at    time.Time
	used  bool
}

type modelApp struct {
	id, secret, redirect string
	public, first, off   bool
}

// sent is an authorization request as the app remembers it.
type sent struct {
	app      *modelApp
	verifier string
	nonce    string
	at       time.Time
}

type code struct {
	value string
	*sent
	sitting *sitting
	gen     int
	at      time.Time
	grant   *grant
}

type grant struct {
	id     string
	app    *modelApp
	from   *sitting
	gen    int
	over   bool
	ends   time.Time
	tokens []string
	turned time.Time
}

type refresh struct {
	value string
	grant *grant
	index int
}

type accessToken struct {
	value string
	grant *grant
	ends  time.Time
}

// act0 is the request that is under way.
type act0 struct {
	browser *window
	login   string
	route   string // the last part of the path, for the posts of a login
	values  url.Values
	form    *paper
	request *upstreamRequest
	came    *held
}

func (m *model) holder(email string) *holder {
	for _, a := range m.accounts {
		if a.email == email && !a.unverified {
			return a
		}
	}
	return nil
}

// in returns the ledger of a login as this browser knows it.
func (m *model) in(b *window, login string) *ledger {
	key := login + " " + b.name
	l := m.logins[key]
	if l == nil {
		l = &ledger{id: login, at: m.now()}
		m.logins[key] = l
	}
	return l
}

func (l *ledger) clear() { l.held, l.proofs, l.mail, l.linkTargets = nil, nil, nil, nil }

func (l *ledger) holds(i ident) *held { return holding(l.held, i) }

func holding(all []*held, i ident) *held {
	for _, h := range slices.Backward(all) {
		if h.ident == i {
			return h
		}
	}
	return nil
}

// allows reports whether the account's rules admit this way of signing in.
func (m *model) allows(a *holder, method, connection string) string {
	switch {
	case a.disabled:
		return "the account is disabled"
	case a.unverified:
		return "the account is unverified"
	case a.restriction != nil && (method != "upstream" || !slices.Contains(a.restriction, connection)):
		return "the account is locked to other connections"
	case method == "upstream" && !m.live[connection]:
		return "the connection is disabled"
	}
	return ""
}

// dead returns why a session may not be used, empty if it may.
func (m *model) dead(s *sitting) string {
	switch {
	case s.over:
		return "the session has ended"
	case !m.now().Before(s.ends):
		return "the session has expired"
	case s.gen != s.holder.gen:
		return "the account's older authority has ended"
	}
	return m.allows(s.holder, s.method, s.connection)
}

func (m *model) deadGrant(f *grant) string {
	switch {
	case f.over:
		return "the family has ended"
	case !m.now().Before(f.ends):
		return "the family has expired"
	case f.gen != f.from.holder.gen:
		return "the account's older authority has ended"
	}
	return m.allows(f.from.holder, f.from.method, f.from.connection)
}

// endSitting is a sign-out: what was issued under the session ends with it.
func (m *model) endSitting(s *sitting) {
	s.over = true
	m.say("  session %s of %s is over", s.id, s.holder.email)
	for _, f := range m.grants {
		if f.from == s {
			f.over = true
		}
	}
}

// modelLog keeps the log until it is searched.
type modelLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *modelLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *modelLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	l.b.Reset()
	return s
}

// marker is in every password of the model.
const marker = "Zq7Pass"

var words = regexp.MustCompile(`[A-Za-z0-9_.~\-]{6,}`)

// secret adds a value that no log may contain.
func (m *model) secret(s string) {
	if len(s) >= 6 {
		m.secrets[s] = true
	}
}

func (m *model) searchLogs() {
	log := m.log.take()
	for line := range strings.SplitSeq(log, "\n") {
		m.search("the log", line)
	}
	rows, err := m.raw.QueryContext(m.ctx,
		"SELECT verb, code, account, actor, client, connection, session, reference, user_agent, detail FROM events ORDER "+
			"BY at DESC LIMIT 400")
	m.must(err)
	defer rows.Close()
	for rows.Next() {
		var f [10]string
		m.must(rows.Scan(&f[0], &f[1], &f[2], &f[3], &f[4], &f[5], &f[6], &f[7], &f[8], &f[9]))
		m.search("the audit log", strings.Join(f[:], " "))
	}
	m.must(rows.Err())
	if len(m.secrets) > 20000 {
		m.secrets = map[string]bool{}
	}
}

func (m *model) search(where, line string) {
	if strings.Contains(line, marker) {
		m.fail("%s has a password: %s", where, line)
	}
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) == nil {
		delete(fields, "time") // six of its digits may look like a code
		rest, err := json.Marshal(fields)
		m.must(err)
		line = string(rest)
	}
	for _, w := range words.FindAllString(line, -1) {
		if m.secrets[w] {
			m.fail("%s has the secret %s: %s", where, w, line)
		}
	}
}
