package broker

import "time"

// Outcome is what happens with an identity that an upstream authenticated.
type Outcome string

// The outcomes.
const (
	SignIn   Outcome = "sign_in"   // the identity is linked: its account
	LinkHere Outcome = "link_here" // the signed-in account requested it
	Already  Outcome = "already"   // the signed-in account already has the identity
	Trust    Outcome = "trust"     // the account's tenant trusts its own connection
	Accept   Outcome = "accept"    // an invitation verified the address: create an account and link it
	Link     Outcome = "link"      // an account has the address: its owner must confirm
	Neutral  Outcome = "neutral"   // an unverified address: ask, and reveal nothing
	Own      Outcome = "own"       // the person says that they have an account: link with its password
	AskEmail Outcome = "ask_email" // there is no address yet
	AskCode  Outcome = "ask_code"  // an address was given: a mailed code verifies it
	Register Outcome = "register"  // no account has the address: short registration
	Create   Outcome = "create"    // no account has the address: create one from the claims
)

// Verdict is an outcome and the rule that led to it, for the audit log and the operator.
type Verdict struct {
	Outcome Outcome
	Because string
	Proof   LinkProof // with Link
}

// LinkProof lists what the owner must give, all of it, before a link is made.
type LinkProof struct {
	Password bool
	Code     bool // mailed to the account's address
	Other    bool // another identity of the account may replace Code
	Factor   bool // the enrolled second factor
}

// LinkFresh is how recently a signed-in person must have confirmed who they are to start a link.
// UpstreamRequestLife more may pass until the upstream responds.
const LinkFresh = 5 * time.Minute

// Resolve decides which account an upstream identity reaches (DESIGN.md §5, in its order). Only an existing link
// signs in without a proof by the owner. An e-mail address never does, at any level, except in a tenant that
// trusts its own connection for its own people. A refusal is a Code.
func Resolve(l Login, f Facts) (Verdict, error) {
	c := l.Claims
	if c == nil || c.Subject == "" {
		return Verdict{}, UpstreamRejected
	}
	if l.Purpose == PurposeLink {
		return resolveHere(l, f)
	}
	//defence:C21
	if f.Linked != nil {
		return Verdict{Outcome: SignIn, Because: "this identity is linked to the account"}, nil
	}
	level := f.Tenancy.level(*c)
	if f.Invitation != nil && f.Owner == nil {
		return resolveInvited(f, *c, level)
	}
	if l.LinkTargetID != "" {
		return resolveOwner(l, f, level, "the person named the account and gave its password")
	}
	if l.Choice == ChoiceExisting {
		return Verdict{Outcome: Own, Because: "the person has an account under another address"}, nil
	}
	if l.VerifiedEmail != "" {
		return resolveVerified(l, f, level, "the address was verified by a mailed code")
	}
	switch {
	case level == None:
		if l.Code != nil {
			return Verdict{Outcome: AskCode, Because: "the upstream gave no address; a code is mailed to the typed one"}, nil
		}
		if !f.Registration.Open() {
			return Verdict{}, NoEmailClaim
		}
		return Verdict{Outcome: AskEmail, Because: "the upstream gave no address"}, nil
	//defence:C1 C7 C13
	//defence:C1 ./cmd/gatehouse:TestModel
	case level == EmailAsserted:
		if l.Code != nil {
			return Verdict{Outcome: AskCode, Because: "the address was asserted, not verified; a code is mailed to it"}, nil
		}
		return Verdict{Outcome: Neutral, Because: "the address was asserted, not verified"}, nil
	default:
		return resolveVerified(l, f, level, "the upstream verified the address")
	}
}

// resolveHere is for a signed-in person who requested the link.
func resolveHere(l Login, f Facts) (Verdict, error) {
	//defence:C5 = 3600
	within := int((LinkFresh + UpstreamRequestLife) / time.Second)
	switch {
	case f.Acting == nil ||
		//defence:C5
		f.Acting.ID != l.For || !Fresh(f.ActingAs, f.Now, &within, time.Time{}):
		return Verdict{}, StartAgain
	case f.Linked != nil && f.Linked.ID != f.Acting.ID:
		return Verdict{}, LinkConflict
	case f.Linked != nil:
		return Verdict{Outcome: Already, Because: "the account already has this identity"}, nil
	}
	if err := MayLink(*l.Claims, f, *f.Acting); err != nil {
		return Verdict{}, err
	}
	return Verdict{Outcome: LinkHere, Because: "the signed-in account requested it"}, nil
}

