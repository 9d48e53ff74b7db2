package providers

import (
	"net/url"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

func TestGoogleIsTheAuthorityForItsOwnDomainsOnly(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindGoogle}, nil)
	for name, c := range map[string]struct {
		email    any
		verified any
		hd       any
		level    broker.Level
	}{
		"gmail":                     {"ana@gmail.com", true, nil, broker.EmailAuthoritative},
		"googlemail":                {"ana@googlemail.com", true, nil, broker.EmailAuthoritative},
		"gmail in capitals":         {"Ana@GMAIL.com", true, nil, broker.EmailAuthoritative},
		"gmail, not verified":       {"ana@gmail.com", false, nil, broker.EmailAsserted},
		"gmail, unsaid":             {"ana@gmail.com", nil, nil, broker.EmailAsserted},
		"workspace":                 {"wim@contoso.test", true, "contoso.test", broker.EmailAuthoritative},
		"workspace in capitals":     {"wim@contoso.test", true, "Contoso.Test", broker.EmailAuthoritative},
		"workspace, not verified":   {"wim@contoso.test", false, "contoso.test", broker.EmailAsserted},
		"another's domain":          {"wim@contoso.test", true, "fabrikam.test", broker.EmailVerified},
		"a domain that ends alike":  {"wim@evilgmail.com", true, nil, broker.EmailVerified},
		"a subdomain":               {"wim@sub.contoso.test", true, "contoso.test", broker.EmailVerified},
		"third party":               {"ana@example.test", true, nil, broker.EmailVerified},
		"third party, not verified": {"ana@example.test", false, nil, broker.EmailAsserted},
		"hd of another sort":        {"ana@example.test", true, []string{"example.test"}, broker.EmailVerified},
		"no address":                {nil, true, "contoso.test", broker.None},
	} {
		r.faulty(name, func(f *fakeidp.Fault) {
			f.SetClaim("email", c.email)
			f.SetClaim("email_verified", c.verified)
			f.SetClaim("hd", c.hd)
		}, func(r *fixture) {
			if got := r.signsIn("ana"); got.Level != c.level {
				r.Errorf("%q at level %d, want %d", got.Email, got.Level, c.level)
			}
		})
	}
}

func TestGooglesOlderIssuerIsTheSameIdentity(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindGoogle}, nil)
	whole := r.signsIn("ana")
	host := strings.TrimPrefix(r.idp.BaseURL(), "http://")
	r.faulty("without a scheme", func(f *fakeidp.Fault) { f.SetClaim("iss", host) }, func(r *fixture) {
		if got := r.signsIn("ana"); got.Issuer != whole.Issuer || got.Subject != whole.Subject {
			r.Errorf("%+v, want %+v", got, whole)
		}
	})
	for _, iss := range []any{"https://" + host, host + "/", "x" + host, "", nil, "accounts.google.com"} {
		r.faulty("another", func(f *fakeidp.Fault) { f.SetClaim("iss", iss) },
			func(r *fixture) { r.refused("ana", broker.UpstreamRejected) })
	}
	// No other provider has aliases.
	other := oidcFixture(t)
	other.faulty("generic", func(f *fakeidp.Fault) {
		f.SetClaim("iss",
			strings.TrimPrefix(other.idp.Issuer(), "http://"))
	},
		func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
}

func TestAWorkspaceDomainIsCheckedInTheClaimNotInTheRequest(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindGoogle}, map[string]string{"hosted_domain": "contoso.test"})
	r.redirect = func(_ *url.URL, q url.Values) {
		if q.Get("hd") != "contoso.test" {
			t.Errorf("hd %q", q.Get("hd"))
		}
	}
	r.signsIn("wim")
	r.refused("ana", broker.WrongTenant)
	r.faulty("an address of that domain without hd", func(f *fakeidp.Fault) { f.SetClaim("hd", nil) },
		func(r *fixture) { r.refused("wim", broker.WrongTenant) })
	r.faulty("hd of another sort", func(f *fakeidp.Fault) { f.SetClaim("hd", []string{"contoso.test"}) },
		func(r *fixture) { r.refused("wim", broker.WrongTenant) })
}

// An unchecked address is never verified.
func TestC2_UpstreamsThatDoNotCheckAddressesVerifyNone(t *testing.T) {
	victim := "victim@example.test"
	for name, c := range map[string]struct {
		kind     string
		settings map[string]string
		person   fakeidp.Persona
		email    string
		level    broker.Level
	}{
		"facebook": {fakeidp.KindFacebook, nil, fakeidp.Persona{Email: victim, EmailVerified: true}, victim,
			broker.EmailAsserted},
		"ad fs": {fakeidp.KindADFS, nil,
			fakeidp.Persona{Email: victim, EmailVerified: true, Claims: map[string]any{"email_verified": true}}, victim,
			broker.EmailAsserted},
		"oidc, not verified":   {fakeidp.KindOIDC, nil, fakeidp.Persona{Email: victim}, victim, broker.EmailAsserted},
		"google, not verified": {fakeidp.KindGoogle, nil, fakeidp.Persona{Email: victim}, victim, broker.EmailAsserted},
		"entra": {fakeidp.KindMicrosoft, map[string]string{"tenant": tenantB},
			fakeidp.Persona{Email: victim, TenantID: tenantB, Claims: map[string]any{"email_verified": true}}, victim,
			broker.EmailAsserted},
		"github, not verified": {fakeidp.KindGitHub, nil, fakeidp.Persona{Email: victim}, "", broker.None},
		"github, secondary": {fakeidp.KindGitHub, nil, fakeidp.Persona{Email: "m@example.test", EmailVerified: true,
			OtherEmails: []fakeidp.Email{{Address: victim, Verified: true}, {Address: "x" + victim}}}, "m@example.test",
			broker.EmailVerified},
		"github, secondary only": {fakeidp.KindGitHub, nil, fakeidp.Persona{Email: "m@example.test",
			OtherEmails: []fakeidp.Email{{Address: victim, Verified: true}}}, "", broker.None},
		"github, public profile": {fakeidp.KindGitHub, nil, fakeidp.Persona{Claims: map[string]any{"email": victim}}, "",
			broker.None},
		"github, no-reply": {fakeidp.KindGitHub, nil, fakeidp.Persona{
			OtherEmails: []fakeidp.Email{{Address: "1+m@users.noreply.github.com", Primary: true, Verified: true}}}, "",
			broker.None},
	} {
		t.Run(name, func(t *testing.T) {
			c.person.Login = "mallory"
			r := newFixture(t, fakeidp.Options{Kind: c.kind, Personas: []fakeidp.Persona{c.person}}, c.settings)
			if got := r.signsIn("mallory"); got.Email != c.email || got.Level != c.level {
				t.Errorf("%q at level %d, want %q at %d", got.Email, got.Level, c.email, c.level)
			}
		})
	}
}

