package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// resident is a person who is signed in, on the account page.
type resident struct {
	*browser
	w     *harness
	email string
}

// resident signs in with the demo's password.
func (w *harness) resident(email string) resident {
	w.t.Helper()
	p := resident{newBrowser(w.t), w, email}
	p.open(w.file.Issuer + "/login")
	p.press("Continue", "email", email)
	p.press("Sign in", "password", demoPassword)
	p.sees("Your account")
	return p
}

func (p resident) methods() {
	p.t.Helper()
	p.open(p.w.file.Issuer + broker.MethodsPath)
	p.sees("Your account")
}

// links links an identity of a provider from the methods page.
func (p resident) links(provider, who string) {
	p.t.Helper()
	p.methods()
	p.press("Link " + provider)
	p.click(who)
	p.sees("Your account")
	p.shows(provider + " is linked.")
}

func (p resident) shows(text string) {
	p.t.Helper()
	if got := textOf(p.page.root); !strings.Contains(got, text) {
		p.t.Fatalf("%s lacks %q:\n%s", p.page.url, text, got)
	}
}

func (p resident) account() broker.Account {
	p.t.Helper()
	a, err := p.w.h.store.AccountByEmail(p.w.ctx, p.email)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p resident) identities() []broker.Identity {
	p.t.Helper()
	all, err := p.w.h.store.IdentitiesOf(p.w.ctx, p.account().ID)
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// identity is the one of a connection.
func (p resident) identity(connection string) broker.Identity {
	p.t.Helper()
	for _, i := range p.identities() {
		if i.Connection == connection {
			return i
		}
	}
	p.t.Fatalf("%s has no identity of %s", p.email, connection)
	return broker.Identity{}
}

func (p resident) has(n int, when string) {
	p.t.Helper()
	if all := p.identities(); len(all) != n {
		p.t.Fatalf("%s: %s has %d identities, want %d: %+v", when, p.email, len(all), n, all)
	}
}

func (p resident) change(edit func(*broker.Account)) {
	p.t.Helper()
	a := p.account()
	seen := a.AuthEpoch
	edit(&a)
	if err := p.w.h.store.ChangeAccount(p.w.ctx, a, seen); err != nil {
		p.t.Fatal(err)
	}
}

// submit posts a form as the account's own pages do, or as another site would.
func (p resident) submit(path string, crossSite bool, pairs ...string) *page {
	p.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	req := p.post(p.w.file.Issuer+path, form)
	if crossSite {
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		req.Header.Set("Origin", "https://evil.example.test")
	}
	return p.send(req)
}

const linkPath = broker.MethodsPath + "/link"

func unlinkOf(i broker.Identity) string { return broker.MethodsPath + "/" + i.ID + "/unlink" }

func (p resident) wants(code broker.Code, got *page) {
	p.t.Helper()
	if shown, _ := shownRefusal(got.root); shown != string(code) {
		p.t.Fatalf("%s: %d %q, want the refusal %s:\n%s", got.url, got.status, shown, code, textOf(got.root))
	}
}

func TestTheOwnerLinksAndUnlinksAndIsNotified(t *testing.T) {
	w := newHarness(t)
	ana := w.resident("ana@example.test")
	ana.links("Google", "Ana")
	ana.links("Microsoft", "Bruno")
	ana.has(2, "after two links")
	session := ana.account().AuthEpoch
	ana.open(w.file.Issuer + unlinkOf(ana.identity("google")))
	ana.sees("Unlink Google?")
	ana.press("Unlink Google")
	ana.sees("Your account")
	ana.shows("Google is no longer linked.")
	ana.has(1, "after unlinking one")
	if ana.account().AuthEpoch != session {
		t.Error("an unlink ended what was not born of it")
	}
	e := w.events(broker.EventIdentityUnlinked)
	if len(e) != 1 || e[0].Actor != ana.account().ID || e[0].Account != e[0].Actor || e[0].Connection != "google" ||
		e[0].Session == "" {
		t.Errorf("%+v", e)
	}
	if e := w.events(broker.EventIdentityLinked); len(e) != 2 || e[0].Actor != ana.account().ID {
		t.Errorf("%+v", e)
	}
	b := newBrowser(t)
	b.open(w.file.Issuer + "/login")
	b.click("Continue with Google")
	b.click("Ana")
	b.sees("Link Google to your account?")
}

func TestUnlinkingEndsWhatWasCreatedOfTheIdentityAndNothingElse(t *testing.T) {
	w := newHarness(t)
	w.tellAuthTime()
	ana := w.resident("ana@example.test")
	ana.links("Google", "Ana")
	byGoogle := resident{newBrowser(t), w, ana.email}
	byGoogle.open(w.file.Issuer + "/login")
	byGoogle.click("Continue with Google")
	byGoogle.click("Ana")
	byGoogle.sees("Your account")
	byPassword := w.resident(ana.email)
	ana.submit(unlinkOf(ana.identities()[0]), false)
	ana.has(0, "after the unlink")
	byGoogle.open(w.file.Issuer + broker.MethodsPath)
	byGoogle.sees("Sign in")
	byPassword.methods()
	ana.methods()

	// The acting session, created of the identity that goes, goes too.
	ana.links("Harbour Club", "Vera")
	club := resident{newBrowser(t), w, ana.email}
	club.open(w.file.Issuer + "/login")
	club.click("Continue with Harbour Club")
	club.click("Vera")
	club.sees("Your account")
	club.click("Unlink")
	if !strings.Contains(textOf(club.page.root), "signed in with it now") {
		t.Error("the page does not say what will happen")
	}
	club.press("Unlink Harbour Club")
	club.sees("You’re signed out")
	club.open(w.file.Issuer + broker.MethodsPath)
	club.sees("Sign in")
}

// Linking and unlinking take a proof of the last five minutes; the way there is a
// login that comes back, and nothing is done on the way.
func TestC5_AnOldProofNeitherLinksNorUnlinks(t *testing.T) {
	w := newHarness(t)
	ana := w.resident("ana@example.test")
	ana.links("Google", "Ana")
	w.advance(broker.LinkFresh + time.Second)
	for _, try := range []string{"Link Microsoft", "Unlink Google"} {
		ana.methods()
		if try == "Unlink Google" {
			ana.click("Unlink")
		}
		ana.press(try)
		ana.sees("Enter your password")
		ana.shows("You’re about to change how you sign in.")
		ana.has(1, "before the proof")
		ana.click("Back to your account")
		ana.sees("Your account")
	}
	ana.press("Link Microsoft")
	ana.press("Sign in", "password", demoPassword)
	ana.sees("Your account")
	if ana.page.url.Path != broker.MethodsPath {
		t.Errorf("the proof leads to %s", ana.page.url)
	}
	ana.has(1, "after the proof, before the link")
	ana.links("Microsoft", "Bruno")

	// The link was begun in time, and the upstream answers when it is too late.
	ana.methods()
	ana.press("Link Harbour Club")
	callback := ana.stopBefore("Vera", "/callback/")
	w.advance(broker.UpstreamRequestLife + time.Second)
	ana.open(callback)
	ana.has(2, "after a late answer")
	w.advance(broker.LinkFresh)
	ana.open(w.file.Issuer + broker.MethodsPath)
	ana.has(2, "at the end")
}

func TestWithoutAPasswordReauthenticationUsesAMailedCode(t *testing.T) {
	w := newHarness(t)
	fay := resident{newBrowser(t), w, "fay@example.test"}
	fay.open(w.file.Issuer + "/login")
	fay.click("Continue with Facebook") // which proves no fresh sign-in
	fay.click("Fay")
	fay.press("I’m new")
	first := w.mailedCode(fay.email)
	fay.press("Continue", "code", first)
	fay.press("Create account")
	fay.sees("Your account")
	fay.shows("Add another way to sign in first.")
	w.advance(broker.LinkFresh + time.Second) // the code of the registration is no longer fresh
	fay.press("Link Google")
	fay.sees("Sign in")
	fay.click("Continue with Facebook")
	fay.click("Fay")
	fay.sees("Confirm it’s you")
	w.advance(broker.MailedPause + time.Second)
	fay.press("Email me a code")
	fay.press("Continue", "code", "000000")
	if fay.page.status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong code is answered %d", fay.page.status)
	}
	code := first
	for deadline := time.Now().Add(20 * time.Second); code == first && time.Now().Before(deadline); time.Sleep(
		20 * time.Millisecond) {
		code = w.mailedCode(fay.email)
	}
	fay.press("Continue", "code", code)
	fay.sees("Your account")
	fay.links("Google", "Noor")
	fay.has(2, "after the link")
}
