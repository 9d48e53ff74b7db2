package broker

import (
	"slices"
	"time"
)

// Client is a downstream app (RFC 6749 §2).
type Client struct {
	ID   string
	Name string
	// SecretHashes are keyed hashes of the live secrets; none for a public client.
	SecretHashes []string
	// AuthMethods are the client authentication methods it may use (OIDC Core §9): client_secret_basic,
	// client_secret_post, private_key_jwt, or only none.
	AuthMethods []string
	// Keys is its JWK Set as JSON, and KeysURI its address (RFC 7591 §2 jwks, jwks_uri); at most one of them is
	// set.
	Keys    string
	KeysURI string
	// AuthAlg is the only algorithm of its assertions, empty for any supported one
	// (token_endpoint_auth_signing_alg).
	AuthAlg      string
	RedirectURIs []string
	// PostLogoutRedirectURIs are compared byte for byte (OIDC RP-Initiated Logout §2).
	PostLogoutRedirectURIs []string
	// BackchannelLogoutURI receives logout tokens (OIDC Back-Channel Logout §2.2). FrontchannelLogoutURI is
	// framed by the signed-out page (Front-Channel Logout §2).
	BackchannelLogoutURI  string
	FrontchannelLogoutURI string
	GrantTypes            []string
	Scopes                []string
	Audience              []string // recipients of its access tokens, besides the client
	// Native clients (RFC 8252) may register loopback and reverse-DNS redirect URIs.
	Native bool
	// FirstParty clients skip the consent page.
	FirstParty bool
	// SkipPKCE is for older confidential apps only; a public client never skips it.
	SkipPKCE bool
	// PushedOnly clients must use PAR (RFC 9126 §6).
	PushedOnly bool
	// DPoPBound clients get no Bearer tokens (RFC 9449 §5.2).
	DPoPBound bool
	// JWTAccess makes its access tokens JWTs (RFC 9068); they are opaque otherwise.
	JWTAccess bool
	// IDTokenAlg is RS256 (the default), ES256 or EdDSA.
	IDTokenAlg string
	// DefaultMaxAge, in seconds, applies to requests without max_age (default_max_age).
	DefaultMaxAge *int
	// Shown to people and other apps (RFC 7591 §2).
	LogoURI          string
	ClientURI        string
	PolicyURI        string
	TosURI           string
	InitiateLoginURI string
	Contacts         []string
	// RegistrationHash is the keyed hash of its registration access token (RFC 7592), empty if it did not
	// register itself.
	RegistrationHash string
	Disabled         bool
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

// Public reports whether the client cannot authenticate (RFC 6749 §2.1).
func (c Client) Public() bool { return slices.Contains(c.AuthMethods, "none") }

// RequirePKCE reports whether an authorization request needs a code_challenge.
func (c Client) RequirePKCE() bool { return c.Public() || !c.SkipPKCE }

// May reports whether the client may use the grant type.
func (c Client) May(grant string) bool { return slices.Contains(c.GrantTypes, grant) }

// Consent is what an account allowed a client. A change of the client's Version requires a new consent.
type Consent struct {
	AccountID string
	ClientID  string
	Version   string
	Scopes    []string
	GrantedAt time.Time
}

// Covers reports whether the consent includes these scopes of this client version.
func (c Consent) Covers(version string, scopes []string) bool {
	if c.Version != version {
		return false
	}
	for _, s := range scopes {
		if !slices.Contains(c.Scopes, s) {
			return false
		}
	}
	return true
}
