package main

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"gatehouse/broker"
)

// stops presses a Link button and goes as far as the callback, which it returns
// without requesting it.
func (p resident) stops(provider, who string) (callback string) {
	p.t.Helper()
	p.methods()
	p.press("Link " + provider)
	return p.stopBefore(who, "/callback/")
}

// Link CSRF: opening any step of the attacker's link in the browser of a signed-in person
// links nothing to any account.
func TestC5_AnAttackersLinkAddsNothingInTheVictimsBrowser(t *testing.T) {
	w := newHarness(t)
	mallory, ben := w.resident("ana@example.test"), w.resident("ben@example.test")
	callback := mallory.stops("Google", "Noor")
	var login string
	for _, step := range mallory.trail {
		if method, address, _ := strings.Cut(step, " "); method == http.MethodGet && strings.Contains(address, "/to/google") {
			login = strings.TrimSuffix(address, "/to/google")
		}
	}
	for _, address := range []string{callback, callback + "&x=1", login, login + "/to/google"} {
		ben.open(address)
		ben.has(0, address)
	}
	// In the other browser the copied login asks for no account.
	ben.open(login + "/to/google")
	if strings.Contains(textOf(ben.page.root), "(simulated)") {
		ben.click("Noor")
	}
	ben.has(0, "after the whole way in the victim's browser")
	ben.open(login)
	ben.wants(broker.StartAgain, ben.page)
	ben.click("Back to your account")
	ben.sees("Your account")
	mallory.has(0, "before the attacker finishes")
	mallory.open(callback) // nothing was burnt
	mallory.has(1, "after the attacker finishes")

	// The callback of a sign-in never links to the account that the browser is signed in to.
	stranger := newBrowser(t)
	stranger.open(w.file.Issuer + "/login")
	stranger.click("Continue with Harbour Club")
	ben.open(stranger.stopBefore("Vera", "/callback/"))
	ben.has(0, "after a stranger's callback")
	ben.methods()
	if len(w.events(broker.EventIdentityLinked)) != 1 {
		t.Error("something was linked")
	}
}

func TestC5_AnotherSitesFormsDoNothing(t *testing.T) {
	w := newHarness(t)
	ana := w.resident("ana@example.test")
	ana.links("Google", "Ana")
	for _, path := range []string{linkPath, unlinkOf(ana.identity("google"))} {
		ana.wants(broker.CrossOrigin, ana.submit(path, true, "connection", "microsoft"))
		ana.methods()
	}
	ana.has(1, "after another site's forms")
	for _, path := range []string{linkPath + "?connection=microsoft", unlinkOf(ana.identity("google"))} {
		ana.open(w.file.Issuer + path) // a GET does nothing either
		ana.has(1, "after GET "+path)
	}
	ben := w.resident("ben@example.test")
	if p := ben.submit(unlinkOf(ana.identity("google")), false); p.status != http.StatusSeeOther {
		t.Errorf("somebody else's identity is answered %d", p.status)
	}
	ben.open(w.file.Issuer + unlinkOf(ana.identity("google")))
	ben.wants(broker.NotFound, ben.page)
	nobody := resident{newBrowser(t), w, "nobody"}
	nobody.page = &page{url: ana.page.url}
	for _, path := range []string{linkPath, unlinkOf(ana.identity("google"))} {
		if p := nobody.submit(path, false, "connection", "microsoft"); p.header.Get("Location") != "/login" {
			t.Errorf("%s: somebody who is not signed in is sent to %q", path, p.header.Get("Location"))
		}
	}
	ana.has(1, "at the end")
}

// Every request of a link and its unlink is sent again, in order, by the same
// browser while it is still signed in.
func TestC4_AfterAnUnlinkNothingThatWasSentLinksAgain(t *testing.T) {
	w := newHarness(t)
	ana := w.resident("ana@example.test")
	ana.trail = nil
	callback := ana.stops("Google", "Ana")
	ana.open(callback)
	ana.has(1, "after the link")
	ana.submit(unlinkOf(ana.identity("google")), false)
	ana.has(0, "after the unlink")
	sent := append(slices.Clone(ana.trail), "GET "+callback)
	replayed := 0
	for _, step := range sent {
		method, address, _ := strings.Cut(step, " ")
		if !strings.HasPrefix(address, w.file.Issuer) {
			continue
		}
		replayed++
		if method == http.MethodPost {
			// The person's own click: it may begin a link, and only the upstream's new answer ends one.
			ana.submit(strings.TrimPrefix(address, w.file.Issuer), false, "connection", "google")
		} else {
			ana.open(address)
		}
		ana.has(0, "after the replay of "+step)
	}
	if replayed < 6 || len(w.events(broker.EventIdentityLinked)) != 1 {
		t.Errorf("%d replayed, %d link events", replayed, len(w.events(broker.EventIdentityLinked)))
	}
}

