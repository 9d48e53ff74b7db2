package broker

import "time"

// Account is one person. Its e-mail is canonical, proven, and unique; its id is
// never used again.
type Account struct {
	ID           string
	Email        string // canonical, see CanonicalEmail
	Name         string
	GivenName    string
	FamilyName   string
	Locale       string // BCP 47, empty where unknown
	PasswordHash string // PHC string, empty where there is none
	Disabled     bool
	// Unverified accounts were imported, and nobody has proven their address: they
	// open no session, own and block no address, and are deleted with everything
	// that hangs on them when somebody proves it (SECURITY.md C9).
	Unverified bool
	// Restriction is nil for none.
	Restriction *Restriction
	// AuthEpoch rises on password set or reset, e-mail change, disable, lock and
	// sign-out-everywhere. What was created under an older epoch is dead.
	AuthEpoch int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// HasPassword reports whether a password can prove this account.
func (a Account) HasPassword() bool { return a.PasswordHash != "" }

// Identity is what an upstream vouches for, bound to one account for good:
// (Connection, Issuer, Subject) is unique and never changes. The e-mail is data
// on it, never a key (OIDC Core §5.7).
type Identity struct {
	ID         string
	AccountID  string
	Connection string
	Issuer     string
	Subject    string // Entra: "tid:oid"
	Email      string
	LinkedAt   time.Time
	SeenAt     time.Time
}
