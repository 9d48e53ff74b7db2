package login_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

func TestEveryStepHasAURLAndEveryOtherOneLeadsThere(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	for _, step := range []string{"password", "link", "code", "resend", "wish", "email", "no-such-step"} {
		if p := b.get(path + "/" + step); p.status != http.StatusOK || p.url != path {
			t.Errorf("at the first page, GET %s: %d %s", step, p.status, p.url)
		}
	}
	if p := b.post(path+"/email", "email", ana); p.url != path+"/password" {
		t.Errorf("the password page is %s", p.url)
	}
	b.get(path+"/password").has(t, 200, "Enter your password", ana)
	if p := b.get(path + "/email"); p.url != path+"/password" {
		t.Errorf("a POST's address leads to %s", p.url)
	}
	b.request("POST", path+"/password", pairsOf([]string{"email", ana, "password", "not the right one"})).has(t, 422)
	b.get(path+"/password?lang=de").has(t, 200, "Passwort eingeben")
	b.get(path+"/password?lang=en").has(t, 200, "Enter your password")
	if p := b.through(path, "google", "code"); p.url != path+"/link" {
		t.Errorf("the link page is %s", p.url)
	}
	if p := b.get(path); p.url != path+"/link" {
		t.Errorf("with something proven, the first page is %s", p.url)
	}
}

func TestBackFromThePasswordPageShowsTheFirstPage(t *testing.T) {
	g := newFixture(t)
	g.account("ben@example.test", password)
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/email", "email", ana)
	b.get(path).has(t, 200, "<h1>Sign in</h1>", `value="`+ana+`"`)
	b.get(path+"/password").has(t, 200, "Enter your password", ana)
	b.post(path+"/email", "first", "1", "email", "nonsense").has(t, 422, "<h1>Sign in</h1>", "Enter an email address")
	b.post(path+"/email", "first", "1", "email", "ben@example.test").has(t, 200, "Enter your password", "ben@example.test")
	b.post(path+"/password", "email", "ben@example.test", "password", password).atApp(t, "ben@example.test")
}

func TestBackFromARegistrationStartsASignIn(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/wish", "wish", "new")
	b.post(path+"/email", "email", "new@example.test")
	b.get(path).has(t, 200, "<h1>Sign in</h1>")
	g.mails()
	b.post(path+"/email", "first", "1", "email", ana).has(t, 200, "Enter your password", ana)
	if len(g.mails()) != 0 {
		t.Error("an address that signs in got a code")
	}
}

func TestTheLostPageOfACodeComesBackForTheSameAddress(t *testing.T) {
	for name, leave := range map[string]func(b *browser, path string){
		"change email": func(b *browser, path string) { b.post(path+"/wish", "wish", "back") },
		"back":         func(b *browser, path string) { b.get(path); b.post(path+"/wish", "wish", "new") },
		"another address first": func(b *browser, path string) {
			b.post(path+"/email", "first", "1", "email", ana)
			b.post(path+"/wish", "wish", "new")
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newFixture(t)
			b := g.browser()
			path, _ := b.begin()
			b.post(path+"/wish", "wish", "new")
			b.post(path+"/email", "email", "new@example.test").has(t, 200, "Check your email")
			code := g.code()
			g.wait(10 * time.Second)
			leave(b, path)
			b.post(path+"/email", "email", "new@example.test").has(t, 200, "Check your email", "new@example.test")
			if len(g.mails()) != 0 {
				t.Error("a second mail within the pause")
			}
			b.post(path+"/code", "code", code).has(t, 200, `name="given_name"`)
		})
	}
}

func TestE2_AnEmptyPasswordIsNoTry(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.linked(a, "facebook", "f1")
	g.claims("link", verified("g1", ana))
	g.claims("own", verified("g2", "else@example.test"))
	g.claims("old", verified("f1", ana))
	for route, open := range map[string]func(b *browser, path string) page{
		"password": func(b *browser, path string) page { return b.post(path+"/email", "email", ana) },
		"link":     func(b *browser, path string) page { return b.through(path, "google", "link") },
		"own": func(b *browser, path string) page {
			b.through(path, "google", "own")
			return b.post(path+"/wish", "wish", "own")
		},
		"confirm": func(b *browser, path string) page { return b.through(path, "facebook", "old") },
	} {
		g.start.Fresh = route == "confirm"
		b := g.browser()
		path, _ := b.begin()
		p := open(b, path)
		for range 12 {
			p = b.post(path+"/"+route, "email", ana, "confirmation", p.hidden("confirmation"), "password", "")
			p.has(t, 422, "Enter your password.")
		}
		if route == "password" {
			b.post(path+"/password", "email", ana, "password", password).atApp(t, ana)
		}
	}
	if n := len(g.events(broker.EventPasswordFailed)); n != 0 {
		t.Errorf("%d failures are recorded", n)
	}
}

func TestARegistrationOfAnAddressWithAnAccountEndsInItsOwnMethods(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, "")
	g.linked(a, "google", "g1")
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	b.post(path+"/wish", "wish", "new")
	b.post(path+"/email", "email", ana).has(t, 200, "Check your email")
	due := g.mails()
	if len(due) != 1 || !strings.Contains(due[0].Text, "Enter this code, then sign in to your account") {
		t.Fatalf("the mail promises something else: %+v", due)
	}
	p := b.post(path+"/code", "code", sixDigits.FindString(due[0].Text))
	p.has(t, 200, "You already have an account", ana, "/to/google")
	if strings.Contains(p.body, "/to/facebook") || strings.Contains(p.body, `name="password"`) {
		t.Errorf("it offers what the account does not have: %s", p.body)
	}
	b.through(path, "google", "code").atApp(t, ana)
}

func TestACodeThatConfirmsASignInIsNotMailedAsARegistration(t *testing.T) {
	g := newFixture(t)
	g.knownAtGoogle()
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code").atApp(t, ana)
	g.start.Pick, g.start.Fresh = true, true
	path, p := b.begin()
	b.post(path+"/continue", "session", p.hidden("session")).has(t, 200, "Confirm it’s you")
	b.post(path+"/resend").has(t, 200, `name="code"`)
	if due := g.mails(); len(due) != 1 || strings.Contains(due[0].Text, "already have") {
		t.Errorf("%+v", due)
	}
}

func TestOnlyASecondCodeIsCalledANewOne(t *testing.T) {
	g := newFixture(t)
	g.linked(g.account(ana, ""), "google", "g1")
	g.claims("code", verified("g1", ana))
	g.start.Fresh = true
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code").has(t, 200, "Confirm it’s you")
	first := b.post(path + "/resend")
	first.has(t, 200, "We sent a 6-digit code")
	if strings.Contains(first.body, "New code sent") {
		t.Error("the first code is called a new one")
	}
	g.wait(broker.MailedPause)
	b.post(path+"/resend").has(t, 200, "New code sent at <time", "Older codes no longer work")
}
