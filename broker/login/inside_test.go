package login_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// inside is a browser signed in by password, whose account page begins logins.
func (g *fixture) inside(a broker.Account, start broker.Login) *browser {
	g.t.Helper()
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", a.Email)
	b.post(path+"/password", "email", a.Email, "password", password).atApp(g.t, a.Email)
	start.For = a.ID
	g.start = start
	return b
}

// linking begins a link from the account page and returns its login and the callback URL.
func (b *browser) linking(code string) (path, back string) {
	b.g.t.Helper()
	away := b.get("/authorize")
	u, err := url.Parse(away.url)
	if err != nil || u.Host != "google.test" {
		b.g.t.Fatalf("did not depart: %d %s\n%s", away.status, away.url, away.body)
	}
	return "/login/" + b.g.ups.last().Login, "/callback/google?" + url.Values{"state": {u.Query().Get("state")},
		"code": {code}}.Encode()
}

var toGoogle = broker.Login{Purpose: broker.PurposeLink, Connection: "google"}

// This upstream returns the same code each time.
func TestC4_ALinkFromInsideIsMadeOnce(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.claims("code", verified("g1", "another@example.net"))
	b := g.inside(a, toGoogle)
	path, back := b.linking("code")
	if p := b.get(back); p.url != broker.MethodsPath+"?linked=google" || len(g.identities(a)) != 1 {
		t.Fatalf("%s, %d identities", p.url, len(g.identities(a)))
	}
	must(t, g.db.Unlink(t.Context(), g.identities(a)[0].ID, g.time()))
	for _, old := range []string{back, path, path + "/restart", path + "/to/google", back, path} {
		b.get(old)
		b.post(path + "/restart")
		if len(g.identities(a)) != 0 {
			t.Fatalf("%s links again", old)
		}
	}
	if len(g.events(broker.EventSignedIn)) != 1 {
		t.Error("a link signed somebody in")
	}
}

func TestACancelledLinkWaitsAndLeadsBackToTheAccount(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.claims("code", verified("g1", ana))
	b := g.inside(a, toGoogle)
	path, back := b.linking("no such code")
	b.get(back).has(t, 200, "<h1>Link Google</h1>", "Sign-in cancelled", path+"/to/google", broker.MethodsPath)
	if p := b.through(path, "google", "code"); p.url != broker.MethodsPath+"?linked=google" {
		t.Error(p.url)
	}
	// Disabled in the meantime: the page says so, and does not offer it.
	path, back = b.linking("no such code")
	b.get(back)
	g.connection("google", 0, func(c *broker.Connection) { c.State = broker.Disabled })
	p := b.get(path + "/to/google")
	p.has(t, 403, "Google sign-in is off", broker.MethodsPath)
	if strings.Contains(p.body, path+"/to/google") {
		t.Error("offers what is off")
	}
}

func TestARefusedLinkLeadsToTheAccountAndNeverToASignInPage(t *testing.T) {
	for name, tc := range map[string]struct {
		before func(*fixture, broker.Account)
		status int
		title  string
	}{
		"somebody else's identity": {func(g *fixture, _ broker.Account) {
			g.linked(g.account("eve@example.com", ""), "google", "g1")
		}, 409, "That Google account is already linked"},
		"a proof too old": {func(g *fixture, _ broker.Account) {
			g.wait(broker.UpstreamRequestLife)
		}, 409, "Please sign in again"},
		"the connection is off": {func(g *fixture, _ broker.Account) {
			g.connection("google", 0, func(c *broker.Connection) { c.State = broker.Disabled })
		}, 403, "Link Google"},
	} {
		g := newFixture(t)
		a := g.account(ana, password)
		g.claims("code", verified("g1", ana))
		b := g.inside(a, toGoogle)
		g.wait(broker.LinkFresh + time.Second)
		path, back := b.linking("code")
		tc.before(g, a)
		p := b.get(back)
		p.has(t, tc.status, "<h1>"+tc.title, `href="`+broker.MethodsPath+`"`)
		if strings.Contains(p.body, path+"/restart") || strings.Contains(p.body, "Other ways to sign in") {
			t.Errorf("%s: leads to a sign-in page", name)
		}
		if len(g.identities(a)) != 0 {
			t.Errorf("%s: linked", name)
		}
	}
}

func TestReauthenticationReturnsToTheMethods(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	b := g.inside(a, broker.Login{Purpose: broker.PurposeReauthenticate, Fresh: true, Email: ana})
	path, p := b.begin()
	path = strings.TrimSuffix(path, "/password")
	p.has(t, 200, "Enter your password", "You’re about to change how you sign in.", "Back to your account")
	if p := b.get(path + "/restart"); strings.Contains(p.body, "Continue with") || strings.Contains(p.body, "New here?") {
		t.Errorf("offers what is not hers:\n%s", p.body)
	}
	b.get(path).has(t, 200, "<h1>Sign in</h1>", "You’re about to change how you sign in.", `name="email"`)
	other := g.browser()
	if p := other.get(path); p.status != 409 || strings.Contains(p.body, ana) {
		t.Errorf("another browser is told %d\n%s", p.status, p.body)
	}
	b.post(path+"/email", "email", ana)
	if p := b.post(path+"/password", "email", ana, "password", password); p.url != broker.MethodsPath {
		t.Error(p.url)
	}
}
