package broker

import (
	"errors"
	"testing"
	"time"
)

const tenantA, tenantB = "tenant-a", "tenant-b"

// gate returns facts that Admit accepts, for a table to change one of them.
func gate(edits ...func(*Facts)) Facts {
	f := Facts{Account: &Account{ID: "v", Email: "v@a.test", AuthEpoch: 3},
		Connection: &Connection{ID: "entra", State: Live}, Authn: Authn{Method: ByUpstream, Connection: "entra", Epoch: 3,
			Members: map[string]int64{}}}
	for _, edit := range edits {
		edit(&f)
	}
	return f
}

// in makes the person a member, and admits them with the membership of now.
func in(m Member) func(*Facts) {
	return func(f *Facts) {
		f.Tenancy.Members = append(f.Tenancy.Members, m)
		f.Authn.Members[m.Tenant.ID] = m.Epoch
	}
}

func managed(edits ...func(*Member)) Member {
	m := Member{Tenant: Tenant{ID: tenantA, Name: "A", Domains: []string{"a.test"}}, Epoch: 4}
	for _, edit := range edits {
		edit(&m)
	}
	return m
}

func member(edits ...func(*Member)) Member {
	m := Member{Tenant: Tenant{ID: tenantB, Name: "B"}, Epoch: 5}
	for _, edit := range edits {
		edit(&m)
	}
	return m
}

func only(connections ...string) *Restriction {
	return &Restriction{Only: OnlyMicrosoft, Connections: connections}
}
func password(f *Facts) { f.Authn.Method, f.Authn.Connection, f.Connection = ByPassword, "", nil }
func google(f *Facts) {
	f.Authn.Connection, f.Connection = "google", &Connection{ID: "google", State: Live}
}
func restrictedTo(l *Restriction) func(*Facts)       { return func(f *Facts) { f.Account.Restriction = l } }
func userTypeOf(s UserType) func(*Facts)             { return func(f *Facts) { f.Authn.UserType = s } }
func asked(tenant string) func(*Facts)               { return func(f *Facts) { f.Tenancy.Asked = tenant } }
func client(tenant string) func(*Facts)              { return func(f *Facts) { f.Tenancy.Client = tenant } }
func role(r Role) func(*Facts)                       { return func(f *Facts) { f.Tenancy.Role = r } }
func factor(f *Facts)                                { f.Authn.Factor = true }
func enrolled(f *Facts)                              { f.Enrolled = true }
func personal(f *Facts)                              { f.Tenancy.Personal = true }
func breakGlass(f *Facts)                            { f.Tenancy.BreakGlass = true }
func memberRestriction(l *Restriction) func(*Member) { return func(m *Member) { m.Restriction = l } }
func suspended(m *Member)                            { m.Suspended = true }
func secondFactor(m *Member)                         { m.Tenant.SecondFactor = true }
func owned(tenant Tenant) func(*Facts)               { return func(f *Facts) { f.Tenancy.Connection = &tenant } }
func stage(e Enforcement, connections ...string) func(*Member) {
	return func(m *Member) { m.Tenant.Enforcement, m.Tenant.Enforced = e, connections }
}

