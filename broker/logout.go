package broker

import "time"

// LogoutLife is how long delivery to a client is retried.
const LogoutLife = 24 * time.Hour

// Logout is one pending notice to a client that a session ended (OIDC Back-Channel Logout §2.5). It contains no
// token: one is signed for each attempt.
type Logout struct {
	ID        string
	ClientID  string
	SessionID string
	AccountID string
	CreatedAt time.Time
	ExpiresAt time.Time
	Attempts  int
	NextAt    time.Time
	LastError string
}

// UpstreamSession selects sessions by an upstream's logout: all sessions of an identity, or those of one
// upstream session. If both are set, both must match; a session without an upstream sid matches any.
type UpstreamSession struct {
	Connection string
	Identity   string
	SID        string
}

// The ID tokens of upstreams wait for the sign-out in the ephemeral store UpstreamHints, under their session's id.
// They are sealed for the purpose HintPurpose and the connection.
const (
	UpstreamHints = "upstream-hint"
	HintPurpose   = "upstream hint"
)
