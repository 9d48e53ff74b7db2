package login_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/credential"
)

const wrong = "wrong password wrong"

// The owner's address and three other spellings.
const owner = "ana@xn--bcher-kva.example"

var spellings = []string{"Ana@Bücher.Example", "ana@XN--BCHER-KVA.example", "  ANA@BÜCHER.EXAMPLE "}

// raid guesses at one account over every route that there is to a guess.
type raid struct {
	*fixture
	replicas []*fixture
	places   map[string]*place
}

// place is an intruder's position on one route.
type place struct {
	*browser
	path, confirmation string
	used               int
}

func newRaid(g *fixture) *raid {
	g.linked(g.account("mallory@example.com", ""), "corp", "unrelated")
	g.claims("has-the-address", verified("g-evil", owner))
	g.claims("has-another", verified("g-other", "mallory2@example.com"))
	g.claims("has-no-fresh-proof", verified("f1", owner))
	return &raid{g, []*fixture{g, g.replica(), g.replica()}, map[string]*place{}}
}

var routes = []string{"password", "link", "own", "confirm", "code"}

// try makes one wrong guess and returns the response.
func (r *raid) try(route, spelling string, replica int) page {
	at := r.places[route]
	if at == nil || at.used == 5 && route != "code" {
		at = r.stand(route, spelling)
		r.places[route] = at
	}
	at.used++
	at.g = r.replicas[replica]
	switch route {
	case "own":
		return at.post(at.path+"/own", "confirmation", at.confirmation, "email", spelling, "password", wrong)
	case "code":
		return at.post(at.path+"/code", "code", "000000")
	}
	return at.post(at.path+"/"+route, "confirmation", at.confirmation, "email", owner, "password", wrong)
}

// stand opens the page of a route in an unknown browser.
func (r *raid) stand(route, spelling string) *place {
	r.start.Fresh = route == "confirm"
	at := &place{browser: r.browser()}
	at.path, _ = at.begin()
	p := page{}
	switch route {
	case "password":
		p = at.post(at.path+"/email", "email", spelling)
	case "link":
		p = at.through(at.path, "google", "has-the-address")
	case "own":
		at.through(at.path, "google", "has-another")
		p = at.post(at.path+"/wish", "wish", "own")
	case "confirm":
		p = at.through(at.path, "facebook", "has-no-fresh-proof")
	case "code":
		at.post(at.path+"/wish", "wish", "new")
		p = at.post(at.path+"/email", "email", spelling)
	}
	p.has(r.t, 200)
	at.confirmation = p.hidden("confirmation")
	return at
}

func TestE1_E2_C6_AThousandTriesOverEveryRouteAreAtMostTenInAnyWindow(t *testing.T) {
	g := newFixture(t)
	a := g.account(owner, password)
	g.linked(a, "facebook", "f1")
	home := g.browser()
	path, _ := home.begin()
	home.post(path+"/email", "email", owner)
	home.post(path+"/password", "email", owner, "password", password).atApp(t, owner)

	r := newRaid(g)
	var verified, words []time.Time
	counts, limited, compared := map[string]int{}, 0, false
	for _, each := range r.replicas {
		each.fleet.count = func(store string, n int64) {
			compared = compared || store == "code-tries" && n <= broker.MailedTries
		}
	}
	for i := range 1000 {
		g.wait(2 * time.Second)
		route := routes[i%5]
		before := len(g.failed())
		compared = false
		p := r.try(route, spellings[i/5%3], i/15%3)
		switch n := len(g.failed()) - before; {
		case n > 0:
			verified, words = append(verified, g.time()), append(words, g.time())
			counts[route]++
		case compared:
			verified = append(verified, g.time())
			counts[route]++
		case p.status == http.StatusTooManyRequests:
			limited++
		}
	}
	if n := most(verified); n > 10 || n < 5 {
		t.Errorf("%d tries were verified in one window", n)
	}
	if n := most(words); n != credential.PasswordTries {
		t.Errorf("%d passwords were verified in one window, want %d", n, credential.PasswordTries)
	}
	if counts["code"] == 0 || limited < 700 {
		t.Errorf("only %d tries were told to wait; verified: %v", limited, counts)
	}
	g.start.Fresh = false
	stranger := g.browser()
	path, _ = stranger.begin()
	stranger.post(path+"/email", "email", owner)
	stranger.post(path+"/password", "email", owner, "password", password).has(t, 429, "Too many attempts.")
	delete(home.cookies, "__Host-gh_session")
	path, _ = home.begin()
	home.post(path+"/email", "email", owner)
	home.post(path+"/password", "email", owner, "password", password).atApp(t, owner)
}

