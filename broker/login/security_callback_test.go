package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
)

func TestB1_AnotherBrowsersCallbackIsRefusedAndBurnsNothing(t *testing.T) {
	everyRedirect(t, func(t *testing.T, g *fixture, leave redirect) {
		g.linked(g.account("attacker@example.com", ""), "google", "evil")
		g.claims("code", verified("evil", "attacker@example.com"))
		attacker, victim := g.browser(), g.browser()
		_, back := leave(attacker, "code")
		for _, v := range []*browser{victim, g.browser()} {
			v.begin()
			p := v.get(back)
			p.has(t, 410)
			if g.ups.asked != 0 {
				t.Fatal("the upstream was asked for another browser's answer")
			}
			if _, signedIn := v.cookies["__Host-gh_session"]; signedIn {
				t.Fatal("the victim is signed in as the attacker")
			}
		}
		g.browser().get(back).has(t, 410)
		attacker.get(back).atApp(t, "attacker@example.com")
	})
}

func TestB1_AnUnknownStateIsRefused(t *testing.T) {
	g := newFixture(t)
	b := g.browser()
	b.begin()
	for _, q := range []string{"", "?state=", "?state=made-up&code=x", "?state=a&state=b", "?handle=made-up",
		"?state=" + strings.Repeat("A", 600)} {
		b.get("/callback/google"+q).has(t, 400, "That took a little too long")
	}
}

func TestB1_ALoginWithoutProofIsCopiedAndOneWithAProofIsRefused(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	g.claims("code", verified("g1", ana))
	a := g.browser()
	path, _ := a.begin()
	a.post(path+"/email", "email", "typed@example.com")
	other := g.browser()
	p := other.get(path)
	p.has(t, 200, "<h1>Sign in</h1>", "Courts Booking")
	if strings.HasPrefix(p.url, path) || strings.Contains(p.body, "typed@example.com") {
		t.Fatal("the other browser shares the login, or what was typed in it")
	}
	other.post(path+"/email", "email", ana).has(t, 410)
	a.through(path, "google", "code").has(t, 200, "Link Google")
	other.get(path).has(t, 410)
	other.post(path+"/link", "password", password).has(t, 410)
	a.post(path + "/cancel")
}

func TestB1_H4_ABrowserHoldsTenOpenLogins(t *testing.T) {
	g := newFixture(t)
	b := g.browser()
	var paths []string
	for range 12 {
		path, _ := b.begin()
		paths = append(paths, path)
	}
	for i, path := range paths {
		want := 200
		if i == 1 || i == 2 { // the very first is on no list
			want = 404
		}
		b.get(path).has(t, want)
	}
}

func TestAC33_B1_ALateResponseShowsTheBannerAndStartAgainKeepsTheRequest(t *testing.T) {
	everyRedirect(t, func(t *testing.T, g *fixture, leave redirect) {
		g.linked(g.account(ana, ""), "google", "g1")
		g.claims("code", verified("g1", ana))
		b := g.browser()
		path, back := leave(b, "code")
		g.wait(16 * time.Minute)
		p := b.get(back)
		p.has(t, 400, "<h1>Sign in</h1>", "That took a little too long", "sso_state_invalid", "Start again")
		if g.ups.asked != 0 {
			t.Error("the upstream was asked too late")
		}
		if e := g.events(broker.EventRefused); len(e) != 1 || !strings.Contains(p.body, e[0].Reference) {
			t.Errorf("%+v", e)
		}
		b.through(path, "google", "code").atApp(t, ana)
	})
}

func TestB3_TheResponseOfOneUpstreamNeverReachesAnother(t *testing.T) {
	g := newFixture(t)
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	back := b.callback(path, "google", "code")
	b.get(strings.Replace(back, "/callback/google", "/callback/facebook", 1)).has(t, 400)
	if g.ups.asked != 0 {
		t.Fatal("a token endpoint saw another upstream's code")
	}
}

func TestB4_EveryUpstreamRequestHasSecretsOfItsOwn(t *testing.T) {
	g := newFixture(t)
	b := g.browser()
	path, _ := b.begin()
	b.get(path + "/to/google")
	b.get(path + "/to/google")
	one, two := g.ups.requests[0], g.ups.requests[1]
	seen := map[string]bool{}
	for _, s := range []string{one.State, one.Nonce, one.Verifier, two.State, two.Nonce, two.Verifier} {
		if len(s) < 43 || seen[s] {
			t.Errorf("%q", s)
		}
		seen[s] = true
	}
	if one.Callback != "https://id.example.test/callback/google" {
		t.Error(one.Callback)
	}
}

