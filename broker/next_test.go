package broker

import (
	"errors"
	"testing"
	"time"
)

var (
	noon  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	fresh = noon.Add(LoginLife)
	ana   = Account{ID: "ana", Email: "ana@example.test", PasswordHash: "$argon2id$", AuthEpoch: 3}
	live  = &Connection{ID: "google", State: Live}
)

func with(a Account, edit func(*Account)) *Account { edit(&a); return &a }

func TestNextDecidesEveryStep(t *testing.T) {
	claims := func(level Level) *Claims {
		return &Claims{Connection: "google", Issuer: "https://g.test", Subject: "1", Email: "ana@example.test", Level: level}
	}
	fed := Authn{Method: ByUpstream, Connection: "google", Epoch: 3, AuthTime: noon}
	pwd := Authn{Method: ByPassword, Epoch: 3, AuthTime: noon}
	zero := 0
	for name, c := range map[string]struct {
		login Login
		facts Facts
		want  Step
		code  error
	}{
		"nothing chosen yet":             {Login{}, Facts{}, StepChoose, nil},
		"the chooser, with a session":    {Login{Pick: true}, Facts{Sessions: 1}, StepPick, nil},
		"the chooser, without a session": {Login{Pick: true}, Facts{}, StepChoose, nil},
		"an address, whoever has it":     {Login{Email: "x@example.test"}, Facts{Passwords: true}, StepPassword, nil},
		"an address of an organisation": {Login{Email: "x@contoso.test"}, Facts{Passwords: true, Org: live}, StepOrg,
			nil},
		"the organisation passed by": {Login{Email: "x@contoso.test", UsePassword: true}, Facts{Passwords: true,
			Org: live}, StepPassword, nil},
		"no password sign-in to pass by to": {Login{Email: "x@contoso.test", UsePassword: true}, Facts{Org: live}, StepOrg,
			nil},
		"an address and no method": {Login{Email: "x@example.test"}, Facts{}, "", NoMethod},
		"new, no address yet": {Login{Choice: ChoiceNew}, Facts{Passwords: true, Registration: RegisterForm},
			StepEmail, nil},
		"new, a code is out": {Login{Choice: ChoiceNew, Code: &MailedCode{}}, Facts{Passwords: true,
			Registration: RegisterForm}, StepCode, nil},
		"new, the address is proven": {Login{Choice: ChoiceNew, VerifiedEmail: "x@example.test"},
			Facts{Passwords: true, Registration: RegisterForm}, StepRegister, nil},
		"new, the address has an account": {Login{Choice: ChoiceNew, VerifiedEmail: "ana@example.test"},
			Facts{Passwords: true, Registration: RegisterForm, Owner: &ana}, StepPassword, nil},
		"new, by invitation only": {Login{Choice: ChoiceNew}, Facts{Passwords: true,
			Registration: RegisterInvite}, "", UserNotProvisioned},
		"password proven": {Login{AccountID: "ana"}, Facts{Account: &ana, Authn: pwd}, StepDone, nil},
		"disabled meanwhile": {Login{AccountID: "ana"}, Facts{Account: with(ana, func(a *Account) {
			a.Disabled = true
		}), Authn: pwd}, "", AccountDisabled},
		"epoch rose meanwhile": {Login{AccountID: "ana"}, Facts{Account: with(ana, func(a *Account) {
			a.AuthEpoch = 4
		}), Authn: pwd}, "", StartAgain},
		"came back, connection off meanwhile": {Login{Claims: claims(EmailVerified)},
			Facts{Connection: &Connection{ID: "google", State: Disabled}}, "", ConnectionDisabled},
		"came back, connection gone": {Login{Claims: claims(EmailVerified)}, Facts{}, "", ConnectionDisabled},
		"linked identity": {Login{Claims: claims(EmailAsserted)}, Facts{Connection: live, Linked: &ana},
			StepBind, nil},
		"linked and bound": {Login{Claims: claims(EmailAsserted), AccountID: "ana"}, Facts{Connection: live,
			Account: &ana, Authn: fed}, StepDone, nil},
		"same verified address": {Login{Claims: claims(EmailVerified)}, Facts{Connection: live, Owner: &ana},
			StepLink, nil},
		"same address, owner disabled": {Login{Claims: claims(EmailVerified)}, Facts{Connection: live,
			Owner: with(ana, func(a *Account) { a.Disabled = true })}, "", AccountDisabled},
		"unknown address, by form": {Login{Claims: claims(EmailVerified)}, Facts{Connection: live,
			Registration: RegisterForm}, StepRegister, nil},
		"unknown address, silent": {Login{Claims: claims(EmailVerified)}, Facts{Connection: live,
			Registration: RegisterSilent}, StepCreate, nil},
		"unknown address, invitations only": {Login{Claims: claims(EmailAuthoritative)}, Facts{Connection: live,
			Registration: RegisterInvite}, "", UserNotProvisioned},
		"unknown mode is invitations only": {Login{Claims: claims(EmailAuthoritative)}, Facts{Connection: live}, "",
			UserNotProvisioned},
		"late": {Login{ExpiresAt: noon}, Facts{}, "", LoginUnknown},
		"fresh asked, old proof, password": {Login{AccountID: "ana", Fresh: true, CreatedAt: noon.Add(time.Second)},
			Facts{Account: &ana, Authn: pwd, Passwords: true}, StepConfirm, nil},
		"fresh asked, no password to ask": {Login{AccountID: "ana", Fresh: true, CreatedAt: noon.Add(time.Second)},
			Facts{Account: with(ana, func(a *Account) { a.PasswordHash = "" }), Authn: pwd, Passwords: true}, StepConfirm, nil},
		"max_age, the upstream proved none": {Login{AccountID: "ana", MaxAge: &zero},
			Facts{Account: &ana, Authn: Authn{Method: ByUpstream, Connection: "google", Epoch: 3}, Connection: live,
				Passwords: true}, StepConfirm, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if c.login.ExpiresAt.IsZero() {
				c.login.ExpiresAt = fresh
			}
			c.facts.Now = noon
			got, _, err := Next(c.login, LoadedFacts(c.facts))
			if got != c.want || !errors.Is(err, c.code) {
				t.Fatalf("got %q, %v; want %q, %v", got, err, c.want, c.code)
			}
		})
	}
}

