// Package clients is the registry of apps: what may be registered, and the secrets,
// keys and tokens of a client.
package clients

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

// The grants of this server (RFC 6749 §4.1, §6, §4.4; RFC 8628).
const (
	GrantCode    = "authorization_code"
	GrantRefresh = "refresh_token"
	GrantClient  = "client_credentials"
	GrantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
)

// GrantTypes returns all grants.
func GrantTypes() []string { return []string{GrantCode, GrantRefresh, GrantClient, GrantDevice} }

// The scopes that are about a person (OIDC Core §5.4, §11).
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeOffline = "offline_access"
)

// PersonScopes returns the scopes about a person.
func PersonScopes() []string { return []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeOffline} }

// AboutPerson reports whether a scope needs a signed-in person.
func AboutPerson(scope string) bool { return slices.Contains(PersonScopes(), scope) }

// MethodKey is client authentication with a signed assertion (OIDC Core §9).
const MethodKey = "private_key_jwt"

// AuthMethods returns the methods of client authentication (OIDC Core §9).
func AuthMethods() []string {
	return append(ProofMethods(), "none")
}

// SecretMethods returns the methods that send the secret. A confidential client may use all of them unless its
// registration names a method.
func SecretMethods() []string { return []string{"client_secret_basic", "client_secret_post"} }

// ProofMethods returns the methods that authenticate a client.
func ProofMethods() []string { return append(SecretMethods(), MethodKey) }

// PS256 is an algorithm that clients may sign with, but this server does not.
const PS256 = "PS256"

// AssertionAlgs are what clients may sign with (OIDC Core §9): never none, never a
// shared secret.
func AssertionAlgs() []string {
	//defence:A9 = []string{"RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"}
	return []string{signing.RS256, PS256, signing.ES256, signing.EdDSA, signing.Ed25519}
}

// The settings of a client with a few values. The first value is the default, which broker.Client stores as an
// empty string.

// PKCEValues returns the values of pkce.
func PKCEValues() []string { return []string{"default", broker.PKCERequired, broker.PKCEOff} }

// ErrorIssValues returns the values of error_iss.
func ErrorIssValues() []string { return []string{"on", broker.ErrorIssOff} }

// IDTokenClaimsValues returns the values of id_token_claims.
func IDTokenClaimsValues() []string { return []string{"scopes", broker.ClaimsMinimal} }

// UsernameValues returns the values of preferred_username.
func UsernameValues() []string {
	return []string{"email", broker.UsernameLocalPart, broker.UsernameNone}
}

// WithDefaults returns the client with the names of defaults replaced by empty strings.
func WithDefaults(c broker.Client) broker.Client {
	for _, s := range settings(&c) {
		if *s.value == s.values[0] {
			*s.value = ""
		}
	}
	return c
}

// setting is one of these settings of a client.
type setting struct {
	name   string
	value  *string
	values []string
}

func settings(c *broker.Client) []setting {
	return []setting{{"pkce", &c.PKCE, PKCEValues()}, {"error_iss", &c.ErrorIss, ErrorIssValues()},
		{"id_token_claims", &c.IDTokenClaims, IDTokenClaimsValues()},
		{"preferred_username", &c.PreferredUsername, UsernameValues()}}
}

// MaxID is the largest length of a client id, in characters.
const MaxID = 128

// PlausibleID reports whether a client id from a request is worth a look-up.
func PlausibleID(id string) bool { return id != "" && len(id) <= MaxID && visible(id) }

// IsText reports whether a value is valid UTF-8 without control characters.
func IsText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// visible reports whether s is printable ASCII (the VSCHAR of RFC 6749, Appendix A).
func visible(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
