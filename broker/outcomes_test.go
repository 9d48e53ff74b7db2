package broker

import (
	"errors"
	"testing"
	"time"
)

var (
	theirs   = Tenant{ID: "acme", Name: "Acme", Domains: []string{"acme.test"}, Registration: RegisterSilent}
	atGoogle = func(email string, level Level) Login {
		return Login{ExpiresAt: fresh, Claims: &Claims{Connection: "google", Issuer: "https://g.test", Subject: "1",
			Email: email, Level: level}}
	}
)

func TestNextTurnsEveryOutcomeIntoItsStep(t *testing.T) {
	f := Facts{Now: noon, Connection: live, Registration: RegisterForm, Passwords: true}
	edit := func(l Login, do func(*Login)) Login { do(&l); return l }
	inside := edit(atGoogle("x@example.test", EmailAsserted), func(l *Login) { l.Purpose, l.For = PurposeLink, "ana" })
	acting := f
	acting.Acting, acting.ActingAs = &ana, Authn{AuthTime: noon}
	already := acting
	already.Linked = &ana
	trusting := theirs
	trusting.TrustsLinks = true
	owner := Account{ID: "o", Email: "o@acme.test"}
	trusted := f
	trusted.Owner = &owner
	trusted.Tenancy = Tenancy{Connection: &trusting, Members: []Member{{Tenant: trusting}}}
	for name, c := range map[string]struct {
		login Login
		facts Facts
		want  Step
		code  error
	}{
		"link from inside":        {inside, acting, StepJoin, nil},
		"an identity that it has": {inside, already, StepJoin, nil},
		"a tenant that trusts":    {atGoogle("o@acme.test", EmailVerified), trusted, StepJoin, nil},
		"an asserted address":     {atGoogle("x@example.test", EmailAsserted), f, StepNeutral, nil},
		"no address":              {atGoogle("", None), f, StepEmail, nil},
		"an address, a code is out": {edit(atGoogle("", None), func(l *Login) { l.Code = &MailedCode{} }), f, StepCode,
			nil},
		"an account under another": {edit(atGoogle("x@example.test", EmailVerified), func(l *Login) {
			l.Choice = ChoiceExisting
		}), f, StepOwn, nil},
		"sessions, and no wish to choose": {Login{ExpiresAt: fresh}, Facts{Now: noon, Sessions: 1}, StepChoose, nil},
		"new, silently": {Login{ExpiresAt: fresh, Choice: ChoiceNew}, Facts{Now: noon, Passwords: true,
			Registration: RegisterSilent}, StepEmail, nil},
		"new, no passwords here": {Login{ExpiresAt: fresh, Choice: ChoiceNew},
			Facts{Now: noon, Registration: RegisterForm}, "", UserNotProvisioned},
		"new, an owner and nothing proven": {Login{ExpiresAt: fresh, Choice: ChoiceNew}, Facts{Now: noon, Passwords: true,
			Registration: RegisterForm, Owner: &ana}, StepEmail, nil},
		"a link from inside on its way": {Login{ExpiresAt: fresh, Purpose: PurposeLink, For: "ana"},
			Facts{Now: noon, Acting: &ana, ActingAs: Authn{AuthTime: noon}}, StepUpstream, nil},
		"a choice whose account is gone": {edit(atGoogle("x@example.test", EmailVerified), func(l *Login) {
			l.LinkTargetID = "gone"
		}), f, "", StartAgain},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _, err := Next(c.login, LoadedFacts(c.facts)); got != c.want || !errors.Is(err, c.code) {
				t.Fatalf("got %q, %v; want %q, %v", got, err, c.want, c.code)
			}
		})
	}
}

func TestNextAsksAnEnrolledSecondFactorAndFreshProofs(t *testing.T) {
	bound := Login{ExpiresAt: fresh, AccountID: "ana", CreatedAt: noon}
	pwd := Authn{Method: ByPassword, Epoch: 3, AuthTime: noon}
	withFactor := pwd
	withFactor.Factor = true
	before := pwd
	before.AuthTime = noon.Add(-time.Hour)
	asksFresh := bound
	asksFresh.Fresh = true
	strict := Tenancy{Members: []Member{{Tenant: Tenant{ID: "t", SecondFactor: true}}}}
	inStrict := pwd
	inStrict.Members = map[string]int64{"t": 0}
	for name, c := range map[string]struct {
		login Login
		facts Facts
		want  Step
		code  error
	}{
		"enrolled":           {bound, Facts{Account: &ana, Authn: pwd, Enrolled: true}, StepFactor, nil},
		"enrolled and given": {bound, Facts{Account: &ana, Authn: withFactor, Enrolled: true}, StepDone, nil},
		"enrolled and disabled": {bound, Facts{Account: with(ana, func(a *Account) {
			a.Disabled = true
		}), Authn: pwd, Enrolled: true}, "", AccountDisabled},
		"required, and nothing enrolled": {bound, Facts{Account: &ana, Authn: inStrict, Tenancy: strict}, "",
			SecondFactorRequired},
		"an older proof, and nobody minds": {bound, Facts{Account: &ana, Authn: before}, StepDone, nil},
		"an older proof is not fresh": {asksFresh, Facts{Account: &ana, Authn: before, Passwords: true}, StepConfirm,
			nil},
		"fresh, and no passwords here": {asksFresh, Facts{Account: &ana, Authn: before}, StepConfirm, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.facts.Now = noon
			if got, _, err := Next(c.login, LoadedFacts(c.facts)); got != c.want || !errors.Is(err, c.code) {
				t.Fatalf("got %q, %v; want %q, %v", got, err, c.want, c.code)
			}
		})
	}
}

