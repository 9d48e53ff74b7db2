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

// Authn is how and when a person was authenticated. It is copied from the login
// to the session to the grant, and Admit is asked about it at every creation and
// renewal.
type Authn struct {
	Method     Method
	Connection string   // with ByUpstream
	Identity   string   // with ByUpstream: the Identity's id
	UserType   UserType // likewise
	// Factor tells that an enrolled second factor was given as well.
	Factor   bool
	AMR      []string
	ACR      string
	AuthTime time.Time // never made up: the moment a proof was given
	Epoch    int64     // Account.AuthEpoch at that moment
	// UpstreamSID is what the upstream calls its session (sid), empty where it does not
	// say. Sessions keep it, grants do not.
	UpstreamSID string
	// Members are the epochs of the memberships at that moment, by tenant.
	Members map[string]int64
}

// SessionLife is how long a session lasts, whatever happens in it.
const SessionLife = 8 * time.Hour

// Session is one browser of one account. Its id is the `sid` of ID tokens; the
// cookie holds another value, of which only the keyed hash is stored.
type Session struct {
	ID        string
	AccountID string
	Authn     Authn
	UserAgent string
	Address   string // IP address it began at
	CreatedAt time.Time
	ExpiresAt time.Time
	EndedAt   time.Time // zero while it lives
}

// FinishedLogin is a login that ended well: the session that it made or went on with,
// its account as the gate has just admitted it, and the app's request, nil for none.
type FinishedLogin struct {
	Session Session
	Account Account
	Request url.Values
}

// Grant is one authorization, from its code to its last refresh token. Its
// row is what makes a code consumed: the id is the code's request id, and a second
// insert is a second use (RFC 6749 §4.1.2).
type Grant struct {
	ID        string
	ClientID  string
	AccountID string
	SessionID string
	Scopes    []string
	Audience  []string
	Authn     Authn
	// KeyThumbprint is of the DPoP key that its refresh tokens are bound to (RFC 9449
	// §5), empty for none.
	KeyThumbprint string
	// Claims is the claims parameter of its request (OIDC Core §5.5), empty for none.
	Claims string
	// RefreshCounter counts the refresh tokens: only the newest is live. The one
	// before it is answered again with its successor for RefreshGrace after RotatedAt.
	RefreshCounter int64
	RotatedAt      time.Time
	CreatedAt      time.Time
	ExpiresAt      time.Time
	EndedAt        time.Time
	EndedBy        Code // why, empty while it lives
}

// The lives of what a grant gives out.
const (
	CodeLife    = time.Minute
	AccessLife  = 10 * time.Minute
	IDTokenLife = 10 * time.Minute
	RefreshLife = 30 * 24 * time.Hour
	// RefreshGrace is how long a client that lost the answer to a refresh gets the
	// same successor again.
	RefreshGrace = 10 * time.Second
)

// GrantFilter names grants by what they belong to; empty fields are ignored,
// but at least one must be set.
type GrantFilter struct {
	Account string
	Client  string
	Session string
}

// KeyState is where a signing key stands in its life.
type KeyState string

// A key is published (Next) before it signs (Active) and stays published
// (Retired) until nothing it signed can still be alive.
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
	RetireAt  time.Time // when it leaves the JWKS; zero while it is not retired
}
