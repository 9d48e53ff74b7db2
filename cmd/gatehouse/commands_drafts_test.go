package main

import (
	"encoding/json"
	"strings"
	"testing"

	"gatehouse/providers/fakeidp"
)

// draft adds a connection of kind oidc to a simulated provider, and returns what the command prints.
func (o *operator) draft(idp *fakeidp.Server, issuer string, more ...string) outcome {
	o.t.Helper()
	id, secret := idp.Client()
	return o.in(secret, append([]string{"connections", "add", "corp", "--kind", "oidc", "--name", "Corp", "--issuer",
		issuer,
		"--client-id", id}, more...)...)
}

func TestANewConnectionIsADraftUntilItsProviderAnswers(t *testing.T) {
	idp, stop := fakeidp.Start(fakeidp.Options{Kind: fakeidp.KindOIDC})
	defer stop()
	o := newOperator(t, "issuer: http://localhost:8080", "upstream_networks: [127.0.0.0/8]")
	o.doesWith("s", "connections", "add", "google", "--live", "--kind", "google", "--name", "Google", "--client-id", "c",
		"--client-secret-file", "-")
	idp.Misbehave(func(f *fakeidp.Fault) { f.Down(fakeidp.AtDiscovery) })
	got := o.draft(idp, idp.Issuer(), "--client-secret-file", "-")
	if got.code != 0 || !strings.Contains(got.err, "corp is a draft") ||
		!strings.Contains(got.err, idp.Issuer()+"/.well-known/openid-configuration: status 503") {
		t.Fatalf("exit %d %s", got.code, got.err)
	}
	var c connectionView
	if o.shows(&c, "connections", "show", "corp"); c.State != "draft" || c.Position != 1 {
		t.Errorf("%+v", c)
	}
	for _, command := range []string{"test", "enable"} {
		o.isRefused("status 503", "connections", command, "corp")
	}
	idp.Behave()
	o.does("connections", "test", "corp")
	if o.shows(&c, "connections", "enable", "corp"); c.State != "live" {
		t.Errorf("%+v", c)
	}
	o.isRefused("the issuer is given as --issuer to connections add and never changes", "connections", "change", "corp",
		"--set", "issuer=https://other.example")
	o.isRefused("use connections secret", "connections", "change", "corp", "--set", "client_secret=s")
}

func TestCheckWarnsOfADraftThatCannotWorkAndSaysThatItIsADraft(t *testing.T) {
	idp, stop := fakeidp.Start(fakeidp.Options{Kind: fakeidp.KindOIDC})
	defer stop()
	o := newOperator(t, "issuer: http://localhost:8080", "upstream_networks: [127.0.0.0/8]")
	if got := o.draft(idp, idp.Issuer(), "--client-secret-file", "-"); got.code != success {
		t.Fatal(got.err)
	}
	checked := func() finding {
		t.Helper()
		var found []finding
		o.shows(&found, "check") // it succeeds
		f := found[len(found)-1]
		if f.What != "connection corp" || !f.OK || f.Problem != "" {
			t.Errorf("found %+v", f)
		}
		return f
	}
	if f := checked(); f.Warning != "" || !strings.Contains(f.Note, "a draft, and its provider answers") {
		t.Errorf("found %+v", f)
	}
	idp.Misbehave(func(f *fakeidp.Fault) { f.Down(fakeidp.AtDiscovery) })
	if f := checked(); f.Note != "" || !strings.Contains(f.Warning, "it is a draft, and no sign-in can work: ") ||
		!strings.Contains(f.Warning, "status 503") {
		t.Errorf("found %+v", f)
	}
	if out := o.does("check"); !strings.Contains(out, "connection corp  warning  it is a draft") {
		t.Errorf("it prints\n%s", out)
	}
}

func TestAnUnreachableIssuerIsNamedWithItsCure(t *testing.T) {
	o := newOperator(t, "issuer: http://localhost:8080", "upstream_networks: [127.0.0.0/8]")
	issuer := "http://" + freeAddress(t)
	got := o.in("s", "connections", "add", "corp", "--kind", "oidc", "--name", "Corp", "--issuer", issuer,
		"--client-id", "c", "--client-secret-file", "-")
	for _, text := range []string{"corp is a draft: no sign-in through corp can work: ", issuer,
		"check the address, and that this machine can reach it", "gatehouse connections test corp"} {
		if got.code != success || !strings.Contains(got.err, text) {
			t.Errorf("exit %d, want %q in\n%s", got.code, text, got.err)
		}
	}
	if got := o.in("", "connections", "test", "corp"); got.code != failure || strings.Contains(got.err, "--help") {
		t.Errorf("exit %d\n%s", got.code, got.err)
	}
}

