package broker

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
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
	// PKCE is empty, PKCERequired or PKCEOff: see RequirePKCE and RequireNonce.
	PKCE string
	// ErrorIss is empty, or ErrorIssOff for an app that fails at the iss of an error response (RFC 9207).
	ErrorIss string
	// FAPI2 clients are held to the FAPI 2.0 Security Profile. Besides the settings that it implies, it means
	// assertions for the issuer alone, no RS256, and refresh without rotation.
	FAPI2 bool
	// PushedOnly clients must use PAR (RFC 9126 §6).
	PushedOnly bool
	// DPoPBound clients get no Bearer tokens (RFC 9449 §5.2).
	DPoPBound bool
	// JWTAccess makes its access tokens JWTs (RFC 9068); they are opaque otherwise.
	JWTAccess bool
	// IDTokenAlg is RS256 (the default), ES256 or EdDSA.
	IDTokenAlg string
	// IDTokenClaims is empty for the claims of the granted scopes, or ClaimsMinimal for none of them: the app
	// reads userinfo.
	IDTokenClaims string
	// PreferredUsername is empty for the e-mail address, UsernameLocalPart or UsernameNone.
	PreferredUsername string
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

// The values of Client's settings. The default of each is the empty string.
const (
	PKCERequired      = "required"
	PKCEOff           = "off"
	ErrorIssOff       = "off"
	ClaimsMinimal     = "minimal"
	UsernameLocalPart = "local_part"
	UsernameNone      = "none"
)

// RequirePKCE reports whether an authorization request needs a code_challenge. A native client always does,
// because a secret on a device is public (RFC 8252 §8.5).
func (c Client) RequirePKCE() bool { return c.Public() || c.Native || c.PKCE == PKCERequired }

// RequireNonce reports whether a request without a code_challenge needs a nonce, which protects a confidential
// client as well (RFC 9700 §2.1.1).
func (c Client) RequireNonce() bool { return c.PKCE != PKCEOff }

// Username returns the preferred_username of an account, empty if the client gets none. It is the e-mail address
// or a part of it, so only clients that may ask for the address get it.
func (c Client) Username(a Account) string {
	local, _, _ := strings.Cut(a.Email, "@")
	switch {
	case !c.TellsUsername():
		return ""
	case c.PreferredUsername == UsernameLocalPart:
		return local
	}
	return a.Email
}

// TellsUsername reports whether the client gets a preferred_username.
func (c Client) TellsUsername() bool {
	return c.PreferredUsername != UsernameNone && slices.Contains(c.Scopes, "email")
}

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

// MatchRedirect reports whether a requested redirect_uri is registered, byte for byte (RFC 9700 §4.1.3). The
// only exception is a native client's port of a loopback IP literal over http (RFC 8252 §7.3).
func MatchRedirect(registered []string, requested string, native bool) bool {
	for _, r := range registered {
		//defence:A3 = true
		if r == requested || sameButPort(r, requested) &&
			//defence:A3 = true
			native {
			return true
		}
	}
	return false
}

// sameButPort compares strings, not parsed URLs, because parsers disagree.
func sameButPort(registered, requested string) bool {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		a, ok := strings.CutPrefix(registered, host)
		if !ok {
			continue
		}
		b, ok := strings.CutPrefix(requested, host)
		if !ok {
			continue
		}
		a, okA := cutPort(a)
		b, okB := cutPort(b)
		return okA && okB &&
			//defence:A3
			a == b
	}
	return false
}

// cutPort removes ":port", and requires that a path or nothing follows.
func cutPort(s string) (string, bool) {
	if p, ok := strings.CutPrefix(s, ":"); ok {
		i := strings.IndexByte(p, '/')
		if i < 0 {
			i = len(p)
		}
		if !isPort(p[:i]) {
			return "", false
		}
		s = p[i:]
	}
	return s, s == "" || s[0] == '/'
}

// isPort reports whether s is 1 to 65535, without leading zeros.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	//defence:A3 = true
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

// RedirectProblem returns why a URI cannot be registered as a redirect URI, or "". It accepts https, http on a
// loopback host, and for native clients a reverse-DNS scheme (RFC 8252 §7).
func RedirectProblem(uri string, native bool) string {
	if uri == "" || len(uri) > 2000 {
		return "must have 1 to 2000 characters"
	}
	for i := range len(uri) {
		if uri[i] <= ' ' || uri[i] >= 0x7f || uri[i] == '\\' {
			return "must be plain ASCII without spaces, control characters or backslashes"
		}
	}
	u, err := url.Parse(uri)
	_, broken := url.PathUnescape(uri) // Parse accepts some invalid escapes
	switch {
	case err != nil || broken != nil || u.Scheme == "":
		return "must be an absolute URI"
	case strings.Contains(uri, "#"):
		return "must not have a fragment"
	//defence:A3
	case u.User != nil:
		return "must not have user information"
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !isPort(u.Port()):
		return "must have a port from 1 to 65535, without leading zeros, or none"
	case strings.Contains(uri, "*"):
		return "must not have a wildcard"
	//defence:A3
	case dotSegments(uri):
		return "must not have dot segments"
	}
	switch u.Scheme {
	case "https":
		if u.Hostname() == "" {
			return "must name a host"
		}
		return ""
	case "http":
		if !LoopbackHost(u.Hostname()) {
			return "must be https; http is for a loopback host only"
		}
		return ""
	default:
		if !native {
			return "must be https; a custom scheme is for native clients only"
		}
		if !strings.Contains(u.Scheme, ".") || strings.ToLower(uri[:len(u.Scheme)]) != uri[:len(u.Scheme)] {
			return "must use a reverse-DNS scheme in lower case, such as com.example.app"
		}
		return ""
	}
}

func dotSegments(uri string) bool {
	_, path, _ := strings.Cut(uri, ":")
	path, _, _ = strings.Cut(path, "?")
	path = strings.ReplaceAll(strings.ToLower(path), "%2e", ".")
	path = strings.ReplaceAll(path, "%2f", "/")
	for seg := range strings.SplitSeq(path, "/") {
		seg, _, _ = strings.Cut(seg, ";")
		if seg == "." || seg == ".." {
			return true
		}
	}
	return false
}

// LoopbackHost reports whether a host name means this machine by definition.
func LoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, _ := netip.ParseAddr(host) // the zero address is not a loopback address
	return ip.IsLoopback()
}
