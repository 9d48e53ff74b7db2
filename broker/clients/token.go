package clients

import (
	"time"

	"gatehouse/broker"
	"gatehouse/broker/seal"
)

// The limits of an initial access token.
const (
	MaxRegistrations     = 100
	MaxRegistrationToken = 30 * 24 * time.Hour
)

const (
	purposeInitial      = "initial_access_token"
	purposeRegistration = "registration_access_token"
)

// InitialToken is the content of an initial access token (RFC 7591 §1.2). It has no row before it is used.
type InitialToken struct {
	ID      string `json:"j"`
	Expires int64  `json:"e"`
	Uses    int    `json:"n"`
}

// NewInitialToken returns an initial access token that registers at most uses clients before it expires.
func NewInitialToken(keyring *seal.Keyring, expires time.Time, uses int) (broker.Secret, error) {
	token, err := keyring.SealJSON(InitialToken{broker.NewID(), expires.Unix(), uses}, purposeInitial)
	return broker.Secret(token), err
}

// OpenInitialToken opens an initial access token. ok is false for anything else, and for an expired one.
func OpenInitialToken(keyring *seal.Keyring, token string, now time.Time) (t InitialToken, ok bool) {
	if keyring.OpenJSON(token, &t, purposeInitial) != nil {
		return t, false
	}
	//defence:A20
	if now.Unix() >= t.Expires {
		return t, false
	}
	return t, true
}

// NewRegistrationToken gives a client a registration access token (RFC 7592 §3) and stores its keyed hash in c.
func NewRegistrationToken(keyring *seal.Keyring, c *broker.Client) (token string) {
	token = broker.NewToken()
	c.RegistrationHash = keyring.Hash(purposeRegistration, []byte(c.ID+"\x00"+token))
	return token
}

// IsRegistrationToken reports whether the token is the client's registration access token.
func IsRegistrationToken(keyring *seal.Keyring, c broker.Client, token string) bool {
	return c.RegistrationHash != "" && keyring.Same(c.RegistrationHash, purposeRegistration, []byte(c.ID+"\x00"+token))
}
