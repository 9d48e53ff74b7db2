package broker

// Admit is the one gate. Package broker/access asks it at every creation and renewal of authority. It refuses
// anything unknown, and Facts that package broker/access did not load. It returns a Code. MicrosoftRequired and
// SSORequired name a rule, which Refusing returns.
func Admit(f Facts) error {
	a := f.Account
	switch {
	//defence:D1
	case !f.loaded:
		return StartAgain
	case a == nil || a.Unverified:
		return StartAgain
	case a.Disabled:
		//defence:B18
		return AccountDisabled
	//defence:D5
	//defence:D5 ./cmd/gatehouse:TestModel
	case f.Authn.Epoch != a.AuthEpoch:
		return StartAgain
	}
	if err := vouchedFor(f); err != nil {
		return err
	}
	here, pick, err := f.Tenancy.context(*a)
	switch {
	case err != nil:
		return err
	case pick:
		return InteractionRequired
	case here != nil && here.Suspended:
		return MembershipSuspended
	case here != nil && f.Authn.Members[here.Tenant.ID] != here.Epoch:
		return StartAgain
	case !f.Tenancy.goodHere(*a, here):
		return WrongTenant
	}
	for _, l := range rules(f, here) {
		//defence:D15 D4
		//defence:D4 ./cmd/gatehouse:TestModel
		if err := l.check(f.Authn); err != nil {
			return err
		}
	}
	// An account that has a second factor always needs it.
	needsFactor := f.Enrolled || f.Tenancy.BreakGlass || here != nil && here.Tenant.SecondFactor
	if needsFactor && !f.Authn.Factor {
		return SecondFactorRequired
	}
	return nil
}

// vouchedFor checks how the person was authenticated.
func vouchedFor(f Facts) error {
	switch f.Authn.Method {
	case ByPassword:
		return nil
	case ByUpstream:
		if f.Connection == nil || f.Connection.ID != f.Authn.Connection {
			return ConnectionDisabled
		}
		//defence:D1 D5 A7
		return f.Connection.Usable()
	default:
		return StartAgain
	}
}

// goodHere reports whether the connection may bring this account into the context. A tenant's connection may do
// so in the context of its tenant, and in every context for an account that the tenant manages.
func (t Tenancy) goodHere(a Account, here *Member) bool {
	owner := t.Connection
	if owner == nil || here != nil && here.Tenant.ID == owner.ID {
		return true
	}
	m := t.managing(a)
	return m != nil && m.Tenant.ID == owner.ID
}

// rules returns all restrictions that apply together. A break-glass owner is exempt.
func rules(f Facts, here *Member) []Restriction {
	if f.Tenancy.BreakGlass && f.Tenancy.Role == RoleOwner {
		return nil
	}
	all := f.Tenancy.restrictions(*f.Account, here)
	for _, m := range []*Member{here, f.Tenancy.managing(*f.Account)} {
		if m != nil && m.Tenant.enforces() {
			all = append(all, Restriction{Connections: m.Tenant.Enforced, Guests: true, Personal: true, SetBy: m.Tenant.Name})
		}
	}
	return all
}

// restrictions returns those of the account, of the membership in this context, and of the managing tenant,
// whose rules apply in every context.
func (t Tenancy) restrictions(a Account, here *Member) []Restriction {
	var all []Restriction
	//defence:D13
	if a.Restriction != nil {
		all = append(all, *a.Restriction)
	}
	for _, m := range []*Member{here, t.managing(a)} {
		if m != nil && m.Restriction != nil {
			all = append(all, *m.Restriction)
		}
	}
	return all
}

// enforces returns false only for stages known to refuse nothing.
func (t Tenant) enforces() bool {
	switch t.Enforcement {
	case EnforceOff, EnforceReport, "":
		return false
	}
	return true
}

func (l Restriction) check(n Authn) error {
	switch {
	//defence:D1
	case n.Method != ByUpstream ||
		//defence:D4
		!l.Allows(n.Connection):
		return l.Refusal()
	//defence:D7 D8
	case !l.accepts(n.UserType):
		return WorkAccountRequired
	}
	return nil
}

// Refusing returns the rule that refuses the person, for the page's suggestion and for the administrator; nil if
// none does.
func Refusing(f Facts) *Restriction {
	if f.Account == nil {
		return nil
	}
	here, _, err := f.Tenancy.context(*f.Account)
	if err != nil {
		return nil
	}
	for _, l := range rules(f, here) {
		if l.check(f.Authn) != nil {
			return &l
		}
	}
	return nil
}

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
