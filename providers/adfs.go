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
		{Key: "resource", Label: "Resource", Default: "the client id", Free: true, Check: checkResource,
			Help: "Identifier of the relying party or Web API whose claim rules apply. Without it AD FS sends no address. " +
				"none sends no resource."},
		fieldACR, fieldCA, fieldNetworks,
	},
	Open: func(env Env, c broker.Connection) (broker.Upstream, error) {
		return newOpenID(env, c, shape{
			issuer: c.Issuer, scopes: splitList(setting(c, "scopes", "openid email profile allatclaims")), auth: authPost,
			extra: adfsResource(c), requestParams: adfsParams, claims: adfsClaims,
			frontLogout: true, maxPost: 16 << 10, // it posts every response
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

const noResource = "none"

// adfsResource: AD FS applies the claim rules of the relying party that the request names, else those of its own
// userinfo endpoint, which cannot be configured.
func adfsResource(c broker.Connection) url.Values {
	resource := setting(c, "resource", c.ClientID)
	if resource == noResource {
		return nil
	}
	return url.Values{"resource": {resource}}
}

func checkResource(value string) string {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(value) > 500 {
		return "must be one line of at most 500 bytes"
	}
	return ""
}

// adfsParams: AD FS puts more than the subject into the ID token only with form_post.
func adfsParams(t broker.UpstreamRequest) url.Values {
	words := standardParams(t)
	words.Set("response_mode", "form_post")
	words.Set("domain_hint", t.DomainHint)
	if words.Get("prompt") != broker.PromptLogin { // AD FS knows only none and login
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
