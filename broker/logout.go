package broker

import "time"

// LogoutLife is for how long a client is told of a session's end, until it answers.
const LogoutLife = 24 * time.Hour

// Logout is one client that is still to be told that a session ended (OIDC
// Back-Channel Logout §2.5). It holds no token: one is made for each attempt.
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

// UpstreamSession is what an upstream's logout names: all sessions created of an
// identity, or those of one session there. With both set, both must fit, and a
// session whose upstream never said its sid counts as fitting.
type UpstreamSession struct {
	Connection string
	Identity   string
	SID        string
}