func TestD1_D4_D5_D7_D8_D10_D13_TheGateAsksEveryCondition(t *testing.T) {
	entra := only("entra")
	for name, c := range map[string]struct {
		edits []func(*Facts)
		want  error
	}{
		"nobody's rule, upstream": {nil, nil},
		"nobody's rule, password": {[]func(*Facts){password}, nil},
		"unverified":              {[]func(*Facts){func(f *Facts) { f.Account.Unverified = true }}, StartAgain},
		"disabled":                {[]func(*Facts){func(f *Facts) { f.Account.Disabled = true }}, AccountDisabled},
		"an older epoch":          {[]func(*Facts){func(f *Facts) { f.Authn.Epoch = 2 }}, StartAgain},
		"a newer epoch":           {[]func(*Facts){func(f *Facts) { f.Authn.Epoch = 4 }}, StartAgain},

		"D1 locked, by password": {[]func(*Facts){restrictedTo(entra), password}, MicrosoftRequired},
		"D4 locked, by google":   {[]func(*Facts){restrictedTo(entra), google}, MicrosoftRequired},
		"restricted, by entra":   {[]func(*Facts){restrictedTo(entra)}, nil},
		"locked by name, by google": {[]func(*Facts){
			restrictedTo(&Restriction{Only: "entra", Connections: []string{"entra"}}), google}, SSORequired},
		"D4 the name of another connection": {[]func(*Facts){restrictedTo(only("Microsoft"))}, MicrosoftRequired},
		"a lock on nothing":                 {[]func(*Facts){restrictedTo(only())}, MicrosoftRequired},
		"a password that names a connection": {[]func(*Facts){restrictedTo(entra), func(f *Facts) {
			f.Authn.Method = ByPassword
		}}, MicrosoftRequired},
		"D8 locked, a guest": {[]func(*Facts){
			restrictedTo(entra), userTypeOf(UserTypeGuest)}, WorkAccountRequired},
		"D7 locked, a personal account": {[]func(*Facts){
			restrictedTo(entra), userTypeOf(UserTypePersonal)}, WorkAccountRequired},
		"restricted, an unknown user type": {[]func(*Facts){
			restrictedTo(&Restriction{Connections: []string{"entra"}, Guests: true, Personal: true}), userTypeOf("new")},
			WorkAccountRequired},
		"guests allowed, a guest": {[]func(*Facts){
			restrictedTo(&Restriction{Connections: []string{"entra"}, Guests: true}), userTypeOf(UserTypeGuest)}, nil},
		"guests allowed, a personal account": {[]func(*Facts){
			restrictedTo(&Restriction{Connections: []string{"entra"}, Guests: true}), userTypeOf(UserTypePersonal)},
			WorkAccountRequired},
		"personal allowed, a personal account": {[]func(*Facts){
			restrictedTo(&Restriction{Connections: []string{"entra"}, Personal: true}), userTypeOf(UserTypePersonal)}, nil},
		"personal allowed, a guest": {[]func(*Facts){
			restrictedTo(&Restriction{Connections: []string{"entra"}, Personal: true}), userTypeOf(UserTypeGuest)},
			WorkAccountRequired},
		"a guest without a lock": {[]func(*Facts){userTypeOf(UserTypeGuest)}, nil},
		"a member locked, by google": {[]func(*Facts){
			in(member(memberRestriction(entra))), google}, MicrosoftRequired},
		"a member locked, by entra": {[]func(*Facts){in(member(memberRestriction(entra)))}, nil},
		"a member locked, outside the context": {[]func(*Facts){
			in(member(memberRestriction(entra))), personal, google}, nil},
		"managed and locked, in a foreign one": {[]func(*Facts){
			in(managed(memberRestriction(entra))), in(member()), asked(tenantB), google}, MicrosoftRequired},
		"managed and locked, foreign, by entra": {[]func(*Facts){
			in(managed(memberRestriction(entra))), in(member()), asked(tenantB)}, nil},
		"two locks, only one allows": {[]func(*Facts){
			restrictedTo(entra), in(member(memberRestriction(only("adfs"))))}, MicrosoftRequired},
		"two locks, the other allows": {[]func(*Facts){
			restrictedTo(only("adfs")), in(member(memberRestriction(entra)))}, MicrosoftRequired},
		"two locks, both allow": {[]func(*Facts){
			restrictedTo(only("adfs", "entra")), in(member(memberRestriction(entra)))}, nil},
		"enforcement off":       {[]func(*Facts){in(member(stage(EnforceOff, "entra"))), google}, nil},
		"enforcement never set": {[]func(*Facts){in(member(stage("", "entra"))), google}, nil},
		"enforcement reported":  {[]func(*Facts){in(member(stage(EnforceReport, "entra"))), google}, nil},
		"enforced, by google":   {[]func(*Facts){in(member(stage(Enforce, "entra"))), google}, SSORequired},
		"enforced, by password": {[]func(*Facts){
			in(member(stage(Enforce, "entra"))), password}, SSORequired},
		"enforced, by entra": {[]func(*Facts){in(member(stage(Enforce, "entra")))}, nil},
		"enforced, a guest of it": {[]func(*Facts){
			in(member(stage(Enforce, "entra"))), userTypeOf(UserTypeGuest)}, nil},
		"enforced, a personal account": {[]func(*Facts){
			in(member(stage(Enforce, "entra"))), userTypeOf(UserTypePersonal)}, nil},
		"an unknown stage enforces": {[]func(*Facts){
			in(member(stage("someday", "entra"))), google}, SSORequired},
		"the managing tenant enforces, foreign": {[]func(*Facts){
			in(managed(stage(Enforce, "entra"))), in(member()), asked(tenantB), google}, SSORequired},
		"another tenant enforces, not here": {[]func(*Facts){in(managed()), in(member(stage(Enforce, "entra"))), google},
			nil},
		"break-glass owner under a lock": {[]func(*Facts){
			restrictedTo(entra), role(RoleOwner), breakGlass, password, factor}, nil},
		"break-glass owner without a factor": {[]func(*Facts){restrictedTo(entra), role(RoleOwner), breakGlass, password},
			SecondFactorRequired},
		"break-glass, no owner": {[]func(*Facts){
			restrictedTo(entra), breakGlass, password, factor}, MicrosoftRequired},
		"break-glass support": {[]func(*Facts){
			restrictedTo(entra), role(RoleSupport), breakGlass, password, factor}, MicrosoftRequired},
		"an owner without break-glass": {[]func(*Facts){
			restrictedTo(entra), role(RoleOwner), password, factor}, MicrosoftRequired},
		"a factor is enrolled":                {[]func(*Facts){enrolled}, SecondFactorRequired},
		"a factor is enrolled and given":      {[]func(*Facts){enrolled, factor}, nil},
		"the tenant wants a factor":           {[]func(*Facts){in(member(secondFactor))}, SecondFactorRequired},
		"the tenant wants a factor, given":    {[]func(*Facts){in(member(secondFactor)), factor}, nil},
		"the tenant wants a factor, not here": {[]func(*Facts){in(member(secondFactor)), personal}, nil},
		"suspended here":                      {[]func(*Facts){in(member(suspended))}, MembershipSuspended},
		"suspended elsewhere":                 {[]func(*Facts){in(managed()), in(member(suspended))}, nil},
		"an older membership": {[]func(*Facts){in(member()), func(f *Facts) {
			f.Authn.Members[tenantB] = 4
		}}, StartAgain},
		"a newer membership": {[]func(*Facts){in(member()), func(f *Facts) {
			f.Authn.Members[tenantB] = 6
		}}, StartAgain},
		"a membership of after": {[]func(*Facts){in(member()), func(f *Facts) {
			delete(f.Authn.Members, tenantB)
		}}, StartAgain},
		"an older membership elsewhere": {[]func(*Facts){in(managed()), in(member()), func(f *Facts) {
			f.Authn.Members[tenantB] = 4
		}}, nil},
		"two memberships, none asked for": {[]func(*Facts){
			in(member()), in(member(func(m *Member) { m.Tenant.ID = "c" }))}, InteractionRequired},
		"two memberships, personal": {[]func(*Facts){
			in(member()), in(member(func(m *Member) { m.Tenant.ID = "c" })), personal}, nil},
		"a tenant asked for, no member": {[]func(*Facts){asked(tenantB)}, UserNotProvisioned},
		"a tenant's client, no member":  {[]func(*Facts){in(managed()), client(tenantB)}, UserNotProvisioned},
		"the client's tenant over the asked one": {[]func(*Facts){
			in(managed()), in(member(suspended)), client(tenantB), asked(tenantA)}, MembershipSuspended},
		"managed, one with a role is not": {[]func(*Facts){
			in(managed(memberRestriction(entra))), in(member()), asked(tenantB), role(RoleSupport), google}, nil},

		"a tenant's connection, no member":        {[]func(*Facts){owned(Tenant{ID: tenantA})}, WrongTenant},
		"a tenant's connection, in its context":   {[]func(*Facts){in(member()), owned(Tenant{ID: tenantB})}, nil},
		"a tenant's connection, in a foreign one": {[]func(*Facts){in(member()), owned(Tenant{ID: tenantA})}, WrongTenant},
		"the managing one's, in a foreign context": {[]func(*Facts){
			in(managed()), in(member()), asked(tenantB), owned(Tenant{ID: tenantA})}, nil},
		"another one's, managed here": {[]func(*Facts){in(managed()), in(member()), owned(Tenant{ID: tenantB})}, WrongTenant},
	} {
		t.Run(name, func(t *testing.T) {
			f := gate(c.edits...)
			if err := Admit(LoadedFacts(f)); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			ruled := c.want == MicrosoftRequired || c.want == SSORequired || c.want == WorkAccountRequired
			if l := Refusing(f); ruled != (l != nil) {
				t.Errorf("Refusing tells %+v beside %v", l, c.want)
			} else if l != nil && c.want != WorkAccountRequired && l.Refusal() != c.want {
				t.Errorf("Refusing tells %+v beside %v", l, c.want)
			}
		})
	}
	if l := Refusing(Facts{}); l != nil {
		t.Errorf("nobody is refused by %+v", l)
	}
}

