package broker

import (
	"net/url"
	"time"
)

// Method is how a person signed in.
type Method string

// The methods.
const (
	ByPassword Method = "password"
	ByUpstream Method = "upstream"
)

// Authn is how and when a person was authenticated. It is copied from the login to the session to the grant.
// Admit checks it at every creation and renewal.
type Authn struct {
	Method     Method
	Connection string   // with ByUpstream
	Identity   string   // with ByUpstream: the Identity's id
	UserType   UserType // likewise
	// Factor: an enrolled second factor was given as well.
	Factor   bool
	AMR      []string
	ACR      string
	AuthTime time.Time // when the proof was given; never invented
	Epoch    int64     // Account.AuthEpoch at that moment
	// UpstreamSID is the upstream's session id (sid), empty if unknown. Sessions store it, grants do not.
	UpstreamSID string
	// Members are the epochs of the memberships at that time, by tenant.
	Members map[string]int64
}

// SessionLife is the lifetime of a session. It is never extended.
const SessionLife = 8 * time.Hour

// Session is one browser's session of one account. Its id is the `sid` of ID tokens. The cookie has another value;
// only its keyed hash is stored.
type Session struct {
	ID        string
	AccountID string
	Authn     Authn
	UserAgent string
	Address   string // IP address at its start
	CreatedAt time.Time
	ExpiresAt time.Time
	EndedAt   time.Time // zero while it is active
}

// FinishedLogin is a successful login: the session that it created or continued, its account as just admitted,
// and the app's request, nil for none.
type FinishedLogin struct {
	Session Session
	Account Account
	Request url.Values
}

// Grant is one authorization, from its code to its last refresh token. Inserting its row consumes the code: its
// id is the code's request id, so a second insert is a second use (RFC 6749 §4.1.2).
type Grant struct {
	ID        string
	ClientID  string
	AccountID string
	SessionID string
	Scopes    []string
	Audience  []string
	Authn     Authn
	// KeyThumbprint identifies the DPoP key that its refresh tokens are bound to (RFC 9449 §5), empty for none.
	KeyThumbprint string
	// Claims is the claims parameter of its request (OIDC Core §5.5), empty for none.
	Claims string
	// RefreshCounter counts the refresh tokens; only the newest is valid. For RefreshGrace after RotatedAt, the
	// previous one returns the same successor again.
	RefreshCounter int64
	RotatedAt      time.Time
	CreatedAt      time.Time
	ExpiresAt      time.Time
	EndedAt        time.Time
	EndedBy        Code // the reason; empty while it is valid
}

// The lifetimes of a grant's code and tokens.
const (
	CodeLife    = time.Minute
	AccessLife  = 10 * time.Minute
	IDTokenLife = 10 * time.Minute
	RefreshLife = 30 * 24 * time.Hour
	// RefreshGrace is how long a client that lost the response may repeat a refresh and get the same token.
	RefreshGrace = 10 * time.Second
)

// GrantFilter selects grants; empty fields are ignored, but at least one must be set.
type GrantFilter struct {
	Account string
	Client  string
	Session string
}

// KeyState is the state of a signing key.
type KeyState string

// A key is published (Next) before it signs (Active). It stays published (Retired) until everything that it
// signed has expired.
const (
	KeyNext    KeyState = "next"
	KeyActive  KeyState = "active"
	KeyRetired KeyState = "retired"
)

// SigningKey is one private key of the issuer, as PKCS #8.
type SigningKey struct {
	ID        string // the kid
	Alg       string // RS256, ES256 or EdDSA
	State     KeyState
	Private   []byte
	CreatedAt time.Time
	ActiveAt  time.Time // when it began or will begin to sign
	RetireAt  time.Time // when it leaves the JWKS; zero until it is retired
}
