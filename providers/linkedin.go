package providers

import (
	"net/url"

	"gatehouse/broker"
)

const linkedinIssuer = "https://www.linkedin.com/oauth"

var _ = register(Kind{
	Name: "linkedin", Label: "LinkedIn", Icon: "linkedin",
	Fields: []Field{
		fieldClientID, fieldSecret,
		fieldOrigin("authority", "Issuer", linkedinIssuer),
	},
	// LinkedIn repeats no nonce and rejects a PKCE verifier, so only the state binds a response to the browser. Its
	// guide says so.
	Open: func(env Env, c broker.Connection) (broker.Upstream, error) {
		return newOpenID(env, c, shape{
			issuer: setting(c, "authority", linkedinIssuer), scopes: []string{"openid", "profile", "email"},
			auth: authPost, noNonce: true, noVerifier: true, userinfo: true, requestParams: linkedinParams,
		}), nil
	},
})

// linkedinParams: LinkedIn has none of the standard parameters, and cannot be asked to authenticate again.
func linkedinParams(broker.UpstreamRequest) url.Values { return url.Values{} }
