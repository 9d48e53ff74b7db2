package login_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

func TestAC1_TheSignInPageShowsEveryWay(t *testing.T) {
	g := newFixture(t)
	g.connection("hidden", 9, func(c *broker.Connection) { c.Hidden = true })
	g.connection("off", 9, func(c *broker.Connection) { c.State = broker.Disabled })
	_, p := g.browser().begin()
	p.has(t, 200, "<h1>Sign in</h1>", `autocomplete="username webauthn"`, "to continue to <strong>Courts Booking</strong>",
		"Continue with Google", "Continue with Facebook", "New here? Create an account")
	for _, not := range []string{"Continue with Hidden", "Continue with Off"} {
		if strings.Contains(p.body, not) {
			t.Errorf("the page offers %q", not)
		}
	}
}

func TestTheSignInPageLinksToThePolicyAndTheTermsOfTheApp(t *testing.T) {
	g := newFixture(t)
	must(t, g.db.PutClient(t.Context(), broker.Client{ID: "shop", Name: "Courts Booking", AuthMethods: []string{"none"},
		PolicyURI: "https://courts.example/privacy", TosURI: "https://courts.example/terms", CreatedAt: g.now,
		UpdatedAt: g.now}))
	_, p := g.browser().begin()
	p.has(t, 200, `<a href="https://courts.example/privacy" rel="noreferrer noopener">Privacy policy</a>`,
		`<a href="https://courts.example/terms" rel="noreferrer noopener">Terms of service</a>`, "<bdi>Courts Booking</bdi>")
}

func TestAC30_TheLastUsedMethodComesFirst(t *testing.T) {
	g := newFixture(t)
	b := g.browser()
	b.cookies["__Host-gh_last"] = "facebook"
	_, p := b.begin()
	f, gg := strings.Index(p.body, "Continue with Facebook"), strings.Index(p.body, "Continue with Google")
	if f < 0 || gg < f {
		t.Error("Facebook does not come first")
	}
	p.has(t, 200, "Last used")
}

func TestPasswordSignInEndsAtTheApp(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", " Ana@Example.com ").has(t, 200, "Enter your password", `value="ana@example.com"`,
		`autocomplete="username"`, `autocomplete="current-password"`)
	p := b.request("POST", path+"/password", pairsOf([]string{"email", ana, "password", password}))
	p.has(t, 200, `http-equiv="refresh"`, "Taking you to Courts Booking")
	b.post(path+"/password", "email", ana, "password", password).atApp(t, ana)
}

func TestAC7_AnOrganisationsDomainLeadsToItsConnectionWithTheAddress(t *testing.T) {
	g := newFixture(t)
	g.connection("corp", 2, func(c *broker.Connection) { c.Domains = []string{"contoso.test"}; c.Hidden = true })
	b := g.browser()
	path, _ := b.begin()
	p := b.post(path+"/email", "email", "ana@contoso.test")
	p.has(t, 200, "<h1>Continue with Corp</h1>", "contoso.test uses Corp to sign in.", "Use your password instead")
	b.get(path + "/to/corp")
	if upstreamRequest := g.ups.last(); upstreamRequest.LoginHint != "ana@contoso.test" ||
		upstreamRequest.DomainHint != "contoso.test" {
		t.Errorf("%+v", upstreamRequest)
	}
	b.post(path+"/wish", "wish", "password").has(t, 200, "Enter your password")
}

func TestAC12_RegistrationMakesExactlyOneAccount(t *testing.T) {
	g := newFixture(t)
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	p := b.through(path, "google", "code")
	p.has(t, 200, "Create your account", `value="Ana"`, `value="Silva"`, "Verified by Google",
		"Already have an account under another email?")
	b.post(path+"/register", "confirmation", p.hidden("confirmation"), "given_name", " ", "family_name", "x").has(t, 422,
		"Enter your name.")
	b.post(path+"/register", "confirmation", p.hidden("confirmation"), "given_name", "Ana\u202e\u200b", "family_name",
		"Silva").atApp(t, ana)
	b.post(path+"/register", "confirmation", p.hidden("confirmation"), "given_name", "Ana", "family_name", "Silva").atApp(
		t, ana)
	all := g.accounts()
	if len(all) != 1 || all[0].Name != "Ana Silva" || len(g.identities(all[0])) != 1 {
		t.Fatalf("%+v", all)
	}
	if len(g.events(broker.EventAccountCreated)) != 1 || len(g.events(broker.EventIdentityLinked)) != 1 {
		t.Error("want one event each")
	}
}

func TestAC12_WhoHasAnAccountUnderAnotherAddressLinksIt(t *testing.T) {
	g := newFixture(t)
	a := g.account("work@example.org", password)
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code")
	p := b.post(path+"/wish", "wish", "own")
	p.has(t, 200, "Link Google to your account")
	b.post(path+"/own", "confirmation", p.hidden("confirmation"), "email", "nobody@example.org", "password", password).has(
		t, 422, "don’t match", `value="nobody@example.org"`)
	b.post(path+"/own", "confirmation", p.hidden("confirmation"), "email", "WORK@example.org", "password", password).atApp(
		t, "work@example.org")
	if len(g.accounts()) != 1 || len(g.identities(a)) != 1 {
		t.Fatal("a second account, or no link")
	}
}

