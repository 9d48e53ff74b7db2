package login_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/login"
)

func TestAC31_TwoTabsOfOneLoginBothLandAtTheApp(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", ana)
	first := b.post(path+"/password", "email", ana, "password", password)
	second := b.post(path+"/password", "email", ana, "password", password)
	first.atApp(t, ana)
	second.atApp(t, ana)
	third := b.get(path)
	third.atApp(t, ana)
	if first.sid() != second.sid() || first.sid() != third.sid() {
		t.Error("more than one session")
	}
}

func TestAConsumedLoginWhoseSessionIsGoneBeginsAgain(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", ana)
	b.post(path+"/password", "email", ana, "password", password).atApp(t, ana)
	sessions, err := g.db.SessionsOf(t.Context(), a.ID)
	must(t, err)
	must(t, g.db.EndSession(t.Context(), sessions[0].ID, g.time()))
	b.get("/authorize?login="+strings.TrimPrefix(path, "/login/")).has(t, 200, "<h1>Sign in</h1>",
		"to continue to <strong>Courts Booking</strong>")
	b.post(path+"/email", "email", ana)
	b.post(path+"/password", "email", ana, "password", password).atApp(t, ana)
}

func TestAnIdentityUnlinkedBetweenProofAndSessionBeginsAgain(t *testing.T) {
	g := newFixture(t)
	i := g.linked(g.account(ana, password), "google", "g1")
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	g.meanwhile = func() { must(t, g.db.Unlink(t.Context(), i.ID, g.time())) }
	b.get(b.callback(path, "google", "code")).has(t, 409, "<h1>Sign in</h1>", "Please sign in again")
}

func TestACrashBetweenTheSessionAndTheSwapStillEndsAtTheApp(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", ana)
	b.request("POST", path+"/password", pairsOf([]string{"email", ana, "password", password}))
	broken := errors.New("the process died")
	g.fleet.swap = func(store string) error { return broken }
	at := "/authorize?login=" + strings.TrimPrefix(path, "/login/")
	b.get(at).has(t, 500)
	g.fleet.swap = nil
	b.get(at).atApp(t, ana)
	if sessions, _ := g.db.SessionsOf(t.Context(), a.ID); len(sessions) != 1 || len(g.events(broker.EventSignedIn)) != 1 {
		t.Errorf("%d sessions", len(sessions))
	}
}

func TestPromptLoginAsksForAProofThatTheUpstreamDidNotGive(t *testing.T) {
	g := newFixture(t)
	g.linked(g.account(ana, password), "google", "g1")
	g.start.Fresh = true
	g.claims("stale", verified("g1", ana))
	fresh := verified("g1", ana)
	fresh.AuthTime = g.time()
	g.claims("fresh", fresh)

	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "stale").has(t, 200, "Confirm it’s you", "Courts Booking asks you")
	if !g.ups.last().Fresh {
		t.Error("the wish was not forwarded")
	}
	g.wait(time.Minute)
	p := b.post(path+"/confirm", "password", password)
	p.atApp(t, ana)
	if !strings.Contains(p.body, "amr=pwd,fed") {
		t.Error(p.body)
	}
	b = g.browser()
	path, _ = b.begin()
	fresh.AuthTime = g.time()
	g.claims("fresh", fresh)
	b.through(path, "google", "fresh").atApp(t, ana)
}

func TestMaxAgeZeroIsPromptLoginAndEnds(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	zero := 0
	g.start.MaxAge = &zero
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", ana)
	p := b.request("POST", path+"/password", pairsOf([]string{"email", ana, "password", password}))
	p.has(t, 200)
	g.wait(2 * time.Second)
	b.get(path).atApp(t, ana)
}

func TestAC17_TheAccountChooserGoesOnWithTheSessionOrAnotherAccount(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", ana)
	first := b.post(path+"/password", "email", ana, "password", password)
	g.start.Pick = true
	path, p := b.begin()
	p.has(t, 200, "Choose an account", ana, "Use another account")
	again := b.post(path+"/continue", "session", p.hidden("session"))
	again.atApp(t, ana)
	if again.sid() != first.sid() {
		t.Error("continuing made another session")
	}
	path, _ = b.begin()
	b.post(path+"/wish", "wish", "other").has(t, 200, "<h1>Sign in</h1>")
	b.get(path + "/to/google")
	if !g.ups.last().Choose {
		t.Error("the upstream would choose the same account again")
	}
}

