package login_test

import (
	"strings"
	"testing"

	"gatehouse/broker"
)

const (
	ana      = "ana@example.com"
	password = "correct horse battery"
)

func verified(subject, email string) broker.Claims {
	return broker.Claims{Subject: subject, Email: email, Level: broker.EmailVerified, Name: "Ana Silva", GivenName: "Ana",
		FamilyName: "Silva"}
}

func TestALinkedIdentityGoesStraightToTheApp(t *testing.T) {
	g := newFixture(t)
	g.linked(g.account(ana, ""), "google", "g1")
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	end := b.request("GET", b.callback(path, "google", "code"), nil)
	end.atApp(t, ana)
	if !strings.Contains(end.body, "amr=fed") {
		t.Error(end.body)
	}
	if len(g.events(broker.EventSignedIn)) != 1 {
		t.Error("want one event")
	}
	if b.cookies["__Host-gh_last"] != "google" {
		t.Error("the last used connection is not remembered")
	}
}

func TestAC9_ThePasswordLinksOnceAndTheNextSignInGoesStraightThrough(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	p := b.through(path, "google", "code")
	p.has(t, 200, "Link Google to your account?", "a•••@example.com", "created 2026")

	wrong := b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", "wrong password wrong")
	wrong.has(t, 422, "That password isn’t right.", `aria-invalid="true"`, "<title>Error:")
	if len(g.identities(a)) != 0 {
		t.Fatal("a wrong password linked")
	}
	end := b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", password)
	end.atApp(t, ana)
	if !strings.Contains(end.body, "amr=fed,pwd") {
		t.Error(end.body)
	}
	if len(g.identities(a)) != 1 || len(g.events(broker.EventIdentityLinked)) != 1 {
		t.Fatal("want one link and one event")
	}
	if m := g.mails(); len(m) != 1 || m[0].To != ana {
		t.Fatalf("want the mail to the owner, got %v", m)
	}
	b2 := g.browser()
	path2, _ := b2.begin()
	b2.through(path2, "google", "code").atApp(t, ana)
}

func TestAC10_CancelAndAnythingOldLinksNothing(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	p := b.through(path, "google", "code")
	b.post(path+"/cancel").has(t, 200, "<h1>Sign in</h1>")
	b.get(path).has(t, 200, "<h1>Sign in</h1>")
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", password).has(t, 200, "<h1>Sign in</h1>")
	if len(g.identities(a)) != 0 {
		t.Fatal("linked after cancel")
	}
}

func TestC3_AProofGivenToOneConfirmationLinksNoOther(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.claims("one", verified("g1", ana))
	g.claims("two", verified("g2", ana))
	b := g.browser()
	path, _ := b.begin()
	first := b.through(path, "google", "one")
	// Another tab of the same login brings another identity.
	second := b.through(path, "google", "two")
	b.post(path+"/link", "confirmation", first.hidden("confirmation"), "password", password).has(t, 200,
		"Link Google to your account?")
	if len(g.identities(a)) != 0 {
		t.Fatal("a proof for one identity linked another")
	}
	// Nor does the link confirmation of another login.
	other, _ := b.begin()
	third := b.through(other, "google", "one")
	b.post(path+"/link", "confirmation", third.hidden("confirmation"), "password", password)
	if len(g.identities(a)) != 0 {
		t.Fatal("a proof for one login linked in another")
	}
	b.post(path+"/link", "confirmation", second.hidden("confirmation"), "password", password).atApp(t, ana)
	if ids := g.identities(a); len(ids) != 1 || ids[0].Subject != "g2" {
		t.Fatalf("%+v", ids)
	}
}

func TestC4_NothingLinksAgainAfterSuccessAndUnlink(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	back := b.callback(path, "google", "code")
	p := b.get(back)
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", password).atApp(t, ana)
	must(t, g.db.Unlink(t.Context(), g.identities(a)[0].ID, g.time()))
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", password)
	b.get(back)
	b.get(path)
	if len(g.identities(a)) != 0 {
		t.Fatal("a replay linked again")
	}
}

func TestC6_LinkAndSignInShareOneBudgetOfGuesses(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	p := b.through(path, "google", "code")
	for range 4 {
		b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", "wrong password wrong").has(t, 422)
	}
	local, _ := b.begin()
	b.post(local+"/email", "email", ana).has(t, 200, "Enter your password")
	b.post(local+"/password", "email", ana, "password", "wrong password wrong").has(t, 422)
	b.post(local+"/password", "email", ana, "password", password).has(t, 429, "Too many attempts.")
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", password).has(t, 429)
	// One more ends the link confirmation: the claims are gone.
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", password).has(t, 429, "<h1>Sign in</h1>",
		"Too many attempts")
	if len(g.identities(a)) != 0 {
		t.Fatal("linked")
	}
}

func TestAC11_WithoutAPasswordAMailedCodeLinks(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, "")
	g.linked(a, "facebook", "f1")
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	p := b.through(path, "google", "code")
	p.has(t, 200, "Email me a code", "Continue with Facebook")
	if strings.Contains(p.body, `type="password"`) {
		t.Fatal("asks for a password that there is none")
	}
	p = b.post(path + "/resend")
	p.has(t, 200, `autocomplete="one-time-code"`)
	code := g.code()
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "code", "000000").has(t, 422, "tries left")
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "code", code[:3]+" "+code[3:]).atApp(t, ana)
	if len(g.identities(a)) != 2 {
		t.Fatal("not linked")
	}
}

func TestAC11_WithoutAPasswordAnotherLinkedProviderLinks(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, "")
	g.linked(a, "facebook", "f1")
	g.linked(g.account("eve@example.com", ""), "facebook", "f2")
	g.claims("code", verified("g1", ana))
	g.claims("own", broker.Claims{Subject: "f1"})
	g.claims("eve", broker.Claims{Subject: "f2"})
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code").has(t, 200, "/to/facebook?prove=1")

	p := b.through(path+"?prove=1", "facebook", "eve")
	p.has(t, 409, "Link Google to your account?", "That Facebook account can’t confirm this")
	if len(g.identities(a)) != 1 {
		t.Fatal("somebody else's identity confirmed the link")
	}
	b.through(path+"?prove=1", "facebook", "own").atApp(t, ana)
	if len(g.identities(a)) != 2 || len(g.mails()) != 1 {
		t.Fatal("not linked, or no mail")
	}
}

func TestC16_OneIdentityNeverGetsTwoAccounts(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	p := b.through(path, "google", "code")
	// While the page is open another account gets the identity.
	g.linked(g.account("eve@example.com", ""), "google", "g1")
	b.post(path+"/link", "confirmation", p.hidden("confirmation"), "password", password)
	if len(g.identities(a)) != 0 {
		t.Fatal("linked twice")
	}
}

func TestAC32_ADoubleClickOnLinkMakesOneLinkAndOneSession(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	p := b.through(path, "google", "code")
	pages := make(chan page, 2)
	for range 2 {
		go func() {
			pages <- b.request("POST", path+"/link", pairsOf([]string{"confirmation", p.hidden("confirmation"), "password",
				password}))
		}()
	}
	for range 2 {
		p := <-pages
		p.has(t, 200, "/authorize?login=")
	}
	b.get("/authorize?login="+strings.TrimPrefix(path, "/login/")).atApp(t, ana)
	sessions, err := g.db.SessionsOf(t.Context(), a.ID)
	must(t, err)
	if len(g.identities(a)) != 1 || len(sessions) != 1 || len(g.mails()) != 1 {
		t.Fatalf("%d links, %d sessions", len(g.identities(a)), len(sessions))
	}
}
