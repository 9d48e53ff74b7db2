package oidc

import (
	"net/http"
	"testing"

	"gatehouse/broker/signing"
)

// RFC 9449 §10.1: who pushes a request with a proof gets a code for that key alone.
func TestA5_ARequestThatIsPushedWithAProofIsBoundToItsKey(t *testing.T) {
	h := newHarness(t)
	mine, thief := newProver(t, signing.ES256), newProver(t, signing.ES256)
	push := func(proof string, pairs ...string) answer {
		r := newRequest(http.MethodPost, "/par", ask(pairs...))
		r.SetBasicAuth("app", h.secret)
		r.Header.Set(headerDPoP, proof)
		return h.send(r)
	}
	code := func(a answer) string {
		if a.StatusCode != http.StatusCreated {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		return h.browser().code(form("client_id", "app", "request_uri", a.text("request_uri")))
	}
	good := func() string { return mine.proof(h, http.MethodPost, "/par", "", nil) }
	h.prover = thief
	h.wants(h.redeem(code(push(good()))), http.StatusBadRequest, "invalid_grant")
	h.prover = nil
	h.wants(h.redeem(code(push(good()))), http.StatusBadRequest, "invalid_grant")
	h.prover = mine
	for _, pairs := range [][]string{{}, {"dpop_jkt", mine.thumbprint()}} {
		if got := h.wants(h.redeem(code(push(good(), pairs...))), http.StatusOK, ""); got.text("token_type") != "DPoP" {
			t.Errorf("%s", got.body)
		}
	}
	h.wants(push(good(), "dpop_jkt", thief.thumbprint()), http.StatusBadRequest, "invalid_dpop_proof")
	h.wants(push(mine.proof(h, http.MethodPost, "/token", "", nil)), http.StatusBadRequest, "invalid_dpop_proof")
	h.wants(push("nonsense"), http.StatusBadRequest, "invalid_dpop_proof")
	used := good()
	code(push(used))
	h.wants(push(used), http.StatusBadRequest, "invalid_dpop_proof")
}
