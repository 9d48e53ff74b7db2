package login_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// authTime returns the auth_time of the session that a page of the app names.
func (g *fixture) authTime(p page, a broker.Account) time.Time {
	g.t.Helper()
	all, err := g.db.SessionsOf(g.t.Context(), a.ID)
	must(g.t, err)
	for _, s := range all {
		if s.ID == p.sid() {
			return s.Authn.AuthTime
		}
	}
	g.t.Fatalf("no session %q", p.sid())
	return time.Time{}
}

// Every person reaches the app with a true auth_time, whatever the upstream says about the time of its authentication.
func TestFreshnessIsProvenByTheUpstreamOrByAFactorOfOurs(t *testing.T) {
	hour, now := 3600, time.Duration(0)
	ago := func(d time.Duration) *time.Duration { d = -d; return &d }
	for asked, require := range map[string]func(*broker.Login){
		"prompt=login": func(l *broker.Login) { l.Fresh = true },
		"max_age=0":    func(l *broker.Login) { zero := 0; l.MaxAge = &zero },
		"max_age":      func(l *broker.Login) { l.MaxAge = &hour },
	} {
		for told, c := range map[string]struct {
			at     *time.Duration // auth_time, from now; nil for none
			proven bool           // by the upstream
		}{
			"no auth_time":        {nil, false},
			"an honest auth_time": {&now, true},
			"an old auth_time":    {ago(2 * time.Hour), false},
			"a slow clock":        {ago(30 * time.Second), true},
			"a fast clock":        {ago(-30 * time.Second), true},
		} {
			for _, secret := range []string{password, ""} {
				t.Run(asked+", "+told+", password "+secret, func(t *testing.T) {
					g := newFixture(t)
					a := g.account(ana, secret)
					g.linked(a, "google", "g1")
					require(&g.start)
					g.wait(700 * time.Millisecond)
					b := g.browser()
					path, _ := b.begin()
					g.wait(2 * time.Second)
					claims := verified("g1", ana)
					if c.at != nil {
						claims.AuthTime = g.time().Add(*c.at).Truncate(time.Second)
					}
					g.claims("code", claims)
					p := b.through(path, "google", "code")
					want := claims.AuthTime
					if want.After(g.time()) {
						want = g.time()
					}
					if !c.proven {
						p.has(t, 200, "Confirm it’s you")
						g.wait(time.Minute)
						want, p = g.time(), g.confirms(b, path, secret)
					}
					p.atApp(t, ana)
					if at := g.authTime(p, a); !at.Equal(want) {
						t.Errorf("auth_time %v, want %v", at, want)
					}
				})
			}
		}
	}
}

// confirms gives the factor that the page asks for: the password, or a mailed code where there is none.
func (g *fixture) confirms(b *browser, path, secret string) page {
	if secret != "" {
		return b.post(path+"/confirm", "password", secret)
	}
	b.post(path+"/resend").has(g.t, 200, `name="code"`)
	return b.post(path+"/confirm", "code", g.code())
}

func TestASlowLoginDoesNotOutliveTheMaxAgeThatItProved(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	second := 1
	g.start.MaxAge = &second
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", ana)
	b.request("POST", path+"/password", pairsOf([]string{"email", ana, "password", password})).has(t, 200)
	g.wait(20 * time.Second)
	b.get(path).atApp(t, ana)
}

func TestASessionThatTheChooserContinuesIsAsOldAsItIs(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, "")
	g.linked(a, "google", "g1")
	claims := verified("g1", ana)
	claims.AuthTime = g.time()
	g.claims("code", claims)
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code").atApp(t, ana)
	g.wait(30 * time.Second)
	for asked, require := range map[string]func(*broker.Login){
		"prompt": func(l *broker.Login) { l.Fresh = true },
		"age":    func(l *broker.Login) { age := 10; l.MaxAge = &age },
	} {
		g.start.Fresh, g.start.MaxAge, g.start.Pick = false, nil, true
		require(&g.start)
		path, p := b.begin()
		if p := b.post(path+"/continue", "session", p.hidden("session")); !strings.Contains(p.body, "Confirm it’s you") {
			t.Errorf("%s: %d %s", asked, p.status, p.body)
		}
	}
}

// again begins a login in which the app requires that the signed-in person authenticates again.
func (g *fixture) again(b *browser, a broker.Account) (path string, p page) {
	g.start.Fresh, g.start.For, g.start.Email = true, a.ID, a.Email
	defer func() { g.start.For, g.start.Email = "", "" }()
	g.wait(time.Minute)
	path, p = b.begin()
	return strings.TrimSuffix(path, "/password"), p
}

