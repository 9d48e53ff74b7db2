package oidc

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// readMetadata reads the body. Its errors are refusedMetadata, or broker.TooLarge.
func readMetadata(r *http.Request) (m clients.Metadata, err error) {
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
		// No issuer of software statements is configured.
		return m, refusedMetadata{"unapproved_software_statement", "Software statements are not accepted here."}
	}
	return m, nil
}

// information is the client information response (RFC 7591 §3.2.1).
type information struct {
	clients.Metadata
	IssuedAt         int64  `json:"client_id_issued_at"`
	Secret           string `json:"client_secret,omitempty"` // only in the response that creates it
	SecretExpires    *int64 `json:"client_secret_expires_at,omitempty"`
	RegistrationURI  string `json:"registration_client_uri"`
	RegistrationAuth string `json:"registration_access_token"`
}

// clientInformation returns a client's registration. It contains the secret only once; access is the
// registration access token of the request.
func (d *Handler) clientInformation(c broker.Client, secret broker.Secret, access string) information {
	i := information{IssuedAt: c.CreatedAt.Unix(), Secret: secret.Reveal(),
		RegistrationURI: d.issuer + pathRegister + "/" + c.ID, RegistrationAuth: access,
		Metadata: clients.Metadata{
			ClientID: c.ID, RedirectURIs: c.RedirectURIs, AuthMethod: first(c.AuthMethods), AuthAlg: c.AuthAlg,
			GrantTypes: c.GrantTypes,
			Name:       c.Name, ClientURI: c.ClientURI, LogoURI: c.LogoURI,
			Scope: strings.Join(c.Scopes, " "), Contacts: c.Contacts,
			TosURI: c.TosURI, PolicyURI: c.PolicyURI, KeysURI: c.KeysURI, ApplicationType: "web", SubjectType: "public",
			IDTokenAlg:    c.IDTokenAlg,
			DefaultMaxAge: c.DefaultMaxAge, InitiateLoginURI: c.InitiateLoginURI, PostLogoutURIs: c.PostLogoutRedirectURIs,
			BackchannelLogoutURI: c.BackchannelLogoutURI, FrontchannelLogoutURI: c.FrontchannelLogoutURI,
			PushedOnly: c.PushedOnly, DPoPBound: c.DPoPBound,
			FAPI2: c.FAPI2, PKCE: c.PKCE, ErrorIss: c.ErrorIss, IDTokenClaims: c.IDTokenClaims,
			PreferredUsername: c.PreferredUsername,
		}}
	if c.Keys != "" {
		i.Keys = json.RawMessage(c.Keys)
	}
	if c.Native {
		i.ApplicationType = "native"
	}
	if c.May(clients.GrantCode) {
		i.ResponseTypes = []string{"code"}
	}
	if secret != "" {
		i.SecretExpires = new(int64) // never
	}
	return i
}

// first returns the first method: the metadata has a place for one only.
func first(methods []string) string {
	if len(methods) == 0 {
		return ""
	}
	return methods[0]
}