func TestC14_NoUserNameIsEverAKeyOrAnAddress(t *testing.T) {
	names := map[string]any{}
	for _, claim := range []string{"preferred_username", "upn", "unique_name", "nickname", "login", "username",
		"user_name", "samaccountname", "winaccountname", "mail"} {
		names[claim] = "victim@example.test"
	}
	for _, kind := range []string{fakeidp.KindOIDC, fakeidp.KindGoogle, fakeidp.KindMicrosoft, fakeidp.KindADFS,
		fakeidp.KindFacebook, fakeidp.KindGitHub} {
		t.Run(kind, func(t *testing.T) {
			settings := map[string]string{}
			if kind == fakeidp.KindMicrosoft {
				settings["tenant"] = tenantB
			}
			r := newFixture(t, fakeidp.Options{Kind: kind, Personas: []fakeidp.Persona{{Login: "mallory", TenantID: tenantB,
				Claims: names}}}, settings)
			got := r.signsIn("mallory")
			if got.Email != "" || got.Level != broker.None || strings.Contains(got.Subject, "victim") {
				t.Errorf("claims %+v", got)
			}
		})
	}
}

func TestC21_TheSameAddressUnderAnotherSubjectIsAnotherIdentity(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindGoogle, Personas: []fakeidp.Persona{
		{Login: "first", Subject: "111", Email: "ceo@contoso.test", EmailVerified: true, HostedDomain: "contoso.test"},
		{Login: "second", Subject: "222", Email: "ceo@contoso.test", EmailVerified: true, HostedDomain: "contoso.test"},
	}}, nil)
	a, b := r.signsIn("first"), r.signsIn("second")
	if a.Email != b.Email || a.Subject == b.Subject || a.Issuer != b.Issuer {
		t.Errorf("%+v and %+v", a, b)
	}
	// One person in two tenants has two identities, and the same oid in two tenants has two.
	e := entraFixture(t, map[string]string{"tenant": "organizations", "any_tenant": "true"})
	one := e.signsIn("bruno")
	e.idp.Misbehave(forced(tenantB, e))
	if two := e.signsIn("bruno"); one.Subject == two.Subject || one.Issuer == two.Issuer {
		t.Errorf("%+v and %+v", one, two)
	}
}

func TestGitHubIsKeyedByNumber(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindGitHub}, nil)
	before := r.signsIn("kit")
	toolkit := r.idp.Personas()[0]
	toolkit.Login = "renamed"
	r.idp.SetPersonas(toolkit)
	if after := r.signsIn("renamed"); after.Subject != before.Subject || after.Level != broker.EmailVerified {
		t.Errorf("%+v, before %+v", after, before)
	}
	for name, id := range map[string]any{"a name": "kit", "missing": nil, "negative": -1, "a fraction": 1.5, "zero": 0} {
		r.faulty(name, func(f *fakeidp.Fault) { f.Set(fakeidp.AtUserInfo, "id", id) },
			func(r *fixture) { r.refused("renamed", broker.UpstreamRejected) })
	}
	r.faulty("no list", func(f *fakeidp.Fault) { f.Break(fakeidp.Break{Status: 403, Body: "{}"}, fakeidp.AtEmails) },
		func(r *fixture) {
			if c := r.signsIn("renamed"); c.Email != "" || c.Level != broker.None {
				r.Errorf("claims %+v", c)
			}
		})
	r.faulty("list down", func(f *fakeidp.Fault) { f.Down(fakeidp.AtEmails) },
		func(r *fixture) { r.refused("renamed", broker.ConnectionUnavailable) })
	for code, want := range map[string]broker.Code{"bad_verification_code": broker.StateInvalid,
		"redirect_uri_mismatch": broker.UpstreamRejected, "made_up": broker.UpstreamRejected} {
		r.faulty(code, func(f *fakeidp.Fault) { f.TokenError = fakeidp.OAuthError{Code: code, Description: "no"} },
			func(r *fixture) { r.refused("renamed", want) })
	}
}

func TestNoPictureIsEverFetched(t *testing.T) {
	for _, kind := range []string{fakeidp.KindGoogle, fakeidp.KindOIDC} {
		r := newFixture(t, fakeidp.Options{Kind: kind}, nil)
		p := r.idp.Personas()[0]
		r.signsIn(p.Login)
		if n := r.idp.Hits("/picture/" + p.Subject); n != 0 {
			t.Errorf("%s: the picture was fetched", kind)
		}
	}
}
