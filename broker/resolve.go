package broker

import "time"

// Outcome is what becomes of an identity that an upstream vouched for.
type Outcome string

// The outcomes.
const (
	SignIn   Outcome = "sign_in"   // the identity is linked: its account
	LinkHere Outcome = "link_here" // the signed-in account asked for it
	Already  Outcome = "already"   // it asked for an identity that it has
	Trust    Outcome = "trust"     // the account's tenant vouches for its own people
	Accept   Outcome = "accept"    // an invitation proved the address: an account, linked
	Link     Outcome = "link"      // an account has the address: its owner must prove it
	Neutral  Outcome = "neutral"   // an address nobody checked: ask, and tell nothing
	Own      Outcome = "own"       // the person says they have an account: its password links
	AskEmail Outcome = "ask_email" // no address yet
	AskCode  Outcome = "ask_code"  // an address was given: a mailed code proves it
	Register Outcome = "register"  // nobody has the address: the short registration
	Create   Outcome = "create"    // nobody has the address: an account from the claims
)

// Verdict is an outcome with the rule that gave it, for the audit log and for
// the operator who asks why.
type Verdict struct {
	Outcome Outcome
	Because string
	Proof   LinkProof // with Link
}

// Proofs are what the owner must give, all of them, before a link is made.
type LinkProof struct {
	Password bool
	Code     bool // mailed to the account's address
	Other    bool // another identity of the account may take the place of Code
	Factor   bool // the enrolled second factor
}

// LinkFresh is how long ago the person may have proven who they are when they ask
// for a link from inside; UpstreamRequestLife more may pass until the upstream has answered.
const LinkFresh = 5 * time.Minute

// Resolve decides whose account an upstream identity reaches (DESIGN.md §5, in its
// order). Only an existing link signs in without a proof by the owner; no e-mail
// address, at whatever level, ever does but in a tenant that trusts its own
// connection for its own people. It answers a Code where the answer is no.
func Resolve(l Login, f Facts) (Verdict, error) {
	c := l.Claims
	if c == nil || c.Subject == "" {
		return Verdict{}, UpstreamRejected
	}
	if l.Purpose == PurposeLink {
		return resolveHere(l, f)
	}
	//defence:C21 ./broker:TestResolve
	if f.Linked != nil {
		return Verdict{Outcome: SignIn, Because: "this identity is linked to the account"}, nil
	}
	level := f.Tenancy.level(*c)
	if f.Invitation != nil && f.Owner == nil {
		return resolveInvited(f, *c, level)
	}
	if l.LinkTargetID != "" {
		return resolveOwner(l, f, level, "the person named the account and knew its password")
	}
	if l.Choice == ChoiceExisting {
		return Verdict{Outcome: Own, Because: "the person has an account under another address"}, nil
	}
	if l.VerifiedEmail != "" {
		return resolveVerified(l, f, level, "the address was proven by a mailed code")
	}
	switch {
	case level == None:
		if l.Code != nil {
			return Verdict{Outcome: AskCode, Because: "the upstream gave no address; the typed one gets a code"}, nil
		}
		if !f.Registration.Open() {
			return Verdict{}, NoEmailClaim
		}
		return Verdict{Outcome: AskEmail, Because: "the upstream gave no address"}, nil
	//defence:C1 C7 C13
	//defence:C1 ./cmd/gatehouse:TestModel
	case level == EmailAsserted:
		if l.Code != nil {
			return Verdict{Outcome: AskCode, Because: "the address was asserted, not verified; it gets a code"}, nil
		}
		return Verdict{Outcome: Neutral, Because: "the address was asserted, not verified"}, nil
	default:
		return resolveVerified(l, f, level, "the upstream verified the address")
	}
}

// resolveHere is for a person who is signed in and asked for the link.
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
		return Verdict{Outcome: Already, Because: "the account has this identity already"}, nil
	}
	if err := MayLink(*l.Claims, f, *f.Acting); err != nil {
		return Verdict{}, err
	}
	return Verdict{Outcome: LinkHere, Because: "the signed-in account asked for it"}, nil
}

// resolveInvited: opening the mailed link proved the address, and nobody has it.
// The identity must not be somebody else's.
func resolveInvited(f Facts, c Claims, level Level) (Verdict, error) {
	other := level >= EmailVerified && c.Email != f.Invitation.Email
	if other || f.Acting != nil && f.Acting.Email != f.Invitation.Email {
		return Verdict{}, InviteWrongUser
	}
	return Verdict{Outcome: Accept, Because: "the invitation proved the address, and nobody has it"}, nil
}

func resolveVerified(l Login, f Facts, level Level, why string) (Verdict, error) {
	if f.Owner != nil {
		return resolveOwner(l, f, level, why+"; an account has it")
	}
	switch f.registration() {
	case RegisterForm:
		return Verdict{Outcome: Register, Because: why + "; nobody has it, registration is by form"}, nil
	case RegisterSilent:
		return Verdict{Outcome: Create, Because: why + "; nobody has it, registration is silent"}, nil
	default:
		return Verdict{}, UserNotProvisioned
	}
}

// registration is the mode of the tenant in whose name somebody comes, else the deployment's.
func (f Facts) registration() Registration {
	if t := f.Tenancy.Connection; t != nil {
		return t.Registration
	}
	return f.Registration
}

// resolveOwner: an account is there, and its owner must say that the identity is theirs.
func resolveOwner(l Login, f Facts, level Level, why string) (Verdict, error) {
	if f.Owner == nil {
		return Verdict{}, StartAgain
	}
	owner := *f.Owner
	if err := MayLink(*l.Claims, f, owner); err != nil {
		return Verdict{}, err
	}
	if t := f.Tenancy.Connection; t != nil && t.TrustsLinks && level == EmailAuthoritative && !f.restrictions(owner) && l.LinkTargetID == "" {
		if m := f.Tenancy.managing(owner); m != nil && m.Tenant.ID == t.ID {
			return Verdict{Outcome: Trust, Because: why + "; its tenant vouches for its own people"}, nil
		}
	}
	proofs, err := linkProofOf(l, f, owner, level)
	if err != nil {
		return Verdict{}, err
	}
	return Verdict{Outcome: Link, Because: why + ", so its owner confirms", Proof: proofs}, nil
}

// linkProofOf is what a link asks of the owner. The first bind of a restricted account is
// all that its restriction rests on, so an address that nobody answers for takes password
// and mailbox together (DESIGN.md §6).
func linkProofOf(l Login, f Facts, owner Account, level Level) (LinkProof, error) {
	p := LinkProof{Factor: f.Enrolled,
		//defence:C2 ./broker:TestResolve
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

// locked reports whether a lock decides how the owner comes in. Without a context
// (MayLink has refused that) the account's own still counts.
func (f Facts) restrictions(owner Account) bool {
	here, _, _ := f.Tenancy.context(owner)
	return len(f.Tenancy.restrictions(owner, here)) > 0
}

// MayLink reports whether the identity may become one of the owner's: the gate would
// admit whoever comes in with it, and a restricted account has no other identity of a
// locked connection yet, else whoever finds a second account in the directory with
// the same address would be in (SECURITY.md D9). Of f it asks Connection, Bound
// and Tenancy.
func MayLink(c Claims, f Facts, owner Account) error {
	f.Account = &owner
	f.Authn = Authn{Method: ByUpstream, Connection: c.Connection, UserType: c.UserType, Factor: true, Epoch: owner.AuthEpoch, Members: map[string]int64{}}
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
