package broker

import (
	"slices"
	"strings"
	"time"
)

// Restriction is "ONLY Microsoft": the connections through which a person may come in,
// whatever else they could prove. It is set on an account, or on a membership for
// the context of its tenant.
type Restriction struct {
	// Only is what the administrator asked for: OnlyMicrosoft, or the connections
	// by name. It chooses words; Connections decides.
	Only        string
	Connections []string // ids: names and kinds prove nothing (SECURITY.md D4)
	// Guests and Personal let people in whom the directory does not call its own.
	Guests   bool
	Personal bool
	SetBy    string // who set it, as in Event.Actor
	SetAt    time.Time
}

// OnlyMicrosoft is the restriction on Entra ID and AD FS.
const OnlyMicrosoft = "microsoft"

// Allows reports whether the connection is one of the restriction's.
func (l Restriction) Allows(connection string) bool {
	return slices.Contains(l.Connections, connection)
}

// Refusal is what somebody is told who came by another way.
func (l Restriction) Refusal() Code {
	if l.Only == OnlyMicrosoft {
		return MicrosoftRequired
	}
	return SSORequired
}

// UserType is a person's place in the directory that vouches for them.
type UserType string

// The standings; only Entra ID tells them.
const (
	UserTypeMember   UserType = ""
	UserTypeGuest    UserType = "guest"
	UserTypePersonal UserType = "personal"
)

// accepts reports whether the restriction lets people of this standing in.
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

// Enforcement is how far a tenant has gone with its own identity provider.
type Enforcement string

// The stages. Report refuses nobody: it is for looking at what Enforce would do.
const (
	EnforceOff    Enforcement = "off"
	EnforceReport Enforcement = "report"
	Enforce       Enforcement = "enforce"
)

// Tenant is a customer organisation, as far as the rules ask about it.
type Tenant struct {
	ID   string
	Name string
	// Domains are mail domains (canonical) that it has proven, each by this tenant alone.
	Domains      []string
	Registration Registration
	Enforcement  Enforcement
	Enforced     []string // ids of the connections that Enforce leaves
	// TrustsLinks lets a connection of its own link its managed members without a
	// link confirmation (DESIGN.md §5 row 5).
	TrustsLinks bool
	// SecondFactor is required of everybody in its context.
	SecondFactor bool
}

// Owns reports whether the canonical address lies in a domain that the tenant has proven.
func (t Tenant) Owns(email string) bool {
	_, domain, ok := strings.Cut(email, "@")
	return ok && slices.Contains(t.Domains, domain)
}

// Member is one membership of an account, beside its tenant.
type Member struct {
	Tenant      Tenant
	Suspended   bool
	Restriction *Restriction
	Epoch       int64 // rises as Account.AuthEpoch does, within the tenant
}

// Invitation is an open invitation that a person came with. It was mailed to
// Email, so opening it proves that address; it only ever adds a membership.
type Invitation struct {
	ID     string
	Email  string // canonical
	Tenant string
}

// Tenancy is what Facts hold of organisations. The zero value is a deployment
// without any.
type Tenancy struct {
	Members []Member // of Facts.Account, or of Facts.Owner at a link
	// Client is the tenant that the client belongs to, Asked the one that the request
	// names; ids, empty for none.
	Client, Asked string
	// Personal: the client is registered as tenant-aware and takes people without a tenant too.
	Personal bool
	// Connection is the tenant that owns the connection; nil for a global one.
	Connection *Tenant
	// Role and BreakGlass are the account's in the deployment.
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

// managing is the membership whose tenant has proven the domain of the account's
// address: its rules hold in every context. An account with a deployment-wide role
// is never managed.
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

// context is the membership in whose name the account comes in, nil for none. An
// account with several memberships and no hint which must choose: pick.
func (t Tenancy) context(a Account) (m *Member, pick bool, err error) {
	asked := t.Client
	if asked == "" {
		asked = t.Asked
	}
	if asked != "" {
		if m = t.member(asked); m == nil {
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

// level is how far the upstream's word on the address goes once it is known whose
// connection it is: a tenant's connection is the authority for the domains that its
// tenant has proven and for nothing else, whatever it asserts (DESIGN.md §5).
func (t Tenancy) level(c Claims) Level {
	switch {
	case t.Connection == nil || c.Level == None:
		return c.Level
	case t.Connection.Owns(c.Email):
		return EmailAuthoritative
	}
	return EmailAsserted
}
