package oidc

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"gatehouse/broker"
)

// clientMetadata is what a client says of itself, under the names of RFC 7591 §2,
// OpenID Connect Registration §2 and their kin. What is not here is ignored.
type clientMetadata struct {
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

	// Of an update alone (RFC 7592 §2.2).
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`

	SoftwareStatement json.RawMessage `json:"software_statement,omitempty"`
}

// readMetadata reads the body. Its errors are refusedMetadata, or broker.TooLarge.
func readMetadata(r *http.Request) (m clientMetadata, err error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return m, refusedMetadata{"invalid_client_metadata", "The body must be application/json."}
	}
	body, err := io.ReadAll(r.Body)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return m, broker.TooLarge
	}
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil {
		return m, refusedMetadata{"invalid_client_metadata", "The body is not a JSON object of client metadata."}
	}
	if string(m.Keys) == "null" {
		m.Keys = nil
	}
	if s := string(m.SoftwareStatement); s != "" && s != "null" {
		// Whose word it would be nobody has told us.
		return m, refusedMetadata{"unapproved_software_statement", "Software statements are not accepted here."}
	}
	return m, nil
}

// into writes the metadata into a client, as a whole: what was left out is the default.
func (m clientMetadata) into(c *broker.Client) (problems []Problem) {
	wrong := func(field, text string) { problems = append(problems, Problem{field, text}) }
	c.Name = cmp.Or(m.Name, c.ID)
	c.AuthMethods = []string{cmp.Or(m.AuthMethod, "client_secret_basic")}
	c.AuthAlg, c.Keys, c.KeysURI = m.AuthAlg, string(m.Keys), m.KeysURI
	c.RedirectURIs, c.PostLogoutRedirectURIs = m.RedirectURIs, m.PostLogoutURIs
	c.GrantTypes = m.GrantTypes
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{grantCode}
	}
	c.Scopes = strings.Fields(m.Scope)
	if len(c.Scopes) == 0 {
		c.Scopes = []string{scopeOpenID, scopeProfile, scopeEmail}
	}
	// The grant alone says it: many libraries send no scope for it.
	if c.May(grantRefresh) && !slices.Contains(c.Scopes, scopeOffline) {
		c.Scopes = append(c.Scopes, scopeOffline)
	}
	c.IDTokenAlg = cmp.Or(m.IDTokenAlg, "RS256")
	c.Native = m.ApplicationType == "native"
	c.DefaultMaxAge, c.InitiateLoginURI = m.DefaultMaxAge, m.InitiateLoginURI
	c.BackchannelLogoutURI, c.FrontchannelLogoutURI = m.BackchannelLogoutURI, m.FrontchannelLogoutURI
	c.PushedOnly, c.DPoPBound = m.PushedOnly, m.DPoPBound
	c.ClientURI, c.LogoURI, c.PolicyURI, c.TosURI, c.Contacts = m.ClientURI, m.LogoURI, m.PolicyURI, m.TosURI, m.Contacts
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

// beyond tells what a client may not give itself: it speaks for people and not for
// itself, and it asks for nothing but what is about them. What an operator gave it
// before, it keeps.
func beyond(before, c broker.Client) (problems []Problem) {
	for _, s := range c.Scopes {
		if !aboutPerson(s) && !slices.Contains(before.Scopes, s) {
			problems = append(problems, Problem{"scope", "holds one that only an operator may give"})
			break
		}
	}
	if c.May(grantClient) && !before.May(grantClient) {
		problems = append(problems, Problem{"grant_types", grantClient + " is for an operator to give"})
	}
	return problems
}

// information is the client information response (RFC 7591 §3.2.1).
type information struct {
	clientMetadata
	IssuedAt         int64  `json:"client_id_issued_at"`
	Secret           string `json:"client_secret,omitempty"` // the moment that it is made
	SecretExpires    *int64 `json:"client_secret_expires_at,omitempty"`
	RegistrationURI  string `json:"registration_client_uri"`
	RegistrationAuth string `json:"registration_access_token"`
}

// clientInformation tells a client what it is registered as. Its secret is told
// once; the registration access token is the one that it showed.
func (d *Door) clientInformation(c broker.Client, secret broker.Secret, access string) information {
	i := information{IssuedAt: c.CreatedAt.Unix(), Secret: secret.Reveal(), RegistrationURI: d.issuer + pathRegister + "/" + c.ID, RegistrationAuth: access,
		clientMetadata: clientMetadata{
			ClientID: c.ID, RedirectURIs: c.RedirectURIs, AuthMethod: strings.Join(c.AuthMethods, " "), AuthAlg: c.AuthAlg, GrantTypes: c.GrantTypes,
			Name: c.Name, ClientURI: c.ClientURI, LogoURI: c.LogoURI, Scope: strings.Join(c.Scopes, " "), Contacts: c.Contacts,
			TosURI: c.TosURI, PolicyURI: c.PolicyURI, KeysURI: c.KeysURI, ApplicationType: "web", SubjectType: "public", IDTokenAlg: c.IDTokenAlg,
			DefaultMaxAge: c.DefaultMaxAge, InitiateLoginURI: c.InitiateLoginURI, PostLogoutURIs: c.PostLogoutRedirectURIs,
			BackchannelLogoutURI: c.BackchannelLogoutURI, FrontchannelLogoutURI: c.FrontchannelLogoutURI, PushedOnly: c.PushedOnly, DPoPBound: c.DPoPBound,
		}}
	if c.Keys != "" {
		i.Keys = json.RawMessage(c.Keys)
	}
	if c.Native {
		i.ApplicationType = "native"
	}
	if c.May(grantCode) {
		i.ResponseTypes = []string{"code"}
	}
	if secret != "" {
		i.SecretExpires = new(int64) // never
	}
	return i
}
