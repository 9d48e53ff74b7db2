package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
)

// clientView is a client as the command line shows it; the secret only when it
// was made just now.
type clientView struct {
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
	AccessToken   string          `json:"access_token"`
	Native        bool            `json:"native"`
	FirstParty    bool            `json:"first_party"`
	RequirePKCE   bool            `json:"require_pkce"`
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

func viewClient(c broker.Client, secret string) clientView {
	v := clientView{ID: c.ID, Secret: secret, Name: c.Name, AuthMethods: c.AuthMethods, AuthAlg: c.AuthAlg, Keys: json.RawMessage(c.Keys), KeysURI: c.KeysURI,
		RedirectURIs: append([]string{}, c.RedirectURIs...), PostLogout: c.PostLogoutRedirectURIs, Backchannel: c.BackchannelLogoutURI, Frontchannel: c.FrontchannelLogoutURI,
		GrantTypes: c.GrantTypes, Scopes: c.Scopes, Audience: c.Audience, IDTokenAlg: c.IDTokenAlg, AccessToken: "opaque", Native: c.Native, FirstParty: c.FirstParty,
		RequirePKCE: c.RequirePKCE(), RequirePAR: c.PushedOnly, DPoP: c.DPoPBound, DefaultMaxAge: c.DefaultMaxAge, LogoURI: c.LogoURI, ClientURI: c.ClientURI,
		PolicyURI: c.PolicyURI, TosURI: c.TosURI, InitiateLogin: c.InitiateLoginURI, Contacts: c.Contacts, Secrets: len(c.SecretHashes), Disabled: c.Disabled, CreatedAt: c.CreatedAt}
	if c.JWTAccess {
		v.AccessToken = "jwt"
	}
	return v
}

func (t *tool) showClient(c broker.Client, secret string) error {
	v := viewClient(c, secret)
	return t.print(v, func(w io.Writer) {
		row(w, "client_id", v.ID)
		row(w, "name", v.Name)
		row(w, "auth method", strings.Join(v.AuthMethods, " "))
		row(w, "grants", strings.Join(v.GrantTypes, " "))
		row(w, "scopes", strings.Join(v.Scopes, " "))
		row(w, "audience", strings.Join(v.Audience, " "))
		row(w, "ID token alg", v.IDTokenAlg)
		row(w, "access tokens", v.AccessToken)
		row(w, "first party", yesNo(v.FirstParty))
		row(w, "native", yesNo(v.Native))
		row(w, "PKCE", map[bool]string{true: "required", false: "optional"}[v.RequirePKCE])
		row(w, "PAR", map[bool]string{true: "required", false: "optional"}[v.RequirePAR])
		row(w, "DPoP", map[bool]string{true: "required", false: "optional"}[v.DPoP])
		row(w, "secrets", v.Secrets)
		row(w, "state", admin.State(v.Disabled))
		for _, u := range v.RedirectURIs {
			row(w, "redirect URI", u)
		}
		for _, u := range v.PostLogout {
			row(w, "post-logout URI", u)
		}
		v.rest(w)
		if v.Secret != "" {
			fmt.Fprintf(w, "client_secret\t%s\n\nThe secret is shown this once. Keep it in the app's secret store.\n", v.Secret)
		}
	})
}

// rest are the rows of what few clients have.
func (v clientView) rest(w io.Writer) {
	if v.DefaultMaxAge != nil {
		row(w, "default max_age", fmt.Sprint(*v.DefaultMaxAge, " s"))
	}
	for _, cell := range [][2]string{{"auth alg", v.AuthAlg}, {"jwks", string(v.Keys)}, {"jwks_uri", v.KeysURI}, {"back-channel logout", v.Backchannel},
		{"front-channel logout", v.Frontchannel}, {"logo", v.LogoURI}, {"home page", v.ClientURI}, {"policy", v.PolicyURI}, {"terms", v.TosURI},
		{"initiate login", v.InitiateLogin}, {"contacts", strings.Join(v.Contacts, " ")}} {
		if cell[1] != "" {
			row(w, cell[0], cell[1])
		}
	}
}

// logoutView is a sign-out notice that an app has not got yet.
type logoutView struct {
	Client    string    `json:"client_id"`
	Session   string    `json:"session"`
	Account   string    `json:"account"`
	EndedAt   time.Time `json:"ended_at"`
	ExpiresAt time.Time `json:"given_up_at"`
	Attempts  int       `json:"attempts"`
	NextAt    time.Time `json:"next_at"`
	LastError string    `json:"last_error,omitempty"`
}
