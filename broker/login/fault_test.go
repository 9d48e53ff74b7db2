package login_test

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/login"
	"gatehouse/storage/gormdb"
	"gatehouse/storage/storetest"
)

// newShakyFixture is the fixture on PostgreSQL, whose line the test may cut; the fixture's
// own database is the same one by a line that holds.
func newShakyFixture(t *testing.T, settings ...setting) (*fixture, *storetest.Line, *gormdb.DB) {
	t.Helper()
	at := storetest.Postgres(t, os.Getenv("GATEHOUSE_TEST_POSTGRES"))
	line, through := storetest.NewLine(t, at)
	var g *fixture
	dbs := map[string]*gormdb.DB{}
	g = newFixture(t, append(settings, func(o *login.Options) {
		for _, url := range []string{at, through} {
			d, err := gormdb.Open(t.Context(), gormdb.Options{URL: url, Sealer: o.Keyring, Now: o.Now, Pool: 4,
				Deadline: time.Second, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
			must(t, err)
			t.Cleanup(func() { _ = d.Close() })
			must(t, d.Migrate(t.Context()))
			dbs[url] = d
		}
		weak := dbs[through]
		o.Store, o.Ephemeral, o.Mailer.Outbox, o.Toolkit.Store = weak, weak, weak, weak
		o.Gate = gateOf(*o, weak)
	})...)
	g.db = dbs[at]
	must(t, g.db.PutClient(t.Context(), broker.Client{ID: "shop", Name: "Courts Booking", AuthMethods: []string{"none"},
		CreatedAt: g.now, UpdatedAt: g.now}))
	g.connection("google", 0, func(*broker.Connection) {})
	return g, line, dbs[through]
}

// sweep runs do once for each message that it sends to the database, with the line
// cut there, until it is done before the cut.
func sweep(t *testing.T, line *storetest.Line, weak *gormdb.DB, prepare func() (do func() page, check func(page))) {
	t.Helper()
	cuts := 0
	for n := int64(1); ; n++ {
		undisturbed := 0
		for _, after := range []bool{false, true} {
			do, check := prepare()
			for weak.Ping(t.Context()) != nil { // until the pool has a line again
			}
			line.Cut(n, after)
			p := do()
			if line.Mend() {
				cuts++
			} else {
				undisturbed++
			}
			if check(p); t.Failed() {
				t.Fatalf("cut at message %d (after: %v): %d", n, after, p.status)
			}
		}
		if undisturbed == 2 {
			break
		}
	}
	if cuts < 18 {
		t.Errorf("only %d cuts", cuts)
	}
}

// whole checks that each session of the account has its Event, and each Event its session.
func (g *fixture) whole(a broker.Account) (sessions int) {
	g.t.Helper()
	signed := func() []broker.Event {
		told, err := g.db.Events(g.t.Context(), broker.EventFilter{Account: a.ID, Verb: broker.EventSignedIn, Limit: 100})
		must(g.t, err)
		return told
	}
	var all []broker.Session
	before, told := signed(), []broker.Event(nil)
	for {
		var err error
		all, err = g.db.SessionsOf(g.t.Context(), a.ID)
		must(g.t, err)
		if told = signed(); len(told) == len(before) {
			break
		}
		before = told // the server was still at a commit whose line had been cut
	}
	said := map[string]bool{}
	for _, e := range told {
		said[e.Session] = true
	}
	for _, s := range all {
		if !said[s.ID] {
			g.t.Errorf("a session without its event")
		}
	}
	if len(told) != len(all) {
		g.t.Errorf("%d sessions, %d events", len(all), len(told))
	}
	return len(all)
}

func TestH6_ACutAtAnyStatementOfASignInLeavesNoHalfSession(t *testing.T) {
	g, line, weak := newShakyFixture(t)
	sweep(t, line, weak, func() (func() page, func(page)) {
		email := "p" + strings.ToLower(broker.NewID()) + "@example.com"
		a := g.account(email, "")
		g.linked(a, "google", email)
		g.claims("code", verified(email, email))
		b := g.browser()
		path, _ := b.begin()
		back := b.callback(path, "google", "code")
		return func() page { return b.get(back) }, func(p page) {
			if n := g.whole(a); n > 1 {
				t.Errorf("%d sessions of one sign-in", n)
			}
			if p.status == 200 {
				p.atApp(t, email)
			}
			again, _ := b.begin() // the person starts again
			b.through(again, "google", "code").atApp(t, email)
			g.whole(a)
		}
	})
}

func TestH6_ACutAtAnyStatementOfALinkLeavesNoHalfLink(t *testing.T) {
	g, line, weak := newShakyFixture(t)
	sweep(t, line, weak, func() (func() page, func(page)) {
		email := "p" + strings.ToLower(broker.NewID()) + "@example.com"
		a := g.account(email, password)
		g.claims("code", verified(email, email))
		b := g.browser()
		path, _ := b.begin()
		confirmation := b.through(path, "google", "code").hidden("confirmation")
		if confirmation == "" {
			t.Fatal("no link page")
		}
		return func() page { return b.post(path+"/link", "confirmation", confirmation, "password", password) }, func(p page) {
			if n, told, mails := g.links(a); n > 1 || n != told || n != mails {
				t.Errorf("%d identities, %d events, %d mails", n, told, mails)
			}
			if p.status == 200 {
				p.atApp(t, email)
			}
			g.whole(a)
			again, _ := b.begin()
			end := b.through(again, "google", "code")
			if c := end.hidden("confirmation"); c != "" {
				end = b.post(again+"/link", "confirmation", c, "password", password)
			}
			end.atApp(t, email)
			if g.mails(); len(g.identities(a)) != 1 {
				t.Error("no identity in the end")
			}
		}
	})
}

// links counts what a link leaves, until it holds still: the server may still be at a
// commit whose line was cut.
func (g *fixture) links(a broker.Account) (identities, events, mails int) {
	g.t.Helper()
	count := func() int {
		told, err := g.db.Events(g.t.Context(), broker.EventFilter{Account: a.ID, Verb: broker.EventIdentityLinked,
			Limit: 10})
		must(g.t, err)
		return len(told)
	}
	for before := count(); ; before = events {
		identities = len(g.identities(a))
		for _, m := range g.mails() { // it takes them
			if m.To == a.Email {
				mails++
			}
		}
		if events = count(); events == before {
			return identities, events, mails
		}
	}
}

func TestH6_ADatabaseThatHangsIsA503InTimeForEveryOneOfSixty(t *testing.T) {
	g, line, _ := newShakyFixture(t)
	g.knownAtGoogle()
	b := g.browser()
	path, _ := b.begin()
	back := b.callback(path, "google", "code")
	line.Stall()
	var all sync.WaitGroup
	for range 60 {
		also := b.copied()
		all.Go(func() {
			p := also.get(back)
			p.has(t, http.StatusServiceUnavailable, "Back in a moment")
			if p.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
	all.Wait()
	line.Resume()
	for range 10 { // a connection that was being made may still fail
		if b.get(back).status == http.StatusSeeOther {
			break
		}
	}
	b.get(back).atApp(t, ana)
}
