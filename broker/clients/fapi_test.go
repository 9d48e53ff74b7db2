package clients

import (
	"slices"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

func TestAFAPI2ClientIsRegisteredWithEveryStrictSettingOrRefused(t *testing.T) {
	keys := keySetOf(t, newHeldKey(t, "a", signing.ES256))
	held := func() broker.Client {
		c := broker.Client{ID: "bank", Name: "Bank", AuthMethods: SecretMethods(), Keys: keys, IDTokenAlg: signing.RS256,
			RedirectURIs: []string{callback}, GrantTypes: []string{GrantCode}, Scopes: []string{"openid"}}
		HoldToFAPI2(&c)
		return c
	}
	c := held()
	if p := Validate(c); len(p) > 0 || !c.PushedOnly || !c.DPoPBound || !c.RequirePKCE() ||
		c.IDTokenAlg != signing.ES256 ||
		!slices.Equal(c.AuthMethods, []string{MethodKey}) {
		t.Fatalf("from the defaults: %+v, %v", c, p)
	}
	for field, change := range map[string]func(*broker.Client){
		"token_endpoint_auth_method": func(c *broker.Client) {
			c.AuthMethods, c.SecretHashes = []string{"client_secret_basic", MethodKey}, []string{"k1.x"}
		},
		"token_endpoint_auth_signing_alg":       func(c *broker.Client) { c.AuthAlg = signing.RS256 },
		"id_token_signed_response_alg":          func(c *broker.Client) { c.IDTokenAlg = signing.RS256 },
		"require_pushed_authorization_requests": func(c *broker.Client) { c.PushedOnly = false },
		"dpop_bound_access_tokens":              func(c *broker.Client) { c.DPoPBound = false },
		"pkce":                                  func(c *broker.Client) { c.PKCE = "" },
		"error_iss":                             func(c *broker.Client) { c.ErrorIss = broker.ErrorIssOff },
		"redirect_uris":                         func(c *broker.Client) { c.RedirectURIs = []string{"http://localhost/cb"} },
	} {
		c := held()
		change(&c)
		if !slices.ContainsFunc(Validate(c), func(p Problem) bool { return p.Field == field }) {
			t.Errorf("%s: %v", field, Validate(c))
		}
	}
}
