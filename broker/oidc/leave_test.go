package oidc

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// framed are the addresses that a page embeds.
var framed = regexp.MustCompile(`<iframe src="([^"]+)" sandbox="allow-scripts allow-same-origin" ` +
	`referrerpolicy="no-referrer" hidden>`)

func (a answer) frames() (all []string) {
	for _, m := range framed.FindAllStringSubmatch(a.body, -1) {
		all = append(all, html.UnescapeString(m[1]))
	}
	return all
}

// signOutRequest is an upstream with an end-session endpoint, or without one.
type signOutRequest struct {
	broker.Upstream
	at  string
	err error
}

func (u signOutRequest) End(_ context.Context, back, state, hint string) (string, error) {
	if u.at == "" || u.err != nil {
		return "", u.err
	}
	return u.at + "?" + url.Values{"client_id": {"us"}, "post_logout_redirect_uri": {back}, "state": {state},
		"id_token_hint": {hint}}.Encode(), nil
}

// fromCorp makes Ana sign in with an upstream.
func (h *harness) fromCorp(u signOutRequest) {
	h.t.Helper()
	h.must(h.db.PutConnection(h.ctx(), broker.Connection{ID: "corp", Kind: "oidc", Name: "Corp & Co", State: broker.Live,
		Issuer: "https://corp.example", ClientID: "us", CreatedAt: h.clock.Now(), UpdatedAt: h.clock.Now()}))
	i := broker.Identity{ID: broker.NewID(), AccountID: "ana", Connection: "corp", Issuer: "https://corp.example",
		Subject: "a1", LinkedAt: h.clock.Now()}
	h.must(h.db.Link(h.ctx(), i))
	h.ups = map[string]broker.Upstream{"corp": u}
	h.logins.authn = broker.Authn{Method: broker.ByUpstream, Connection: "corp", Identity: i.ID, AMR: []string{"fed"}}
}

// leaves presses "Sign out" on the question that path asks.
func (b *browser) leaves(path string, pairs ...string) answer {
	b.h.t.Helper()
	page := b.get(path)
	m := sealed.FindStringSubmatch(page.body)
	if m == nil {
		b.h.t.Fatalf("no question: %d %s", page.StatusCode, page.body)
	}
	form := url.Values{"decision": {"leave"}, "leaving": {m[1]}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.post("/end_session/confirm", form)
}

func TestTheSignedOutPageFramesTheAppsOfTheSessionAndNoOthers(t *testing.T) {
	h := newHarness(t)
	h.change("app", func(c *broker.Client) { c.FrontchannelLogoutURI = "https://app.example.com/front?of=a&b=c" })
	h.client(broker.Client{ID: "other", Name: "Other", AuthMethods: []string{"client_secret_basic"},
		FrontchannelLogoutURI: "https://app.example.com/other"})
	b := h.browser()
	got := h.redeem(b.code(ask()))
	_, id := h.opened(got.text("id_token"))
	a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye, "state", `"><x`))
	sid, _ := id["sid"].(string)
	want := "https://app.example.com/front?of=a&b=c&" + url.Values{"iss": {issuer}, "sid": {sid}}.Encode()
	if a.StatusCode != http.StatusOK || !slices.Equal(a.frames(), []string{want}) || b.alive() {
		t.Errorf("%d %q, want %q", a.StatusCode, a.frames(), want)
	}
	policy := a.Header.Get("Content-Security-Policy")
	if !strings.HasSuffix(policy, "; frame-src https://app.example.com") || strings.Count(policy, "frame-src") != 1 {
		t.Errorf("policy %q", policy)
	}
	target := goodbye + "?state=%22%3E%3Cx"
	if !strings.Contains(a.body, `<meta http-equiv="refresh" content="3;url=`+target+`">`) || !strings.Contains(a.body,
		`href="`+target+`"`) || strings.Contains(a.body, `"><x`) {
		t.Errorf("it does not lead on: %s", a.body)
	}
	if !strings.Contains(a.body, "<bdi>The App</bdi>") || strings.Contains(a.body, "Other") {
		t.Errorf("the list: %s", a.body)
	}
	if again := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri",
		goodbye)); again.backAt() != goodbye {
		t.Errorf("a reload: %d %s", again.StatusCode, again.Header.Get("Location"))
	}
}

func TestAFrameThatWouldBreakOutOfThePolicyIsNotShown(t *testing.T) {
	for _, uri := range []string{"javascript:alert(1)", "https://*.example.com/x", "https://a.example;script-src/",
		"https:///x", "data:text/html,x"} {
		h := newHarness(t)
		h.change("app", func(c *broker.Client) { c.FrontchannelLogoutURI = uri })
		b := h.browser()
		got := h.redeem(b.code(ask()))
		a := b.get(leave("id_token_hint", got.text("id_token")))
		if a.StatusCode == http.StatusOK || len(a.frames()) > 0 || strings.Contains(a.Header.Get("Content-Security-Policy"),
			"frame-src") {
			t.Errorf("%s: %d %q", uri, a.StatusCode, a.Header.Get("Content-Security-Policy"))
		}
	}
}