func TestAnInvitationProvesItsAddressAndNoOther(t *testing.T) {
	open := &Invitation{ID: "i", Email: "new@example.test", Tenant: "acme"}
	mine, other := Account{ID: "m", Email: "new@example.test"}, Account{ID: "o", Email: "other@example.test"}
	for name, c := range map[string]struct {
		email  string
		level  Level
		acting *Account
		owner  *Account
		want   Outcome
		code   error
	}{
		"the same address":                {"new@example.test", EmailVerified, nil, nil, Accept, nil},
		"another verified address":        {"else@example.test", EmailVerified, nil, nil, "", InviteWrongUser},
		"another address of an authority": {"else@example.test", EmailAuthoritative, nil, nil, "", InviteWrongUser},
		"another asserted address":        {"else@example.test", EmailAsserted, nil, nil, Accept, nil},
		"no address":                      {"", None, nil, nil, Accept, nil},
		"signed in as the invited":        {"new@example.test", EmailVerified, &mine, nil, Accept, nil},
		"signed in as somebody else":      {"new@example.test", EmailVerified, &other, nil, "", InviteWrongUser},
		"somebody else, asserted":         {"", None, &other, nil, "", InviteWrongUser},
		"the address has an account":      {"new@example.test", EmailVerified, nil, &mine, Link, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := Resolve(atGoogle(c.email, c.level), LoadedFacts(Facts{Now: noon, Connection: live, Invitation: open,
				Owner: c.owner, Acting: c.acting}))
			if v.Outcome != c.want || !errors.Is(err, c.code) {
				t.Fatalf("got %q, %v; want %q, %v", v.Outcome, err, c.want, c.code)
			}
		})
	}
}

func TestATenantsConnectionIsTheAuthorityForItsDomainsAlone(t *testing.T) {
	trusting := theirs
	trusting.TrustsLinks = true
	twin := Tenant{ID: "twin", Domains: theirs.Domains}
	owner := &Account{ID: "o", Email: "o@acme.test"}
	typed := atGoogle("", None)
	typed.VerifiedEmail = owner.Email
	tenancy := func(members ...Tenant) Tenancy {
		y := Tenancy{Connection: &trusting, Asked: "acme"}
		for _, m := range members {
			y.Members = append(y.Members, Member{Tenant: m})
		}
		return y
	}
	for name, c := range map[string]struct {
		login Login
		facts Facts
		want  Outcome
	}{
		"its own people": {atGoogle(owner.Email, EmailAsserted),
			Facts{Owner: owner, Tenancy: tenancy(trusting)}, Trust},
		"an address that was typed": {typed, Facts{Owner: owner, Tenancy: tenancy(trusting)}, Link},
		"people whom another tenant manages": {atGoogle(owner.Email, EmailAsserted),
			Facts{Owner: owner, Tenancy: tenancy(twin, trusting)}, Link},
		"no address": {atGoogle("", None), Facts{Registration: RegisterForm, Tenancy: tenancy()},
			AskEmail},
		"its registration mode, not ours": {atGoogle("x@acme.test", EmailAsserted), Facts{Registration: RegisterInvite,
			Tenancy: tenancy()}, Create},
		"a foreign address, whatever it asserts": {atGoogle("x@example.test", EmailAuthoritative),
			Facts{Owner: owner, Tenancy: tenancy(trusting)}, Neutral},
	} {
		t.Run(name, func(t *testing.T) {
			c.facts.Now, c.facts.Connection = noon, live
			if v, err := Resolve(c.login, LoadedFacts(c.facts)); v.Outcome != c.want || err != nil {
				t.Fatalf("got %q, %v; want %q", v.Outcome, err, c.want)
			}
		})
	}
	if (Tenant{Domains: []string{""}}).Owns("nobody") {
		t.Error("what is no address lies in no domain")
	}
}

func TestTheManagingTenantIsTheContextBeforeAnyOther(t *testing.T) {
	a := Account{ID: "o", Email: "o@acme.test"}
	y := Tenancy{Members: []Member{{Tenant: Tenant{ID: "other"}}, {Tenant: theirs, Suspended: true}}}
	n := Authn{Method: ByPassword, Members: map[string]int64{"acme": 0, "other": 0}}
	if err := Admit(LoadedFacts(Facts{Account: &a, Authn: n, Tenancy: y})); !errors.Is(err, MembershipSuspended) {
		t.Errorf("got %v", err)
	}
	// Where the context is no place for the account, no rule of another one is named.
	a.Restriction = &Restriction{Connections: []string{"entra"}}
	y.Asked = "none of theirs"
	if rule := Refusing(Facts{Account: &a, Authn: n, Tenancy: y}); rule != nil {
		t.Errorf("named %+v", rule)
	}
}

func TestALinkInATenantThatAsksASecondFactorIsNoSignIn(t *testing.T) {
	owner := Account{ID: "o", Email: "o@acme.test"}
	strict := theirs
	strict.SecondFactor = true
	f := Facts{Connection: live, Tenancy: Tenancy{Members: []Member{{Tenant: strict}}}}
	if err := MayLink(Claims{Connection: "google"}, LoadedFacts(f), owner); err != nil {
		t.Errorf("got %v: the factor is asked when a session is born", err)
	}
}
