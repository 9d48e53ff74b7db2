package oidc

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

func TestASelfRegisteredClientMaySendItsSecretEitherWayUnlessItNamesOne(t *testing.T) {
	h := newHarnessWith(t, ports{register: true})
	both := clients.SecretMethods()
	for _, c := range []struct {
		named, again any // in the registration, then in an update
		first, then  []string
	}{
		{nil, nil, both, both},
		{nil, "client_secret_basic", both, both}, // what the response named
		{nil, "client_secret_post", both, both[1:]},
		{"client_secret_basic", "client_secret_basic", both[:1], both[:1]},
		{"client_secret_post", nil, both[1:], both},
	} {
		got := h.registers(doc{"token_endpoint_auth_method": c.named})
		id := got.text("client_id")
		registered, err := h.db.Client(h.ctx(), id)
		h.must(err)
		h.wants(h.sends(http.MethodPut, pathRegister+"/"+id, got.text("registration_access_token"),
			metadataOf(doc{"client_id": id, "token_endpoint_auth_method": c.again})), http.StatusOK, "")
		updated, err := h.db.Client(h.ctx(), id)
		h.must(err)
		if !slices.Equal(registered.AuthMethods, c.first) || !slices.Equal(updated.AuthMethods, c.then) ||
			got.text("token_endpoint_auth_method") != c.first[0] {
			t.Errorf("%+v: %v, then %v; %s", c, registered.AuthMethods, updated.AuthMethods, got.body)
		}
	}
}

func TestASelfRegisteredClientWithASecretSignsInWithANonceAlone(t *testing.T) {
	h := newHarnessWith(t, ports{register: true})
	got := h.registers(doc{"token_endpoint_auth_method": nil})
	b := h.browser()
	b.code(ask())
	asking := func(pairs ...string) answer {
		return b.get("/authorize?" + ask(append(append([]string{"client_id", got.text("client_id")}, bare...),
			pairs...)...).Encode())
	}
	h.appHears(asking("nonce", "-"), "invalid_request")
	path := asking().Header.Get("Location")
	b.post(path, map[string][]string{"decision": {"allow"}})
	code := b.get("/authorize?consent=" + path[len("/consent/"):]).location().Query().Get("code")
	a := h.wants(h.withoutVerifier(code, "client_id", got.text("client_id"), "client_secret", got.text("client_secret")),
		http.StatusOK, "")
	if _, id := h.claims(a.text("id_token")); id["nonce"] != "the-nonce" || id["email"] != "ana@example.com" {
		t.Errorf("%v", id)
	}
}

func TestA2_A20_OnlyAnOperatorSwitchesPKCEOff(t *testing.T) {
	h := newHarnessWith(t, ports{register: true})
	for setting, value := range map[string]string{"pkce": "off", "error_iss": "maybe", "id_token_claims": "all",
		"preferred_username": "upn"} {
		h.wants(h.sends(http.MethodPost, pathRegister, h.initial(1), metadataOf(doc{setting: value})),
			http.StatusBadRequest, "invalid_client_metadata")
	}
	got := h.registers(doc{"pkce": "required", "error_iss": "off", "id_token_claims": "minimal",
		"preferred_username": "none"})
	id, access := got.text("client_id"), got.text("registration_access_token")
	c, err := h.db.Client(h.ctx(), id)
	h.must(err)
	if c.PKCE != broker.PKCERequired || c.ErrorIss != broker.ErrorIssOff || c.IDTokenClaims != broker.ClaimsMinimal ||
		c.PreferredUsername != broker.UsernameNone || got.text("pkce") != "required" {
		t.Errorf("%+v: %s", c, got.body)
	}
	update := func(value any) answer {
		return h.sends(http.MethodPut, pathRegister+"/"+id, access, metadataOf(doc{"client_id": id, "pkce": value}))
	}
	h.wants(update("off"), http.StatusBadRequest, "invalid_client_metadata")
	h.change(id, func(c *broker.Client) { c.PKCE = broker.PKCEOff }) // an operator does
	h.wants(update("off"), http.StatusOK, "")
	h.wants(update("default"), http.StatusOK, "")
	h.wants(update("off"), http.StatusBadRequest, "invalid_client_metadata")
}

func TestFAPI2_AClientRegistersItselfWithTheWholeProfile(t *testing.T) {
	h := newHarnessWith(t, ports{register: true})
	keys := map[string]any{}
	h.must(json.Unmarshal([]byte(keySetOf(t, newHeldKey(t, "k", signing.ES256))), &keys))
	got := h.registers(doc{"fapi2": true, "jwks": keys, "token_endpoint_auth_method": nil})
	c, err := h.db.Client(h.ctx(), got.text("client_id"))
	h.must(err)
	want := c
	clients.HoldToFAPI2(&want)
	if !c.FAPI2 || !reflect.DeepEqual(c, want) || got.json["client_secret"] != nil || got.json["fapi2"] != true ||
		got.text("token_endpoint_auth_method") != clients.MethodKey || got.json["dpop_bound_access_tokens"] != true ||
		got.json["require_pushed_authorization_requests"] != true || got.text("id_token_signed_response_alg") != "ES256" {
		t.Errorf("%+v: %s", c, got.body)
	}
	h.wants(h.sends(http.MethodPost, pathRegister, h.initial(1), metadataOf(doc{"fapi2": true})),
		http.StatusBadRequest, "invalid_client_metadata") // without keys
}
