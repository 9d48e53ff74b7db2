package providers

import (
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

// modes are the configurations of a Microsoft connection, with the tenants that may sign in.
var modes = map[string]struct {
	settings map[string]string
	in       string // the tenants that may sign in: A, B, M for personal accounts
}{
	"single tenant by id":     {map[string]string{"tenant": tenantA}, "A"},
	"single tenant by domain": {map[string]string{"tenant": "contoso.test"}, "A"},
	"organizations, listed":   {map[string]string{"tenant": "organizations", "allowed_tenants": tenantA}, "A"},
	"organizations, both": {map[string]string{"tenant": "organizations",
		"allowed_tenants": tenantA + ", " + strings.ToUpper(tenantB)}, "AB"},
	"organizations, any": {map[string]string{"tenant": "organizations", "any_tenant": "true"}, "AB"},
	"common, listed":     {map[string]string{"tenant": "common", "allowed_tenants": tenantB}, "B"},
	"common, personal listed": {map[string]string{"tenant": "common",
		"allowed_tenants": fakeidp.MSATenant + " " + tenantA}, "AM"},
	"common, any": {map[string]string{"tenant": "common", "any_tenant": "true"}, "ABM"},
	"consumers":   {map[string]string{"tenant": "consumers"}, "M"},
}

func entraPeople() []fakeidp.Persona {
	yes := true
	return []fakeidp.Persona{
		{Login: "A", Email: "ana@contoso.test", Name: "Ana", TenantID: tenantA, HostedDomain: "contoso.test", XmsEdov: &yes},
		{Login: "B", Email: "bo@fabrikam.test", Name: "Bo", TenantID: tenantB, HostedDomain: "fabrikam.test", XmsEdov: &yes},
		{Login: "M", Email: "mo@example.test", Name: "Mo", TenantID: fakeidp.MSATenant, XmsEdov: &yes},
		{Login: "G", Email: "gus@fabrikam.test", Name: "Gus", TenantID: tenantA, Guest: true},
		{Login: "H", Email: "hal@fabrikam.test", Name: "Hal", TenantID: tenantA,
			HomeIDP: "https://sts.windows.net/" + tenantB + "/"},
	}
}

// forced makes the simulator issue a token of any tenant, as an attacker's own authority would.
func forced(tid string, r *fixture) func(*fakeidp.Fault) {
	return func(f *fakeidp.Fault) {
		f.SetClaim("tid", tid)
		f.SetClaim("iss", r.idp.BaseURL()+"/"+tid+"/v2.0")
	}
}

func TestB10_OnlyTheTenantsThatMayComeIn(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindMicrosoft, Personas: entraPeople()}, mode.settings)
			tids := map[string]string{"A": tenantA, "B": tenantB, "M": fakeidp.MSATenant}
			home := "A" // a person whom the simulator's own check of the authority accepts
			if mode.settings["tenant"] == "consumers" {
				home = "M"
			}
			for who, tid := range tids {
				r.faulty("from "+who, forced(tid, r), func(r *fixture) {
					if who == "M" {
						// the key that may sign for personal accounts
						r.idp.Misbehave(func(f *fakeidp.Fault) { f.Forge = fakeidp.ForgeConsumerKey })
					}
					if strings.Contains(mode.in, who) {
						if c := r.signsIn(home); !strings.HasPrefix(c.Subject, tid+":") || c.Issuer != r.idp.BaseURL()+"/"+tid+"/v2.0" {
							r.Errorf("claims %+v", c)
						}
						return
					}
					// If the keys already exclude this tenant, the token is the error.
					c, err := r.login(home)
					if code := broker.CodeOf(err); err == nil || code != broker.WrongTenant && code != broker.UpstreamRejected {
						r.Errorf("%+v, %v", c, err)
					}
				})
			}
		})
	}
}

