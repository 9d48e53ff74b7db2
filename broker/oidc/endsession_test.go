package oidc

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gatehouse/broker"
)

// signedIn is a browser with a session, and its tokens.
func signedIn(t *testing.T) (*harness, *browser, answer) {
	h := newHarness(t)
	b := h.browser()
	return h, b, h.wants(h.redeem(b.code(ask())), http.StatusOK, "")
}

func (b *browser) alive() bool {
	return b.get("/authorize?" + ask("prompt", "none").Encode()).location().Query().Has("code")
}

func leave(pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return "/end_session?" + q.Encode()
}

func TestAC47_AHintForThisSessionSignsOutImmediately(t *testing.T) {
	h, b, got := signedIn(t)
	state := strings.Repeat("s-._~", 25)
	a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye, "state", state))
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), goodbye+"?") ||
		a.location().Query().Get("state") != state {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	if b.alive() || b.cookies["__Host-gh_pick"] != "1" {
		t.Errorf("the session lives, or the next departure does not know: %v", b.cookies)
	}
	h.wants(h.refresh(got.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
	if h.active(got.text("access_token")) {
		t.Error("its access token lives")
	}
	if e := h.events(broker.EventFilter{Verb: broker.EventSignedOut}); len(e) != 1 {
		t.Errorf("events %+v", e)
	}
	again := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye))
	if again.backAt() != goodbye {
		t.Errorf("signed out already: %d %s", again.StatusCode, again.Header.Get("Location"))
	}
}

var sealed = regexp.MustCompile(`name="leaving" value="([^"]+)"`)