func TestB17_AConnectionDisabledDuringALoginIsNotCalled(t *testing.T) {
	g := newFixture(t)
	g.linked(g.account(ana, ""), "google", "g1")
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	back := b.callback(path, "google", "code")
	g.connection("google", 0, func(c *broker.Connection) { c.State = broker.Disabled })
	b.get(back).has(t, 403, "<h1>Sign in</h1>", "Google sign-in is off")
	if g.ups.asked != 0 || len(g.events(broker.EventSignedIn)) != 0 {
		t.Fatal("asked, or signed in")
	}
	b.get(path+"/to/google").has(t, 403, "Google sign-in is off")

	// Switched off between the proof and the session.
	g.connection("google", 0, func(c *broker.Connection) { c.State = broker.Live })
	path, _ = b.begin()
	g.meanwhile = func() {
		g.connection("google", 0, func(c *broker.Connection) { c.State = broker.Disabled })
	}
	b.get(b.callback(path, "google", "code"))
	if g.meanwhile != nil || len(g.events(broker.EventSignedIn)) != 0 {
		t.Fatal("signed in through a connection that is off")
	}
}

func TestB17_AConnectionSwitchedOffBeforeTheLinkLinksNothing(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	p := b.through(path, "google", "code")
	g.connection("google", 0, func(c *broker.Connection) { c.State = broker.Disabled })
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", password).has(t, 403,
		"Google sign-in is off")
	if len(g.identities(a)) != 0 {
		t.Fatal("linked")
	}
}

func TestB19_OneCallbackMakesOneSessionHoweverOftenItComes(t *testing.T) {
	everyRedirect(t, func(t *testing.T, g *fixture, leave redirect) {
		a := g.account(ana, "")
		g.linked(a, "google", "g1")
		g.claims("code", verified("g1", ana))
		b := g.browser()
		_, back := leave(b, "code")
		var wg sync.WaitGroup
		for range 20 {
			also := b.copied()
			wg.Go(func() { also.get(back).atApp(t, ana) })
		}
		wg.Wait()
		sessions, err := g.db.SessionsOf(t.Context(), a.ID)
		must(t, err)
		if g.ups.asked != 1 || len(sessions) != 1 || len(g.events(broker.EventSignedIn)) != 1 {
			t.Fatalf("%d exchanges, %d sessions", g.ups.asked, len(sessions))
		}
	})
}

func TestB19_ASecondCallbackWaitsForTheFirst(t *testing.T) {
	everyRedirect(t, func(t *testing.T, g *fixture, leave redirect) {
		g.linked(g.account(ana, ""), "google", "g1")
		g.claims("code", verified("g1", ana))
		b := g.browser()
		_, back := leave(b, "code")
		g.ups.wait = make(chan struct{})
		g.turns.waits = sync.OnceFunc(func() { close(g.ups.wait) })
		pages := make(chan page, 2)
		for range 2 {
			also := b.copied()
			go func() { pages <- also.get(back) }()
		}
		for range 2 {
			(<-pages).atApp(t, ana)
		}
	})
}

func TestAPostedResponseIsRedirectedToAGet(t *testing.T) {
	everyRedirect(t, func(t *testing.T, g *fixture, leave redirect) {
		g.linked(g.account(ana, ""), "google", "g1")
		g.claims("code", verified("g1", ana))
		b := g.browser()
		_, at := leave(b, "code")
		back, _ := url.Parse(at)
		stranger := g.browser() // a cross-site POST brings no Lax cookie
		p := stranger.request("POST", back.Path, back.Query())
		if p.status != http.StatusSeeOther || strings.Contains(p.header.Get("Location"), "code=") {
			t.Fatalf("%d %s", p.status, p.header.Get("Location"))
		}
		at = p.header.Get("Location")
		b.get(at).atApp(t, ana)
		b.get(at).atApp(t, ana)
		// The handle is good for one minute.
		_, at = leave(b, "code")
		back, _ = url.Parse(at)
		p = stranger.request("POST", back.Path, back.Query())
		g.wait(61 * time.Second)
		asked := g.ups.asked
		b.get(p.header.Get("Location"))
		if g.ups.asked != asked {
			t.Error("an expired handle was used")
		}
	})
}
