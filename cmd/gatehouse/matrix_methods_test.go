package main

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// toward goes to a provider and returns its response without delivering it.
func (c *cell) toward(connection, who string) string {
	c.t.Helper()
	parts := strings.Split(c.page.url.Path, "/")
	if len(parts) < 3 || parts[1] != "login" {
		c.t.Fatalf("at %s, not at a login:\n%s", c.page.url, textOf(c.page.root))
	}
	c.open(c.q.file.Issuer + "/login/" + parts[2] + "/to/" + connection + "?choose=1")
	return c.stopBefore("Person "+who, "/callback/")
}

// comes goes to a provider and back as one of its personas.
func (c *cell) comes(connection, who string) {
	c.t.Helper()
	if connection != "adfs" {
		callback := c.toward(connection, who)
		c.last()
		c.open(callback)
		return
	}
	parts := strings.Split(c.page.url.Path, "/")
	c.open(c.q.file.Issuer + "/login/" + parts[2] + "/to/adfs?choose=1")
	c.click("Person " + who)
	c.last()
	c.press("Continue")
}

// may presses a button if the page has it: a restriction may have ended the journey before.
func (c *cell) may(button string, fields ...string) bool {
	c.t.Helper()
	for _, b := range elements(c.page.root, "button") {
		if textOf(b) == button {
			c.press(button, fields...)
			return true
		}
	}
	return false
}

// links creates an identity of the person beforehand.
func (c *cell) links(connection, who string) {
	c.t.Helper()
	p, m := c.policy, c.moves
	c.policy, c.moves = "", false
	c.begin()
	c.comes(connection, who)
	if c.may("I have an account") { // the address is unverified
		c.press("Link and sign in", "email", c.account.Email, "password", matrixWord)
	} else {
		c.press("Link and sign in", "password", matrixWord)
	}
	if len(c.codes) != 1 {
		c.t.Fatalf("%s was not linked: %s", connection, textOf(c.page.root))
	}
	c.policy, c.moves, c.codes = p, m, nil
	fresh := newBrowser(c.t)
	fresh.client.Transport = c
	c.browser = fresh
}

// gets reports whether the browser got a session, code or token of the person.
func (c *cell) gets() bool {
	c.t.Helper()
	created := 0
	for _, s := range c.sessions() {
		if !c.old[s.ID] && s.EndedAt.IsZero() && s.Authn.Epoch == c.account.AuthEpoch {
			created++
		}
	}
	if c.policy != open && len(c.sessions()) > c.before && created == 0 {
		c.t.Error("a dead session was born")
	}
	in := c.page.url.Path
	c.open(c.q.file.Issuer + broker.AccountPath)
	known := c.page.url.Path == broker.AccountPath
	if !c.rests && created == 0 && (known || len(c.codes) > 0) {
		c.t.Errorf("%s: known %t, %d codes, without a session", in, known, len(c.codes))
	}
	return created > 0 || known || len(c.codes) > 0
}

var reference = regexp.MustCompile(`\b[0-9A-Z]{4}-[0-9A-Z]{4}\b`)

// explained checks what a refusal must say.
func (c *cell) explained(want ...broker.Code) {
	c.t.Helper()
	text := textOf(c.page.root)
	ref := reference.FindString(text)
	events, err := c.q.h.store.Events(c.q.ctx, broker.EventFilter{Reference: ref, Limit: 2})
	if err != nil || ref == "" || len(events) != 1 || !slices.Contains(want, events[0].Code) {
		c.t.Errorf("want %v, the reference %q finds %+v, %v:\n%s", want, ref, events, err, text)
		return
	}
	if events[0].Code == broker.MicrosoftRequired {
		for _, a := range elements(c.page.root, "a") {
			if strings.Contains(attr(a, "href"), "/to/entra") && strings.HasPrefix(textOf(a), "Continue with Microsoft") {
				return
			}
		}
		c.t.Errorf("the refusal offers no way to Microsoft:\n%s", text)
	}
}

// way is a route that could end in a session or code.
type way struct {
	name  string
	setup func(*cell)
	drive func(*cell)
	green bool          // allowed under the restriction
	dies  []broker.Code // how the refusal is explained under the restriction; nil where the login merely begins again
	never bool          // gives nothing without a lock either
	rests bool          // makes no session of its own
}

func linkPage(connection string) func(*cell) {
	return func(c *cell) {
		c.t.Helper()
		moves, p := c.moves, c.policy
		c.moves, c.policy = false, ""
		c.begin()
		c.comes(connection, "own")
		c.moves, c.policy = moves, p
		c.last()
		c.may("Link and sign in", "password", matrixWord)
	}
}

func linked(connection string) func(*cell) { return func(c *cell) { c.links(connection, "own") } }

func returns(connection, who string) func(*cell) {
	return func(c *cell) { c.begin(); c.comes(connection, who) }
}

var ms, mismatch = []broker.Code{broker.MicrosoftRequired}, []broker.Code{broker.IdentityMismatch}

