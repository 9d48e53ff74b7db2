package providers

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

func TestB2_ACodeIsGoodForItsOwnLoginOnly(t *testing.T) {
	for _, kind := range []string{fakeidp.KindOIDC, fakeidp.KindGoogle, fakeidp.KindMicrosoft, fakeidp.KindADFS,
		fakeidp.KindFacebook, fakeidp.KindGitHub} {
		t.Run(kind, func(t *testing.T) {
			settings := map[string]string{}
			if kind == fakeidp.KindMicrosoft {
				settings = map[string]string{"tenant": tenantA}
			}
			r := newFixture(t, fakeidp.Options{Kind: kind}, settings)
			r.redirect = func(_ *url.URL, q url.Values) {
				if q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || q.Get("state") == "" {
					t.Errorf("departure without PKCE: %v", q)
				}
			}
			person := r.idp.Personas()[0].Login
			for name, fault := range map[string]func(*fakeidp.Fault){"PKCE honoured": func(*fakeidp.Fault) {},
				"PKCE ignored": func(f *fakeidp.Fault) { f.IgnorePKCE = true }} {
				if name == "PKCE ignored" && (kind == fakeidp.KindFacebook || kind == fakeidp.KindGitHub) {
					continue // without an ID token there is no nonce to fall back on
				}
				r.faulty(name, fault, func(r *fixture) {
					_, stolen, err := r.begin(person)
					if err != nil {
						t.Fatal(err)
					}
					mine := r.newRequest()
					stolen.Set("state", mine.State)
					if c, err := r.open().Finish(t.Context(), mine, stolen); err == nil {
						r.Errorf("%s came in with another login's code", c.Subject)
					}
				})
			}
		})
	}
}

func TestB3_AResponseOfAnotherIssuerNeverConsumesACode(t *testing.T) {
	r := oidcFixture(t)
	r.signsIn("vera")
	before := r.idp.Calls(fakeidp.AtToken)
	for name, iss := range map[string]any{"missing": nil, "another": "https://accounts.google.com",
		"prefix": r.idp.Issuer() + "x", "with a slash": r.idp.Issuer() + "/"} {
		r.faulty(name, func(f *fakeidp.Fault) { f.Set(fakeidp.AtAuthorize, "iss", iss) },
			func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	}
	r.response = func(q url.Values) { q.Add("iss", "https://evil.example") }
	r.refused("vera", broker.UpstreamRejected)
	r.response = func(q url.Values) { q.Add("code", "another") }
	r.refused("vera", broker.UpstreamRejected)
	r.response = func(q url.Values) { q.Set("state", "another") }
	r.refused("vera", broker.StateInvalid)
	r.response = nil
	r.request = func(upstreamRequest *broker.UpstreamRequest) { upstreamRequest.Connection = "other" }
	upstreamRequest := r.newRequest()
	c, err := r.open().Finish(t.Context(), upstreamRequest, url.Values{"code": {"x"}, "state": {upstreamRequest.State},
		"iss": {r.idp.Issuer()}})
	refusal(t, c, err, broker.StateInvalid)
	if _, err := r.open().Begin(t.Context(), upstreamRequest); broker.CodeOf(err) != broker.StateInvalid {
		t.Errorf("begin with another connection's trip: %v", err)
	}
	if after := r.idp.Calls(fakeidp.AtToken); after != before {
		t.Errorf("the token endpoint was asked %d times", after-before)
	}
}

func TestB3_AnIssuerThatComesUnannouncedIsCompared(t *testing.T) {
	for kind, settings := range map[string]map[string]string{fakeidp.KindGoogle: nil,
		fakeidp.KindMicrosoft: {"tenant": "common", "any_tenant": "true"}, fakeidp.KindADFS: nil, fakeidp.KindGitHub: nil,
		fakeidp.KindFacebook: nil} {
		t.Run(kind, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: kind}, settings)
			person := r.idp.Personas()[0].Login
			r.response = func(q url.Values) { q.Set("iss", "https://evil.example") }
			r.refused(person, broker.UpstreamRejected)
			if n := r.idp.Calls(fakeidp.AtToken); n != 0 {
				t.Error("the code went to the token endpoint")
			}
		})
	}
	t.Run("microsoft, of another tenant", func(t *testing.T) {
		r := entraFixture(t, map[string]string{"tenant": "common", "any_tenant": "true"})
		r.response = func(q url.Values) { q.Set("iss", r.idp.BaseURL()+"/"+tenantB+"/v2.0") }
		r.refused("bruno", broker.UpstreamRejected)
		r.response = func(q url.Values) { q.Set("iss", r.idp.BaseURL()+"/"+tenantA+"/v2.0") }
		r.signsIn("bruno")
	})
}

