package broker

import (
	"slices"
	"strings"
	"time"
)

// Restriction lists the only connections through which a person may sign in ("ONLY Microsoft"). It is set on an
// account, or on a membership for the context of its tenant.
type Restriction struct {
	// Only is what the administrator entered: OnlyMicrosoft, or names of connections. It chooses texts;
	// Connections decides.
	Only        string
	Connections []string // ids: names and kinds prove nothing (SECURITY.md D4)
	// Guests and Personal also admit people who are not members of the directory.
	Guests   bool
	Personal bool
	SetBy    string // who set it, as in Event.Actor
	SetAt    time.Time
}

// OnlyMicrosoft is the restriction on Entra ID and AD FS.
const OnlyMicrosoft = "microsoft"

// Allows reports whether the restriction includes the connection.
func (l Restriction) Allows(connection string) bool {
	return slices.Contains(l.Connections, connection)
}

// Refusal is the code for a person who used another method.
func (l Restriction) Refusal() Code {
	if l.Only == OnlyMicrosoft {
		return MicrosoftRequired
	}
	return SSORequired
}

// UserType is a person's place in the upstream's directory.
type UserType string

// The user types; only Entra ID reports them.
const (
	UserTypeMember   UserType = ""
	UserTypeGuest    UserType = "guest"
	UserTypePersonal UserType = "personal"
)

// accepts reports whether the restriction admits people of this type.
func (l Restriction) accepts(s UserType) bool {
	switch s {
	case UserTypeMember:
		return true
	case UserTypeGuest:
		return l.Guests
	case UserTypePersonal:
		return l.Personal
	}
	return false
}

// Enforcement is how far a tenant enforces its own identity provider.
type Enforcement string

// The stages. Report refuses nothing; it shows what Enforce would refuse.
const (
	EnforceOff    Enforcement = "off"
	EnforceReport Enforcement = "report"
	Enforce       Enforcement = "enforce"
)

// Tenant is a customer organisation, as far as the rules need it.
type Tenant struct {
	ID   string
	Name string
	// Domains are canonical e-mail domains that this tenant, and no other, has proven.
	Domains      []string
	Registration Registration
	Enforcement  Enforcement
	Enforced     []string // ids of the connections that Enforce allows
	// TrustsLinks lets the tenant's own connection link its managed members without confirmation (DESIGN.md §5
	// row 5).
	TrustsLinks bool
	// SecondFactor requires a second factor in its context.
	SecondFactor bool
}

// Owns reports whether the canonical address is in a domain that the tenant has proven.
func (t Tenant) Owns(email string) bool {
	_, domain, ok := strings.Cut(email, "@")
	return ok && slices.Contains(t.Domains, domain)
}

// Member is one membership of an account, with its tenant.
type Member struct {
	Tenant      Tenant
	Suspended   bool
	Restriction *Restriction
	Epoch       int64 // rises as Account.AuthEpoch does, within the tenant
}

// Invitation is an open invitation that a person came with. It was mailed to Email, so opening it verifies that
// address. It only adds a membership.
type Invitation struct {
	ID     string
	Email  string // canonical
	Tenant string
}

// Tenancy is what Facts contain about organisations. The zero value is a deployment without any.
type Tenancy struct {
	Members []Member // of Facts.Account, or of Facts.Owner at a link
	// Client is the tenant that the client belongs to, Asked the one that the request names; ids, empty for
	// none.
	Client, Asked string
	// Personal: the client is registered as tenant-aware and also accepts people without a tenant.
	Personal bool
	// Connection is the tenant that owns the connection; nil for a global one.
	Connection *Tenant
	// Role and BreakGlass describe the account in the deployment.
	Role       Role
	BreakGlass bool
}

// Role is a role in the deployment as a whole.
type Role string

// The roles; support only reads.
const (
	RoleNone    Role = ""
	RoleOwner   Role = "owner"
	RoleSupport Role = "support"
)
