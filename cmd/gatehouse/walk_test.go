package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/credential"
	"gatehouse/providers/fakeidp"
	"gatehouse/storage/storetest"
)

// clock is a clock that only tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time          { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

// cheapPasswords is the least that argon2id can cost. Hashes of production would be most of the time of these tests.
func cheapPasswords() credential.Cost { return credential.Cost{Memory: 8, Passes: 1, Lanes: 1} }

// providerKeys are the RSA keys of all simulated providers.
var providerKeys fakeidp.KeyPool

// demoData has the keyring, a database and its signing keys.
var demoData storetest.Template

func newDemoData(t testing.TB, folder string) {
	t.Helper()
	// Keys created later than the test's clock would not sign yet.
	d := &demo{data: folder, now: func() time.Time { return time.Now().Add(-time.Minute) }}
	l, err := d.openAt(t.Context(), "localhost:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(l.Close(), d.servers[0].listener.Close(), d.h.signingKeys().Start(t.Context()), d.h.close())
	if err != nil {
		t.Fatal(err)
	}
}

// harness is the demo running in this process: the broker on SQLite,
// simulated upstreams, mailbox and sample app, with a clock that only tests move.
type harness struct {
	*demo
	*clock
	t   *testing.T
	ctx context.Context
}

func newHarness(t *testing.T, more ...string) *harness {
	return newHarnessWithLog(t, io.Discard, more...)
}

// newHarnessWithLog is newHarness with its log, at debug level.
func newHarnessWithLog(t *testing.T, log io.Writer, more ...string) *harness {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &clock{at: time.Now().Truncate(time.Second)}
	more = append(more, "audit: {refusals: 1000000}") // sweeps look for the event of each refusal
	d := &demo{data: t.TempDir(), now: c.now, cost: cheapPasswords(), keys: &providerKeys, more: strings.Join(more, "\n")}
	demoData.Copy(t, d.data, newDemoData)
	listener, err := d.openAt(ctx, "localhost:0", newLog(log, slog.LevelDebug))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.stock(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.h.serve(ctx, listener, func() error { return nil }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := d.h.close(); err != nil {
			t.Error(err)
		}
	})
	return &harness{d, c, t, ctx}
}

// tellAuthTime makes every provider say when it authenticated the person, as their administrators may choose.
func (w *harness) tellAuthTime() {
	for _, sim := range w.sims {
		sim.Misbehave(func(f *fakeidp.Fault) { f.AuthTime = fakeidp.AuthTimeEnabled })
	}
}

// returned fails unless the browser shows the app, signed in as the person.
func (w *harness) returned(b *browser, person string) {
	w.t.Helper()
	b.sees("Signed in as " + person)
	if got := b.page.url.Scheme + "://" + b.page.url.Host; got != w.file.App {
		w.t.Fatalf("not in the app but at %s", got)
	}
}

// claim is what the sample app shows of the ID token.
func (b *browser) claim(name string) string {
	b.t.Helper()
	for _, tr := range elements(b.page.root, "tr") {
		if th := elements(tr, "th"); len(th) == 1 && textOf(th[0]) == name {
			return textOf(elements(tr, "td")[0])
		}
	}
	return ""
}

// events are the audit log, oldest first.
func (w *harness) events(verb broker.Verb) []broker.Event {
	w.t.Helper()
	all, err := w.h.store.Events(w.ctx, broker.EventFilter{Verb: verb, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// mailedCode waits for the newest mail to an address and returns its code.
func (w *harness) mailedCode(to string) string {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(w.file.Mailbox + "/mails.json")
		if err != nil {
			w.t.Fatal(err)
		}
		var mails []shownMail
		err = json.NewDecoder(res.Body).Decode(&mails)
		res.Body.Close()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, m := range mails {
			if m.To == to {
				if code := sixDigits.FindString(m.Subject); code != "" {
					return code
				}
			}
		}
	}
	w.t.Fatalf("no code was mailed to %s", to)
	return ""
}

func TestFirstGoogleLoginLinksOnceAndThenTakesOneClick(t *testing.T) {
	w := newHarness(t)
	b := newBrowser(t)
	b.open(w.file.App + "/")
	b.click("Sign in")
	b.sees("Sign in")
	b.click("Continue with Google")
	b.click("Ana")
	b.sees("Link Google to your account?")

	b.press("Link and sign in", "password", "not the password")
	b.sees("Link Google to your account?")
	if b.page.status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong password is answered %d", b.page.status)
	}
	if n := len(w.events(broker.EventIdentityLinked)); n != 0 {
		t.Fatalf("a wrong password linked %d identities", n)
	}

	b.press("Link and sign in", "password", demoPassword)
	w.returned(b, "Ana Silva")
	if got := b.claim("amr"); !strings.Contains(got, "pwd") || !strings.Contains(got, "fed") {
		t.Errorf("amr is %s", got)
	}

	b.click("Sign out")
	b.sees("Courts Booking")
	b.click("Sign in")
	b.sees("Sign in")
	b.click("Continue with Google")
	b.click("Ana") // the broker asked for the account chooser, after a sign-out
	w.returned(b, "Ana Silva")
	if n := len(w.events(broker.EventIdentityLinked)); n != 1 {
		t.Errorf("%d link events", n)
	}
	if n := len(w.events(broker.EventSignedIn)); n != 2 {
		t.Errorf("%d sign-in events", n)
	}
}

func TestAnAppThatNamesTheConnectionTakesTwoRequestsOfUs(t *testing.T) {
	w := newHarness(t)
	w.tellAuthTime()
	b := newBrowser(t)
	b.open(w.file.App + "/")
	b.click("Sign in")
	asked := strings.TrimPrefix(b.trail[slices.IndexFunc(b.trail, func(s string) bool {
		return strings.Contains(s, "/authorize?")
	})], "GET ")
	b.click("Continue with Google")
	b.click("Ana")
	b.press("Link and sign in", "password", demoPassword)
	w.returned(b, "Ana Silva")
	for _, again := range []*browser{newBrowser(t), b} { // one that was never here, and one that was
		again.open(asked + "&prompt=login&connection=google")
		again.click("Ana")
		var ours []string
		code := false
		for _, s := range again.trail[slices.Index(again.trail, "GET "+asked+"&prompt=login&connection=google"):] {
			if address := strings.TrimPrefix(s, "GET "); strings.HasPrefix(address, w.file.Issuer) {
				path, _, _ := strings.Cut(strings.TrimPrefix(address, w.file.Issuer), "?")
				ours = append(ours, path)
			}
			code = code || strings.HasPrefix(s, "GET "+w.file.App+"/callback?") && strings.Contains(s, "code=")
		}
		if !slices.Equal(ours, []string{"/authorize", "/callback/google"}) {
			t.Errorf("the browser came to us for %q", ours)
		}
		if !code {
			t.Errorf("the app got no code: %q", again.trail)
		}
	}
}

func TestAnUnknownPersonRegistersShortlyAndOnce(t *testing.T) {
	w := newHarness(t)
	b := newBrowser(t)
	b.open(w.file.App + "/login")
	b.click("Continue with Google")
	b.click("Noor")
	b.sees("Create your account")
	b.press("Create account")
	w.returned(b, "Noor Person")
	if n := len(w.events(broker.EventAccountCreated)); n != 1 {
		t.Errorf("%d accounts were created", n)
	}
}

func TestAPasswordSignsIn(t *testing.T) {
	w := newHarness(t)
	b := newBrowser(t)
	b.open(w.file.App + "/login")
	b.press("Continue", "email", " Ben@Example.test ")
	b.press("Sign in", "password", demoPassword)
	w.returned(b, "Ben Carter")
}

func TestAFacebookAddressIsProvenByAMailedCode(t *testing.T) {
	w := newHarness(t)
	b := newBrowser(t)
	b.open(w.file.App + "/login")
	b.click("Continue with Facebook")
	b.click("Fay")
	b.press("I’m new")
	b.sees("Check your email")
	b.press("Continue", "code", w.mailedCode("fay@example.test"))
	b.sees("Create your account")
	b.press("Create account")
	w.returned(b, "Fay Okoro")
}

func TestAnotherOrganisationIsRefusedWithAReferenceThatFindsTheEvent(t *testing.T) {
	w := newHarness(t)
	b := newBrowser(t)
	b.open(w.file.App + "/login")
	b.click("Continue with Microsoft")
	b.click("Eva")
	if b.page.status != http.StatusForbidden {
		t.Errorf("answered %d", b.page.status)
	}
	ref := regexp.MustCompile(`\b[0-9A-Z]{4}-[0-9A-Z]{4}\b`).FindString(textOf(b.page.root))
	found, err := w.h.store.Events(w.ctx, broker.EventFilter{Reference: ref, Limit: 10})
	if err != nil || ref == "" || len(found) != 1 || found[0].Code != broker.WrongTenant {
		t.Errorf("reference %q finds %v, %v", ref, found, err)
	}
}

func Test_ac_33_StartAgainAfterSixteenMinutesKeepsTheRequest(t *testing.T) {
	w := newHarness(t)
	b := newBrowser(t)
	b.open(w.file.App + "/login")
	b.click("Continue with Google")
	w.advance(16 * time.Minute)
	b.click("Ana")
	if !strings.Contains(textOf(b.page.root), "That took a little too long") {
		t.Fatalf("no banner:\n%s", textOf(b.page.root))
	}
	b.click("Start again") // at the same provider
	b.click("Ana")
	b.press("Link and sign in", "password", demoPassword)
	w.returned(b, "Ana Silva") // the app compares its own state
}

func TestB1_AnotherBrowsersCallbackIsRefused(t *testing.T) {
	w := newHarness(t)
	attacker, victim := newBrowser(t), newBrowser(t)
	attacker.open(w.file.App + "/login")
	attacker.click("Continue with Google")
	callback := attacker.stopBefore("Ana", "/callback/")

	victim.open(callback)
	if victim.page.status < 400 {
		t.Fatalf("the victim's browser got %d at %s", victim.page.status, victim.page.url)
	}
	victim.open(w.file.Issuer + "/account")
	if strings.Contains(textOf(victim.page.root), "signed in as") {
		t.Fatal("the victim is signed in as the attacker")
	}
	attacker.open(callback) // nothing was burnt
	attacker.sees("Link Google to your account?")
}

// stopBefore clicks a link and follows until the next URL contains part, which
// it returns without requesting it.
func (b *browser) stopBefore(link, part string) string {
	b.t.Helper()
	for _, a := range elements(b.page.root, "a") {
		if !strings.HasPrefix(textOf(a), link) {
			continue
		}
		u, err := b.page.url.Parse(attr(a, "href"))
		for range 10 {
			if err != nil {
				b.t.Fatal(err)
			}
			if strings.Contains(u.String(), part) {
				return u.String()
			}
			req, _ := http.NewRequest(http.MethodGet, u.String(), nil)
			p := b.send(req)
			u, err = p.url.Parse(p.header.Get("Location"))
		}
	}
	b.t.Fatalf("no way to %s from %q", part, link)
	return ""
}

func TestACodeAndALoginAreGoodOnce(t *testing.T) {
	w := newHarness(t)
	b := newBrowser(t)
	b.open(w.file.App + "/login")
	b.press("Continue", "email", "ben@example.test")
	b.press("Sign in", "password", demoPassword)
	w.returned(b, "Ben Carter")
	var code string
	for _, step := range b.trail {
		if _, q, ok := strings.Cut(step, "/callback?"); ok {
			v, err := url.ParseQuery(q)
			if err != nil {
				t.Fatal(err)
			}
			code = v.Get("code")
		}
	}
	c := w.file.Clients[0]
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.RedirectURIs[0]},
		"code_verifier": {strings.Repeat("v", 43)}}
	req, _ := http.NewRequest(http.MethodPost, w.file.Issuer+"/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(c.ID, c.Secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "invalid_grant") {
		t.Errorf("a code used twice: %d %s", res.StatusCode, body)
	}
}
