package providers

import (
	"net/url"
	"strings"

	"gatehouse/broker"
)

var _ = register(Kind{
	Name: "oidc", Label: "OpenID Connect", Icon: "oidc",
	Fields: []Field{
		{Key: keyIssuer, Label: "Issuer", Required: true, Check: checkIssuer,
			Help: "Exactly as the provider spells it, with or without a slash at the end."},
		fieldClientID,
		{Key: keyClientSecret, Label: "Client secret", Secret: true,
			Help: "Empty for a public client, which uses PKCE only."},
		{Key: "scopes", Label: "Scopes", Default: "openid email profile", Free: true, Check: checkScopes},
		fieldCA, fieldNetworks,
	},
	Open: func(env Env, c broker.Connection) (broker.Upstream, error) {
		return newOpenID(env, c, shape{
			issuer: c.Issuer, scopes: splitList(setting(c, "scopes", "openid email profile")), userinfo: true, sendsLogout: true,
			explain: oidcExplain,
		}), nil
	},
})

// oidcExplain recognizes Okta's access_denied for an unassigned person, who did not cancel.
func oidcExplain(code, description string, _ url.Values) broker.Code {
	if code == "access_denied" && strings.Contains(description, "not assigned") {
		return broker.NotAssigned
	}
	return standardCode(code, description, nil)
}