func TestAPersonWhoMustSignInAgainIsPreset(t *testing.T) {
	t.Run("with a password", func(t *testing.T) {
		g := newFixture(t)
		a := g.account(ana, password)
		b := g.browser()
		path, _ := b.begin()
		b.post(path+"/email", "email", ana)
		b.post(path+"/password", "email", ana, "password", password).atApp(t, ana)
		path, p := g.again(b, a)
		p.has(t, 200, "Enter your password", "Courts Booking asks you to sign in again", ana, "Not you?")
		b.copied().get(path+"/restart").has(t, 200, "<h1>Sign in</h1>")
		if p := b.get(path); strings.Contains(p.body, ana) {
			t.Error("another person is still Ana")
		}
		path, _ = g.again(b, a)
		p = b.post(path+"/password", "email", ana, "password", password)
		p.atApp(t, ana)
		if at := g.authTime(p, a); !at.Equal(g.time()) {
			t.Errorf("auth_time %v", at)
		}
	})
	t.Run("with an upstream only", func(t *testing.T) {
		g := newFixture(t)
		a := g.knownAtGoogle()
		b := g.browser()
		path, _ := b.begin()
		b.through(path, "google", "code").atApp(t, ana)
		path, p := g.again(b, a)
		p.has(t, 200, "<h1>Sign in</h1>", "Courts Booking asks you to sign in again", ana, "/to/google", "Not you?")
		if strings.Contains(p.body, "/to/facebook") || strings.Contains(p.body, `name="email"`) {
			t.Errorf("it offers what the account does not have: %s", p.body)
		}
		p = b.through(path, "google", "code")
		p.has(t, 200, "Confirm it’s you")
		if g.ups.last().LoginHint != ana {
			t.Error("the upstream was not told who is meant")
		}
		p = g.confirms(b, path, "")
		p.atApp(t, ana)
		if at := g.authTime(p, a); !at.Equal(g.time()) {
			t.Errorf("auth_time %v", at)
		}
	})
}

func TestE1_OnlyTheBrowserThatIsSignedInSeesWhoIsPreset(t *testing.T) {
	g := newFixture(t)
	a := g.knownAtGoogle()
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code").atApp(t, ana)
	path, _ = g.again(b, a)
	for name, other := range map[string]*browser{"another browser": g.browser(), "signed out": b.copied()} {
		delete(other.cookies, "__Host-gh_session")
		p := other.get(path)
		if p.status != 200 || name == "another browser" && strings.Contains(p.body, ana) || strings.Contains(p.body,
			"asks you to sign in again") {
			t.Errorf("%s: %d %s", name, p.status, p.body)
		}
	}
}

// The chooser continues a session, which may be too old for the app.
func TestD4_NoFactorOfOursRenewsASessionThatARuleWantsFromAnUpstream(t *testing.T) {
	for name, rule := range map[string]*broker.Restriction{
		"unrestricted": nil, "only Google": {Only: "google", Connections: []string{"google"}, SetBy: "operator"}} {
		for _, secret := range []string{password, ""} {
			t.Run(name+", password "+secret, func(t *testing.T) {
				g := newFixture(t)
				a := g.account(ana, secret)
				g.linked(a, "google", "g1")
				a.Restriction = rule
				must(t, g.db.ChangeAccount(t.Context(), a, a.AuthEpoch))
				g.claims("code", verified("g1", ana))
				b := g.browser()
				path, _ := b.begin()
				b.through(path, "google", "code").atApp(t, ana)
				g.wait(time.Hour)
				g.start.Pick, g.start.Fresh = true, true
				path, p := b.begin()
				p = b.post(path+"/continue", "session", p.hidden("session"))
				if asks := strings.Contains(p.body, "Confirm it’s you"); asks != (rule == nil) {
					t.Fatalf("a factor of ours is asked for: %t\n%s", asks, p.body)
				}
				if rule == nil {
					return
				}
				p.has(t, 200, "/to/google", "Courts Booking asks you to sign in again", ana)
				fresh := verified("g1", ana)
				fresh.AuthTime = g.time()
				g.claims("code", fresh)
				b.through(path, "google", "code").atApp(t, ana)
			})
		}
	}
}

func TestA13_NoFactorOfOursMakesAnOldClassLookFresh(t *testing.T) {
	g := newFixture(t)
	g.linked(g.account(ana, ""), "google", "g1")
	claims := verified("g1", ana)
	claims.ACR = "gold"
	g.claims("code", claims)
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code").atApp(t, ana)
	g.start.Pick, g.start.Fresh = true, true
	path, p := b.begin()
	b.post(path+"/continue", "session", p.hidden("session")).has(t, 200, "/to/google", "asks you to sign in again")
}

func TestA13_TheMethodsOfAnOldProofAreNotToldWithTheTimeOfANewOne(t *testing.T) {
	g := newFixture(t)
	g.linked(g.account(ana, password), "google", "g1")
	claims := verified("g1", ana)
	claims.AMR = []string{"mfa", "hwk"}
	g.claims("code", claims)
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code").has(t, 200, "amr=fed,mfa,hwk")
	g.start.Pick, g.start.Fresh = true, true
	path, p := b.begin()
	b.post(path+"/continue", "session", p.hidden("session")).has(t, 200, "Confirm it’s you")
	p = g.confirms(b, path, password)
	p.atApp(t, ana)
	if strings.Contains(p.body, "mfa") || !strings.Contains(p.body, "amr=pwd") {
		t.Error(p.body)
	}
}
