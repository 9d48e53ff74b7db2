package admin

import (
	"cmp"
	"encoding/json"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// ClientView is a client as JSON. It has a secret only if the operation has just made it.
type ClientView struct {
	ID            string          `json:"client_id"`
	Secret        string          `json:"client_secret,omitempty"`
	Name          string          `json:"client_name"`
	AuthMethods   []string        `json:"token_endpoint_auth_methods"`
	AuthAlg       string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	Keys          json.RawMessage `json:"jwks,omitempty"`
	KeysURI       string          `json:"jwks_uri,omitempty"`
	RedirectURIs  []string        `json:"redirect_uris"`
	PostLogout    []string        `json:"post_logout_redirect_uris,omitempty"`
	Backchannel   string          `json:"backchannel_logout_uri,omitempty"`
	Frontchannel  string          `json:"frontchannel_logout_uri,omitempty"`
	GrantTypes    []string        `json:"grant_types"`
	Scopes        []string        `json:"scopes"`
	Audience      []string        `json:"audience,omitempty"`
	IDTokenAlg    string          `json:"id_token_signed_response_alg"`
	IDTokenClaims string          `json:"id_token_claims"`
	Username      string          `json:"preferred_username"`
	ErrorIss      string          `json:"error_iss"`
	AccessToken   string          `json:"access_token"`
	Native        bool            `json:"native"`
	FirstParty    bool            `json:"first_party"`
	PKCE          string          `json:"pkce"`
	FAPI2         bool            `json:"fapi2"`
	RequirePAR    bool            `json:"require_pushed_authorization_requests"`
	DPoP          bool            `json:"dpop_bound_access_tokens"`
	DefaultMaxAge *int            `json:"default_max_age,omitempty"`
	LogoURI       string          `json:"logo_uri,omitempty"`
	ClientURI     string          `json:"client_uri,omitempty"`
	PolicyURI     string          `json:"policy_uri,omitempty"`
	TosURI        string          `json:"tos_uri,omitempty"`
	InitiateLogin string          `json:"initiate_login_uri,omitempty"`
	Contacts      []string        `json:"contacts,omitempty"`
	Secrets       int             `json:"secrets"`
	Disabled      bool            `json:"disabled"`
	CreatedAt     time.Time       `json:"created_at"`
}

// ViewClient returns the view of a client, with the secret that it just got, if it did.
func ViewClient(c broker.Client, secret broker.Secret) ClientView {
	v := ClientView{ID: c.ID, Secret: secret.Reveal(), Name: c.Name, AuthMethods: c.AuthMethods, AuthAlg: c.AuthAlg,
		Keys: json.RawMessage(c.Keys), KeysURI: c.KeysURI, RedirectURIs: append([]string{}, c.RedirectURIs...),
		PostLogout: c.PostLogoutRedirectURIs, Backchannel: c.BackchannelLogoutURI, Frontchannel: c.FrontchannelLogoutURI,
		GrantTypes: c.GrantTypes, Scopes: c.Scopes, Audience: c.Audience, IDTokenAlg: c.IDTokenAlg, AccessToken: "opaque",
		Native: c.Native, FirstParty: c.FirstParty, FAPI2: c.FAPI2, RequirePAR: c.PushedOnly, DPoP: c.DPoPBound,
		DefaultMaxAge: c.DefaultMaxAge, LogoURI: c.LogoURI, ClientURI: c.ClientURI, PolicyURI: c.PolicyURI, TosURI: c.TosURI,
		InitiateLogin: c.InitiateLoginURI, Contacts: c.Contacts, Secrets: len(c.SecretHashes), Disabled: c.Disabled,
		CreatedAt: c.CreatedAt}
	v.PKCE = cmp.Or(c.PKCE, clients.PKCEValues()[0])
	v.IDTokenClaims = cmp.Or(c.IDTokenClaims, clients.IDTokenClaimsValues()[0])
	v.Username = cmp.Or(c.PreferredUsername, clients.UsernameValues()[0])
	v.ErrorIss = cmp.Or(c.ErrorIss, clients.ErrorIssValues()[0])
	if c.RequirePKCE() {
		v.PKCE = broker.PKCERequired
	}
	if c.JWTAccess {
		v.AccessToken = "jwt"
	}
	return v
}