func TestB9_MetadataSpeakForTheirOwnIssuerOnly(t *testing.T) {
	r := oidcFixture(t)
	for name, doc := range map[string]map[string]any{
		"another issuer":         {"issuer": "https://accounts.google.com"},
		"the issuer and a slash": {"issuer": r.idp.Issuer() + "/"},
		"no issuer":              {"issuer": nil},
		"issuer of another sort": {"issuer": []string{r.idp.Issuer()}},
		"no token endpoint":      {"token_endpoint": nil},
		"no keys":                {"jwks_uri": nil},
		"a script":               {"authorization_endpoint": "javascript:alert(1)"},
		"data":                   {"authorization_endpoint": "data:text/html,x"},
		"credentials":            {"token_endpoint": "https://user:pass@example.com/token"},
		"a relative endpoint":    {"token_endpoint": "/token"},
		"a file":                 {"jwks_uri": "file:///etc/passwd"},
		"userinfo elsewhere":     {"userinfo_endpoint": "gopher://x"},
	} {
		r.faulty(name, func(f *fakeidp.Fault) {
			for member, v := range doc {
				f.Set(fakeidp.AtDiscovery, member, v)
			}
		}, func(r *fixture) {
			r.reset()
			r.refused("vera", broker.UpstreamMisconfigured)
		})
	}
	r.faulty("issuer twice", func(f *fakeidp.Fault) {
		f.Rewrite(fakeidp.AtDiscovery, fakeidp.DuplicateMember("issuer", r.idp.Issuer()))
	}, func(r *fixture) {
		r.reset()
		r.refused("vera", broker.UpstreamMisconfigured)
	})
	r.faulty("a redirect", func(f *fakeidp.Fault) {
		f.Break(fakeidp.Break{Redirect: r.idp.BaseURL() + "/jwks"}, fakeidp.AtDiscovery)
	}, func(r *fixture) {
		r.reset()
		r.refused("vera", broker.UpstreamMisconfigured)
	})
}

func TestB9_EndpointsThatMoveToAnotherHostNeedAnAdministrator(t *testing.T) {
	for name, doc := range map[string][2]string{
		"token endpoint": {"token_endpoint", "https://evil.example/token"}, "keys": {"jwks_uri", "https://evil.example/keys"},
	} {
		t.Run(name, func(t *testing.T) {
			r := oidcFixture(t)
			r.signsIn("vera")
			r.idp.Misbehave(func(f *fakeidp.Fault) { f.Set(fakeidp.AtDiscovery, doc[0], doc[1]) })
			r.clock.advance(maxLife + time.Second)
			r.signsIn("vera") // with the metadata accepted before
			if m, err := unwrap(t, r.open()).meta.get(t.Context()); err != nil || strings.Contains(m.token+m.jwks, "evil") {
				t.Errorf("metadata %+v, %v", m, err)
			}
			r.reset()
			if _, err := r.login("vera"); err == nil {
				t.Error("the saved connection did not accept the new endpoint")
			}
		})
	}
}

func TestTheIssuerIsComparedByteForByte(t *testing.T) {
	for _, path := range []string{"", "/", "/realms/demo", "/realms/demo/"} {
		t.Run("issuer path "+path, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindOIDC, IssuerPath: path}, nil)
			if c := r.signsIn("vera"); c.Issuer != r.idp.BaseURL()+path {
				t.Errorf("issuer %q", c.Issuer)
			}
			r.conn.Issuer = " \t" + r.conn.Issuer + wellKnown + "\n"
			r.reset()
			if strings.HasSuffix(path, "/") { // appended to a trailing slash, the path would have two
				r.conn.Issuer = " " + r.idp.Issuer() + "\n"
			}
			r.signsIn("vera")
		})
	}
	r := oidcFixture(t)
	r.conn.Issuer += "/"
	r.refused("vera", broker.UpstreamMisconfigured)
}