func TestD9_D18_WhatTheFirstBindOfARestrictedAccountTakes(t *testing.T) {
	at := func(level Level, more ...func(*Login)) Login {
		l := Login{Claims: &Claims{Connection: "entra", Subject: "s", Email: "v@a.test", Level: level}}
		for _, edit := range more {
			edit(&l)
		}
		return l
	}
	chosen := func(l *Login) { l.LinkTargetID = "v" }
	proven := func(l *Login) { l.VerifiedEmail = "v@a.test" }
	elsewhere := func(l *Login) { l.LinkTargetID, l.VerifiedEmail = "v", "x@a.test" }
	none := func(f *Facts) { f.Owner.PasswordHash = "" }
	lock := func(l *Restriction) func(*Facts) { return func(f *Facts) { f.Owner.Restriction = l } }
	bound := func(connection string) func(*Facts) {
		return func(f *Facts) { f.Bound = []Identity{{ID: "i", Connection: connection}} }
	}
	trusting := func(f *Facts) {
		f.Tenancy.Connection = &Tenant{ID: tenantA, Domains: []string{"a.test"}, TrustsLinks: true}
	}
	entra := only("entra")
	for name, c := range map[string]struct {
		login   Login
		edits   []func(*Facts)
		outcome Outcome
		proofs  LinkProof
		code    error
	}{
		"no lock, password": {at(EmailVerified), nil, Link, LinkProof{Password: true}, nil},
		"no lock, no password": {at(EmailVerified), []func(*Facts){
			none}, Link, LinkProof{Code: true, Other: true}, nil},
		"no lock, no password, factor": {at(EmailVerified), []func(*Facts){
			none, enrolled}, Link, LinkProof{Code: true, Factor: true}, nil},
		"no lock, password, factor": {at(EmailAuthoritative), []func(*Facts){
			enrolled}, Link, LinkProof{Password: true, Factor: true}, nil},
		"no lock, a code proved it": {at(EmailAsserted, proven), []func(*Facts){none}, Link, LinkProof{}, nil},
		"restricted, L2, password": {at(EmailVerified), []func(*Facts){
			lock(entra)}, Link, LinkProof{Password: true, Code: true}, nil},
		"restricted, L3, password": {at(EmailAuthoritative), []func(*Facts){
			lock(entra)}, Link, LinkProof{Password: true}, nil},
		"restricted, L3, no password": {at(EmailAuthoritative), []func(*Facts){
			lock(entra), none}, Link, LinkProof{Code: true}, nil},
		"restricted, L2, no password": {at(EmailVerified), []func(*Facts){lock(entra), none}, "", LinkProof{}, BindRefused},
		"restricted, L1, chosen": {at(EmailAsserted, chosen), []func(*Facts){
			lock(entra)}, Link, LinkProof{Password: true, Code: true}, nil},
		"restricted, L1, chosen, none": {at(EmailAsserted, chosen), []func(*Facts){
			lock(entra), none}, "", LinkProof{}, BindRefused},
		"restricted, L1, code given": {at(EmailAsserted, proven), []func(*Facts){
			lock(entra)}, Link, LinkProof{Password: true}, nil},
		"restricted, L1, another's code": {at(EmailAsserted, elsewhere), []func(*Facts){
			lock(entra)}, Link, LinkProof{Password: true, Code: true}, nil},
		"restricted, L3, factor": {at(EmailAuthoritative), []func(*Facts){
			lock(entra), enrolled}, Link, LinkProof{Password: true, Factor: true}, nil},
		"D9 bound already": {at(EmailAuthoritative), []func(*Facts){
			lock(entra), bound("entra")}, "", LinkProof{}, IdentityMismatch},
		"D9 bound at another of them": {at(EmailAuthoritative), []func(*Facts){
			lock(only("entra", "adfs")), bound("adfs")}, "", LinkProof{}, IdentityMismatch},
		"bound at none of them": {at(EmailAuthoritative), []func(*Facts){
			lock(entra), bound("google")}, Link, LinkProof{Password: true}, nil},
		"bound without a lock": {at(EmailAuthoritative), []func(*Facts){
			bound("entra")}, Link, LinkProof{Password: true}, nil},
		"D6 another connection": {at(EmailAuthoritative), []func(*Facts){
			lock(only("adfs"))}, "", LinkProof{}, MicrosoftRequired},
		"a membership's lock, L2": {at(EmailVerified), []func(*Facts){
			in(member(memberRestriction(entra)))}, Link, LinkProof{Password: true, Code: true}, nil},
		"a membership's lock, bound": {at(EmailAuthoritative), []func(*Facts){
			in(member(memberRestriction(entra))), bound("entra")}, "", LinkProof{}, IdentityMismatch},
		"a disabled owner": {at(EmailAuthoritative), []func(*Facts){
			func(f *Facts) { f.Owner.Disabled = true }}, "", LinkProof{}, AccountDisabled},
		"trusted": {at(EmailAsserted), []func(*Facts){
			in(managed()), trusting}, Trust, LinkProof{}, nil},
		"trusted, chosen": {at(EmailAsserted, chosen), []func(*Facts){
			in(managed()), trusting}, Link, LinkProof{Password: true}, nil},
		"trusted, locked": {at(EmailAsserted), []func(*Facts){
			in(managed()), trusting, lock(entra)}, Link, LinkProof{Password: true}, nil},
		"trusted, no member": {at(EmailAsserted), []func(*Facts){trusting}, "", LinkProof{}, WrongTenant},
		"trusted, not its own people": {at(EmailAsserted), []func(*Facts){
			in(managed()), trusting, role(RoleSupport)}, Link, LinkProof{Password: true}, nil},
		"its own, not trusting": {at(EmailAsserted), []func(*Facts){
			in(managed()), owned(Tenant{ID: tenantA, Domains: []string{"a.test"}})}, Link, LinkProof{Password: true}, nil},
		"a foreign domain is asserted": {at(EmailAuthoritative), []func(*Facts){
			in(member()), owned(Tenant{ID: tenantB, TrustsLinks: true})}, Neutral, LinkProof{}, nil},
		"an invited one has an account": {at(EmailVerified), []func(*Facts){
			func(f *Facts) { f.Invitation = &Invitation{Email: "v@a.test"} }}, Link, LinkProof{Password: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := gate(func(f *Facts) {
				f.Owner, f.Account = f.Account, nil
				f.Owner.PasswordHash = "a hash"
				f.Authn = Authn{Members: map[string]int64{}}
			})
			for _, edit := range c.edits {
				edit(&f)
			}
			v, err := Resolve(c.login, LoadedFacts(f))
			if v.Outcome != c.outcome || v.Proof != c.proofs || !errors.Is(err, c.code) || c.code == nil && err != nil {
				t.Fatalf("got %q %+v, %v; want %q %+v, %v", v.Outcome, v.Proof, err, c.outcome, c.proofs, c.code)
			}
		})
	}
}

