package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
)

// The modules of the conformance plans for RP-initiated, back-channel and front-channel
// logout. A sign-out is over when prompt=none no longer answers a code.

func (h *house) signedOut(b *browser) {
	h.t.Helper()
	if h.appHears(b.get("/authorize?"+ask("prompt", "none").Encode()), "login_required").Get("state") != "the-state" {
		h.t.Error("still signed in, or the state is lost")
	}
}

// stays wants an answer that leads nowhere: the question, or the page that says it is done.
func (h *house) stays(a answer) {
	h.t.Helper()
	if a.StatusCode != http.StatusOK || a.Header.Get("Location") != "" || away.MatchString(a.body) {
		h.t.Errorf("%d %s %s", a.StatusCode, a.Header.Get("Location"), a.body)
	}
}

func TestOIDF_oidcc_rp_initiated_logout_discovery_endpoint_verification(t *testing.T) {
	h := newHouse(t)
	a := h.send(newRequest(http.MethodGet, "/.well-known/openid-configuration", nil))
	if a.text("end_session_endpoint") != issuer+"/end_session" {
		t.Errorf("%s", a.body)
	}
}

func TestOIDF_oidcc_rp_initiated_logout(t *testing.T) {
	h, b, got := signedIn(t)
	state := strings.Repeat("s", 128)
	a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye, "state", state))
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != goodbye+"?state="+state {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	h.signedOut(b)
}

func TestOIDF_oidcc_rp_initiated_logout_no_state(t *testing.T) {
	h, b, got := signedIn(t)
	if a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye)); a.Header.Get("Location") != goodbye {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	h.signedOut(b)
}

func TestOIDF_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(t *testing.T) {
	h, b, got := signedIn(t)
	h.stays(b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", "https://app.example.com/goodbye/extra", "state", "s")))
}

func TestOIDF_oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri(t *testing.T) {
	h, b, got := signedIn(t)
	h.stays(b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye+"?extra=1", "state", "s")))
}

func TestOIDF_oidcc_rp_initiated_logout_modified_id_token_hint(t *testing.T) {
	h, b, got := signedIn(t)
	parts := strings.Split(got.text("id_token"), ".")
	unsigned := encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	h.stays(b.get(leave("id_token_hint", unsigned, "post_logout_redirect_uri", goodbye, "state", "s")))
	if !b.alive() {
		t.Error("it signed out")
	}
}

func TestOIDF_oidcc_rp_initiated_logout_bad_id_token_hint(t *testing.T) {
	h, b, got := signedIn(t)
	private, err := newPrivate(algRS256)
	h.must(err)
	foreign, err := parseKey(broker.SigningKey{ID: "foreign", Alg: algRS256, Private: private})
	h.must(err)
	_, claims := h.opened(got.text("id_token"))
	token, err := foreign.sign(claims)
	h.must(err)
	h.stays(b.get(leave("id_token_hint", token, "post_logout_redirect_uri", goodbye, "state", "s")))
	if !b.alive() {
		t.Error("it signed out")
	}
}

func TestOIDF_oidcc_rp_initiated_logout_no_id_token_hint(t *testing.T) {
	h, b, _ := signedIn(t)
	h.stays(b.get(leave("post_logout_redirect_uri", goodbye, "state", "s")))
	b.leaves(leave("post_logout_redirect_uri", goodbye, "state", "s"))
	h.signedOut(b)
}

func TestOIDF_oidcc_rp_initiated_logout_no_params(t *testing.T) {
	signsOutHere(t, leave())
}

func TestOIDF_oidcc_rp_initiated_logout_only_state(t *testing.T) {
	signsOutHere(t, leave("state", "s"))
}

// signsOutHere wants the question, then the page that says it is done.
func signsOutHere(t *testing.T, path string) {
	h, b, _ := signedIn(t)
	a := b.leaves(path)
	a = b.get(a.Header.Get("Location"))
	if h.stays(a); !strings.Contains(a.body, "signed out") {
		t.Errorf("%s", a.body)
	}
	h.signedOut(b)
}

func TestOIDF_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(t *testing.T) {
	h, b, got := signedIn(t)
	a := b.get(leave("id_token_hint", got.text("id_token"), "state", "s"))
	if h.stays(a); !strings.Contains(a.body, "signed out") {
		t.Errorf("%s", a.body)
	}
	h.signedOut(b)
}

func TestOIDF_oidcc_backchannel_rp_initiated_logout(t *testing.T) {
	h, l, b, got := listening(t)
	_, id := h.opened(got.text("id_token"))
	if id["sid"] == nil {
		t.Fatal("the ID token has no sid")
	}
	a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye))
	if a.Header.Get("Location") != goodbye || h.told() != 1 || len(l.heard()) != 1 {
		t.Fatalf("%d %s, heard %d", a.StatusCode, a.Header.Get("Location"), len(l.heard()))
	}
	head, said := h.opened(l.heard()[0])
	idHead, _ := h.opened(got.text("id_token"))
	if head.Algorithm != idHead.Algorithm || head.ExtraHeaders[jose.HeaderType] != "logout+jwt" {
		t.Errorf("header %+v", head)
	}
	events, _ := said["events"].(map[string]any)
	event, is := events[eventLogout].(map[string]any)
	if len(events) != 1 || !is || len(event) != 0 || said["nonce"] != nil || said["sub"] != id["sub"] || said["sid"] != id["sid"] || said["aud"] != "app" || said["iss"] != issuer ||
		said["iat"] == nil || said["jti"] == nil {
		t.Errorf("claims %v", said)
	}
	h.signedOut(b)
}

func TestOIDF_oidcc_frontchannel_rp_initiated_logout(t *testing.T) {
	h := newHouse(t)
	h.change("app", func(c *broker.Client) { c.FrontchannelLogoutURI = "https://app.example.com/front" })
	b := h.browser()
	got := h.redeem(b.code(ask()))
	_, id := h.opened(got.text("id_token"))
	a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye, "state", "s"))
	sid, _ := id["sid"].(string)
	if f := a.frames(); len(f) != 1 || f[0] != "https://app.example.com/front?"+(url.Values{"iss": {issuer}, "sid": {sid}}).Encode() {
		t.Errorf("frames %q", f)
	}
	if !strings.Contains(a.body, "url="+goodbye+"?state=s") {
		t.Errorf("it goes nowhere: %s", a.body)
	}
	h.signedOut(b)
}

func TestOIDF_oidcc_frontchannel_and_backchannel_discovery(t *testing.T) {
	h := newHouse(t)
	a := h.send(newRequest(http.MethodGet, "/.well-known/openid-configuration", nil))
	for _, name := range []string{"backchannel_logout_supported", "backchannel_logout_session_supported", "frontchannel_logout_supported", "frontchannel_logout_session_supported"} {
		if !strings.Contains(a.body, `"`+name+`":true`) {
			t.Errorf("%s is not there", name)
		}
	}
}
