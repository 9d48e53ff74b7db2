package oidc

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

func TestA21_IntrospectionRevealsNoKindOfTokenToStrangers(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			h, api := resources(t, k)
			secret := h.client(broker.Client{ID: "stranger", Name: "Stranger", AuthMethods: []string{"client_secret_post"}})
			stranger := []string{"client_id", "stranger", "client_secret", secret}
			got := h.signIn()
			machine := h.token("grant_type", clients.GrantClient)
			narrowed := h.wants(h.asks([]string{photosAPI}, "grant_type", clients.GrantClient), http.StatusOK, "")
			for _, token := range []string{got.text("access_token"), got.text("refresh_token"), machine.text("access_token"),
				narrowed.text("access_token")} {
				if a := h.call("/introspect", append(stranger, "token", token)...); strings.TrimSpace(
					a.body) != `{"active":false}` {
					t.Errorf("a stranger learns %s", a.body)
				}
				h.wants(h.call("/revoke", append(stranger, "token", token)...), http.StatusBadRequest, "unauthorized_client")
			}
			if want := map[bool]string{true: "DPoP", false: "Bearer"}[k.dpop]; got.text("token_type") != want {
				t.Errorf("%s", got.body)
			}
			for _, token := range []string{got.text("access_token"), machine.text("access_token")} {
				a := h.call("/introspect", append(api, "token", token)...)
				if a.json["active"] != true || !slices.Contains(list(a.json["aud"]), "api") || a.text("token_type") != got.text(
					"token_type") || a.text("iss") != issuer || a.json["username"] != nil {
					t.Errorf("its audience learns %s", a.body)
				}
			}
			for _, token := range []string{got.text("refresh_token"), narrowed.text("access_token")} {
				if a := h.call("/introspect", append(api, "token", token)...); strings.TrimSpace(a.body) != `{"active":false}` {
					t.Errorf("an API learns of what is not for it: %s", a.body)
				}
			}
			said := h.call("/introspect", "token", got.text("refresh_token"))
			if exp, _ := said.json["exp"].(float64); said.json["active"] != true || int64(exp) != h.clock.Now().Add(
				broker.RefreshLife).Unix() || said.json["token_type"] != nil {
				t.Errorf("a refresh token is over when its family is: %s", said.body)
			}
		})
	}
}

func TestA21_EveryTruncationAndEditOfAJWTIsInactive(t *testing.T) {
	h := jwts(t)
	for _, alg := range []string{signing.ES256, signing.RS256, signing.EdDSA} {
		h.change("app", func(c *broker.Client) { c.IDTokenAlg = alg })
		token := h.signIn().text("access_token")
		var forged []string
		for i := range token {
			edit := byte('A')
			if token[i] == 'A' {
				edit = 'B'
			}
			forged = append(forged, token[:i], token[:i]+token[i+1:], token[:i]+string(edit)+token[i+1:])
		}
		for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
			forged = append(forged, token[:len(token)-1]+string(last))
		}
		for _, f := range append(forged, token+"A", token+"=", token+"\n", " "+token, token+"\r\n", strings.ToUpper(token),
			token+"."+token, token+".") {
			if f == token {
				continue
			}
			if _, err := h.handler.strategy.openAccess(f); err == nil {
				t.Fatalf("%s: %q opens as an access token", alg, f)
			}
		}
		if _, err := h.handler.strategy.openAccess(token); err != nil {
			t.Errorf("%s: the token itself: %v", alg, err)
		}
	}
}

func TestA13_NoClaimOfAJWTIsTheAppsToChoose(t *testing.T) {
	h := jwts(t)
	evil := []string{"iss", "https://evil.example", "sub", "eve", "aud", "evil", "client_id", "app", "client_secret",
		h.secret, "cnf", `{"jkt":"x"}`, "exp", "9999999999", "audience", "https://api.example"}
	h.change("app", func(c *broker.Client) { c.AuthMethods = []string{"client_secret_post"} })
	for name, got := range map[string]answer{
		"a person": h.redeem(h.browser().code(ask("sub", "eve", "aud", "evil", "audience", "evil", "claims",
			`{"access_token":{"sub":{"value":"eve"}}}`)), evil...),
		"a client": h.token(append([]string{"grant_type", clients.GrantClient}, evil...)...),
	} {
		h.wants(got, http.StatusOK, "")
		_, claims := h.claims(got.text("access_token"))
		if claims["iss"] != issuer || claims["sub"] == "eve" || slices.Contains(list(claims["aud"]), "evil") ||
			claims["cnf"] != nil || claims["exp"].(float64) != float64(h.clock.Now().Add(broker.AccessLife).Unix()) {
			t.Errorf("%s: %v", name, claims)
		}
	}
}