func TestB14_UserinfoOfAnotherPersonIsRefused(t *testing.T) {
	r := oidcFixture(t)
	for name, sub := range map[string]any{"another": "victim", "missing": nil, "number": 1, "list": []string{"x"}} {
		r.faulty(name, func(f *fakeidp.Fault) {
			f.SetClaim("email", nil)
			f.Set(fakeidp.AtUserInfo, "sub", sub)
			f.Set(fakeidp.AtUserInfo, "email", "victim@example.test")
		}, func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	}
	r.faulty("sub twice", func(f *fakeidp.Fault) {
		f.SetClaim("email", nil)
		f.Rewrite(fakeidp.AtUserInfo, fakeidp.DuplicateMember("sub", "victim"))
	}, func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	r.faulty("down", func(f *fakeidp.Fault) { f.SetClaim("email", nil); f.Down(fakeidp.AtUserInfo) },
		func(r *fixture) { r.refused("vera", broker.ConnectionUnavailable) })
	r.faulty("honest", func(f *fakeidp.Fault) { f.SetClaim("email", nil) }, func(r *fixture) {
		if c := r.signsIn("vera"); c.Email != "vera@example.test" || c.Level != broker.EmailVerified {
			r.Errorf("claims %+v", c)
		}
	})
}

func TestB15_AddressAndVerificationComeFromOneDocument(t *testing.T) {
	r := oidcFixture(t)
	for _, c := range []struct {
		name         string
		idEmail      any
		idVerified   any
		infoEmail    any
		infoVerified any
		email        string
		level        broker.Level
	}{
		{"both in the token", "a@example.test", true, nil, nil, "a@example.test", broker.EmailVerified},
		{"both at userinfo", nil, nil, "b@example.test", true, "b@example.test", broker.EmailVerified},
		{"address in the token, yes at userinfo", "a@example.test", nil, nil, true, "a@example.test", broker.EmailAsserted},
		{"address at userinfo, yes in the token", nil, true, "b@example.test", nil, "b@example.test", broker.EmailAsserted},
		{"address at userinfo, no in the token", nil, false, "b@example.test", true, "b@example.test", broker.EmailAsserted},
		{"unsaid in the token, no at userinfo", "a@example.test", nil, "a@example.test", false, "a@example.test",
			broker.EmailAsserted},
		{"no in the token, yes at userinfo", "a@example.test", false, "a@example.test", true, "a@example.test",
			broker.EmailAsserted},
		{"unsaid in the token, another yes at userinfo", "a@example.test", nil, "b@example.test", true, "b@example.test",
			broker.EmailVerified},
		{"unsaid everywhere", "a@example.test", nil, "a@example.test", nil, "a@example.test", broker.EmailAsserted},
		{"nothing anywhere", nil, nil, nil, nil, "", broker.None},
		{"yes as text", "a@example.test", "true", nil, nil, "a@example.test", broker.EmailVerified},
		{"yes as shouted text", "a@example.test", "TRUE", "a@example.test", true, "a@example.test", broker.EmailAsserted},
		{"yes as number", "a@example.test", 1, nil, nil, "a@example.test", broker.EmailAsserted},
		{"yes as list", "a@example.test", []bool{true}, nil, nil, "a@example.test", broker.EmailAsserted},
	} {
		r.faulty(c.name, func(f *fakeidp.Fault) {
			f.SetClaim("email", c.idEmail)
			f.SetClaim("email_verified", c.idVerified)
			f.Set(fakeidp.AtUserInfo, "email", c.infoEmail)
			f.Set(fakeidp.AtUserInfo, "email_verified", c.infoVerified)
		}, func(r *fixture) {
			got := r.signsIn("vera")
			if got.Email != c.email || got.Level != c.level {
				r.Errorf("%q at level %d, want %q at %d", got.Email, got.Level, c.email, c.level)
			}
		})
	}
}

func TestB17_ADisabledConnectionRefusesSignIns(t *testing.T) {
	for _, kind := range []string{fakeidp.KindOIDC, fakeidp.KindFacebook, fakeidp.KindGitHub} {
		t.Run(kind, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: kind}, nil)
			person := r.idp.Personas()[0].Login
			upstreamRequest, answer, err := r.begin(person)
			if err != nil {
				t.Fatal(err)
			}
			r.conn.State = broker.Disabled // while the person is at the provider
			c, err := r.open().Finish(t.Context(), upstreamRequest, answer)
			refusal(t, c, err, broker.ConnectionDisabled)
			if d, err := r.open().Begin(t.Context(), upstreamRequest); d.URL != "" ||
				broker.CodeOf(err) != broker.ConnectionDisabled {
				t.Errorf("departure %q, %v", d.URL, err)
			}
			if n := r.idp.Calls(fakeidp.AtToken); n != 0 {
				t.Error("the code was redeemed")
			}
			n, ok := r.open().(broker.Notifier)
			if kind == fakeidp.KindFacebook && !ok {
				t.Fatal("takes no notices")
			}
			if kind == fakeidp.KindFacebook { // deletion requests still work
				signed := r.idp.SignedRequest("42", r.clock.now())
				if said, err := n.Notice(t.Context(), broker.NoticeDeletion, url.Values{"signed_request": {signed}}); err != nil ||
					said.Subject != "42" {
					t.Errorf("notice %+v, %v", said, err)
				}
			}
			r.conn.State = broker.Draft
			r.signsIn(person) // so that it can be tested before it goes live
		})
	}
}
