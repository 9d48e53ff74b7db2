package oidc

import (
	"net/http"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

func TestADeviceThatProvesAKeyGetsTokensThatAreBoundToIt(t *testing.T) {
	h := newHarness(t)
	h.tv("tv", func(c *broker.Client) { c.DPoPBound, c.JWTAccess, c.Audience = true, true, []string{"api"} })
	tv := h.deviceCalls("tv")
	h.browser().allows(tv)
	p := newProver(t, signing.ES256)
	poll := form("grant_type", clients.GrantDevice, "client_id", "tv", "device_code", tv.text("device_code"))
	h.wants(h.tokenWith(nil, poll), http.StatusBadRequest, "invalid_dpop_proof")
	h.prover = nil
	got := h.wants(h.tokenWith([]string{p.proof(h, http.MethodPost, "/token", "", nil)}, poll), http.StatusOK, "")
	if got.text("token_type") != "DPoP" {
		t.Errorf("%s", got.body)
	}
	refresh := form("grant_type", clients.GrantRefresh, "client_id", "tv", "refresh_token", got.text("refresh_token"))
	thief := newProver(t, signing.ES256)
	h.wants(h.tokenWith([]string{thief.proof(h, http.MethodPost, "/token", "", nil)}, refresh), http.StatusBadRequest,
		"invalid_grant")
	h.wants(h.tokenWith([]string{p.proof(h, http.MethodPost, "/token", "", nil)}, refresh), http.StatusOK, "")
	at := got.text("access_token")
	h.wants(h.shows("Bearer", at), http.StatusUnauthorized, "invalid_token")
	h.wants(h.shows("DPoP", at, p.proof(h, http.MethodGet, "/userinfo", at, nil)), http.StatusOK, "")
}