func methodsOf() []way {
	work := []broker.Code{broker.WorkAccountRequired}
	bound := linked("entra")
	return []way{
		{name: "D1 password", drive: func(c *cell) {
			c.begin()
			c.press("Continue", "email", c.account.Email)
			c.last()
			c.press("Sign in", "password", matrixWord)
		}, dies: ms},
		{name: "D1 password of a bound account", setup: bound, drive: func(c *cell) {
			c.begin()
			c.press("Continue", "email", c.account.Email)
			c.last()
			c.press("Sign in", "password", matrixWord)
		}, dies: ms},
		{name: "D6 link page google", drive: linkPage("google"), dies: ms},
		{name: "D6 link page github", drive: linkPage("github"), dies: ms},
		{name: "D4 link page of one named Microsoft", drive: linkPage("club"), dies: ms},
		{name: "D4 link page of an Entra connection that is not the lock's", drive: linkPage("unlisted"), dies: ms},
		{name: "D6 link page google of a bound account", setup: bound, drive: linkPage("google"), dies: ms},
		{name: "D6 own", drive: func(c *cell) {
			c.begin()
			c.toFacebook()
			c.press("I have an account")
			c.last()
			c.press("Link and sign in", "email", c.account.Email, "password", matrixWord)
		}, dies: ms},
		{name: "D4 google linked", setup: linked("google"), drive: returns("google", "own"), dies: ms},
		{name: "D4 facebook linked", setup: linked("facebook"), drive: returns("facebook", "own"), dies: ms},
		{name: "D4 github linked", setup: linked("github"), drive: returns("github", "own"), dies: ms},
		{name: "D4 one named Microsoft linked", setup: linked("club"), drive: returns("club", "own"), dies: ms},
		{name: "D4 an Entra connection that is not the lock's", setup: linked("unlisted"), drive: returns("unlisted", "own"),
			dies: ms},
		{name: "entra bound", setup: bound, drive: returns("entra", "own"), green: true},
		{name: "adfs bound", setup: linked("adfs"), drive: returns("adfs", "own"), green: true},
		{name: "D9 entra same tenant, other oid", setup: bound, drive: linkOther("entra", "other"), dies: mismatch},
		{name: "D9 adfs, another person", setup: linked("adfs"), drive: linkOther("adfs", "other"), dies: mismatch},
		{name: "D9 adfs beside entra", setup: bound, drive: linkOther("adfs", "own"), dies: mismatch},
		{name: "D8 entra other tenant", setup: bound, drive: returns("entra", "foreign"),
			dies: []broker.Code{broker.WrongTenant}, never: true},
		{name: "D7 entra personal account", drive: linkOther("entra", "msa"), dies: work},
		{name: "D7 entra personal account, linked", setup: func(c *cell) {
			c.links("entra", "msa")
		}, drive: returns("entra", "msa"), dies: work},
		{name: "D8 entra guest", drive: linkOther("entra", "guest"), dies: work},
		{name: "D8 entra guest, linked", setup: func(c *cell) { c.links("entra", "guest") }, drive: returns("entra", "guest"),
			dies: work},
		{name: "D18 first bind by the password alone", drive: linkPage("entra")},
	}
}

// linkOther links another identity with the same address, by the password.
func linkOther(connection, who string) func(*cell) {
	return func(c *cell) {
		c.begin()
		c.comes(connection, who)
		if !c.may("Link and sign in", "password", matrixWord) && c.may("I have an account") {
			c.may("Link and sign in", "email", c.account.Email, "password", matrixWord)
		}
	}
}

// toFacebook goes as far as the neutral page.
func (c *cell) toFacebook() {
	c.t.Helper()
	p, m := c.policy, c.moves
	c.policy, c.moves = "", false
	c.comes("facebook", "own")
	c.policy, c.moves = p, m
}

func TestD1_D4_D5_D6_D7_D8_D9_TheMatrix(t *testing.T) {
	q := newCluster(t)
	apps := q.variants()[:2]
	for _, w := range append(methodsOf(), moreRoutes()...) {
		for _, p := range []policy{open, restricted, midway} {
			q.holds(t, w, p, false, apps[0])
			q.holds(t, w, p, true, apps[1])
		}
	}
}

// holds drives a way at one replica, or at two, for an app of this client variant.
func (q *cluster) holds(t *testing.T, w way, p policy, moves bool, app clientVariant) {
	t.Run(cellName(w, p, moves, app), func(t *testing.T) { q.drives(t, w, p, moves, app) })
}

func cellName(w way, p policy, moves bool, app clientVariant) string {
	name := w.name + ", " + string(p)
	if moves {
		name += ", other replica"
	}
	return name + ", " + app.name
}

func (q *cluster) drives(t *testing.T, w way, p policy, moves bool, app clientVariant) {
	c := q.cell(t, p, moves)
	c.rests = w.rests
	if w.setup != nil {
		w.setup(c)
	}
	c.app = app
	q.advance(time.Minute)
	for _, s := range c.sessions() {
		c.old[s.ID] = true
	}
	if p == restricted {
		c.restriction(1)
	}
	w.drive(c)
	at, status := c.page, c.page.status
	codes := c.codes
	got := c.gets()
	for _, code := range codes[max(0, len(codes)-1):] {
		_, doc := c.redeem(code)
		c.fits(w.name, doc)
	}
	want := p == open && !w.never || w.green
	if got != want {
		t.Fatalf("authority %t, want %t, at %s (%d):\n%s", got, want, at.url, status, textOf(at.root))
	}
	if p != open && !w.green && w.dies != nil {
		c.page = at
		c.explained(w.dies...)
	}
	if status >= http.StatusInternalServerError {
		t.Errorf("%d %s", status, textOf(at.root))
	}
}
