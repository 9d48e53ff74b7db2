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
			Help: "Empty for a public client, which uses PKCE only. A private key in PEM form authenticates by " +
				"private_key_jwt."},
		{Key: "scopes", Label: "Scopes", Default: "openid email profile", Free: true, Check: checkScopes},
		{Key: "token_endpoint_auth", Label: "Client authentication", Free: true, Options: []string{authBasic, authPost,
			authPrivateKey}, Help: "Empty: what the provider announces. private_key_jwt needs a private key as the secret."},
		{Key: "assertion_audience", Label: "Audience of client assertions", Free: true, Default: "token_endpoint",
			Options: []string{"token_endpoint", keyIssuer}, Help: "Of private_key_jwt."},
		{Key: "pushed_authorization", Label: "Pushed authorization requests", Flag: true, Free: true, Default: "false",
			Help: "Send the request to the provider first (RFC 9126). Done in any case where the provider requires it."},
		{Key: "authorize_params", Label: "Further parameters", Free: true, Check: checkParams,
			Help: "Added to each authorization request, written like a query: organization=org_1&acr_values=silver."},
		{Key: "email_claim", Label: "Address claims", Free: true, Check: checkClaims,
			Help: "Claims that may hold the address: mail upn emails[]. The first one that has one counts, and it is never " +
				"verified. Empty: email, as verified as the provider says."},
		{Key: "name_claim", Label: "Name claims", Free: true, Check: checkClaims, Default: "name",
			Help: "Claims that may hold the name; the first one that has one counts."},
		fieldACR, fieldCA, fieldNetworks,
	},
	check: checkClientAuth,
	Open: func(env Env, c broker.Connection) (broker.Upstream, error) {
		extra, _ := parseParams(c.Settings["authorize_params"])
		return newOpenID(env, c, shape{
			issuer: c.Issuer, scopes: splitList(setting(c, "scopes", "openid email profile")), userinfo: true, sendsLogout: true,
			auth: c.Settings["token_endpoint_auth"], audience: c.Settings["assertion_audience"],
			par: c.Settings["pushed_authorization"] == "true", extra: extra, explain: oidcExplain,
			mapping: mapping{splitList(c.Settings["email_claim"]), splitList(c.Settings["name_claim"])},
		}), nil
	},
})

// checkClientAuth requires a usable private key for private_key_jwt, and a plain secret for anything else.
func checkClientAuth(c broker.Connection) (found []string) {
	method := c.Settings["token_endpoint_auth"]
	for _, secret := range c.Secrets {
		_, err := parseClientKey(secret)
		switch {
		case (method == authPrivateKey || isKey(secret)) && err != nil:
			found = append(found, "client_secret must be a private key for private_key_jwt: "+err.Error())
		case method != "" && method != authPrivateKey && isKey(secret):
			found = append(found, "client_secret is a private key; set token_endpoint_auth to private_key_jwt")
		}
	}
	if method != "" && len(c.Secrets) == 0 {
		found = append(found, "token_endpoint_auth needs a client_secret")
	}
	return found
}

// oidcExplain recognizes Okta's access_denied for an unassigned person, who did not cancel.
func oidcExplain(code, description string, _ url.Values) broker.Code {
	if code == "access_denied" && strings.Contains(description, "not assigned") {
		return broker.NotAssigned
	}
	return standardCode(code, description, nil)
}
