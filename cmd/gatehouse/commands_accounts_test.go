package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// signedIn is a browser that is signed in to the sample app.
func (w *harness) signedIn(email, name string) *browser {
	w.t.Helper()
	b := newBrowser(w.t)
	b.open(w.file.App + "/login")
	b.press("Continue", "email", email)
	b.press("Sign in", "password", demoPassword)
	w.returned(b, name)
	return b
}

// refreshes reports whether the app still gets tokens for its person. It forgets
// them when it does not.
func (w *harness) refreshes(b *browser) bool {
	w.t.Helper()
	if b.open(w.file.App + "/"); !strings.Contains(b.page.body, "Refresh the tokens") {
		return false
	}
	b.press("Refresh the tokens")
	return strings.HasPrefix(b.page.heading(), "Signed in as")
}

// remembers reports whether the browser's session is still valid.
func (w *harness) remembers(b *browser) bool {
	w.t.Helper()
	b.open(w.file.Issuer + "/account")
	return b.page.url.Path == "/account"
}

func (w *harness) dies(b *browser, what string) {
	w.t.Helper()
	if w.refreshes(b) {
		w.t.Errorf("%s: the refresh token still works", what)
	}
	if w.remembers(b) {
		w.t.Errorf("%s: the session still works", what)
	}
}

// mailed waits for a mail to an address with the word in its subject.
func (w *harness) mailed(to, word string) {
	w.t.Helper()
	w.advance(time.Minute) // the harness's clock stands still, the command's went on
	var found []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(w.h.cfg.Mail.Folder, "*.eml"))
		if err != nil {
			w.t.Fatal(err)
		}
		found = nil
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				w.t.Fatal(err)
			}
			head, _, _ := strings.Cut(string(b), "\r\n\r\n")
			if found = append(found, head); strings.Contains(head, to) && strings.Contains(head, word) {
				return
			}
		}
	}
	w.t.Fatalf("no mail about %q to %s in:\n%s", word, to, strings.Join(found, "\n\n"))
}

func TestADisabledAccountIsSignedOutAndWorksAgainWhenEnabled(t *testing.T) {
	w := newHarness(t)
	o := operatorOf(w)
	b := w.signedIn("ben@example.test", "Ben Carter")
	if !w.refreshes(b) || !w.remembers(b) {
		t.Fatal("nothing to lose")
	}

	o.does("accounts", "disable", "Ben@Example.test")
	w.dies(b, "disabled")
	again := newBrowser(t)
	again.open(w.file.App + "/login")
	again.press("Continue", "email", "ben@example.test")
	again.press("Sign in", "password", demoPassword)
	if again.page.status != http.StatusForbidden {
		t.Errorf("a disabled account signs in: %d %s", again.page.status, again.page.heading())
	}

	o.does("accounts", "enable", "ben@example.test")
	w.dies(b, "enabled again, what was born before")
	w.signedIn("ben@example.test", "Ben Carter")
	o.does("accounts", "enable", "ben@example.test") // nothing to do, nothing to tell
	if got := o.logged(); !slices.Equal(got[len(got)-2:], []string{"account.changed disabled",
		"account.changed enabled"}) {
		t.Errorf("events %q", got)
	}
}

func TestSignOutEndsEverySessionAndToken(t *testing.T) {
	w := newHarness(t)
	o := operatorOf(w)
	one, two, other := w.signedIn("ben@example.test", "Ben Carter"), w.signedIn("ben@example.test", "Ben Carter"),
		w.signedIn("ana@example.test", "Ana Silva")
	o.does("accounts", "signout", "ben@example.test")
	w.dies(one, "signed out")
	w.dies(two, "signed out")
	if !w.refreshes(other) || !w.remembers(other) {
		t.Error("somebody else was signed out too")
	}
	if got := o.logged(); got[len(got)-1] != "session.ended everywhere" {
		t.Errorf("events %q", got)
	}
}

