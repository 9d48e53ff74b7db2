package oidc

import (
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/seal"
	"gatehouse/broker/signing"
)

// The modules of the conformance plans for RP-initiated, back-channel and front-channel
// logout. A sign-out is over when prompt=none no longer answers a code.

func (h *harness) signedOut(b *browser) {
	h.t.Helper()
	if h.appHears(b.get("/authorize?"+ask("prompt", "none").Encode()), "login_required").Get("state") != "the-state" {
		h.t.Error("still signed in, or the state is lost")
	}
}

// stays wants an answer that leads nowhere: the question, or the page that says it is done.
func (h *harness) stays(a answer) {
	h.t.Helper()
	if a.StatusCode != http.StatusOK || a.Header.Get("Location") != "" || otherSite.MatchString(a.body) ||
		!strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		h.t.Errorf("%d %s %s", a.StatusCode, a.Header.Get("Location"), a.body)
	}
}

// done wants the page that says it is done, and that it is.
func (b *browser) done(a answer) {
	b.h.t.Helper()
	if b.h.stays(a); !strings.Contains(a.body, "<h1>You’re signed out</h1>") || sealed.MatchString(a.body) {
		b.h.t.Errorf("%.2000s", a.body)
	}
	b.h.signedOut(b)
}

// asks wants the question, which nothing that the app said answers, and that only the
// person's own answer signs out; then the page that says so, and nothing else.
func (b *browser) asks(path string) {
	b.h.t.Helper()
	a := b.get(path)
	if b.h.stays(a); !sealed.MatchString(a.body) || !b.alive() {
		b.h.t.Errorf("%.2000s", a.body)
	}
	a = b.leaves(path)
	b.done(b.get(a.Header.Get("Location")))
}

// advertises wants an end_session_endpoint, and these flags.
func advertises(t *testing.T, flags ...string) {
	meta := newHarness(t).discovered()
	if meta["end_session_endpoint"] != issuer+"/end_session" {
		t.Errorf("%v", meta["end_session_endpoint"])
	}
	for _, name := range flags {
		if meta[name] != true {
			t.Errorf("%s is %v", name, meta[name])
		}
	}
}

func TestOIDF_oidcc_rp_initiated_logout_discovery_endpoint_verification(t *testing.T) {
	advertises(t)
}

func TestOIDF_oidcc_rp_initiated_logout(t *testing.T) {
	h, b, got := signedIn(t)
	a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye, "state", longState))
	if a.StatusCode != http.StatusSeeOther || a.backAt() != goodbye+"?state="+url.QueryEscape(longState) ||
		a.location().Query().Get("state") != longState {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	h.signedOut(b)
}

// A hint that has expired, signed by a key that is no longer published, still tells whose
// sign-out it is.
func TestOIDF_oidcc_rp_initiated_logout_by_an_old_hint(t *testing.T) {
	h, b, got := signedIn(t)
	head, _ := h.opened(got.text("id_token"))
	keys, err := h.db.SigningKeys(h.ctx())
	h.must(err)
	for _, k := range keys {
		if k.ID == head.KeyID {
			k.State, k.RetireAt = broker.KeyRetired, h.clock.Now().Add(signing.KeyTail)
			h.must(h.db.ChangeSigningKey(h.ctx(), k, broker.KeyActive))
		}
	}
	h.clock.add(2 * signing.KeyTail)
	h.tick()
	if slices.Contains(h.published(), head.KeyID) {
		t.Fatal("the key is still published")
	}
	a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye, "state", longState))
	if a.StatusCode != http.StatusSeeOther || a.location().Query().Get("state") != longState {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	h.signedOut(b)
}

func TestOIDF_oidcc_rp_initiated_logout_no_state(t *testing.T) {
	h, b, got := signedIn(t)
	if a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri",
		goodbye)); a.StatusCode != http.StatusSeeOther || a.backAt() != goodbye {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	h.signedOut(b)
}

func TestOIDF_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(t *testing.T) {
	_, b, got := signedIn(t)
	b.done(b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye+"/extra", "state",
		longState)))
}

func TestOIDF_oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri(t *testing.T) {
	_, b, got := signedIn(t)
	b.done(b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye+"?extra=1", "state",
		longState)))
}

func TestOIDF_oidcc_rp_initiated_logout_modified_id_token_hint(t *testing.T) {
	_, b, got := signedIn(t)
	unsigned := seal.EncodeToken([]byte(`{"alg":"none"}`)) + "." + strings.Split(got.text("id_token"), ".")[1] + "."
	b.asks(leave("id_token_hint", unsigned, "post_logout_redirect_uri", goodbye, "state", longState))
}