func TestCheckFindsWhatDiscoverySaysCannotWork(t *testing.T) {
	for want, opts := range map[string]struct {
		idp   fakeidp.Options
		fault func(*fakeidp.Fault)
	}{
		"generate a key": {fakeidp.Options{ClientAuth: "private_key_jwt"}, nil},
		"it signs ID tokens only with HS256": {fakeidp.Options{}, func(f *fakeidp.Fault) {
			f.Set(fakeidp.AtDiscovery, "id_token_signing_alg_values_supported", []string{"HS256"})
		}},
		"names no pushed_authorization_request_endpoint": {fakeidp.Options{RequirePAR: true}, func(f *fakeidp.Fault) {
			f.Remove(fakeidp.AtDiscovery, "pushed_authorization_request_endpoint")
		}},
		"only the response types id_token": {fakeidp.Options{}, func(f *fakeidp.Fault) {
			f.Set(fakeidp.AtDiscovery, "response_types_supported", []string{"id_token"})
		}},
		"no usable key": {fakeidp.Options{}, func(f *fakeidp.Fault) { f.Set(fakeidp.AtJWKS, "keys", []any{}) }},
	} {
		t.Run(want, func(t *testing.T) {
			opts.idp.Kind, opts.idp.Alg = fakeidp.KindOIDC, "ES256"
			idp, stop := fakeidp.Start(opts.idp)
			defer stop()
			if opts.fault != nil {
				idp.Misbehave(opts.fault)
			}
			o := newOperator(t, "issuer: http://localhost:8080", "upstream_networks: [127.0.0.0/8]")
			if got := o.draft(idp, idp.Issuer(), "--client-secret-file", "-", "--live"); got.code != 0 {
				t.Fatal(got.err)
			}
			if got := o.in("", "check"); got.code == 0 || !strings.Contains(got.out, want) {
				t.Errorf("exit %d, want %q in\n%s", got.code, want, got.out)
			}
		})
	}
}

func TestAPastedDiscoveryAddressKeepsTheSlashOfTheIssuer(t *testing.T) {
	for _, path := range []string{"/", ""} {
		idp, stop := fakeidp.Start(fakeidp.Options{Kind: fakeidp.KindOIDC, IssuerPath: path, Alg: "ES256"})
		defer stop()
		o := newOperator(t, "issuer: http://localhost:8080", "upstream_networks: [127.0.0.0/8]")
		got := o.draft(idp, idp.BaseURL()+"/.well-known/openid-configuration", "--client-secret-file", "-")
		var c connectionView
		if o.shows(&c, "connections", "show", "corp"); got.code != 0 || c.Issuer != idp.Issuer() {
			t.Errorf("issuer %q, want %q: %s", c.Issuer, idp.Issuer(), got.err)
		}
		o.does("connections", "enable", "corp")
	}
}

func TestAGeneratedKeyAuthenticatesAndOnlyItsPublicPartIsShown(t *testing.T) {
	idp, stop := fakeidp.Start(fakeidp.Options{Kind: fakeidp.KindOIDC, ClientAuth: "private_key_jwt", RequirePAR: true})
	defer stop()
	o := newOperator(t, "issuer: http://localhost:8080", "upstream_networks: [127.0.0.0/8]")
	idp.AddRedirectURI("http://localhost:8080/callback/corp")
	got := o.draft(idp, idp.Issuer(), "--generate-key", "--json")
	var c connectionView
	if err := json.Unmarshal([]byte(got.out), &c); err != nil || strings.Contains(got.out, `"d"`) ||
		!strings.Contains(string(c.ClientKeys), `"RSA"`) {
		t.Fatalf("%v %s %s", err, got.out, got.err)
	}
	o.isRefused("no sign-in through corp can work", "connections", "enable",
		"corp") // the provider does not know the key yet
	idp.SetClientKeys(c.ClientKeys)
	o.does("connections", "enable", "corp")
	o.shows(&c, "connections", "secret", "corp", "--generate-key")
	if c.Secrets != 2 || strings.Count(string(c.ClientKeys), `"kid"`) != 2 {
		t.Errorf("%+v", c)
	}
}