func TestA16_AC47_WithoutSuchAHintThePersonIsAsked(t *testing.T) {
	h, b, got := signedIn(t)
	stranger := h.browser()
	foreign := h.redeem(stranger.code(ask())).text("id_token")
	id := got.text("id_token")
	for name, path := range map[string]string{
		"nothing":               leave(),
		"only a state":          leave("state", "x"),
		"no hint":               leave("post_logout_redirect_uri", goodbye),
		"client_id alone":       leave("client_id", "app", "post_logout_redirect_uri", goodbye),
		"another session's":     leave("id_token_hint", foreign, "post_logout_redirect_uri", goodbye),
		"a forged hint":         leave("id_token_hint", id[:len(id)-6]+"AAAAAA", "post_logout_redirect_uri", goodbye),
		"another client's hint": leave("id_token_hint", id, "client_id", "third", "post_logout_redirect_uri", goodbye),
	} {
		a := b.get(path)
		if a.StatusCode != http.StatusOK || !sealed.MatchString(a.body) || !b.alive() {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
		form := url.Values{"decision": {"stay"}, "leaving": {sealed.FindStringSubmatch(a.body)[1]}}
		if a = b.post("/end_session/confirm", form); a.Header.Get("Location") != "/end_session?ui_locales=en&stay=1" ||
			!b.alive() {
			t.Errorf("%s: stay: %d %s", name, a.StatusCode, a.Header.Get("Location"))
		}
	}
	if a := b.get("/end_session?stay=1"); a.StatusCode != http.StatusOK || sealed.MatchString(a.body) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	page := b.get(leave("id_token_hint", foreign, "post_logout_redirect_uri", goodbye, "state", "x"))
	form := url.Values{"decision": {"leave"}, "leaving": {sealed.FindStringSubmatch(page.body)[1]}}
	forged := newRequest(http.MethodPost, "/end_session/confirm", form)
	forged.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := b.do(forged); a.StatusCode != http.StatusForbidden || !b.alive() {
		t.Errorf("a POST from elsewhere: %d", a.StatusCode)
	}
	h.page(stranger.post("/end_session/confirm", form), broker.RequestInvalid)
	h.page(b.post("/end_session/confirm", url.Values{"decision": {"leave"}, "leaving": {"x"}}), broker.RequestInvalid)
	a := b.post("/end_session/confirm", form)
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, goodbye+"?state=x") || b.alive() {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if !stranger.alive() {
		t.Error("the other browser was signed out too")
	}
	if a := b.post("/end_session/confirm", form); a.Header.Get("Location") != "/end_session?ui_locales=en" {
		t.Errorf("twice: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
	if a := b.get("/end_session"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, `href="/login"`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// otherSite matches a link or a refresh to another origin.
var otherSite = regexp.MustCompile(`(?:href="|action="|url=)(?:[a-z]+:|//)`)

func TestA4_AC47_AnUnregisteredAddressIsNeverFollowed(t *testing.T) {
	h, b, got := signedIn(t)
	for _, uri := range []string{"https://evil.example/", goodbye + "?x=1", goodbye + "/", "//evil.example",
		"javascript:alert(1)", callback, ""} {
		a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", uri, "state", "x"))
		if a.StatusCode != http.StatusOK || otherSite.MatchString(a.body) {
			t.Errorf("%s: %d %s", uri, a.StatusCode, a.Header.Get("Location"))
		}
		b.code(ask()) // again a session; the hint is for an older one now
	}
	c, err := h.db.Client(h.ctx(), "app")
	h.must(err)
	c.PostLogoutRedirectURIs = nil
	h.must(h.db.PutClient(h.ctx(), c))
	if a := h.browser().get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri",
		goodbye)); a.StatusCode != http.StatusOK {
		t.Errorf("withdrawn: %s", a.Header.Get("Location"))
	}
	twice := leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye) +
		"&post_logout_redirect_uri=" + url.QueryEscape("https://evil.example/")
	h.page(b.get(twice), broker.RequestInvalid)
}

func TestAPostedSignOutReadsTheCookieInTheGetThatFollows(t *testing.T) {
	h, b, got := signedIn(t)
	post := newRequest(http.MethodPost, "/end_session", url.Values{"id_token_hint": {got.text("id_token")},
		"post_logout_redirect_uri": {goodbye}})
	post.Header.Set("Sec-Fetch-Site", "cross-site")
	a := h.send(post)
	path := a.Header.Get("Location")
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(path, "/end_session?post=") || len(a.Cookies()) != 0 ||
		!b.alive() {
		t.Fatalf("%d %s", a.StatusCode, path)
	}
	if a = b.get(path); a.backAt() != goodbye || b.alive() {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	if a = b.get(path); a.backAt() != goodbye {
		t.Errorf("a reload: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
}

func TestA7_ASignOutEndsASessionThatTheGateKeepsOut(t *testing.T) {
	h, b, got := signedIn(t)
	off := ana(h.clock.Now())
	off.Disabled = true
	h.must(h.db.ChangeAccount(t.Context(), off, off.AuthEpoch))
	if a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri",
		goodbye)); a.backAt() != goodbye {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	on := ana(h.clock.Now())
	h.must(h.db.ChangeAccount(t.Context(), on, on.AuthEpoch))
	all, err := h.db.SessionsOf(t.Context(), "ana")
	h.must(err)
	for _, s := range all {
		if s.EndedAt.IsZero() {
			t.Errorf("session %s was said to have ended and lives", s.ID)
		}
	}
}

// An app's server signs out without a browser, so its hint is a bearer token.
func TestA16_A7_OnlyAnEnabledAppEndsASessionWithoutItsBrowser(t *testing.T) {
	h, b, got := signedIn(t)
	path := leave("id_token_hint", got.text("id_token"))
	h.change("app", func(c *broker.Client) { c.Disabled = true })
	h.browser().get(path)
	if a := b.get(path); a.StatusCode != http.StatusOK || !sealed.MatchString(a.body) {
		t.Errorf("a disabled app ended the session: %d %s", a.StatusCode, a.body)
	}
	h.change("app", func(c *broker.Client) { c.Disabled = false })
	h.browser().get(path)
	if b.alive() {
		t.Error("an enabled app did not end it")
	}
}
