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
	// AuthMethod is token_endpoint_auth_method: client_secret_basic,
	// client_secret_post or none (OIDC Core §9).
	AuthMethod   string
	RedirectURIs []string
	// PostLogoutRedirectURIs, compared byte for byte (OIDC RP-Initiated Logout §2).
	PostLogoutRedirectURIs []string
	GrantTypes             []string // authorization_code, refresh_token, client_credentials
	Scopes                 []string
	Audience               []string // who its access tokens are for, beside itself
	// Native clients (RFC 8252) may register loopback and reverse-DNS redirect URIs.
	Native bool
	// FirstParty clients skip the consent page.
	FirstParty bool
	// SkipPKCE is for older confidential apps only; a public client never skips it.
	SkipPKCE bool
	// IDTokenAlg is RS256 (the default), ES256 or EdDSA.
	IDTokenAlg string
	Disabled   bool
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Public tells whether the client has no secret (RFC 6749 §2.1).
func (c Client) Public() bool { return c.AuthMethod == "none" }

// RequirePKCE tells whether an authorization request needs a code_challenge.
func (c Client) RequirePKCE() bool { return c.Public() || !c.SkipPKCE }

// May tells whether the client may use the grant type.
func (c Client) May(grant string) bool { return slices.Contains(c.GrantTypes, grant) }

// Consent is what an account allowed a client. A changed client (its Version)
// is asked for again.
type Consent struct {
	AccountID string
	ClientID  string
	Version   string
	Scopes    []string
	GrantedAt time.Time
}

// Covers tells whether the consent holds for these scopes of this client version.
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
