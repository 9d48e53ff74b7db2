package login_test

import (
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
)

// What must hold when two requests meet inside one of the verbs.

func TestB19_TwoCallbacksThatMeetAtTheStateMakeOneExchange(t *testing.T) {
	everyRedirect(t, func(t *testing.T, g *fixture, leave redirect) {
		g.knownAtGoogle()
		b := g.browser()
		_, back := leave(b, "code")
		// Both have seen the state unspent before either consumes it.
		var mu sync.Mutex
		met, both := 0, make(chan struct{})
		g.fleet.put = func(store string) {
			if store != "trip.spent" {
				return
			}
			mu.Lock()
			if met++; met == 2 {
				close(both)
			}
			mu.Unlock()
			select {
			case <-both:
			case <-time.After(5 * time.Second):
				t.Error("the second callback never came to spend the state")
			}
		}
		pages := make(chan page, 2)
		for range 2 {
			also := b.copied()
			go func() { pages <- also.get(back) }()
		}
		for range 2 {
			(<-pages).atApp(t, ana)
		}
		if g.ups.asked != 1 {
			t.Errorf("%d exchanges", g.ups.asked)
		}
	})
}

func TestC3_AProofIsNotCarriedOverToALoginThatMovedOn(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", ana)
	var once sync.Once
	g.fleet.swap = func(store string) (err error) {
		if store == "login" {
			once.Do(func() {
				g.fleet.swap = nil
				b.request("POST", path+"/restart", pairsOf(nil))
				err = broker.Conflict
			})
		}
		return err
	}
	b.post(path+"/password", "email", ana, "password", password).has(t, 200, "<h1>Sign in</h1>")
	if sessions, _ := g.db.SessionsOf(t.Context(), a.ID); len(sessions) != 0 {
		t.Error("a restarted login took the proof")
	}
}

func TestC3_ACallbackFinishesItsLoginDespiteOtherTabsUnlessFinished(t *testing.T) {
	everyRedirect(t, func(t *testing.T, g *fixture, leave redirect) {
		_, bob := g.knownAtGoogle(), g.account("bob@example.com", password)
		b := g.browser()
		path, back := leave(b, "code")
		other := b.copied()
		g.meanwhile = func() {
			g.browser().request("GET", back, nil) // shows no key, so that the login is stored
			other.post(path+"/email", "email", bob.Email).has(t, 200, bob.Email)
		}
		b.request("GET", back, nil).atApp(t, ana)
		delete(b.cookies, "__Host-gh_session")
		g.wait(2 * time.Minute)
		b.get(path).has(t, 200, "<h1>Sign in</h1>") // consumed: it begins again
		if len(g.events(broker.EventSignedIn)) != 1 {
			t.Error("signed in twice")
		}

		b = g.browser()
		path, back = leave(b, "code")
		other = b.copied()
		g.meanwhile = func() {
			g.browser().request("GET", back, nil)
			other.post(path+"/email", "email", bob.Email)
			other.post(path+"/password", "email", bob.Email, "password", password).atApp(t, bob.Email)
		}
		p := b.request("GET", back, nil)
		if p.status != 303 || b.cookies["__Host-gh_session"] != "" {
			t.Errorf("%d: the login of one person brought in another", p.status)
		}
		b.get(p.header.Get("Location")).atApp(t, bob.Email)
	})
}

func TestC3_AResponseForAFinishedLoginChangesNothing(t *testing.T) {
	everyRedirect(t, func(t *testing.T, g *fixture, leave redirect) {
		a, bob := g.knownAtGoogle(), g.account("bob@example.com", password)
		b := g.browser()
		path, back := leave(b, "code")
		g.browser().request("GET", back, nil) // shows no key, so that the login is stored
		b.post(path+"/email", "email", bob.Email)
		b.post(path+"/password", "email", bob.Email, "password", password).atApp(t, bob.Email)
		b.get(back).atApp(t, bob.Email)
		if sessions, _ := g.db.SessionsOf(t.Context(), a.ID); g.ups.asked != 0 || len(sessions) != 0 {
			t.Errorf("%d exchanges, %d sessions of the other", g.ups.asked, len(sessions))
		}
		if sessions, _ := g.db.SessionsOf(t.Context(), bob.ID); len(sessions) != 1 || !sessions[0].EndedAt.IsZero() {
			t.Errorf("his sessions: %+v", sessions)
		}
	})
}

func TestC3_RegistrationAndOwnLinkUseTheIdentityThatThePageShowed(t *testing.T) {
	g := newFixture(t)
	a := g.account("work@example.org", password)
	g.claims("one", verified("g1", ana))
	g.claims("two", verified("g2", "eve@example.net"))
	b := g.browser()
	path, _ := b.begin()
	first := b.through(path, "google", "one")
	b.through(path, "google", "two")
	b.post(path+"/register", "confirmation", first.hidden("confirmation"), "given_name", "Ana", "family_name", "").has(t,
		200, "eve@example.net")
	b.post(path+"/wish", "wish", "own")
	b.post(path+"/own", "confirmation", first.hidden("confirmation"), "email", "work@example.org", "password", password)
	if len(g.accounts()) != 1 || len(g.identities(a)) != 0 {
		t.Error("the proof for one identity served another")
	}
}

func TestAPasswordIsNotTriedForTheAddressOfAnotherTab(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	g.account("bob@example.com", password)
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", "bob@example.com")
	b.post(path + "/restart")
	b.post(path+"/email", "email", ana)
	// The first tab still shows Bob.
	b.post(path+"/password", "email", "bob@example.com", "password", password).has(t, 200, "Enter your password", ana)
	if len(g.events(broker.EventPasswordFailed)) != 0 {
		t.Error("a password was tried against another address")
	}
}

func TestC4_APasswordChangedInTheSameMomentLinksNothing(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	p := b.through(path, "google", "code")
	var once sync.Once
	g.fleet.put = func(store string) {
		if store == "tries" {
			once.Do(func() { // after the account was read, before the link is written
				a.AuthEpoch++
				must(t, g.db.ChangeAccount(t.Context(), a, 0))
			})
		}
	}
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", password).has(t, 409,
		"Please sign in again")
	if len(g.identities(a)) != 0 {
		t.Error("a proof of the old password linked")
	}
}

func TestB18_ADisabledOwnerIsLinkedToNothing(t *testing.T) {
	g := newFixture(t)
	a := g.account("work@example.org", password)
	a.Disabled = true
	must(t, g.db.ChangeAccount(t.Context(), a, 0))
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code")
	p := b.post(path+"/wish", "wish", "own")
	b.post(path+"/own", "confirmation", p.hidden("confirmation"), "email", "work@example.org", "password",
		"wrong password wrong").has(t, 422)
	b.post(path+"/own", "confirmation", p.hidden("confirmation"), "email", "work@example.org", "password", password).has(t,
		403, "This account is turned off")
	if len(g.identities(a)) != 0 {
		t.Error("linked")
	}
}

func TestAuthTimeOfTheSameSecondIsFresh(t *testing.T) {
	g := newFixture(t)
	g.linked(g.account(ana, password), "google", "g1")
	g.start.Fresh = true
	g.wait(700 * time.Millisecond)
	b := g.browser()
	path, _ := b.begin()
	c := verified("g1", ana)
	c.AuthTime = g.time().Truncate(time.Second) // an upstream counts whole seconds
	g.claims("code", c)
	b.through(path, "google", "code").atApp(t, ana)
}
