package login_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gatehouse/broker"
)

func TestC1_C7_C13_AnAssertedAddressRevealsNothing(t *testing.T) {
	bodies := map[bool]string{}
	for _, exists := range []bool{true, false} {
		g := newFixture(t)
		if exists {
			g.account(ana, password)
		}
		g.claims("code", broker.Claims{Subject: "f1", Email: ana, Level: broker.EmailAsserted, Name: "Ana"})
		b := g.browser()
		path, _ := b.begin()
		p := b.through(path, "facebook", "code")
		p.has(t, 200, "Do you already have an account?", "I have an account", "I’m new")
		asked := b.post(path+"/wish", "wish", "new")
		asked.has(t, 200, "Check your email")
		if m := g.mails(); len(m) != 1 || strings.Contains(m[0].Text, "already") {
			t.Error("want one mail, the same for both")
		}
		bodies[exists] = anonymous(p.body) + anonymous(asked.body)
		if _, signedIn := b.cookies["__Host-gh_session"]; signedIn {
			t.Fatal("signed in")
		}
	}
	if bodies[true] != bodies[false] {
		t.Error("the pages differ")
	}
}

func TestC2_AfterTheCodeAnAssertedAddressStillNeedsThePassword(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.claims("code", broker.Claims{Subject: "f1", Email: ana, Level: broker.EmailAsserted})
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "facebook", "code")
	b.post(path+"/wish", "wish", "new")
	p := b.post(path+"/code", "code", g.code())
	p.has(t, 200, "Link Facebook to your account?")
	if len(g.identities(a)) != 0 {
		t.Fatal("linked without the password")
	}
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", password).atApp(t, ana)
}

func TestC14_NamesReachNoAccount(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	g.claims("code", broker.Claims{Subject: ana, Email: "eve@example.net", Level: broker.EmailVerified, Name: ana,
		GivenName: ana})
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code").has(t, 200, "Create your account", "eve@example.net")
}

func TestC20_AnAddressThatIsNoneReachesNoAccount(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	b := g.browser()
	path, _ := b.begin()
	for _, typed := range []string{"", "ana", "ana@", "ａna@example.com", "ana@example.com@evil.test", "аna@example.com",
		"ana@example.com\x00"} {
		b.post(path+"/email", "email", typed).has(t, 422, "Enter an email address")
	}
	g.claims("code", broker.Claims{Subject: "g1", Email: "ａna@example.com", Level: broker.EmailVerified})
	b.through(path, "google", "code").has(t, 200, "What’s your email address?")
}

// anonymous takes out what differs by design: the login, its link confirmation and the token of the browser's forms.
func anonymous(body string) string {
	for _, re := range []string{`/login/[A-Z2-7]{26}`, `name="(confirmation|form_token)" value="[^"]*"`} {
		body = regexp.MustCompile(re).ReplaceAllString(body, "")
	}
	return body
}

func TestE1_AC8_IdentifierStepAndWrongPasswordAreTheSameForEveryAddress(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	g.account("bob@example.com", "")
	bodies := map[string]bool{}
	for _, email := range []string{ana, "bob@example.com", "nobody@example.com"} {
		b := g.browser()
		path, _ := b.begin()
		asked := b.post(path+"/email", "email", email)
		wrong := b.post(path+"/password", "email", email, "password", "wrong password wrong")
		wrong.has(t, 422, "That email and password don’t match. Check both and try again.")
		bodies[strings.ReplaceAll(anonymous(fmt.Sprint(asked.status, asked.body, wrong.status, wrong.body,
			headers(wrong.header))), email, "EMAIL")] = true
	}
	if len(bodies) != 1 {
		t.Error("the answers differ")
	}
	if n := len(g.events(broker.EventPasswordFailed)); n != 3 {
		t.Errorf("%d events", n)
	}
}

func headers(h http.Header) string {
	var names []string
	for n := range h {
		names = append(names, n+"="+strings.Join(h[n], ","))
	}
	return fmt.Sprint(len(names))
}

