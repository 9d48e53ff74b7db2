package clients

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

// Problem is one reason why a client cannot be registered, for the operator.
type Problem struct {
	Field string // as in Dynamic Client Registration (RFC 7591 §2)
	Text  string
}

func (p Problem) String() string { return p.Field + ": " + p.Text }

// The largest numbers of items.
const (
	maxSecrets = 2
	maxURIs    = 50
	maxScopes  = 100
)

// Validate returns everything wrong with a client, or nothing.
func Validate(c broker.Client) []Problem {
	v := &validation{}
	v.identity(c)
	v.authentication(c)
	v.settings(c)
	v.fapi2(c)
	v.keys(c)
	v.grants(c)
	v.redirects(c)
	v.scopes(c)
	v.logout(c)
	v.told(c)
	if c.IDTokenAlg != "" && !slices.Contains(signing.Algorithms(), c.IDTokenAlg) {
		v.add("id_token_signed_response_alg", "%q is not one of %s", c.IDTokenAlg, strings.Join(signing.Algorithms(), ", "))
	}
	return v.problems
}

type validation struct{ problems []Problem }

func (v *validation) add(field, format string, args ...any) {
	v.problems = append(v.problems, Problem{field, fmt.Sprintf(format, args...)})
}

func (v *validation) identity(c broker.Client) {
	//defence:A14 A20
	if c.FirstParty && c.RegistrationHash != "" {
		v.add("first_party", "a client that registered itself cannot be first-party: register it yourself")
	}
	// No character may need escaping in a URL, a header or a log.
	if c.ID == "" || len(c.ID) > MaxID || strings.Trim(c.ID,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-") != "" {
		v.add("client_id", "must be 1 to %d letters, digits and . _ ~ -", MaxID)
	}
	//defence:A24 A20 ./broker/clients:TestEveryRefusalOfAClientNamesItsField
	if strings.TrimSpace(c.Name) != c.Name || c.Name == "" || len(c.Name) > 200 {
		v.add("client_name", "must be 1 to 200 characters, without spaces around it; people read it")
	}
	//defence:A24 A20
	if p := broker.NameProblem(c.Name); p != "" {
		v.add("client_name", "%s", p)
	}
}

func (v *validation) grants(c broker.Client) {
	const field = "grant_types"
	if len(c.GrantTypes) == 0 {
		v.add(field, "is empty; a browser app needs %s", GrantCode)
	}
	for i, g := range c.GrantTypes {
		if !slices.Contains(GrantTypes(), g) {
			v.add(field, "%q is not one of %s", g, strings.Join(GrantTypes(), ", "))
		}
		if slices.Contains(c.GrantTypes[:i], g) {
			v.add(field, "%q occurs twice", g)
		}
	}
	if c.Public() && c.May(GrantClient) {
		v.add(field, "%s needs a secret", GrantClient)
	}
	if c.May(GrantRefresh) && !c.May(GrantCode) && !c.May(GrantDevice) {
		v.add(field, "%s needs %s or %s", GrantRefresh, GrantCode, GrantDevice)
	}
}

func (v *validation) redirects(c broker.Client) {
	if c.May(GrantCode) && len(c.RedirectURIs) == 0 {
		v.add("redirect_uris", "is empty; %s needs one", GrantCode)
	}
	v.uris("redirect_uris", c.RedirectURIs, c.Native)
	//defence:A3 A20
	v.uris("post_logout_redirect_uris", c.PostLogoutRedirectURIs, c.Native)
}

func (v *validation) uris(field string, uris []string, native bool) {
	if len(uris) > maxURIs {
		v.add(field, "%d URIs, at most %d", len(uris), maxURIs)
	}
	for i, uri := range uris {
		if p := broker.RedirectProblem(uri, native); p != "" {
			v.add(field, "%q %s", uri, p)
			continue
		}
		u, err := url.Parse(uri)
		switch {
		case err != nil || u.Opaque != "" || u.Host == "" && u.Path == "":
			v.add(field, "%q must have a path, such as com.example.app:/callback", uri)
		case u.Scheme != strings.ToLower(u.Scheme) || u.Host != strings.ToLower(u.Host) ||
			!strings.HasPrefix(uri, u.Scheme+":"):
			v.add(field, "%q must have its scheme and host in lower case, because it is compared byte for byte", uri)
		case u.Query().Has("code") || u.Query().Has("state") || u.Query().Has("iss") || u.Query().Has("error"):
			v.add(field, "%q must not contain a parameter of the response", uri)
		case slices.Contains(uris[:i], uri):
			v.add(field, "%q occurs twice", uri)
		}
	}
}

func (v *validation) scopes(c broker.Client) {
	if len(c.Scopes) > maxScopes {
		v.add("scope", "%d scopes, at most %d", len(c.Scopes), maxScopes)
	}
	for i, s := range c.Scopes {
		switch {
		case s == "" || len(s) > 100 || strings.ContainsAny(s, " \"\\") || !visible(s):
			v.add("scope", "%q must be 1 to 100 characters without spaces, quotes or backslashes (RFC 6749 §3.3)", s)
		case slices.ContainsFunc(PersonScopes(), func(known string) bool {
			return s != known && strings.EqualFold(s, known)
		}):
			v.add("scope", "%q differs from a standard scope by case only", s)
		case slices.Contains(c.Scopes[:i], s):
			v.add("scope", "%q occurs twice", s)
		}
	}
	if slices.Contains(c.Scopes, ScopeOffline) != c.May(GrantRefresh) {
		v.add("scope", "%s and the grant %s go together", ScopeOffline, GrantRefresh)
	}
	for _, a := range c.Audience {
		if a == "" || len(a) > MaxID || !visible(a) {
			v.add("audience", "%q must be 1 to %d printable characters", a, MaxID)
		}
	}
}