func TestAC47_TheQuestionListsTheAppsThatHearOfIt(t *testing.T) {
	h, _, b, _ := listening(t)
	page := b.get("/end_session")
	if !strings.Contains(page.body, "<bdi>The App</bdi>") || strings.Contains(page.body, `name="upstream"`) {
		t.Errorf("%s", page.body)
	}
	if a := b.leaves("/end_session"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "<bdi>The App</bdi>") ||
		!strings.Contains(a.body, `href="/login"`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if h.notified() != 1 {
		t.Error("the app was not told")
	}
}

func TestAC47_APersonMaySignOutOfTheUpstreamTooAndComesBackToTheApp(t *testing.T) {
	h := newHarness(t)
	h.fromCorp(signOutRequest{at: "https://corp.example/bye"})
	b := h.browser()
	b.code(ask())
	page := b.get("/end_session")
	if !strings.Contains(page.body, `name="upstream" value="1"`) || !strings.Contains(page.body, "Corp &amp; Co") ||
		strings.Contains(page.body, "checked") {
		t.Fatalf("%s", page.body)
	}
	// A hint of an older session brings the way back to the app; the person is asked.
	old := h.redeem(h.browser().code(ask())).text("id_token")
	a := b.leaves(leave("id_token_hint", old, "post_logout_redirect_uri", goodbye, "state", "s"), "upstream", "1")
	to := hrefOf(t, a, "https://corp.example/bye")
	if a.StatusCode != http.StatusOK || to.Query().Get("post_logout_redirect_uri") != issuer+"/end_session" || b.alive() {
		t.Fatalf("%d %s", a.StatusCode, to)
	}
	back := "/end_session?state=" + to.Query().Get("state")
	for range 2 { // a reload finds the way too
		if a := b.get(back); a.backAt() != goodbye+"?state=s" {
			t.Errorf("back: %d %s", a.StatusCode, a.Header.Get("Location"))
		}
	}
	h.clock.add(backLife)
	if a := b.get(back); a.StatusCode != http.StatusOK {
		t.Errorf("much later: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
}

func hrefOf(t *testing.T, a answer, prefix string) *url.URL {
	t.Helper()
	m := regexp.MustCompile(`href="(` + regexp.QuoteMeta(prefix) + `[^"]*)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no link to %s: %d %s", prefix, a.StatusCode, a.body)
	}
	u, err := url.Parse(html.UnescapeString(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAnUpstreamWithoutSignOutIsNotOffered(t *testing.T) {
	for name, u := range map[string]broker.Upstream{"no endpoint": signOutRequest{}, "no answer": signOutRequest{
		err: errors.New("down")}, "another kind": struct{ broker.Upstream }{}, "not opened": nil} {
		h := newHarness(t)
		h.fromCorp(signOutRequest{at: "https://corp.example/bye"})
		if h.ups["corp"] = u; u == nil {
			delete(h.ups, "corp")
		}
		b := h.browser()
		b.code(ask())
		if page := b.get("/end_session"); page.StatusCode != http.StatusOK || strings.Contains(page.body, `name="upstream"`) {
			t.Errorf("%s: %d %s", name, page.StatusCode, page.body)
		}
		if a := b.leaves("/end_session", "upstream", "1"); a.Header.Get("Location") != "/end_session?ui_locales=en" ||
			b.alive() {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.Header.Get("Location"))
		}
	}
}

// unread is a queue that cannot be read.
type unread struct{ Store }

func (unread) Logouts(context.Context, string, int) ([]broker.Logout, error) {
	return nil, errors.New("the database is away")
}

var listed = regexp.MustCompile(`(?s)<ul aria-labelledby="(apps|late)">(.*?)</ul>`)

// The page after a sign-out says what is known of each app, and nothing that is not.
func TestTheSignedOutPageSaysWhichAppsDoNotKnowYet(t *testing.T) {
	h := newHarness(t)
	up, down := h.listener(), h.listener()
	down.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	h.client(broker.Client{ID: "up", Name: "Up", FirstParty: true, AuthMethods: []string{"none"},
		BackchannelLogoutURI: up.URL})
	h.client(broker.Client{ID: "down", Name: "Down & Out", FirstParty: true, AuthMethods: []string{"none"},
		BackchannelLogoutURI: down.URL})
	h.client(broker.Client{ID: "framed", Name: "Framed", FirstParty: true, AuthMethods: []string{"none"},
		FrontchannelLogoutURI: "https://app.example.com/front"})
	out := func() map[string]string {
		b := h.browser()
		for _, id := range []string{"up", "down", "framed"} {
			h.wants(h.redeem(b.code(ask("client_id", id)), "client_id", id), http.StatusOK, "")
		}
		said := map[string]string{}
		for _, m := range listed.FindAllStringSubmatch(b.leaves("/end_session").body, -1) {
			said[m[1]] = strings.Join(regexp.MustCompile(`[^<>]+(?:</bdi>)`).FindAllString(m[2], -1), " ")
		}
		return said
	}
	want := func(when string, said map[string]string, told, late string) {
		t.Helper()
		if said["apps"] != told || said["late"] != late {
			t.Errorf("%s: %q", when, said)
		}
	}
	up1, down1, framed1 := "Up</bdi>", "Down &amp; Out</bdi>", "Framed</bdi>"
	want("nobody was tried", out(), framed1, down1+" "+up1)

	h.handler.patience = time.Hour // it ends when each was tried
	h.handler.pause = func(ctx context.Context, _ time.Duration) error {
		_, err := h.handler.notifyDue(ctx)
		return err
	}
	want("each was tried", out(), framed1+" "+up1, down1)
	down.answers(nil)
	want("each has answered", out(), down1+" "+framed1+" "+up1, "")
	h.handler.patience, h.handler.store = 0, unread{h.handler.store}
	want("nothing is known", out(), framed1, down1+" "+up1)
}