// No port and no form field can move an identity to another account.
func TestC15_AnIdentityNeverChangesItsAccountOrSubject(t *testing.T) {
	w := newHarness(t)
	ana, ben := w.resident("ana@example.test"), w.resident("ben@example.test")
	ana.links("Google", "Ana")
	ben.links("Google", "Wim")
	ana.links("Harbour Club", "Vera")
	names := []string{"id", "identity", "account", "account_id", "user", "user_id", "owner", "for", "subject", "sub",
		"issuer", "iss", "email",
		"connection", "purpose", "linked_at", "_method"}
	form := url.Values{}
	for _, name := range names {
		form.Set(name, ben.account().ID)
	}
	form.Set("connection", "google")
	before := fmt.Sprint(ana.identities(), ben.identities())
	tried := 0
	for _, route := range mountedRoutes(t) {
		method, pattern, _ := strings.Cut(route, " ")
		if !strings.HasPrefix(pattern, broker.AccountPath) {
			continue
		}
		for _, i := range []broker.Identity{ana.identity("google"), ben.identity("google")} {
			if i.AccountID == ana.account().ID && method == http.MethodPost && strings.HasSuffix(pattern, "/unlink") {
				continue // that is what it is for
			}
			for _, verb := range []string{method, http.MethodPut, http.MethodPatch, http.MethodDelete} {
				tried++
				req := ana.post(w.file.Issuer+strings.ReplaceAll(pattern, "{id}", i.ID), form)
				req.Method = verb
				ana.send(req)
			}
		}
	}
	if after := fmt.Sprint(ana.identities(), ben.identities()); after != before || tried < 30 {
		t.Errorf("after %d requests\n%s\nbecame\n%s", tried, before, after)
	}
	var ports []string
	for m := range reflect.TypeFor[broker.Identities]().Methods() {
		ports = append(ports, m.Name)
	}
	if want := []string{"IdentitiesOf", "Identity", "Link", "SeeIdentity", "Unlink"}; !slices.Equal(ports, want) {
		t.Errorf("the port of identities is %v: does something move them?", ports)
	}
}

// Two accounts with ten browsers each race for one identity.
func TestC16_TwentyLinksOfOneIdentityMakeOneRow(t *testing.T) {
	w := newHarness(t)
	var callbacks []func()
	people := []string{"ana@example.test", "ben@example.test"}
	var any resident
	for n := range 20 {
		p := w.resident(people[n%2])
		any = p
		callback := p.stops("Google", "Noor")
		callbacks = append(callbacks, func() {
			req, _ := http.NewRequest(http.MethodGet, callback, nil)
			if p := p.follow(req); p.status >= 500 {
				t.Errorf("%d %s", p.status, textOf(p.root))
			}
		})
		w.advance(time.Second)
	}
	var wg sync.WaitGroup
	for _, open := range callbacks {
		wg.Go(open)
	}
	wg.Wait()
	rows := 0
	for _, email := range people {
		any.email = email
		rows += len(any.identities())
	}
	if rows != 1 || len(w.events(broker.EventIdentityLinked)) != 1 {
		t.Errorf("%d rows, %d events", rows, len(w.events(broker.EventIdentityLinked)))
	}
}

// signedInBy is another browser of the same person, signed in through a provider.
func (p resident) signedInBy(provider, who string) resident {
	p.t.Helper()
	b := resident{newBrowser(p.t), p.w, p.email}
	b.open(p.w.file.Issuer + "/login")
	b.click("Continue with " + provider)
	b.click(who)
	b.sees("Your account")
	return b
}

