package broker

import (
	"errors"
	"time"
)

// Step is the page that a login is waiting for.
type Step string

// The steps; the names are those of the pages in UX.md.
const (
	StepChoose   Step = "choose"   // E-1
	StepPick     Step = "pick"     // E-17
	StepOrg      Step = "org"      // E-2
	StepPassword Step = "password" // E-3
	StepLink     Step = "link"     // E-4, the account is in Facts.Owner
	StepNeutral  Step = "neutral"  // an address that the upstream did not verify: "I have an account" or "I'm new"
	StepOwn      Step = "own"      // link to an account under another address, with its password
	StepEmail    Step = "email"    // ask for an address
	StepCode     Step = "code"     // E-6
	StepRegister Step = "register" // E-5
	StepCreate   Step = "create"   // no page: create the account from the claims
	StepBind     Step = "bind"     // no page: the identity is linked, so its account becomes the login's
	StepUpstream Step = "depart"   // a link for a signed-in account has no response from its upstream yet
	StepJoin     Step = "join"     // no page: link the identity without confirmation, see Verdict
	StepFactor   Step = "factor"   // E-12: the second factor
	StepConfirm  Step = "confirm"  // a fresh proof is required and none was given: our password, or a mailed code
	StepDone     Step = "done"     // no page: back to the app
)

// Registration says who may create an account without an invitation.
type Registration string

// The registration modes.
const (
	RegisterInvite Registration = "invite"
	RegisterForm   Registration = "form"
	RegisterSilent Registration = "silent"
)

// Open reports whether a stranger may register. An unknown mode is closed.
func (r Registration) Open() bool { return r == RegisterForm || r == RegisterSilent }

// Facts are what the rules are asked about. Package broker/access reads them from
// storage for every question. The zero value is refused.
type Facts struct {
	loaded bool // see LoadedFacts

	Now          time.Time
	Registration Registration
	// Passwords reports whether the deployment offers password sign-in.
	Passwords bool

	// Account is who signs in: the bound account, or the owner of the identity.
	Account *Account
	// Enrolled: Account, or Owner for a link, has a second factor. It is read when authority is created.
	Enrolled bool
	// Connection is the one that authenticated the person, or that Authn names; nil if it is gone.
	Connection *Connection
	// Authn is how the person was authenticated; zero until then.
	Authn   Authn
	Tenancy Tenancy

	// Linked is the account that the claims' identity belongs to.
	Linked *Account
	// Owner is the account that has the address in question: the upstream's, the one verified by a mailed code,
	// or the invited one; or the account of Login.LinkTargetID.
	Owner *Account
	// Bound are the identities of Owner or Acting, read if that account is restricted.
	Bound []Identity
	// Acting is the account that this browser is signed in to, and ActingAs how. They are read for a link, for an
	// invitation, and for a sign-in of the same person again.
	Acting   *Account
	ActingAs Authn
	// Invitation is the open invitation that the person came with.
	Invitation *Invitation
	// Org is the connection for the domain of the typed address.
	Org *Connection
	// Sessions counts the sessions that this browser could continue.
	Sessions int
}

// LoadedFacts marks facts as read from storage: Admit refuses all others. Only package
// broker/access may call it, which the layout test checks.
func LoadedFacts(f Facts) Facts {
	f.loaded = true
	return f
}

// Next decides the next step of a login. It is the only place that does. The order of its questions is the
// policy. The Verdict is about the login's pending identity, and zero if there is none.
func Next(l Login, f Facts) (step Step, v Verdict, err error) {
	switch {
	case !f.Now.Before(l.ExpiresAt):
		err = LoginUnknown
	case l.AccountID != "":
		step, err = nextBound(l, f)
	case l.Claims != nil:
		return nextUpstream(l, f)
	default:
		step, err = nextLocal(l, f)
	}
	return step, v, err
}

// nextBound compares a finished proof with the app's requirements of freshness. If the upstream proved none, or an old
// one, a factor of our own does (DESIGN.md §4).
func nextBound(l Login, f Facts) (Step, error) {
	//defence:D1 D15
	//defence:D1 D15 ./cmd/gatehouse:TestModel
	if err := Admit(f); err != nil {
		if errors.Is(err, SecondFactorRequired) && f.Enrolled {
			return StepFactor, nil
		}
		return "", err
	}
	if satisfied(l, f) {
		return StepDone, nil
	}
	//defence:D4
	if l.SessionID != "" && !f.renews() {
		return "", StartAgain
	}
	return StepConfirm, nil
}