func TestB10_EntraCrossTenant(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindMicrosoft, Personas: entraPeople()},
		modes["organizations, listed"].settings)
	r.signsIn("A")
	r.refused("B", broker.WrongTenant)
	r.refused("G", broker.WrongTenant)
	r.refused("H", broker.WrongTenant)
	rejected := func(r *fixture) { r.refused("A", broker.UpstreamRejected) }
	r.faulty("v1 token", func(f *fakeidp.Fault) { f.V1Token = true }, rejected)
	r.faulty("no ver", func(f *fakeidp.Fault) { f.SetClaim("ver", nil) }, rejected)
	r.faulty("ver as number", func(f *fakeidp.Fault) { f.SetClaim("ver", 2.0) }, rejected)
	r.faulty("no tid", func(f *fakeidp.Fault) { f.SetClaim("tid", nil) }, rejected)
	r.faulty("tid that is no id", func(f *fakeidp.Fault) {
		f.SetClaim("tid", "contoso.test")
		f.SetClaim("iss", r.idp.BaseURL()+"/contoso.test/v2.0")
	}, rejected)
	r.faulty("tid that is the template", func(f *fakeidp.Fault) {
		f.SetClaim("tid", template)
		f.SetClaim("iss", r.idp.BaseURL()+"/"+template+"/v2.0")
	}, rejected)
	r.faulty("tid in capitals", func(f *fakeidp.Fault) { forced(strings.ToUpper(tenantA), r)(f) }, rejected)
	r.faulty("tid of A, issuer of B", func(f *fakeidp.Fault) { f.SetClaim("iss", r.idp.BaseURL()+"/"+tenantB+"/v2.0") },
		rejected)
	r.faulty("tid of B, issuer of A", func(f *fakeidp.Fault) { f.SetClaim("tid", tenantB) }, rejected)
	r.faulty("issuer on another host", func(f *fakeidp.Fault) {
		f.SetClaim("iss",
			"https://login.microsoftonline.com/"+tenantA+"/v2.0")
	}, rejected)
	r.faulty("issuer with a slash", func(f *fakeidp.Fault) { f.SetClaim("iss", r.idp.BaseURL()+"/"+tenantA+"/v2.0/") },
		rejected)
	r.faulty("no oid", func(f *fakeidp.Fault) { f.SetClaim("oid", nil) },
		func(r *fixture) { r.refused("A", broker.UpstreamMisconfigured) })
	r.faulty("oid that is no id", func(f *fakeidp.Fault) { f.SetClaim("oid", "victim:oid") },
		func(r *fixture) { r.refused("A", broker.UpstreamMisconfigured) })
	for _, acct := range []any{1, "1", 2, true, nil} {
		r.faulty("a guest's acct", func(f *fakeidp.Fault) { f.SetClaim("acct", acct) }, func(r *fixture) {
			if acct == nil {
				r.signsIn("A") // an optional claim
				return
			}
			r.refused("A", broker.WrongTenant)
		})
	}
	r.conn.Settings["allow_guests"] = "true"
	r.reset()
	if c := r.signsIn("G"); !strings.HasPrefix(c.Subject, tenantA+":") || c.Level != broker.EmailAsserted {
		t.Errorf("guest %+v", c)
	}
	r.signsIn("H")
	r.refused("B", broker.WrongTenant)
}

func TestB10_TheKeyOfOneTenantSignsForNoOther(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindMicrosoft, Personas: entraPeople()},
		modes["common, any"].settings)
	r.signsIn("A")
	r.faulty("key and issuer of A, tid of B", func(f *fakeidp.Fault) {
		f.KeyIssuer = r.idp.BaseURL() + "/" + tenantA + "/v2.0"
		f.SetClaim("tid", tenantB)
	}, func(r *fixture) {
		r.reset()
		r.refused("A", broker.UpstreamRejected)
	})
}

func TestB11_AKeySignsOnlyForItsIssuer(t *testing.T) {
	for _, mode := range []string{"single tenant by id", "organizations, listed", "common, any"} {
		t.Run(mode, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindMicrosoft, Personas: entraPeople()}, modes[mode].settings)
			r.signsIn("A")
			r.faulty("the consumers' key for an organization", func(f *fakeidp.Fault) { f.Forge = fakeidp.ForgeConsumerKey },
				func(r *fixture) { r.refused("A", broker.UpstreamRejected) })
			for name, issuer := range map[string]string{
				"of personal accounts": r.idp.BaseURL() + "/" + fakeidp.MSATenant + "/v2.0",
				"of tenant B":          r.idp.BaseURL() + "/" + tenantB + "/v2.0",
				"of another host":      "https://evil.example/{tenantid}/v2.0",
				"of nothing":           "x",
			} {
				r.faulty("a key "+name, func(f *fakeidp.Fault) { f.KeyIssuer = issuer }, func(r *fixture) {
					r.reset()
					r.refused("A", broker.UpstreamRejected)
				})
			}
		})
	}
}