func TestAdmitIsClosedUnlessEverythingFits(t *testing.T) {
	fed := Authn{Method: ByUpstream, Connection: "google", Epoch: 3}
	for name, c := range map[string]struct {
		facts Facts
		code  error
	}{
		"password":        {Facts{Account: &ana, Authn: Authn{Method: ByPassword, Epoch: 3}}, nil},
		"live connection": {Facts{Account: &ana, Connection: live, Authn: fed}, nil},
		"no account":      {Facts{Authn: Authn{Method: ByPassword, Epoch: 3}}, StartAgain},
		"no method":       {Facts{Account: &ana, Authn: Authn{Epoch: 3}}, StartAgain},
		"no epoch":        {Facts{Account: &ana, Authn: Authn{Method: ByPassword}}, StartAgain},
		"older epoch":     {Facts{Account: &ana, Authn: Authn{Method: ByPassword, Epoch: 2}}, StartAgain},
		"disabled (B18, A7)": {Facts{Account: with(ana, func(a *Account) {
			a.Disabled = true
		}), Authn: Authn{Method: ByPassword, Epoch: 3}}, AccountDisabled},
		"connection deleted (B17)": {Facts{Account: &ana, Authn: fed}, ConnectionDisabled},
		"connection disabled (B17)": {Facts{Account: &ana, Connection: &Connection{ID: "google", State: Disabled},
			Authn: fed}, ConnectionDisabled},
		"connection a draft": {Facts{Account: &ana, Connection: &Connection{ID: "google", State: Draft},
			Authn: fed}, ConnectionDisabled},
		"another connection's facts": {Facts{Account: &ana, Connection: &Connection{ID: "other", State: Live}, Authn: fed},
			ConnectionDisabled},
		"zero connection is not a live": {Facts{Account: &ana, Connection: &Connection{ID: "google"}, Authn: fed},
			ConnectionDisabled},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Admit(LoadedFacts(c.facts)); !errors.Is(err, c.code) {
				t.Fatalf("got %v, want %v", err, c.code)
			}
		})
	}
}

