package oidc

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/broker"
)

// hinted keeps an ID token of the upstream with the only session of Ana, as package login does.
func (h *harness) hinted(token string) {
	h.t.Helper()
	all, err := h.db.SessionsOf(h.ctx(), "ana")
	h.must(err)
	sealed, err := h.keyring.SealJSON(token, broker.HintPurpose, "corp")
	h.must(err)
	h.must(h.handler.hints.Put(h.ctx(), all[0].ID, sealed))
}

func TestTheUpstreamsIDTokenIsSentAtItsSignOut(t *testing.T) {
	h := newHarness(t)
	h.fromCorp(signOutRequest{at: "https://corp.example/bye"})
	b := h.browser()
	b.code(ask())
	h.hinted("the-token")
	if page := b.get("/end_session"); strings.Contains(page.body, "the-token") {
		t.Errorf("the question shows it: %s", page.body)
	}
	to := hrefOf(t, b.leaves("/end_session", "upstream", "1"), "https://corp.example/bye")
	if q := to.Query(); q.Get("id_token_hint") != "the-token" || q.Get("client_id") != "us" ||
		q.Get("post_logout_redirect_uri") != issuer+"/end_session" {
		t.Error(to)
	}
}

func TestAfterAnAppsSignOutTheUpstreamsIsOffered(t *testing.T) {
	h := newHarness(t)
	h.fromCorp(signOutRequest{at: "https://corp.example/bye"})
	b := h.browser()
	id := h.redeem(b.code(ask())).text("id_token")
	h.hinted("the-token")
	a := b.get(leave("id_token_hint", id, "post_logout_redirect_uri", goodbye, "state", "s"))
	to := hrefOf(t, a, "https://corp.example/bye")
	if a.StatusCode != http.StatusOK || b.alive() || to.Query().Get("id_token_hint") != "the-token" ||
		!strings.Contains(a.body, "Also sign out of Corp &amp; Co") ||
		!strings.Contains(a.body, `content="6;url=`+goodbye+`?state=s"`) || !strings.Contains(a.body,
		`href="`+goodbye+`?state=s"`) {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if a := b.get("/end_session?state=" + to.Query().Get("state")); a.backAt() != goodbye+"?state=s" {
		t.Errorf("back from the upstream: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
	// Without an address to return to, the offer is on the signed-out page.
	id = h.redeem(b.code(ask())).text("id_token")
	a = b.get(leave("id_token_hint", id))
	if to := hrefOf(t, a, "https://corp.example/bye"); to.Query().Get("id_token_hint") != "" ||
		strings.Contains(a.body, "http-equiv") {
		t.Errorf("%s %s", to, a.body)
	}
	// Who was asked and left the box empty is not asked twice.
	b.code(ask())
	if a := b.leaves(leave("client_id", "app", "post_logout_redirect_uri", goodbye)); strings.Contains(a.body,
		"corp.example") {
		t.Errorf("%s", a.body)
	}
}

func TestG17_AnotherConnectionsHintIsNotOpened(t *testing.T) {
	h := newHarness(t)
	h.fromCorp(signOutRequest{at: "https://corp.example/bye"})
	b := h.browser()
	b.code(ask())
	all, err := h.db.SessionsOf(h.ctx(), "ana")
	h.must(err)
	sealed, err := h.keyring.SealJSON("the-token", broker.HintPurpose, "other")
	h.must(err)
	h.must(h.handler.hints.Put(h.ctx(), all[0].ID, sealed))
	if to := hrefOf(t, b.leaves("/end_session", "upstream", "1"), "https://corp.example/bye"); to.Query().Get(
		"id_token_hint") != "" {
		t.Error(to)
	}
}
