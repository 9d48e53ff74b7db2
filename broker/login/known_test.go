package login_test

import (
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/credential"
	"gatehouse/broker/login"
)

// atHome is a browser that has signed in to the account with its password, and out again.
func (g *fixture) atHome(email string) *browser {
	g.t.Helper()
	b := g.browser()
	b.signIn(email, password).atApp(g.t, email)
	delete(b.cookies, "__Host-gh_session")
	return b
}

// signIn types a password on a new login's page.
func (b *browser) signIn(email, password string) page {
	b.g.t.Helper()
	path, _ := b.begin()
	b.post(path+"/email", "email", email)
	return b.post(path+"/password", "email", email, "password", password)
}

func TestE2_AKnownBrowserComesInWhileStrangersGuess(t *testing.T) {
	g := newFixture(t)
	g.linked(g.account(ana, password), "facebook", "f1")
	g.account("bob@example.com", password)
	home, bobs := g.atHome(ana), g.atHome("bob@example.com")
	again := func() { // strangers take every slot as soon as it is free
		for range credential.PasswordTries + 1 {
			g.browser().signIn(ana, wrong)
		}
		g.browser().signIn(ana, password).has(t, 429)
	}
	again()
	for range credential.PasswordTries - 1 {
		home.signIn(ana, wrong).has(t, 422)
	}
	home.signIn(ana, password).atApp(t, ana)
	delete(home.cookies, "__Host-gh_session")
	home.signIn(ana, wrong).has(t, 422)
	home.signIn(ana, password).has(t, 429)
	bobs.signIn(ana, password).has(t, 429)
	if n := len(g.failed()); n != 2*credential.PasswordTries {
		t.Errorf("%d passwords were verified and wrong", n)
	}
	g.wait(credential.Window)
	again()
	home.signIn(ana, password).atApp(t, ana)
}

func TestE2_AnUpstreamSignInMakesABrowserKnownToo(t *testing.T) {
	g := exhausted(t, ana)
	g.claims("code", verified("f1", ana))
	b := g.browser()
	b.signIn(ana, password).has(t, 429)
	path, _ := b.begin()
	b.through(path, "facebook", "code").atApp(t, ana)
	b.signIn(ana, password).atApp(t, ana)
}

func TestE2_ABrowserIsNoLongerKnownAfterThePasswordChanged(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	once := g.atHome(ana)
	a.AuthEpoch++
	must(t, g.db.ChangeAccount(t.Context(), a, a.AuthEpoch-1))
	for range credential.PasswordTries {
		g.browser().signIn(ana, wrong)
	}
	once.signIn(ana, password).has(t, 429)
}

func TestE2_TheKnownCookieIsSetOnGETsAfterASuccessOnlyAndIsNoUseElsewhere(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	b := g.browser()
	const name = "__Host-gh_known"
	path, _ := b.begin()
	b.post(path+"/email", "email", ana)
	b.post(path+"/password", "email", ana, "password", wrong).has(t, 422)
	p := b.request("POST", path+"/password", pairsOf([]string{"email", ana, "password", password}))
	if p.has(t, 200); strings.Contains(strings.Join(p.header.Values("Set-Cookie"), " "), name) || b.cookies[name] != "" {
		t.Error("set by a POST, or before the sign-in ended")
	}
	p = b.get("/authorize?login=" + strings.TrimPrefix(path, "/login/"))
	p.atApp(t, ana)
	if b.cookies[name] == "" {
		t.Fatal("not set by the sign-in")
	}
	for range credential.PasswordTries {
		g.browser().signIn(ana, wrong)
	}
	thief := g.browser()
	thief.begin()
	thief.cookies[name] = b.cookies[name]
	thief.signIn(ana, password).has(t, 429)
}

func TestE18_ACrowdIsAnsweredWithHashesOrWithBusy(t *testing.T) {
	const crowd = 120
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one hash at a time, and a queue to match
	g := newFixture(t, func(o *login.Options) {     // hashes of production: a crowd can only wait for work that takes time
		o.Passwords = credential.NewPasswords(credential.PasswordOptions{Ephemeral: o.Ephemeral, Keyring: o.Keyring,
			Now: o.Now})
	})
	type at struct {
		*browser
		path, email string
	}
	var people []at
	for range crowd {
		b, email := g.browser(), strings.ToLower(broker.NewID())+"@example.com"
		path, _ := b.begin()
		b.post(path+"/email", "email", email)
		people = append(people, at{b, path, email})
	}
	// All are counted before the first of them hashes.
	var here sync.WaitGroup
	here.Add(crowd)
	g.fleet.put = func(store string) {
		if store == "tries" {
			here.Done()
			here.Wait()
		}
	}
	answers := make(chan page, crowd)
	for _, p := range people {
		go func() {
			answers <- p.request("POST", p.path+"/password", url.Values{"email": {p.email}, "password": {wrong}})
		}()
	}
	hashed, busy := 0, 0
	for range crowd {
		switch p := <-answers; p.status {
		case http.StatusUnprocessableEntity:
			hashed++
		case http.StatusServiceUnavailable:
			busy++
			if p.header.Get("Retry-After") != "2" || !strings.Contains(p.body, "Many people are signing in right now.") {
				t.Errorf("busy without a word when to come again: %v", p.header)
			}
		default:
			p.has(t, http.StatusServiceUnavailable)
		}
	}
	if hashed == 0 || busy == 0 {
		t.Errorf("%d were hashed and %d told to come again", hashed, busy)
	}
}
