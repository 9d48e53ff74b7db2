package broker

// Outcome is what becomes of an identity that an upstream vouched for.
type Outcome string

// The outcomes.
const (
	SignIn   Outcome = "sign_in"   // the identity is linked: its account
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
}

// Resolve decides whose account an upstream identity reaches. Only an existing
// link signs in without a proof by the owner (DESIGN.md §5); no e-mail address,
// at whatever level, ever does.
func Resolve(l Login, f Facts) (Verdict, error) {
	c := l.Claims
	if c == nil || c.Subject == "" {
		return Verdict{}, UpstreamRejected
	}
	if f.Linked != nil {
		return Verdict{SignIn, "this identity is linked to the account"}, nil
	}
	if l.Wish == WishOwn {
		return Verdict{Own, "the person has an account under another address"}, nil
	}
	if l.Proven != "" {
		return resolveProven(f, "the address was proven by a mailed code")
	}
	switch c.Level {
	case None:
		if l.Code != nil {
			return Verdict{AskCode, "the upstream gave no address; the typed one gets a code"}, nil
		}
		if !f.Registration.Open() {
			return Verdict{}, NoEmailClaim
		}
		return Verdict{AskEmail, "the upstream gave no address"}, nil
	case L1:
		if l.Code != nil {
			return Verdict{AskCode, "the address was asserted, not verified; it gets a code"}, nil
		}
		return Verdict{Neutral, "the address was asserted, not verified"}, nil
	default:
		return resolveProven(f, "the upstream verified the address")
	}
}

func resolveProven(f Facts, why string) (Verdict, error) {
	if f.Owner != nil {
		return Verdict{Link, why + "; an account has it, so its owner confirms"}, nil
	}
	switch f.Registration {
	case RegisterForm:
		return Verdict{Register, why + "; nobody has it, registration is by form"}, nil
	case RegisterSilent:
		return Verdict{Create, why + "; nobody has it, registration is silent"}, nil
	default:
		return Verdict{}, UserNotProvisioned
	}
}