func TestASignOutAfterTheChooserLeavesNoSession(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", ana)
	first := b.post(path+"/password", "email", ana, "password", password)
	g.start.Pick = true
	path, p := b.begin()
	b.request("POST", path+"/continue", pairsOf([]string{"session", p.hidden("session")}))
	must(t, g.db.EndSession(t.Context(), first.sid(), g.time()))
	b.get(path).has(t, 409, "<h1>Sign in</h1>", "Please sign in again")
	if len(g.events(broker.EventSignedIn)) != 1 {
		t.Error("a session came back from nothing")
	}
}

func TestWithoutAnAppTheLoginEndsAtTheAccountPage(t *testing.T) {
	g := newFixture(t)
	g.linked(g.account(ana, password), "google", "g1")
	b := g.browser()
	p := b.get("/login")
	path := p.url
	p.has(t, 200, "<h1>Sign in</h1>")
	b.post(path+"/email", "email", ana)
	p = b.post(path+"/password", "email", ana, "password", password)
	p.has(t, 200, "ACCOUNT email=ana@example.com")
	if p.url != "/account" {
		t.Error(p.url)
	}
	b.get(path).has(t, 200, "ACCOUNT email=ana@example.com")
	b.get("/login").has(t, 200, "ACCOUNT email=ana@example.com")
}

func TestSSOErrorShowsTheBannerOfAKnownCodeAndNothingElse(t *testing.T) {
	g := newFixture(t)
	g.browser().get("/login?sso_error=user_not_provisioned").has(t, 403, "<h1>Sign in</h1>", "You don’t have access yet")
	p := g.browser().get("/login?sso_error=<b>Call+us</b>")
	p.has(t, 200, "<h1>Sign in</h1>")
	if strings.Contains(p.body, "Call") {
		t.Error("shows what a stranger wrote")
	}
}

func TestAfterASignOutTheNextRedirectRequestsTheChooser(t *testing.T) {
	g := newFixture(t)
	b := g.browser()
	b.cookies["__Host-gh_pick"] = "1"
	path, _ := b.begin()
	b.get(path + "/to/google")
	if !g.ups.last().Choose {
		t.Error("not asked")
	}
	b.get(path + "/to/google")
	if g.ups.last().Choose {
		t.Error("asked twice")
	}
}

func TestAnAppMayAskForAConnection(t *testing.T) {
	g := newFixture(t)
	g.start.Connection = "google"
	b := g.browser()
	if p := b.request("GET", "/authorize", nil); !strings.HasPrefix(p.header.Get("Location"), "https://google.test/auth") {
		t.Fatalf("not there at once: %s", p.header.Get("Location"))
	}
	b.cookies["__Host-gh_pick"] = "1"
	if b.get("/authorize"); !g.ups.last().Choose || b.cookies["__Host-gh_pick"] != "" {
		t.Error("after a sign-out the first departure asks for the account, and it alone")
	}
	g.ups.begin = broker.ConnectionUnavailable
	b.get("/authorize").has(t, 503, "<h1>Sign in</h1>", "Google isn’t responding")
	g.start.Connection = "nonsense"
	b.get("/authorize").has(t, 403, "<h1>Sign in</h1>", "This way to sign in is off")
}

func TestAC34_TheLanguageIsTheLoginsThenTheBrowsers(t *testing.T) {
	g := newFixture(t)
	b := g.browser()
	b.lang = "es"
	g.start.Locale = "fr"
	path, p := b.begin()
	p.has(t, 200, `lang="fr"`)
	p = b.get(path + "?lang=de")
	p.has(t, 200, `lang="de"`)
	if p.url != path {
		t.Error("the switch leaves the login")
	}
	b.get(path + "/to/google")
	if g.ups.last().Locale != "de" {
		t.Error("the language does not travel")
	}
	g.start.Locale = "fr"
	_, p = b.begin()
	p.has(t, 200, `lang="fr"`)
}

func TestPasswordsOffLeavesTheConnections(t *testing.T) {
	g := newFixture(t, func(o *login.Options) { o.PasswordSignIn = false })
	_, p := g.browser().begin()
	if strings.Contains(p.body, `name="email"`) || strings.Contains(p.body, "New here?") {
		t.Error("asks for what leads nowhere")
	}
	p.has(t, 200, "Continue with Google")
}