// renews reports whether a factor of our own may renew the session of Authn. It must not where a rule requires an
// upstream, which has not vouched for the person since, nor where the session has a class of an upstream, which would
// look as fresh as the factor.
func (f Facts) renews() bool {
	//defence:A13
	if f.Authn.ACR != "" {
		return false
	}
	f.Authn.Method = ByPassword
	return Refusing(f) == nil
}

// satisfied reports whether the bound login's proof satisfies the app's requirements of freshness. A proof given within
// the login satisfies every max_age, however long the rest of the login takes.
func satisfied(l Login, f Facts) bool {
	// A login that continues a session has no proof of its own. A consumed one names the session that it created.
	own := l.SessionID == "" || l.IsConsumed()
	if !l.Fresh {
		return Fresh(f.Authn, f.Now, l.MaxAge, time.Time{}) ||
			own && !f.Authn.AuthTime.IsZero() && Fresh(f.Authn, f.Now, nil, l.CreatedAt)
	}
	since := l.CreatedAt
	if own && f.Authn.Method == ByUpstream {
		since = since.Add(-ClockSkew)
	}
	return Fresh(f.Authn, f.Now, nil, since)
}

func nextUpstream(l Login, f Facts) (Step, Verdict, error) {
	v, err := Resolve(l, f)
	if f.Connection == nil {
		return "", v, ConnectionDisabled
	}
	if err := f.Connection.Usable(); err != nil {
		return "", v, err
	}
	if err != nil {
		return "", v, err
	}
	switch v.Outcome {
	case SignIn:
		return StepBind, v, nil
	case LinkHere, Already, Trust:
		return StepJoin, v, nil
	case Link:
		return StepLink, v, nil
	case Neutral:
		return StepNeutral, v, nil
	case Own:
		return StepOwn, v, nil
	case AskEmail:
		return StepEmail, v, nil
	case AskCode:
		return StepCode, v, nil
	case Register:
		return StepRegister, v, nil
	default:
		return StepCreate, v, nil
	}
}

func nextLocal(l Login, f Facts) (Step, error) {
	if l.Purpose == PurposeLink {
		//defence:C5
		if f.Acting == nil || f.Acting.ID != l.For {
			return "", StartAgain
		}
		return StepUpstream, nil
	}
	if l.Choice == ChoiceNew {
		return nextNew(l, f)
	}
	if l.Presets() && f.Acting != nil && !f.opens() {
		return StepChoose, nil // of the methods that the account has
	}
	if l.Email == "" {
		if l.Pick && l.Choice != ChoiceOther && f.Sessions > 0 {
			return StepPick, nil
		}
		return StepChoose, nil
	}
	if f.Org != nil && (!l.UsePassword || !f.Passwords) {
		return StepOrg, nil
	}
	if f.Passwords {
		return StepPassword, nil
	}
	return "", NoMethod
}

// opens reports whether a password opens a session of the account that this browser is signed in to.
func (f Facts) opens() bool {
	return f.Passwords && f.Acting.HasPassword() && f.Acting.Restriction == nil
}

// nextNew is registration with a password. The address is verified first, so that an unverified one never owns,
// blocks or reveals anything.
func nextNew(l Login, f Facts) (Step, error) {
	switch {
	case !f.Passwords || !f.Registration.Open():
		return "", UserNotProvisioned
	case l.VerifiedEmail != "" && f.Owner != nil:
		// The owner was told by mail. The verified address has an account: sign in there.
		if !f.Owner.HasPassword() {
			return StepChoose, nil // of the methods that the account has
		}
		return StepPassword, nil
	case l.VerifiedEmail != "":
		return StepRegister, nil
	case l.Code != nil:
		return StepCode, nil
	default:
		return StepEmail, nil
	}
}

// ClockSkew is how far the clock of an upstream may differ from ours.
const ClockSkew = time.Minute

// Fresh reports whether an authentication satisfies prompt=login (requested at since) and max_age (seconds, nil
// for none), OIDC Core §3.1.2.1.
func Fresh(a Authn, now time.Time, maxAge *int, since time.Time) bool {
	//equivalent:left No time is before the zero time.
	if !since.IsZero() && a.AuthTime.Before(since) {
		return false
	}
	return maxAge == nil || now.Sub(a.AuthTime) <= time.Duration(*maxAge)*time.Second
}

// Prompts of OIDC Core §3.1.2.1.
const (
	PromptNone    = "none"
	PromptLogin   = "login"
	PromptConsent = "consent"
	PromptSelect  = "select_account"
)

// ValidPrompt reports whether the specification allows this set of prompt values: none must be alone, and all
// must be known.
func ValidPrompt(values []string) bool {
	for _, v := range values {
		switch v {
		case PromptNone:
			if len(values) > 1 {
				return false
			}
		case PromptLogin, PromptConsent, PromptSelect:
		default:
			return false
		}
	}
	return true
}
