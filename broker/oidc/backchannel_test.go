package oidc

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

// listener is an app's back-channel endpoint.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	tokens []string
	posts  []*http.Request
	answer http.HandlerFunc // nil: 200
}

func (h *harness) listener() *listener {
	l := &listener{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		l.mu.Lock()
		l.tokens, l.posts = append(l.tokens, form.Get("logout_token")), append(l.posts, r)
		answer := l.answer
		l.mu.Unlock()
		if len(form) != 1 || len(form["logout_token"]) != 1 {
			h.t.Errorf("the body is %q", body)
		}
		if answer != nil {
			answer(w, r)
		}
	}))
	h.t.Cleanup(l.Close)
	return l
}

func (l *listener) received() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.tokens)
}

func (l *listener) answers(f http.HandlerFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = f
}

// change changes a registered client.
func (h *harness) change(id string, do func(*broker.Client)) {
	h.t.Helper()
	c, err := h.db.Client(h.ctx(), id)
	h.must(err)
	do(&c)
	h.must(h.db.PutClient(h.ctx(), c))
}

// told makes the handler notify the due apps, and returns how many it tried.
func (h *harness) notified() int {
	h.t.Helper()
	n, err := h.handler.notifyDue(h.ctx())
	h.must(err)
	return n
}

// listening is an app whose app hears of sign-outs, with a browser that is signed in to it.
func listening(t *testing.T) (*harness, *listener, *browser, answer) {
	h := newHarness(t)
	l, b, got := h.listening()
	return h, l, b, got
}

func (h *harness) listening() (*listener, *browser, answer) {
	h.t.Helper()
	l := h.listener()
	h.change("app", func(c *broker.Client) { c.BackchannelLogoutURI = l.URL + "/logout?key=k" })
	b := h.browser()
	return l, b, h.wants(h.redeem(b.code(ask())), http.StatusOK, "")
}

// opened verifies a logout token with the published keys.
func (h *harness) opened(token string) (head jose.Header, claims map[string]any) {
	h.t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{signing.RS256, signing.ES256, signing.EdDSA})
	h.must(err)
	head = jws.Signatures[0].Protected
	var set jose.JSONWebKeySet
	h.must(json.Unmarshal([]byte(h.send(newRequest(http.MethodGet, "/jwks", nil)).body), &set))
	body, err := jws.Verify(set.Key(head.KeyID)[0].Key)
	h.must(err)
	h.must(json.Unmarshal(body, &claims))
	return head, claims
}

func TestA17_ALogoutTokenSaysWhatTheSpecificationWantsAndNoMore(t *testing.T) {
	for _, alg := range signing.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			h, l, b, got := listening(t)
			h.change("app", func(c *broker.Client) { c.IDTokenAlg = alg })
			_, id := h.opened(got.text("id_token"))
			b.get(leave("id_token_hint", got.text("id_token")))
			if n := h.notified(); n != 1 || len(l.received()) != 1 {
				t.Fatalf("tried %d, heard %d", n, len(l.received()))
			}
			head, claims := h.opened(l.received()[0])
			now := float64(h.clock.Now().Unix())
			if head.Algorithm != alg || head.ExtraHeaders[jose.HeaderType] != "logout+jwt" {
				t.Errorf("header %+v", head)
			}
			want := map[string]any{"iss": issuer, "aud": "app", "sub": "ana", "sid": id["sid"], "iat": now, "exp": now + 120,
				"jti": claims["jti"], "events": map[string]any{
					"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
			if wantJSON, _ := json.Marshal(want); len(claims) != len(want) || !sameJSON(claims, want) {
				t.Errorf("claims %v, want %s", claims, wantJSON)
			}
			if jti, _ := claims["jti"].(string); len(jti) < 16 {
				t.Errorf("jti %q", jti)
			}
			if r := l.posts[0]; r.Method != http.MethodPost || r.URL.RequestURI() != "/logout?key=k" ||
				r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
				t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
			}
			if h.notified() != 0 || len(h.events(broker.EventFilter{Verb: broker.EventLogoutDelivered, Client: "app"})) != 1 {
				t.Error("told twice, or the audit log does not know")
			}
		})
	}
}