func TestANewPasswordEndsOldSessionsAndNotifiesItsOwner(t *testing.T) {
	w := newHarness(t)
	o := operatorOf(w)
	b := w.signedIn("ben@example.test", "Ben Carter")
	out := o.doesWith("nine larks by the mill\n", "accounts", "password", "ben@example.test")
	if strings.Contains(out, "larks") || !strings.Contains(out, "mail tells the owner") {
		t.Errorf("it says %q", out)
	}
	w.dies(b, "a new password")
	w.mailed("ben@example.test", "password")

	again := newBrowser(t)
	again.open(w.file.App + "/login")
	again.press("Continue", "email", "ben@example.test")
	again.press("Sign in", "password", demoPassword)
	if again.page.status != http.StatusUnprocessableEntity {
		t.Errorf("the old password is answered %d", again.page.status)
	}
	again.press("Sign in", "password", "nine larks by the mill")
	w.returned(again, "Ben Carter")
	o.isRefusedWith("short", "12 to 256", "accounts", "password", "ben@example.test")
}

func TestAPasswordIsNotSetIfItsOwnerCannotBeNotified(t *testing.T) {
	o := newOperator(t)
	o.doesWith(boats, "accounts", "add", "ana@example.test", "--password-file", "-")
	before := o.does("accounts", "show", "ana@example.test", "--json")
	for _, table := range []string{"mails", "events"} {
		mend := o.breakTable("INSERT", table)
		o.isRefusedWith("nine larks by the mill", "broken by the test", "accounts", "password", "ana@example.test")
		mend()
	}
	if after := o.does("accounts", "show", "ana@example.test", "--json"); after != before {
		t.Errorf("it was set all the same:\n%s\n%s", before, after)
	}
	if got := o.logged(); !slices.Equal(got, []string{"account.created"}) {
		t.Errorf("events %q", got)
	}
}

func TestAnAccountIsAddedOnceAndListedInPages(t *testing.T) {
	o := newOperator(t)
	o.does("migrate")
	if out := o.does("accounts", "list"); strings.Count(out, "\n") != 1 {
		t.Errorf("an empty list:\n%s", out)
	}
	for _, email := range []string{" Cleo@Example.test ", "ana@example.test", "ben@example.test"} {
		o.does("accounts", "add", email, "--name", "Some Body")
	}
	o.isRefused("cleo@example.test has an account already", "accounts", "add", "CLEO@example.test")
	o.isRefused("not an e-mail address", "accounts", "add", "cleo")
	o.isRefused("not an e-mail address", "accounts", "add", "cléo@example.test")
	o.isRefused("--name", "accounts", "add", "dora@example.test", "--name", "two\nlines")
	o.isRefused(`there is no account "dora@example.test"`, "accounts", "show", "dora@example.test")
	o.isRefused(`there is no account "NOSUCHID"`, "accounts", "disable", "NOSUCHID")

	var page []accountView
	if o.shows(&page, "accounts", "list", "--limit", "2"); len(page) != 2 || page[0].Email != "ana@example.test" {
		t.Fatalf("the first page: %+v", page)
	}
	if out := o.does("accounts", "list", "--limit", "2"); !strings.Contains(out, "--after ben@example.test") {
		t.Errorf("no way to the next page:\n%s", out)
	}
	if o.shows(&page, "accounts", "list", "--after", "BEN@example.test"); len(page) != 1 ||
		page[0].Email != "cleo@example.test" || page[0].Password {
		t.Errorf("the second page: %+v", page)
	}
	var byID accountView
	if o.shows(&byID, "accounts", "show", page[0].ID); byID.Email != "cleo@example.test" {
		t.Errorf("by its id: %+v", byID)
	}
	if got := o.logged(); len(got) != 3 {
		t.Errorf("events %q", got)
	}
}

// linked gives an account an identity, as a sign-in would.
func (o *operator) linked(h *app, email, connection string) string {
	o.t.Helper()
	a, err := h.store.AccountByEmail(o.t.Context(), email)
	if err != nil {
		o.t.Fatal(err)
	}
	i := broker.Identity{ID: broker.NewID(), AccountID: a.ID, Connection: connection,
		Issuer: "https://accounts.google.com", Subject: broker.NewID(), Email: email, LinkedAt: h.now(), SeenAt: h.now()}
	if err := h.store.Link(o.t.Context(), i); err != nil {
		o.t.Fatal(err)
	}
	return i.ID
}

