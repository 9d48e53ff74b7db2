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
	// Role and BreakGlass are those of the account in the deployment.
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

func (t Tenancy) member(tenant string) *Member {
	for i := range t.Members {
		if t.Members[i].Tenant.ID == tenant {
			return &t.Members[i]
		}
	}
	return nil
}

// managing returns the membership whose tenant has proven the domain of the account's address: its rules apply
// in every context. An account with a deployment role is never managed.
func (t Tenancy) managing(a Account) *Member {
	if t.Role != RoleNone {
		return nil
	}
	for i := range t.Members {
		if t.Members[i].Tenant.Owns(a.Email) {
			return &t.Members[i]
		}
	}
	return nil
}

// context returns the membership that the sign-in is for, nil for none. pick is true for an account with several
// memberships if the request names none.
func (t Tenancy) context(a Account) (m *Member, pick bool, err error) {
	asked := t.Client
	if asked == "" {
		asked = t.Asked
	}
	if asked != "" {
		if m = t.member(asked); m == nil {
			//equivalent:true The caller does not read pick beside an error.
			return nil, false, UserNotProvisioned
		}
		return m, false, nil
	}
	if m = t.managing(a); m != nil {
		return m, false, nil
	}
	switch {
	case len(t.Members) == 0 || t.Personal:
		return nil, false, nil
	case len(t.Members) == 1:
		return &t.Members[0], false, nil
	}
	return nil, true, nil
}

// level is the trust in the upstream's address, given the owner of the connection. A tenant's connection is
// authoritative for the domains that its tenant has proven, and for nothing else (DESIGN.md §5).
func (t Tenancy) level(c Claims) Level {
	switch {
	case t.Connection == nil || c.Level == None:
		return c.Level
	case t.Connection.Owns(c.Email):
		return EmailAuthoritative
	}
	return EmailAsserted
}