func TestC21_ResolveNeverLinksByAddress(t *testing.T) {
	claims := func(level Level) *Claims {
		return &Claims{Connection: "google", Subject: "1", Email: "ana@example.test", Level: level}
	}
	for name, c := range map[string]struct {
		login Login
		facts Facts
		want  Outcome
		code  error
	}{
		"no claims": {Login{}, Facts{Linked: &ana}, "", UpstreamRejected},
		"no subject": {Login{Claims: &Claims{Email: "ana@example.test",
			Level: EmailAuthoritative}}, Facts{Linked: &ana}, "", UpstreamRejected},
		"linked signs in, whatever the address": {Login{Claims: &Claims{Subject: "1"}}, Facts{Linked: &ana}, SignIn, nil},
		"linked wins over a wish": {Login{Claims: claims(EmailVerified), Choice: ChoiceExisting},
			Facts{Linked: &ana, Owner: &ana}, SignIn, nil},
		"L3 with an owner is a ceremony (C1, C21)": {Login{Claims: claims(EmailAuthoritative)}, Facts{Connection: live,
			Owner: &ana, Registration: RegisterSilent}, Link, nil},
		"L2 with an owner is a ceremony (C2)": {Login{Claims: claims(EmailVerified)}, Facts{Connection: live, Owner: &ana,
			Registration: RegisterSilent}, Link, nil},
		"L1 tells nothing, with an owner (C7)": {Login{Claims: claims(EmailAsserted)},
			Facts{Owner: &ana, Registration: RegisterSilent}, Neutral, nil},
		"L1 tells nothing, without (C7)": {Login{Claims: claims(EmailAsserted)}, Facts{Registration: RegisterSilent},
			Neutral, nil},
		"L1 is never silent (C13)": {Login{Claims: claims(EmailAsserted)}, Facts{Registration: RegisterForm}, Neutral,
			nil},
		"L1 with a code out": {Login{Claims: claims(EmailAsserted), Code: &MailedCode{}}, Facts{Owner: &ana},
			AskCode, nil},
		"L1 proven by code, with an owner": {Login{Claims: claims(EmailAsserted), VerifiedEmail: "ana@example.test"},
			Facts{Connection: live, Owner: &ana}, Link, nil},
		"L1 proven by code, nobody has it": {Login{Claims: claims(EmailAsserted), VerifiedEmail: "ana@example.test"},
			Facts{Registration: RegisterForm}, Register, nil},
		"no address, registration off": {Login{Claims: claims(None)}, Facts{}, "", NoEmailClaim},
		"no address, registration on":  {Login{Claims: claims(None)}, Facts{Registration: RegisterForm}, AskEmail, nil},
		"no address, code out": {Login{Claims: claims(None), Code: &MailedCode{}}, Facts{Registration: RegisterForm},
			AskCode, nil},
		"another address of one's own": {Login{Claims: claims(EmailVerified), Choice: ChoiceExisting},
			Facts{Registration: RegisterForm}, Own, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := Resolve(c.login, LoadedFacts(c.facts))
			if v.Outcome != c.want || !errors.Is(err, c.code) {
				t.Fatalf("got %q, %v; want %q, %v", v.Outcome, err, c.want, c.code)
			}
			if err == nil && v.Because == "" {
				t.Error("a verdict without its reason")
			}
		})
	}
}

func TestFreshComparesAuthTimeWithTheRequest(t *testing.T) {
	ten := 10
	zero := 0
	for name, c := range map[string]struct {
		at     time.Time
		maxAge *int
		since  time.Time
		want   bool
	}{
		"nothing asked":               {noon.Add(-time.Hour), nil, time.Time{}, true},
		"young enough":                {noon.Add(-10 * time.Second), &ten, time.Time{}, true},
		"too old":                     {noon.Add(-11 * time.Second), &ten, time.Time{}, false},
		"max_age 0 is now":            {noon.Add(-time.Nanosecond), &zero, time.Time{}, false},
		"asked again, proven before":  {noon.Add(-time.Second), nil, noon, false},
		"asked again, proven after":   {noon, nil, noon, true},
		"unknown time is never fresh": {time.Time{}, &ten, time.Time{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Fresh(Authn{AuthTime: c.at}, noon, c.maxAge, c.since); got != c.want {
				t.Fatalf("got %v", got)
			}
		})
	}
}

func TestValidPrompt(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want bool
	}{
		{nil, true}, {[]string{"none"}, true}, {[]string{"login", "consent", "select_account"}, true},
		{[]string{"none", "login"}, false}, {[]string{"login", "none"}, false}, {[]string{"create"}, false},
		{[]string{""}, false},
	} {
		if got := ValidPrompt(c.in); got != c.want {
			t.Errorf("%v: got %v", c.in, got)
		}
	}
}

func TestEveryCodeHasAMeaning(t *testing.T) {
	for _, c := range Codes() {
		if c.Meaning().Status < 200 {
			t.Errorf("%s has no status", c)
		}
	}
	if CodeOf(UpstreamRejected.Because(errors.New("boom"))) != UpstreamRejected {
		t.Error("Because lost its code")
	}
	if CodeOf(errors.New("boom")) != Internal || CodeOf(Retry{RateLimited, 3}) != RateLimited {
		t.Error("CodeOf")
	}
}
