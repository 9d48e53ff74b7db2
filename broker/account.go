package broker

import "time"

// Account is one person. Its e-mail address is canonical, verified and unique; its id is never reused.
type Account struct {
	ID           string
	Email        string // canonical, see CanonicalEmail
	Name         string
	GivenName    string
	FamilyName   string
	Locale       string // BCP 47, empty if unknown
	PasswordHash string // PHC string, empty if there is none
	Disabled     bool
	// Unverified accounts were imported, and their address is not verified. They open no session and do not own
	// the address. When an owner verifies it, they are deleted with all their data (SECURITY.md C9).
	Unverified bool
	// Restriction is nil for none.
	Restriction *Restriction
	// AuthEpoch rises on password set or reset, e-mail change, disable, restriction set and sign-out everywhere.
	// Sessions and grants created under an older epoch are invalid.
	AuthEpoch int64
	CreatedAt time.Time
	UpdatedAt time.Time // of the profile: name, e-mail address, locale (updated_at of OIDC Core §5.1)
}

// HasPassword reports whether the account has a password.
func (a Account) HasPassword() bool { return a.PasswordHash != "" }

// Identity is a person at an upstream, bound to one account. (Connection, Issuer, Subject) is unique and never
// changes. The e-mail address is data on it, never a key (OIDC Core §5.7).
type Identity struct {
	ID         string
	AccountID  string
	Connection string
	Issuer     string
	Subject    string // Entra: "tid:oid"
	Email      string
	LinkedAt   time.Time
	SeenAt     time.Time // exact to SeenPrecision
}

// SeenPrecision is how old Identity.SeenAt may become before a sign-in writes it again. Most sign-ins of a
// person follow another one closely, and save a write.
const SeenPrecision = time.Hour

// Outdated reports whether a sign-in at now with this address must be recorded in the identity.
func (i Identity) Outdated(email string, now time.Time) bool {
	return i.Email != email || now.Sub(i.SeenAt) >= SeenPrecision
}