func (w *harness) switchOff(connection string) {
	w.t.Helper()
	c, err := w.h.store.Connection(w.ctx, connection)
	if c.State = broker.Disabled; err == nil {
		err = w.h.storeConnection(w.ctx, c, "disabled")
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// The rule is tested in the domain package; here the server must apply it, whatever a page offered.
func TestC17_TheServerKeepsTheLastSignInMethod(t *testing.T) {
	for name, tc := range map[string]struct {
		edit   func(*broker.Account)
		second bool // another identity, of a connection that is switched off
		want   broker.Code
	}{
		"a password is left": {edit: func(*broker.Account) {}},
		"no password":        {edit: func(a *broker.Account) { a.PasswordHash = "" }, want: broker.LastMethod},
		"no password, and the other connection is off": {edit: func(a *broker.Account) {
			a.PasswordHash = ""
		}, second: true, want: broker.LastMethod},
		"the lock wants it": {edit: func(a *broker.Account) {
			a.Restriction = &broker.Restriction{Only: "google", Connections: []string{"google"}}
		}, want: broker.MethodRequired},
	} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			ana := w.resident("ana@example.test")
			ana.links("Google", "Ana")
			if tc.second {
				ana.links("Facebook", "Fay")
				w.switchOff("facebook")
			}
			before, path := len(ana.identities()), unlinkOf(ana.identity("google"))
			if tc.want != "" { // a lock shuts the password's session out
				ana = ana.signedInBy("Google", "Ana")
			}
			ana.change(tc.edit)
			got := ana.submit(path, false)
			if tc.want == "" {
				ana.has(before-1, "after the unlink")
				return
			}
			ana.wants(tc.want, got)
			ana.open(w.file.Issuer + path)
			ana.wants(tc.want, ana.page)
			ana.methods()
			if slices.ContainsFunc(elements(ana.page.root, "a"), func(a *html.Node) bool { return attr(a, "href") == path }) {
				t.Error("the page offers what is refused")
			}
			ana.has(before, "at the end")
		})
	}
}

// The second of two concurrent unlinks sees the result of the first.
func TestC17_TwoConcurrentUnlinksLeaveOneMethod(t *testing.T) {
	w := newHarness(t)
	ana := w.resident("ana@example.test")
	ana.links("Google", "Ana")
	ana.links("Harbour Club", "Vera")
	ana.change(func(a *broker.Account) { a.PasswordHash = "" })
	var wg sync.WaitGroup
	for _, i := range ana.identities() {
		for range 5 {
			req := ana.post(w.file.Issuer+unlinkOf(i), url.Values{})
			wg.Go(func() {
				res, err := ana.client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
			})
		}
	}
	wg.Wait()
	ana.has(1, "after both")
}

// Nothing but the restriction's connections can be linked to a restricted account: the page
// does not offer it, and the server refuses it at the first request and at the last.
func TestD6_ARestrictedAccountLinksNothingElse(t *testing.T) {
	w := newHarness(t)
	ana := w.resident("ana@example.test")
	ana.links("Microsoft", "Bruno")
	late := ana.signedInBy("Microsoft", "Bruno")
	if late.methods(); !strings.Contains(textOf(late.page.root), "Link Google") {
		t.Fatal("nothing is offered without a lock")
	}
	before := ana.stops("Harbour Club", "Vera") // begun before the restriction, in the password's session
	ana.change(func(a *broker.Account) {
		a.Restriction = &broker.Restriction{Only: broker.OnlyMicrosoft, Connections: []string{"microsoft"}}
	})
	ana.open(before)
	ana.has(1, "after a link that was begun before the lock")

	late.methods()
	late.shows("Your administrator requires Microsoft for this account.")
	late.shows("Required by your administrator.")
	late.shows("Can’t be used for this account.") // the password
	if got := textOf(late.page.root); strings.Contains(got, "Link ") || strings.Contains(got, "Unlink") {
		t.Errorf("the page offers what is refused:\n%s", got)
	}
	for connection, want := range map[string]broker.Code{"google": broker.MicrosoftRequired,
		"facebook": broker.MicrosoftRequired, "club": broker.MicrosoftRequired,
		"microsoft": broker.IdentityMismatch, "nonsense": broker.ConnectionDisabled, "": broker.ConnectionDisabled} {
		late.wants(want, late.submit(linkPath, false, "connection", connection))
	}
	late.has(1, "after every connection")
	late.wants(broker.MethodRequired, late.submit(unlinkOf(ana.identity("microsoft")), false))

	// The login is asked too: one that was begun fresh meets the restriction on its way back.
	late.change(func(a *broker.Account) { a.Restriction = nil })
	w.tellAuthTime()
	w.signsInAfresh(late)
	callback := late.stops("Google", "Ana")
	late.change(func(a *broker.Account) {
		a.Restriction = &broker.Restriction{Only: broker.OnlyMicrosoft, Connections: []string{"microsoft"}}
	})
	late.open(callback)
	late.wants(broker.MicrosoftRequired, late.page)
	late.click("Back to your account")
	late.sees("Your account")
	late.has(1, "at the end")
}

// signsInAfresh proves a person again with their provider, as the account page asks for.
func (w *harness) signsInAfresh(p resident) {
	w.t.Helper()
	p.methods()
	p.press("Link Google")
	p.sees("Enter your password")
	p.click("Continue with Microsoft") // where the hint, her address, is Mallory's
	p.click("Use a different account")
	p.click("Bruno")
	p.sees("Your account")
}
