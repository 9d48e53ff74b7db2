package clients

import (
	"slices"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

// HoldToFAPI2 gives a client the settings that the FAPI 2.0 Security Profile requires, in place of laxer ones.
func HoldToFAPI2(c *broker.Client) {
	c.FAPI2, c.PushedOnly, c.DPoPBound, c.PKCE, c.ErrorIss = true, true, true, broker.PKCERequired, ""
	if TakesSecret(*c) {
		c.AuthMethods = []string{MethodKey}
	}
	if c.IDTokenAlg == "" || c.IDTokenAlg == signing.RS256 {
		c.IDTokenAlg = signing.ES256
	}
}

// AcceptableAlg reports whether a client may sign its assertions and DPoP proofs with the algorithm (FAPI 2.0
// Security Profile §5.4.1).
func AcceptableAlg(c broker.Client, alg string) bool {
	//defence:A9 ./broker/oidc:TestFAPI2_NothingOfTheClientIsSignedByRS256 = true
	return !c.FAPI2 || alg != signing.RS256
}

func (v *validation) fapi2(c broker.Client) {
	if !c.FAPI2 {
		return
	}
	need := func(ok bool, field, what string) {
		//defence:A9 ./broker/clients:TestAFAPI2ClientIsRegisteredWithEveryStrictSettingOrRefused
		if !ok {
			v.add(field, "a client with fapi2 needs %s (FAPI 2.0 Security Profile §5.3)", what)
		}
	}
	need(slices.Equal(c.AuthMethods, []string{MethodKey}), "token_endpoint_auth_method", MethodKey+" and nothing else")
	need(AcceptableAlg(c, c.AuthAlg), "token_endpoint_auth_signing_alg", "PS256, ES256 or EdDSA")
	need(AcceptableAlg(c, c.IDTokenAlg) && c.IDTokenAlg != "", "id_token_signed_response_alg", "ES256 or EdDSA")
	need(c.PushedOnly, "require_pushed_authorization_requests", "pushed authorization requests (--require-par)")
	need(c.DPoPBound, "dpop_bound_access_tokens", "DPoP (--dpop)")
	need(c.PKCE == broker.PKCERequired, "pkce", broker.PKCERequired)
	need(c.ErrorIss == "", "error_iss", ErrorIssValues()[0])
	plain := func(uri string) bool { return strings.HasPrefix(uri, "http:") }
	need(c.Native || !slices.ContainsFunc(c.RedirectURIs, plain), "redirect_uris", "https, or --native")
}