func TestOIDF_oidcc_rp_initiated_logout_bad_id_token_hint(t *testing.T) {
	h, b, got := signedIn(t)
	private, err := signing.NewPrivate(signing.RS256)
	h.must(err)
	head, claims := h.opened(got.text("id_token"))
	foreign, err := signing.ParseKey(broker.SigningKey{ID: head.KeyID, Alg: signing.RS256, Private: private})
	h.must(err)
	token, err := foreign.Sign(claims)
	h.must(err)
	b.asks(leave("id_token_hint", token, "post_logout_redirect_uri", goodbye, "state", longState))
}

func TestOIDF_oidcc_rp_initiated_logout_no_id_token_hint(t *testing.T) {
	_, b, _ := signedIn(t)
	b.asks(leave("post_logout_redirect_uri", goodbye, "state", longState))
}

func TestOIDF_oidcc_rp_initiated_logout_no_params(t *testing.T) {
	_, b, _ := signedIn(t)
	b.asks(leave())
}

func TestOIDF_oidcc_rp_initiated_logout_only_state(t *testing.T) {
	_, b, _ := signedIn(t)
	b.asks(leave("state", longState))
}

func TestOIDF_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(t *testing.T) {
	_, b, got := signedIn(t)
	b.done(b.get(leave("id_token_hint", got.text("id_token"), "state", longState)))
}

func TestOIDF_oidcc_backchannel_logout_discovery_endpoint_verification(t *testing.T) {
	advertises(t, "backchannel_logout_supported", "backchannel_logout_session_supported")
}

func TestOIDF_oidcc_backchannel_rp_initiated_logout(t *testing.T) {
	h, l, b, got := listening(t)
	_, id := h.opened(got.text("id_token"))
	if id["sid"] == nil {
		t.Fatal("the ID token has no sid")
	}
	a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye, "state", longState))
	if len(h.handler.ended) != 1 {
		t.Error("nobody is woken to tell the app at once")
	}
	if a.location().Query().Get("state") != longState || len(a.location().Query()) != 1 || h.notified() != 1 ||
		len(l.received()) != 1 {
		t.Fatalf("%d %s, heard %d", a.StatusCode, a.Header.Get("Location"), len(l.received()))
	}
	head, said := h.opened(l.received()[0])
	idHead, _ := h.opened(got.text("id_token"))
	if head.Algorithm != idHead.Algorithm || head.ExtraHeaders[jose.HeaderType] != "logout+jwt" {
		t.Errorf("header %+v", head)
	}
	events, _ := said["events"].(map[string]any)
	event, is := events[eventLogout].(map[string]any)
	if len(events) != 1 || !is || len(event) != 0 || said["nonce"] != nil || said["sub"] != id["sub"] ||
		said["sid"] != id["sid"] || said["aud"] != "app" || said["iss"] != issuer ||
		said["iat"] != float64(h.clock.Now().Unix()) || said["jti"] == nil || said["exp"].(float64) <= said["iat"].(float64) {
		t.Errorf("claims %v", said)
	}
	// The body has nothing but the token: the listener looks at that.
	if r := l.posts[0]; r.Method != http.MethodPost ||
		r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("%s %v", r.Method, r.Header)
	}
	h.wholeSeconds(l.received()[0])
	h.signedOut(b)
}

func TestOIDF_oidcc_frontchannel_logout_discovery_endpoint_verification(t *testing.T) {
	advertises(t, "frontchannel_logout_supported", "frontchannel_logout_session_supported")
}

func TestOIDF_oidcc_frontchannel_rp_initiated_logout(t *testing.T) {
	h := newHarness(t)
	h.change("app", func(c *broker.Client) { c.FrontchannelLogoutURI = "https://app.example.com/front" })
	b := h.browser()
	got := h.redeem(b.code(ask()))
	_, id := h.opened(got.text("id_token"))
	a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye, "state", longState))
	sid, _ := id["sid"].(string)
	if f := a.frames(); len(f) != 1 || f[0] != "https://app.example.com/front?"+(url.Values{"iss": {issuer},
		"sid": {sid}}).Encode() {
		t.Errorf("frames %q", f)
	}
	if sid == "" || !strings.HasSuffix(a.Header.Get("Content-Security-Policy"), "; frame-src https://app.example.com") {
		t.Errorf("sid %q, %v", sid, a.Header)
	}
	// When the frames had their time it goes on by itself, and by a link for who waits.
	next := html.EscapeString(goodbye + "?state=" + url.QueryEscape(longState))
	if !strings.Contains(a.body, `<meta http-equiv="refresh" content="3;url=`+next+`">`) || !strings.Contains(a.body,
		`href="`+next+`"`) {
		t.Errorf("it goes nowhere: %s", a.body)
	}
	h.signedOut(b)
}
