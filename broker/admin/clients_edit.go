package admin

import (
	"fmt"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// EditClient names what may change of a client. A nil field stays as it is; a list is
// replaced as a whole.
type EditClient struct {
	Name          *string
	AuthMethods   []string
	AuthAlg       *string
	Keys          *string // a JWK Set; empty removes it. It replaces KeysURI
	KeysURI       *string // it replaces Keys
	RedirectURIs  []string
	PostLogout    []string
	Backchannel   *string
	Frontchannel  *string
	GrantTypes    []string
	Scopes        []string
	Audience      []string
	Native        *bool
	FirstParty    *bool
	PKCE          *string // required, default or off
	ErrorIss      *string // on (the default) or off
	FAPI2         *bool   // true also makes every other setting strict that the input does not name
	PushedOnly    *bool
	DPoPBound     *bool
	JWTAccess     *bool
	IDTokenAlg    *string
	IDTokenClaims *string // scopes (the default) or minimal
	Username      *string // email (the default), local_part or none
	DefaultMaxAge *int    // seconds; negative removes it
	LogoURI       *string
	ClientURI     *string
	PolicyURI     *string
	TosURI        *string
	InitiateLogin *string
	Contacts      []string
}

// newClient returns a client with the default values.
func newClient() broker.Client {
	return broker.Client{AuthMethods: clients.SecretMethods(), IDTokenAlg: "RS256",
		GrantTypes: []string{clients.GrantCode, clients.GrantRefresh}, Scopes: clients.PersonScopes()}
}

// apply returns the client with the changes.
func (in EditClient) apply(c broker.Client) broker.Client {
	if set(&c.FAPI2, in.FAPI2); c.FAPI2 && in.FAPI2 != nil {
		clients.HoldToFAPI2(&c)
	}
	set(&c.Name, in.Name)
	set(&c.AuthAlg, in.AuthAlg)
	set(&c.BackchannelLogoutURI, in.Backchannel)
	set(&c.FrontchannelLogoutURI, in.Frontchannel)
	set(&c.IDTokenAlg, in.IDTokenAlg)
	set(&c.LogoURI, in.LogoURI)
	set(&c.ClientURI, in.ClientURI)
	set(&c.PolicyURI, in.PolicyURI)
	set(&c.TosURI, in.TosURI)
	set(&c.InitiateLoginURI, in.InitiateLogin)
	set(&c.Native, in.Native)
	set(&c.FirstParty, in.FirstParty)
	set(&c.PKCE, in.PKCE)
	set(&c.ErrorIss, in.ErrorIss)
	set(&c.IDTokenClaims, in.IDTokenClaims)
	set(&c.PreferredUsername, in.Username)
	set(&c.PushedOnly, in.PushedOnly)
	set(&c.DPoPBound, in.DPoPBound)
	set(&c.JWTAccess, in.JWTAccess)
	setList(&c.AuthMethods, in.AuthMethods)
	setList(&c.RedirectURIs, in.RedirectURIs)
	setList(&c.PostLogoutRedirectURIs, in.PostLogout)
	setList(&c.GrantTypes, in.GrantTypes)
	setList(&c.Scopes, in.Scopes)
	setList(&c.Audience, in.Audience)
	setList(&c.Contacts, in.Contacts)
	if in.DefaultMaxAge != nil {
		if c.DefaultMaxAge = in.DefaultMaxAge; *in.DefaultMaxAge < 0 {
			c.DefaultMaxAge = nil
		}
	}
	in.applyKeys(&c)
	return clients.WithDefaults(c)
}

// applyKeys replaces keys by a URI of keys, and the other way round. If both are given,
// validation refuses them.
func (in EditClient) applyKeys(c *broker.Client) {
	given := func(s *string) bool { return s != nil && *s != "" }
	if in.KeysURI != nil {
		if c.KeysURI = *in.KeysURI; given(in.KeysURI) {
			c.Keys = ""
		}
	}
	if in.Keys != nil {
		if c.Keys = clients.CompactKeys(*in.Keys); given(in.Keys) && !given(in.KeysURI) {
			c.KeysURI = ""
		}
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func setList(to *[]string, from []string) {
	if from != nil {
		*to = from
	}
}

// sameClient reports whether two clients are registered alike. It compares printed text,
// which treats nil and empty as equal, but the one pointer by its value.
func sameClient(a, b broker.Client) bool {
	age := func(p *int) int {
		if p == nil {
			return -1
		}
		return *p
	}
	same := age(a.DefaultMaxAge) == age(b.DefaultMaxAge)
	a.DefaultMaxAge, b.DefaultMaxAge = nil, nil
	return same && fmt.Sprint(a) == fmt.Sprint(b)
}

// clientError is every problem of a client as one error, or nil.
func clientError(problems []clients.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	lines := make([]string, 0, len(problems))
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return invalid("", "this client can't be registered:\n  %s", strings.Join(lines, "\n  "))
}