// failed are the passwords that were verified and wrong.
func (g *fixture) failed() []broker.Event { return g.events(broker.EventPasswordFailed) }

// most is how many moments lie in one window at most.
func most(at []time.Time) (n int) {
	first := 0
	for i := range at {
		for at[i].Sub(at[first]) >= credential.Window {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

func TestE2_C6_EveryRouteUsesTheSameBudget(t *testing.T) {
	for _, first := range routes[:4] {
		g := newFixture(t)
		g.linked(g.account(owner, password), "facebook", "f1")
		r := newRaid(g)
		for i := range credential.PasswordTries {
			r.try(first, spellings[i%3], i%3).has(t, 422)
		}
		for i, route := range routes[:4] {
			p := r.try(route, spellings[i%3], i%3)
			p.has(t, 429)
			if p.header.Get("Retry-After") != "900" {
				t.Errorf("%s after %s: Retry-After %q", route, first, p.header.Get("Retry-After"))
			}
		}
		g.wait(credential.Window - time.Second)
		if p := r.try("password", owner, 1); p.status != 429 || p.header.Get("Retry-After") != "1" {
			t.Errorf("%s: a second too early: %d, Retry-After %q", first, p.status, p.header.Get("Retry-After"))
		}
		g.wait(time.Second)
		r.try("password", owner, 2).has(t, 422)
	}
}

func TestE2_E3_CodesCountOnTheAccountThatHasTheAddress(t *testing.T) {
	g := newFixture(t)
	g.account(owner, password)
	r := newRaid(g)
	for i := range broker.MailedTries - 1 {
		r.try("code", owner, i%3).has(t, 422, " left.")
	}
	r.try("password", owner, 2).has(t, 422)
	r.try("password", owner, 0).has(t, 429)
}

func TestE1_E2_ALimitedResponseIsTheSameForEveryAddress(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	g.account("bob@example.com", "")
	pages := map[string]bool{}
	for _, email := range []string{ana, "bob@example.com", "nobody@example.com"} {
		b := g.browser()
		path, _ := b.begin()
		b.post(path+"/email", "email", email)
		for range credential.PasswordTries {
			b.post(path+"/password", "email", email, "password", wrong).has(t, 422)
		}
		p := b.post(path+"/password", "email", email, "password", password)
		p.has(t, 429, "Too many attempts. Try again in 15 minutes")
		pages[strings.ReplaceAll(anonymous(fmt.Sprint(p.status, p.body, headers(p.header), p.header.Get("Retry-After"))),
			email, "EMAIL")] = true
	}
	if len(pages) != 1 {
		t.Error("the answers differ")
	}
}

// exhausted is a fixture where strangers have used up the tries at an account's password.
func exhausted(t *testing.T, email string) *fixture {
	g := newFixture(t)
	a := g.account(email, password)
	g.linked(a, "facebook", "f1")
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", email)
	for range 2 * credential.PasswordTries {
		b.post(path+"/password", "email", email, "password", wrong)
	}
	b.post(path+"/password", "email", email, "password", password).has(t, 429)
	return g
}

func TestE2_GuessesDoNotBlockProviders(t *testing.T) {
	g := exhausted(t, ana)
	g.claims("linked", verified("f1", ana))
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "facebook", "linked").atApp(t, ana)

	// From the very page that says to wait.
	b = g.browser()
	path, _ = b.begin()
	b.post(path+"/email", "email", ana)
	b.post(path+"/password", "email", ana, "password", password).has(t, 429)
	b.through(path, "facebook", "linked").atApp(t, ana)

	// A link waits like a sign-in, and the page still leads elsewhere.
	g.claims("new", verified("g1", ana))
	b = g.browser()
	path, _ = b.begin()
	p := b.through(path, "google", "new")
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", password).has(t, 429)
	b.through(path, "facebook", "linked").atApp(t, ana)
}

func TestE2_PasswordGuessesDoNotBlockAnotherLinkProof(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, "")
	g.linked(a, "facebook", "f1")
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", ana)
	for range 2 * credential.PasswordTries {
		b.post(path+"/password", "email", ana, "password", wrong)
	}
	g.claims("new", verified("g1", ana))
	g.claims("newer", verified("g2", ana))
	g.claims("own", broker.Claims{Subject: "f1"})
	b = g.browser()
	path, _ = b.begin()
	b.through(path, "google", "new")
	b.through(path+"?prove=1", "facebook", "own").atApp(t, ana)

	b = g.browser()
	path, _ = b.begin()
	b.through(path, "google", "newer")
	g.mails()
	p := b.post(path + "/resend")
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "code", g.code()).atApp(t, ana)
	if len(g.identities(a)) != 3 {
		t.Error("not linked")
	}
}