func TestD6_ALinkFromInsideAsksTheGateToo(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	l := Login{Purpose: PurposeLink, For: "v", Claims: &Claims{Connection: "google", Subject: "s"}}
	for name, c := range map[string]struct {
		edit func(*Facts)
		want Outcome
		code error
	}{
		"fresh": {func(*Facts) {}, LinkHere, nil},
		"at the last": {func(f *Facts) { f.ActingAs.AuthTime = now.Add(-LinkFresh - UpstreamRequestLife) }, LinkHere,
			nil},
		"too old": {func(f *Facts) {
			f.ActingAs.AuthTime = now.Add(-LinkFresh - UpstreamRequestLife - 2*time.Second)
		}, "", StartAgain},
		"nobody":                {func(f *Facts) { f.Acting = nil }, "", StartAgain},
		"somebody else":         {func(f *Facts) { f.Acting.ID = "x" }, "", StartAgain},
		"another's":             {func(f *Facts) { f.Linked = &Account{ID: "x"} }, "", LinkConflict},
		"their own":             {func(f *Facts) { f.Linked = f.Acting }, Already, nil},
		"locked out":            {func(f *Facts) { f.Acting.Restriction = only("entra") }, "", MicrosoftRequired},
		"restricted, the right": {func(f *Facts) { f.Acting.Restriction = only("google") }, LinkHere, nil},
		"locked and bound": {func(f *Facts) {
			f.Acting.Restriction, f.Bound = only("google"), []Identity{{Connection: "google"}}
		}, "", IdentityMismatch},
		"the connection is off": {func(f *Facts) { f.Connection.State = Disabled }, "", ConnectionDisabled},
	} {
		t.Run(name, func(t *testing.T) {
			f := gate(google)
			f.Now, f.Acting, f.Account = now, f.Account, nil
			f.ActingAs = Authn{Method: ByPassword, AuthTime: now, Epoch: 3}
			c.edit(&f)
			v, err := Resolve(l, LoadedFacts(f))
			if v.Outcome != c.want || !errors.Is(err, c.code) || c.code == nil && err != nil {
				t.Errorf("got %q, %v; want %q, %v", v.Outcome, err, c.want, c.code)
			}
		})
	}
}

func TestD1_AdmitRefusesFactsThatWereNotLoaded(t *testing.T) {
	f := Facts{Account: &Account{ID: "v"}, Authn: Authn{Method: ByPassword}}
	if err := Admit(LoadedFacts(f)); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]Facts{"zero": {}, "of the caller's own making": f} {
		if err := Admit(f); !errors.Is(err, StartAgain) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