func TestB9_MicrosoftsMetadataAreOneTenantsOrTheTemplate(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindMicrosoft, Personas: entraPeople()}, mode.settings)
			for _, issuer := range []string{"https://login.microsoftonline.com/" + tenantA + "/v2.0",
				r.idp.BaseURL() + "/{tenantid}/v1.0", r.idp.BaseURL(),
				"https://sts.windows.net/" + tenantA + "/", r.idp.BaseURL() + "/contoso.test/v2.0", ""} {
				r.idp.Misbehave(func(f *fakeidp.Fault) { f.Set(fakeidp.AtDiscovery, "issuer", issuer) })
				r.reset()
				r.refused("A", broker.UpstreamMisconfigured)
			}
			if tenant := mode.settings["tenant"]; tenant == "contoso.test" || guid.MatchString(tenant) || tenant == "consumers" {
				r.idp.Misbehave(func(f *fakeidp.Fault) { f.Set(fakeidp.AtDiscovery, "issuer", r.idp.BaseURL()+"/{tenantid}/v2.0") })
				r.reset()
				r.refused("A", broker.UpstreamMisconfigured)
			}
		})
	}
}

func TestC1_AnAddressEnteredByATenantProvesNothing(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindMicrosoft, Personas: []fakeidp.Persona{
		{Login: "mallory", Email: "victim@example.test", TenantID: tenantB, HostedDomain: "fabrikam.test"},
	}}, map[string]string{"tenant": "organizations", "any_tenant": "true"})
	for _, c := range []struct {
		edov  any
		level broker.Level
	}{
		{nil, broker.EmailAsserted}, {false, broker.EmailAsserted}, {"false", broker.EmailAsserted},
		{"0", broker.EmailAsserted}, {0, broker.EmailAsserted}, {"", broker.EmailAsserted},
		{"yes", broker.EmailAsserted}, {"True", broker.EmailAsserted},
		{2, broker.EmailAsserted}, {1.5, broker.EmailAsserted}, {[]bool{true}, broker.EmailAsserted},
		{map[string]bool{"true": true}, broker.EmailAsserted},
		{true, broker.EmailVerified}, {"true", broker.EmailVerified}, {"1", broker.EmailVerified}, {1, broker.EmailVerified},
	} {
		r.faulty("xms_edov", func(f *fakeidp.Fault) { f.SetClaim("xms_edov", c.edov) }, func(r *fixture) {
			got := r.signsIn("mallory")
			if got.Level != c.level || got.Email != "victim@example.test" || !strings.HasPrefix(got.Subject, tenantB+":") {
				r.Errorf("xms_edov %#v: %+v, want level %d", c.edov, got, c.level)
			}
		})
	}
	r.faulty("a no beside the yes", func(f *fakeidp.Fault) {
		f.SetClaim("xms_edov", true)
		f.SetClaim("email_verified",
			false)
	}, func(r *fixture) {
		if got := r.signsIn("mallory"); got.Level != broker.EmailAsserted {
			r.Errorf("level %d", got.Level)
		}
	})
	// No other claim is used as the address, with or without xms_edov.
	r.faulty("other names of an address", func(f *fakeidp.Fault) {
		f.SetClaim("email", nil)
		for _, claim := range []string{"upn", "preferred_username", "unique_name", "verified_primary_email", "mail",
			"nickname"} {
			f.SetClaim(claim, "victim@example.test")
		}
		f.SetClaim("xms_edov", true)
	}, func(r *fixture) {
		if got := r.signsIn("mallory"); got.Email != "" || got.Level != broker.None {
			r.Errorf("%q at level %d", got.Email, got.Level)
		}
	})
}

func TestNationalCloudsHaveTheirOwnHosts(t *testing.T) {
	for cloud, host := range entraClouds {
		e := newEntra(broker.Connection{Settings: map[string]string{"tenant": tenantA, "cloud": cloud}})
		if e.issuer(tenantA) != host+"/"+tenantA+"/v2.0" || e.accept(host+"/"+tenantA+"/v2.0") != nil {
			t.Errorf("%s: %s", cloud, e.issuer(tenantA))
		}
	}
	e := newEntra(broker.Connection{Settings: map[string]string{"tenant": tenantA, "cloud": "us"}})
	if e.accept("https://login.microsoftonline.com/"+tenantA+"/v2.0") == nil {
		t.Error("one cloud speaks for another")
	}
}
