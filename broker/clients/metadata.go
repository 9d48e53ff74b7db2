package clients

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"gatehouse/broker"
)

// Metadata describes a client, under the names of RFC 7591 §2 and OpenID Connect Registration §2 and related
// specifications. Unknown members are ignored.
type Metadata struct {
	RedirectURIs          []string        `json:"redirect_uris,omitempty"`
	AuthMethod            string          `json:"token_endpoint_auth_method,omitempty"`
	AuthAlg               string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	GrantTypes            []string        `json:"grant_types,omitempty"`
	ResponseTypes         []string        `json:"response_types,omitempty"`
	Name                  string          `json:"client_name,omitempty"`
	ClientURI             string          `json:"client_uri,omitempty"`
	LogoURI               string          `json:"logo_uri,omitempty"`
	Scope                 string          `json:"scope,omitempty"`
	Contacts              []string        `json:"contacts,omitempty"`
	TosURI                string          `json:"tos_uri,omitempty"`
	PolicyURI             string          `json:"policy_uri,omitempty"`
	KeysURI               string          `json:"jwks_uri,omitempty"`
	Keys                  json.RawMessage `json:"jwks,omitempty"`
	ApplicationType       string          `json:"application_type,omitempty"`
	SubjectType           string          `json:"subject_type,omitempty"`
	IDTokenAlg            string          `json:"id_token_signed_response_alg,omitempty"`
	DefaultMaxAge         *int            `json:"default_max_age,omitempty"`
	InitiateLoginURI      string          `json:"initiate_login_uri,omitempty"`
	PostLogoutURIs        []string        `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI  string          `json:"backchannel_logout_uri,omitempty"`
	FrontchannelLogoutURI string          `json:"frontchannel_logout_uri,omitempty"`
	PushedOnly            bool            `json:"require_pushed_authorization_requests,omitempty"`
	DPoPBound             bool            `json:"dpop_bound_access_tokens,omitempty"`

	// Settings of this server.
	FAPI2             bool   `json:"fapi2,omitempty"`
	PKCE              string `json:"pkce,omitempty"`
	ErrorIss          string `json:"error_iss,omitempty"`
	IDTokenClaims     string `json:"id_token_claims,omitempty"`
	PreferredUsername string `json:"preferred_username,omitempty"`

	// Only in an update (RFC 7592 §2.2).
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`

	SoftwareStatement json.RawMessage `json:"software_statement,omitempty"`
}

// Into writes the complete metadata into a client: omitted members get their defaults.
func (m Metadata) Into(c *broker.Client) (problems []Problem) {
	wrong := func(field, text string) { problems = append(problems, Problem{field, text}) }
	c.Name = cmp.Or(m.Name, c.ID)
	c.AuthMethods = m.authMethods(c.AuthMethods)
	c.PKCE, c.ErrorIss, c.IDTokenClaims, c.PreferredUsername = m.PKCE, m.ErrorIss, m.IDTokenClaims, m.PreferredUsername
	*c = WithDefaults(*c)
	c.AuthAlg, c.Keys, c.KeysURI = m.AuthAlg, string(m.Keys), m.KeysURI
	c.RedirectURIs, c.PostLogoutRedirectURIs = m.RedirectURIs, m.PostLogoutURIs
	c.GrantTypes = m.GrantTypes
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{GrantCode}
	}
	c.Scopes = strings.Fields(m.Scope)
	if len(c.Scopes) == 0 {
		c.Scopes = []string{ScopeOpenID, ScopeProfile, ScopeEmail}
	}
	// The grant implies the scope, because many libraries send none for it.
	if c.May(GrantRefresh) && !slices.Contains(c.Scopes, ScopeOffline) {
		c.Scopes = append(c.Scopes, ScopeOffline)
	}
	c.IDTokenAlg = cmp.Or(m.IDTokenAlg, "RS256")
	c.Native = m.ApplicationType == "native"
	c.DefaultMaxAge, c.InitiateLoginURI = m.DefaultMaxAge, m.InitiateLoginURI
	c.BackchannelLogoutURI, c.FrontchannelLogoutURI = m.BackchannelLogoutURI, m.FrontchannelLogoutURI
	c.PushedOnly, c.DPoPBound = m.PushedOnly, m.DPoPBound
	c.ClientURI, c.LogoURI, c.PolicyURI, c.TosURI, c.Contacts = m.ClientURI, m.LogoURI, m.PolicyURI, m.TosURI, m.Contacts
	if c.FAPI2 = m.FAPI2; m.FAPI2 {
		HoldToFAPI2(c)
	}
	if !slices.Contains([]string{"", "web", "native"}, m.ApplicationType) {
		wrong("application_type", "must be web or native")
	}
	if m.SubjectType != "" && m.SubjectType != "public" {
		wrong("subject_type", "must be public")
	}
	for _, t := range m.ResponseTypes {
		if t != "code" {
			wrong("response_types", "must be code and nothing else")
			break
		}
	}
	return problems
}

// authMethods returns the methods of client authentication. The metadata can only name one, so it names the first
// of several, and an update that repeats that name keeps them all.
func (m Metadata) authMethods(before []string) []string {
	switch {
	case m.AuthMethod == "":
		return SecretMethods()
	case len(before) > 1 && before[0] == m.AuthMethod:
		return before
	}
	return []string{m.AuthMethod}
}

// Beyond returns what a client must not give itself: it acts for people only, and requests only scopes about
// people. It keeps what an operator gave it before.
func Beyond(before, c broker.Client) (problems []Problem) {
	for _, s := range c.Scopes {
		if !AboutPerson(s) && !slices.Contains(before.Scopes, s) {
			problems = append(problems, Problem{"scope", "contains a scope that only an operator may grant"})
			break
		}
	}
	if c.May(GrantClient) && !before.May(GrantClient) {
		problems = append(problems, Problem{"grant_types", GrantClient + " can only be granted by an operator"})
	}
	//defence:A2 A20
	if c.PKCE == broker.PKCEOff && before.PKCE != broker.PKCEOff {
		problems = append(problems, Problem{"pkce", "off can only be set by an operator"})
	}
	return problems
}
