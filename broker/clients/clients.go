// Package clients is the registry of apps: what may be registered, and the secrets,
// keys and tokens of a client.
package clients

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

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

// ProofMethods returns the methods that authenticate a client.
func ProofMethods() []string { return []string{"client_secret_basic", "client_secret_post", MethodKey} }

// PS256 is an algorithm that clients may sign with, but this server does not.
const PS256 = "PS256"

// AssertionAlgs are what clients may sign with (OIDC Core §9): never none, never a
// shared secret.
func AssertionAlgs() []string {
	//defence:A9 = []string{"RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"}
	return []string{signing.RS256, PS256, signing.ES256, signing.EdDSA, signing.Ed25519}
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