func TestE1_RegistrationRespondsTheSameForATakenAddress(t *testing.T) {
	bodies, codes := map[string]bool{}, 0
	for _, taken := range []bool{true, false} {
		g := newFixture(t)
		if taken {
			g.account(ana, password)
		}
		b := g.browser()
		path, _ := b.begin()
		b.post(path+"/wish", "wish", "new")
		p := b.post(path+"/email", "email", ana)
		p.has(t, 200, "Check your email")
		bodies[anonymous(p.body)] = true
		due := g.mails()
		if len(due) != 1 {
			t.Fatalf("%d mails", len(due))
		}
		if strings.Contains(due[0].Text, "already") != taken {
			t.Error("the mail does not tell the owner, and only the owner")
		}
		codes += len(sixDigits.FindAllString(due[0].Text, 1))
		p = b.post(path+"/code", "code", sixDigits.FindString(due[0].Text))
		if taken {
			p.has(t, 200, "You already have an account", "Enter your password")
			b.post(path+"/password", "email", ana, "password", password).atApp(t, ana)
		}
	}
	if len(bodies) != 1 || codes != 2 {
		t.Error("the pages differ")
	}
}

func TestE13_EverySignInIsANewSessionAndTheOldOneIsDead(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	b := g.browser()
	b.cookies["__Host-gh_session"] = strings.Repeat("A", 52) // planted
	sign := func() page {
		path, _ := b.begin()
		b.post(path+"/email", "email", ana)
		return b.post(path+"/password", "email", ana, "password", password)
	}
	first := sign()
	cookie := b.cookies["__Host-gh_session"]
	if cookie == strings.Repeat("A", 52) {
		t.Fatal("the planted cookie was taken over")
	}
	second := sign()
	if first.sid() == second.sid() || cookie == b.cookies["__Host-gh_session"] {
		t.Error("the same session again")
	}
	if g.lives(first.sid()) {
		t.Error("the old session lives")
	}
	b.cookies["__Host-gh_session"] = cookie
	b.get("/account").has(t, 200, "<h1>Sign in</h1>")
	if sessions, _ := g.db.SessionsOf(t.Context(), a.ID); len(sessions) != 2 {
		t.Errorf("%d sessions", len(sessions))
	}
}

func TestE4_NoStepCanBeSkipped(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	b := g.browser()
	path, _ := b.begin()
	for _, step := range []string{"password", "link", "own", "register", "code", "resend", "confirm", "continue"} {
		p := b.post(path+"/"+step, "email", ana, "password", password, "confirmation", "", "given_name", "Eve", "code",
			"123456", "session", "x")
		p.has(t, 200, "<h1>Sign in</h1>")
	}
	b.get("/authorize?login="+strings.TrimPrefix(path, "/login/")).has(t, 200, "<h1>Sign in</h1>")
	if len(g.accounts()) != 1 || b.cookies["__Host-gh_session"] != "" {
		t.Fatal("a step was skipped")
	}
}

func TestD15_ASessionIsExactAboutTheEpochOfItsProof(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", ana)
	b.request("POST", path+"/password", pairsOf([]string{"email", ana, "password", password}))
	a.AuthEpoch++
	must(t, g.db.ChangeAccount(t.Context(), a, 0))
	b.get(path).has(t, 409, "Please sign in again")
	if b.cookies["__Host-gh_session"] != "" {
		t.Fatal("signed in")
	}
}

func TestD15_ACallbackCreatesNoSessionOfAChangedAccount(t *testing.T) {
	for name, change := range map[string]func(*broker.Account){
		"disabled":    func(a *broker.Account) { a.Disabled, a.AuthEpoch = true, a.AuthEpoch+1 },
		"a new epoch": func(a *broker.Account) { a.AuthEpoch++ },
	} {
		t.Run(name, func(t *testing.T) {
			g := newFixture(t)
			a := g.account(ana, password)
			g.linked(a, "google", "g1")
			g.claims("code", verified("g1", ana))
			b := g.browser()
			path, _ := b.begin()
			back := b.callback(path, "google", "code")
			g.meanwhile = func() {
				change(&a)
				must(t, g.db.ChangeAccount(t.Context(), a, 0))
			}
			b.get(back)
			if g.meanwhile != nil || b.cookies["__Host-gh_session"] != "" || len(g.events(broker.EventSignedIn)) != 0 {
				t.Fatal("signed in")
			}
		})
	}
}