// resolveInvited: opening the mailed link verified the address, and no account has it. The upstream must not
// name another address.
func resolveInvited(f Facts, c Claims, level Level) (Verdict, error) {
	other := level >= EmailVerified && c.Email != f.Invitation.Email
	if other || f.Acting != nil && f.Acting.Email != f.Invitation.Email {
		return Verdict{}, InviteWrongUser
	}
	return Verdict{Outcome: Accept, Because: "the invitation verified the address, and no account has it"}, nil
}

func resolveVerified(l Login, f Facts, level Level, why string) (Verdict, error) {
	if f.Owner != nil {
		return resolveOwner(l, f, level, why+"; an account has it")
	}
	switch f.registration() {
	case RegisterForm:
		return Verdict{Outcome: Register, Because: why + "; no account has it, registration is by form"}, nil
	case RegisterSilent:
		return Verdict{Outcome: Create, Because: why + "; no account has it, registration is silent"}, nil
	default:
		return Verdict{}, UserNotProvisioned
	}
}

// Registers reports whether a person without an account and an invitation may get one.
func (f Facts) Registers() bool { return f.registration().Open() || f.Invitation != nil }

// registration returns the mode of the connection's tenant, else the deployment's.
func (f Facts) registration() Registration {
	if t := f.Tenancy.Connection; t != nil {
		return t.Registration
	}
	return f.Registration
}

// resolveOwner: an account exists, and its owner must confirm that the identity is theirs.
func resolveOwner(l Login, f Facts, level Level, why string) (Verdict, error) {
	if f.Owner == nil {
		return Verdict{}, StartAgain
	}
	owner := *f.Owner
	if err := MayLink(*l.Claims, f, owner); err != nil {
		return Verdict{}, err
	}
	if t := f.Tenancy.Connection; t != nil && t.TrustsLinks && level == EmailAuthoritative && !f.restrictions(owner) &&
		l.LinkTargetID == "" {
		if m := f.Tenancy.managing(owner); m != nil && m.Tenant.ID == t.ID {
			return Verdict{Outcome: Trust, Because: why + "; its tenant trusts its own connection"}, nil
		}
	}
	proofs, err := linkProofOf(l, f, owner, level)
	if err != nil {
		return Verdict{}, err
	}
	return Verdict{Outcome: Link, Because: why + ", so its owner confirms", Proof: proofs}, nil
}

// linkProofOf returns what a link requires of the owner. A restricted account's restriction depends on its first
// bound identity. So if the address is not authoritative, password and mailed code are both required (DESIGN.md
// §6).
func linkProofOf(l Login, f Facts, owner Account, level Level) (LinkProof, error) {
	p := LinkProof{Factor: f.Enrolled,
		//defence:C2 ./cmd/gatehouse:TestModel
		Password: owner.HasPassword()}
	if f.restrictions(owner) {
		//defence:D18
		if level < EmailAuthoritative && !p.Password {
			return LinkProof{}, BindRefused
		}
		//defence:D18
		p.Code = level < EmailAuthoritative || !p.Password
	} else {
		p.Code, p.Other = !p.Password, !p.Password && !p.Factor // one request gives all proofs
	}
	if l.VerifiedEmail == owner.Email { // by a mailed code, in this login
		p.Code, p.Other = false, false
	}
	return p, nil
}

// restrictions reports whether a restriction applies to the owner. Without a context (MayLink has refused that)
// the account's own still applies.
func (f Facts) restrictions(owner Account) bool {
	here, _, _ := f.Tenancy.context(owner)
	return len(f.Tenancy.restrictions(owner, here)) > 0
}

// MayLink reports whether the identity may be linked to the owner. The gate must admit a sign-in with it. A
// restricted account must have no other identity of an allowed connection: otherwise a second directory account
// with the same address could sign in (SECURITY.md D9). It reads Connection, Bound and Tenancy of f.
func MayLink(c Claims, f Facts, owner Account) error {
	f.Account = &owner
	f.Authn = Authn{Method: ByUpstream, Connection: c.Connection, UserType: c.UserType, Factor: true,
		Epoch: owner.AuthEpoch, Members: map[string]int64{}}
	for _, m := range f.Tenancy.Members {
		f.Authn.Members[m.Tenant.ID] = m.Epoch
	}
	//defence:D6
	if err := Admit(f); err != nil {
		return err
	}
	here, _, _ := f.Tenancy.context(owner)
	for _, l := range f.Tenancy.restrictions(owner, here) {
		for _, i := range f.Bound {
			//defence:D9
			//defence:D9 ./cmd/gatehouse:TestModel
			if l.Allows(i.Connection) {
				return IdentityMismatch
			}
		}
	}
	return nil
}