func sameJSON(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func TestA17_A11_ALogoutTokenOpensNothingHere(t *testing.T) {
	h, l, b, got := listening(t)
	b.get(leave("id_token_hint", got.text("id_token")))
	h.notified()
	token := l.received()[0]
	if a := h.browser().get(leave("id_token_hint", token, "post_logout_redirect_uri",
		goodbye)); a.StatusCode != http.StatusOK {
		t.Errorf("as a hint: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
	if h.active(token) {
		t.Error("it counts as an access token")
	}
}

func TestA17_AFailedDeliveryIsTriedAgainWithANewTokenUntilTheDayIsOver(t *testing.T) {
	h, l, b, got := listening(t)
	l.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	b.get(leave("id_token_hint", got.text("id_token")))
	seen := map[any]bool{}
	tries := 0
	for range 24 * 60 {
		h.notified()
		h.clock.add(time.Minute)
	}
	for _, token := range l.received() {
		_, claims := h.opened(token)
		seen[claims["jti"]] = true
		tries++
	}
	if tries < 24 || tries > 40 || len(seen) != tries {
		t.Errorf("%d tries with %d tokens", tries, len(seen))
	}
	waits, err := h.db.Logouts(h.ctx(), "", 10)
	h.must(err)
	if len(waits) != 1 || waits[0].Attempts != tries || waits[0].LastError != "the app responded with status 500" {
		t.Errorf("waiting %+v", waits)
	}
	h.notified()
	h.clock.add(time.Hour)
	h.notified()
	if e := h.events(broker.EventFilter{Verb: broker.EventLogoutUndelivered}); len(e) != 1 || e[0].Client != "app" ||
		e[0].Detail["error"] != "the app responded with status 500" {
		t.Errorf("events %+v", e)
	}
	if waits, err = h.db.Logouts(h.ctx(), "", 10); err != nil || len(waits) != 0 || len(l.received()) != tries {
		t.Errorf("it goes on: %v %v", waits, err)
	}
}

func TestA17_ADeliverySurvivesAProcessThatDiesInTheMiddle(t *testing.T) {
	fleet(t, func(t *testing.T, one, two *harness) {
		l, b, got := one.listening()
		b.get(leave("id_token_hint", got.text("id_token")))
		// The process that took it over dies before it tells anybody.
		taken, err := one.db.DueLogouts(one.ctx(), one.clock.Now(), one.clock.Now().Add(notifyLease), 10)
		one.must(err)
		if len(taken) != 1 || two.notified() != 0 {
			t.Fatalf("taken %+v", taken)
		}
		one.clock.add(notifyLease)
		if two.notified() != 1 || len(l.received()) != 1 {
			t.Error("it is lost")
		}
	})
}

func TestA17_NoTwoReplicasSendTheSameLogout(t *testing.T) {
	fleet(t, func(t *testing.T, one, two *harness) {
		l, b, got := one.listening()
		for range 20 {
			b.get(leave("id_token_hint", got.text("id_token")))
			b = one.browser()
			got = one.redeem(b.code(ask()))
		}
		var all sync.WaitGroup
		for _, h := range []*harness{one, two, one, two} {
			all.Go(func() {
				for n, err := h.handler.notifyDue(t.Context()); n > 0 || err != nil; n, err = h.handler.notifyDue(t.Context()) {
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		sids := map[any]bool{}
		for _, token := range l.received() {
			_, claims := one.opened(token)
			sids[claims["sid"]] = true
		}
		if len(l.received()) != 20 || len(sids) != 20 {
			t.Errorf("%d deliveries of %d sessions, want 20", len(l.received()), len(sids))
		}
	})
}

func TestA17_NothingIsSentWhereEgressForbidsItAndNoRedirectIsFollowed(t *testing.T) {
	h, l, b, got := listening(t)
	canary := h.listener()
	l.answers(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, canary.URL, http.StatusTemporaryRedirect)
	})
	for _, uri := range []string{l.URL, "http://169.254.169.254/latest", "https://10.0.0.1/", "http://0.0.0.0:1/",
		"https://[::ffff:127.0.0.1]/", "https://u:p@" + strings.TrimPrefix(canary.URL, "http://")} {
		h.change("app", func(c *broker.Client) { c.BackchannelLogoutURI = uri })
		b.get(leave("id_token_hint", got.text("id_token")))
		if h.notified() != 1 {
			t.Fatalf("%s: not tried", uri)
		}
		waits, err := h.db.Logouts(h.ctx(), "", 10)
		h.must(err)
		if len(waits) != 1 || !strings.Contains(waits[0].LastError, "egress: ") || strings.Contains(waits[0].LastError,
			"latest") {
			t.Errorf("%s: %+v", uri, waits)
		}
		h.must(h.db.LogoutDone(h.ctx(), waits[0].ID))
		got = h.redeem(b.code(ask()))
	}
	if n := len(canary.received()); n != 0 {
		t.Errorf("the canary was called %d times", n)
	}
}

func TestDeletedAppsAndAppsWithoutALogoutURIAreNotNotified(t *testing.T) {
	h, l, b, got := listening(t)
	b.get(leave("id_token_hint", got.text("id_token")))
	h.change("app", func(c *broker.Client) { c.BackchannelLogoutURI = "" })
	if h.notified() != 1 || h.notified() != 0 || len(l.received()) != 0 {
		t.Error("it was told, or waits for ever")
	}
}

func TestASignOutEverywhereNotifiesTheApps(t *testing.T) {
	h, l, _, _ := listening(t)
	a := ana(h.clock.Now())
	a.AuthEpoch++
	h.must(h.db.ChangeAccount(h.ctx(), a, a.AuthEpoch-1))
	if h.notified(); len(l.received()) != 1 {
		t.Error("the app was not told")
	}
}

func TestASlowAppDoesNotKeepTheOthersWaiting(t *testing.T) {
	h, l, b, got := listening(t)
	quick := h.listener()
	h.client(broker.Client{ID: "quick", Name: "Quick", AuthMethods: []string{"client_secret_basic"}, FirstParty: true,
		BackchannelLogoutURI: quick.URL})
	release := make(chan struct{})
	heard := make(chan struct{})
	l.answers(func(http.ResponseWriter, *http.Request) { <-release })
	quick.answers(func(http.ResponseWriter, *http.Request) { close(heard) })
	s, err := h.db.SessionsOf(h.ctx(), "ana")
	h.must(err)
	f := broker.Grant{ID: broker.NewID(), ClientID: "quick", AccountID: "ana", SessionID: s[0].ID,
		ExpiresAt: h.clock.Now().Add(time.Hour)}
	h.must(h.db.CreateGrant(h.ctx(), f, true))
	b.get(leave("id_token_hint", got.text("id_token")))
	done := make(chan int)
	go func() { done <- h.notified() }()
	<-heard
	close(release)
	if n := <-done; n != 2 {
		t.Errorf("%d were tried", n)
	}
}

func TestARunningHandlerNotifiesAppsByItself(t *testing.T) {
	h, l, b, got := listening(t)
	heard := make(chan struct{})
	l.answers(func(http.ResponseWriter, *http.Request) { close(heard) })
	running := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() { h.handler.NotifyApps(ctx); close(running) }()
	b.get(leave("id_token_hint", got.text("id_token")))
	<-heard
	stop()
	<-running
}