func TestCookiesBlockedSaysSoInsteadOfGoingRound(t *testing.T) {
	g := newFixture(t)
	b := g.browser()
	b.mute = true
	b.get("/authorize").has(t, 400, "Turn on cookies", "Check again")
	b.post("/login/x/email", "email", ana).has(t, 400, "Turn on cookies")
}

func TestCookiesBlockedIsSaidAfterTheUpstreamToo(t *testing.T) {
	g := newFixture(t)
	g.start.Connection = "google"
	b := g.browser()
	b.mute = true
	there := b.get("/authorize")
	u, err := url.Parse(there.url)
	must(t, err)
	back := "/callback/google?" + url.Values{"state": {u.Query().Get("state")}, "code": {"code"}}.Encode()
	p := b.get(back)
	p.has(t, 400, "Turn on cookies", "Check again")
	if g.ups.asked != 0 {
		t.Error("the answer was spent")
	}
	b.mute = false
	again := regexp.MustCompile(`href="(/login/[^"?]*)"[^>]*>\s*Check again`).FindStringSubmatch(p.body)
	if again == nil {
		t.Fatal(p.body)
	}
	b.get(again[1]).has(t, 200, "<h1>Sign in</h1>")

	// One that keeps cookies is another browser, and hears that.
	g.browser().get(back).has(t, 410)
}

func TestCrossSitePostsAreRefused(t *testing.T) {
	g := newFixture(t)
	b := g.browser()
	path, _ := b.begin()
	g.mux = crossSite(g.mux)
	b.post(path+"/email", "email", ana).has(t, 403)
}

func crossSite(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://evil.test")
		h.ServeHTTP(w, r)
	})
}

func TestMetaNoticesDropTheIdentityAndSayWhere(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.linked(a, "facebook", "f1")
	g.ups.notice = func(kind broker.NoticeKind, form url.Values) (broker.Notice, error) {
		if form.Get("signed_request") != "good" {
			return broker.Notice{}, broker.RequestInvalid
		}
		return broker.Notice{Kind: kind, Issuer: "https://facebook.test", Subject: "f1"}, nil
	}
	facebook := g.browser()
	facebook.request("POST", "/callback/facebook/data-deletion", url.Values{"signed_request": {"forged"}}).has(t, 400)
	if len(g.identities(a)) != 1 {
		t.Fatal("a forged notice unlinked")
	}
	for i := range 2 { // notices come twice
		p := facebook.request("POST", "/callback/facebook/data-deletion", url.Values{"signed_request": {"good"}})
		var said struct {
			URL  string `json:"url"`
			Code string `json:"confirmation_code"`
		}
		must(t, json.Unmarshal([]byte(p.body), &said))
		if said.URL != "https://id.example.test/data-deletion/"+said.Code ||
			p.header.Get("Content-Type") != "application/json" {
			t.Errorf("%+v", said)
		}
		text := "have been deleted"
		if i == 1 {
			text = "We hold no data"
		}
		facebook.get("/data-deletion/"+said.Code).has(t, 200, text)
	}
	if len(g.identities(a)) != 0 || len(g.mails()) != 1 || len(g.events(broker.EventIdentityUnlinked)) != 1 {
		t.Fatal("not unlinked, or not told")
	}
	facebook.request("POST", "/callback/facebook/deauthorize", url.Values{"signed_request": {"good"}}).has(t, 200)
	facebook.get("/data-deletion/MADEUP").has(t, 404)
}
