package providers

import (
	"net/url"
	"strings"

	"gatehouse/broker"
)

var _ = register(Kind{
	Name: "adfs", Label: "AD FS", Icon: "adfs",
	Fields: []Field{
		{Key: keyIssuer, Label: "Issuer", Required: true, Check: checkADFSIssuer, Help: "https://{server}/adfs"},
		fieldClientID, fieldSecret,
		{Key: "scopes", Label: "Scopes", Default: "openid email profile allatclaims", Free: true, Check: checkScopes,
			Help: "allatclaims puts the address and the name into the ID token; grant it in the application group."},
		fieldCA, fieldNetworks,
	},
	Open: func(env Env, c broker.Connection) (broker.Upstream, error) {
		return newOpenID(env, c, shape{
			issuer: c.Issuer, scopes: splitList(setting(c, "scopes", "openid email profile allatclaims")), auth: authPost,
			requestParams: adfsParams, claims: adfsClaims,
			maxPost: 16 << 10, // it posts every response
		}), nil
	},
})

// checkADFSIssuer refuses the issuer of AD FS's access tokens, which its console shows first.
func checkADFSIssuer(value string) string {
	if strings.Contains(value, "/services/trust") {
		return "must be the issuer of ID tokens, https://{server}/adfs, not the federation service identifier"
	}
	return checkIssuer(value)
}

// adfsParams: AD FS puts more than the subject into the ID token only with form_post.
func adfsParams(t broker.UpstreamRequest) url.Values {
	words := standardParams(t)
	words.Set("response_mode", "form_post")
	words.Set("domain_hint", t.DomainHint)
	if words.Get("prompt") == broker.PromptSelect { // AD FS knows only none and login
		words.Del("prompt")
	}
	return words
}

// adfsClaims: an administrator typed the address into the directory, so it is not verified. upn and unique_name
// can change and are not addresses.
func adfsClaims(t idToken, c *broker.Claims) error {
	c.Level = assertedLevel(c.Email)
	return nil
}