func TestTheLastSignInMethodOfAnAccountIsNotUnlinked(t *testing.T) {
	o := newOperator(t)
	for _, id := range []string{"google", "other"} {
		o.doesWith("a secret of google's", "connections", "add", id, "--live", "--kind", "google", "--name", "Google",
			"--client-id",
			"c", "--client-secret-file", "-")
	}
	o.does("accounts", "add", "ana@example.test")
	h := o.store()
	first := o.linked(h, "ana@example.test", "google")
	unlink := func(id string) []string { return []string{"accounts", "unlink", "ana@example.test", "--identity", id} }

	o.isRefused("the last sign-in method of ana@example.test", unlink(first)...)
	second := o.linked(h, "ana@example.test", "other")
	o.does("connections", "disable", "other")
	o.isRefused("the last sign-in method of", unlink(first)...) // the other connection opens no account
	o.does("connections", "enable", "other")
	o.isRefused("has no identity", unlink("nothing")...)
	var left accountView
	if o.shows(&left, unlink(first)...); len(left.Identities) != 1 || left.Identities[0].ID != second {
		t.Errorf("left: %+v", left.Identities)
	}
	o.isRefused("the last sign-in method of", unlink(second)...)
	o.doesWith(boats, "accounts", "password", "ana@example.test")
	o.configure("passwords: false")
	o.isRefused("the last sign-in method of", unlink(second)...) // a password that opens nothing does not count
	o.configure()
	o.does(unlink(second)...)

	got := o.logged()
	if n := len(slices.DeleteFunc(got, func(e string) bool { return e != "identity.unlinked" })); n != 2 {
		t.Errorf("%d unlink events", n)
	}
	mails, err := h.store.DueMail(t.Context(), time.Now().Add(time.Minute), time.Now().Add(time.Hour), 10)
	if err != nil || len(mails) != 3 { // two unlinked, one new password
		t.Errorf("%d mails, %v", len(mails), err)
	}
}

func TestUnlinkingEndsWhatWasCreatedOfTheIdentity(t *testing.T) {
	w := newHarness(t)
	o := operatorOf(w)
	b := newBrowser(t)
	b.open(w.file.App + "/login")
	b.click("Continue with Google")
	b.click("Ana")
	b.press("Link and sign in", "password", demoPassword)
	w.returned(b, "Ana Silva")
	b.click("Sign out")
	b.click("Sign in")
	b.click("Continue with Google")
	b.click("Ana")
	w.returned(b, "Ana Silva")
	kept := w.signedIn("ana@example.test", "Ana Silva")

	var a accountView
	o.shows(&a, "accounts", "show", "ana@example.test")
	o.does("accounts", "unlink", "ana@example.test", "--identity", a.Identities[0].ID)
	w.dies(b, "unlinked")
	if !w.refreshes(kept) || !w.remembers(kept) {
		t.Error("what the password opened has ended too")
	}
	w.mailed("ana@example.test", "removed")
}

func TestAConsentIsTakenBackWithItsTokens(t *testing.T) {
	w := newHarness(t)
	o := operatorOf(w)
	o.does("clients", "change", "courts-booking", "--first-party=false")
	w.advance(6 * time.Second) // a server may know a client of five seconds ago
	b := newBrowser(t)
	b.open(w.file.App + "/login")
	b.press("Continue", "email", "ben@example.test")
	b.press("Sign in", "password", demoPassword)
	b.press("Allow")
	w.returned(b, "Ben Carter")
	if out := o.does("accounts", "consents", "ben@example.test"); !strings.Contains(out,
		"courts-booking  email offline_access openid profile") {
		t.Errorf("the consents:\n%s", out)
	}
	o.does("accounts", "consents", "remove", "ben@example.test", "--client", "courts-booking")
	if w.refreshes(b) {
		t.Error("the refresh token still works")
	}
	o.isRefused("gave no consent", "accounts", "consents", "remove", "ben@example.test", "--client", "courts-booking")
	if got := o.logged(); got[len(got)-1] != "consent.removed" {
		t.Errorf("events %q", got)
	}
}
