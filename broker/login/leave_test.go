package login_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"gatehouse/broker"
)

// A login whose app names the connection leaves for its upstream without a page of ours.

func (g *fixture) stored(store, key string) bool {
	g.t.Helper()
	_, err := g.db.Get(context.Background(), store, key)
	if err != nil && broker.CodeOf(err) != broker.NotFound {
		g.t.Fatal(err)
	}
	return err == nil
}

func TestB1_H4_ABrowserHoldsTenImmediatelyRedirectedLogins(t *testing.T) {
	g := newFixture(t)
	g.linked(g.account(ana, ""), "google", "g1")
	g.start.Connection = "google"
	b := g.browser()
	var backs []string
	for range 12 {
		_, back := b.linking("no such code")
		backs = append(backs, back)
	}
	for i, back := range backs {
		if i == 1 || i == 2 { // the very first is on no list
			b.get(back).has(t, 400, "sso_state_invalid")
			continue
		}
		b.get(back).has(t, 200, "Sign-in cancelled")
	}
	for range 12 {
		b.linking("no such code")
	}
	for i := range backs {
		if id := g.ups.requests[i].Login; i > 0 && g.stored("login", id) {
			t.Errorf("login %d is still there", i)
		}
	}
}

func TestH4_ALoginThatIsNotRedirectedCountsAsOneOfTheTen(t *testing.T) {
	g := newFixture(t)
	g.start.Connection = "google"
	g.ups.begin = broker.ConnectionUnavailable
	b := g.browser()
	b.get("/authorize").has(t, 503, "<h1>Sign in</h1>")
	first, p := b.begin()
	p.has(t, 503, "<h1>Sign in</h1>")
	for range 9 {
		b.begin()
	}
	b.get(first).has(t, 404)
}

func TestB19_ALoginWhoseFirstCallbackNeverFinishedCanStartAgain(t *testing.T) {
	g := newFixture(t)
	g.knownAtGoogle()
	g.start.Connection = "google"
	b := g.browser()
	path, back := b.linking("code")
	u, _ := url.Parse(back)
	// A process consumed the response, and died.
	must(t, g.db.Put(t.Context(), "trip.spent", g.keyring.Hash("login.state", []byte(u.Query().Get("state"))),
		[]byte(`{"x":"2030-01-01T00:00:00Z","v":true}`), g.time().Add(time.Hour)))
	b.get(back).has(t, 400, "<h1>Sign in</h1>", "sso_state_invalid", "Start again")
	if g.ups.asked != 0 {
		t.Error("the answer was used twice")
	}
	b.through(path, "google", "code").atApp(t, ana)
}

func TestALoginThatIsNotFinishedByItsCallbackIsShown(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, "")
	g.linked(a, "google", "g1")
	a.Restriction = &broker.Restriction{Only: broker.OnlyMicrosoft, Connections: []string{"entra"}, SetBy: "operator",
		SetAt: g.time()}
	must(t, g.db.ChangeAccount(t.Context(), a, a.AuthEpoch))
	g.claims("code", verified("g1", ana))
	g.start.Connection = "google"
	b := g.browser()
	path, back := b.linking("code")
	p := b.get(back)
	if p.url != path || p.status != 403 {
		t.Errorf("%d at %s", p.status, p.url)
	}
	g.start.Connection = ""
	b.get(path+"/restart").has(t, 200, "<h1>Sign in</h1>", "Courts Booking")
}

func TestABrowserThatShowsNoCookieFindsItsRequestAgain(t *testing.T) {
	g := newFixture(t)
	g.knownAtGoogle()
	g.start.Connection = "google"
	b := g.browser()
	path, back := b.linking("code")
	shy := g.browser()
	shy.request("GET", back, nil)
	clear(shy.cookies)
	shy.get(back+"&copy=1").has(t, 400, "cookies_blocked", path)
	g.start.Connection = ""
	shy.get(path).has(t, 200, "<h1>Sign in</h1>", "Courts Booking")
	b.get(back).atApp(t, ana)
}

func TestALoginThatLeavesByAFormIsStoredBeforeItsPage(t *testing.T) {
	g := newFixture(t)
	g.start.Connection, g.ups.form = "google", url.Values{"SAMLRequest": {"x"}}
	b := g.browser()
	b.get("/login")
	b.cookies["__Host-gh_pick"] = "1"
	p := b.get("/authorize")
	if !g.ups.last().Choose {
		t.Error("the departure after a sign-out does not ask for the account chooser")
	}
	if id := g.ups.last().Login; p.url != "/login/"+id+"/to/google" || !g.stored("login", id) {
		t.Errorf("at %s", p.url)
	}
	p.has(t, 200, `action="https://google.test/auth?state=`, `name="SAMLRequest"`)
}