func TestAC13_WithoutAnAddressFromTheUpstreamACodeProvesOne(t *testing.T) {
	g := newFixture(t)
	g.claims("code", broker.Claims{Subject: "f1", Name: "Ana Silva"})
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "facebook", "code").has(t, 200, "What’s your email address?")
	b.post(path+"/email", "email", "no address").has(t, 422, "Enter an email address")
	p := b.post(path+"/email", "email", ana)
	p.has(t, 200, "Check your email", "It expires in 10 minutes.")
	code := g.code()
	b.post(path+"/resend").has(t, 429, "You can ask for another code in")
	b.post(path+"/code", "code", "12").has(t, 422, "That code isn’t right.")
	p = b.post(path+"/code", "code", code[:3]+"-"+code[3:])
	p.has(t, 200, "Create your account", "Confirmed by code")
	b.post(path+"/register", "confirmation", p.hidden("confirmation"), "given_name", "Ana", "family_name", "").atApp(t,
		ana)
}

func TestAC13_InviteOnlyShowsTheBanner(t *testing.T) {
	g := newFixture(t, registration(broker.RegisterInvite))
	g.claims("code", broker.Claims{Subject: "f1"})
	b := g.browser()
	path, _ := b.begin()
	p := b.through(path, "facebook", "code")
	p.has(t, 403, "<h1>Sign in</h1>", "Facebook didn’t share your email", "/to/facebook?again=1", "sso_no_email_claim")
	b.get(path + "/to/facebook?again=1")
	if !g.ups.last().Rerequest {
		t.Error("does not ask again for the address")
	}
}

func TestAC18_ACodeRunsOutAndANewOneComes(t *testing.T) {
	g := newFixture(t)
	g.claims("code", broker.Claims{Subject: "f1"})
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "facebook", "code")
	b.post(path+"/email", "email", ana)
	old := g.code()
	g.wait(11 * time.Minute)
	b.post(path+"/code", "code", old).has(t, 422, "That code has expired. We’ve sent a new one.")
	fresh := g.code()
	g.wait(time.Minute)
	b.post(path+"/resend").has(t, 200, `New code sent at <time datetime="2026-03-01T12:12:00Z" data-shape="clock">12:12 UTC</time>. `+"Older codes no longer work.")
	newest := g.code()
	if fresh != newest {
		b.post(path+"/code", "code", fresh).has(t, 422, "4 tries left")
	}
	b.post(path+"/code", "code", newest).has(t, 200, "Create your account")
}

func TestRegistrationWithAPassword(t *testing.T) {
	g := newFixture(t)
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/wish", "wish", "new").has(t, 200, "Create an account")
	b.post(path+"/email", "email", ana).has(t, 200, "Check your email")
	p := b.post(path+"/code", "code", g.code())
	p.has(t, 200, `autocomplete="new-password"`, "At least 12 characters.")
	b.post(path+"/register", "confirmation", "", "given_name", "Ana", "family_name", "", "password", "short").has(t, 422,
		"Choose a longer")
	b.post(path+"/register", "confirmation", "", "given_name", "Ana", "family_name", "", "password", password).atApp(t,
		ana)
	if all := g.accounts(); len(all) != 1 || !all[0].HasPassword() {
		t.Fatalf("%+v", all)
	}
}

func TestSilentRegistrationAsksNothing(t *testing.T) {
	g := newFixture(t, registration(broker.RegisterSilent))
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code").atApp(t, ana)
	if all := g.accounts(); len(all) != 1 || all[0].Name != "Ana Silva" {
		t.Fatalf("%+v", all)
	}
}

func TestInviteOnlyRefusesWithLinksThatWork(t *testing.T) {
	g := newFixture(t, registration(broker.RegisterInvite))
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	p := b.through(path, "google", "code")
	p.has(t, 403, "You don’t have access yet", ana, path+"/to/google?choose=1", "error=user_not_provisioned",
		"Back to Courts Booking")
	if e := g.events(broker.EventRefused); len(e) == 0 || e[0].Reference == "" || !strings.Contains(p.body,
		e[0].Reference) {
		t.Errorf("no event with the reference that was shown: %+v", e)
	}
	b.get(path + "/to/google?choose=1")
	if !g.ups.last().Choose {
		t.Error("does not ask for another account")
	}
	b.get(path+"/restart").has(t, 200, "<h1>Sign in</h1>")
	b.get("/authorize?login="+strings.TrimPrefix(path, "/login/")+"&error=user_not_provisioned").has(t, 200,
		"APP error=user_not_provisioned state=the-app-s-state")
}

func TestB18_AFederatedSignInNeverEnablesAnAccount(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.linked(a, "google", "g1")
	a.Disabled = true
	must(t, g.db.ChangeAccount(t.Context(), a, 0))
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code").has(t, 403, "This account is turned off", "Sign in as someone else", path+"/restart")
	now, err := g.db.Account(t.Context(), a.ID)
	must(t, err)
	if !now.Disabled || len(g.events(broker.EventSignedIn)) != 0 {
		t.Fatal("enabled or signed in")
	}
	b.get(path+"/restart").has(t, 200, "<h1>Sign in</h1>")
}
