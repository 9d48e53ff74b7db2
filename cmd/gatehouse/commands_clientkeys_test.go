package main

import (
	"slices"
	"strings"
	"testing"
)

// publicKeys is a JWK Set as an app's developer sends it.
const publicKeys = `{ "keys": [
  {"kty":"OKP","crv":"Ed25519","kid":"a","use":"sig","x":"tT6jM21GKE7Ct-XDoEOdGg2KMmSgHSSeLlRY8cCGpF4"} ] }`

func TestAClientThatProvesItselfWithAKeyHasNoSecret(t *testing.T) {
	o := newOperator(t)
	var c clientView
	add := strings.Fields(
		"clients add --id robot --name Robot --auth-method private_key_jwt --auth-alg EdDSA --grant client_credentials " +
			"--scope robots --json --jwks-file")
	o.shows(&c, append(slices.DeleteFunc(add, func(s string) bool {
		return s == "--json"
	}), o.file("keys.json", publicKeys))...)
	if c.Secret != "" || c.Secrets != 0 || c.AuthAlg != "EdDSA" || !strings.Contains(string(c.Keys), `"kid"`) ||
		!slices.Equal(c.AuthMethods, []string{"private_key_jwt"}) {
		t.Errorf("added: %+v", c)
	}
	o.isRefused("has no secret: it authenticates by private_key_jwt", "clients", "secret", "robot")

	// Keys by URL replace keys by value, and the reverse.
	o.shows(&c, "clients", "change", "robot", "--jwks-uri", "https://robot.example.test/keys")
	if c.Keys != nil || c.KeysURI == "" {
		t.Errorf("keys elsewhere: %+v", c)
	}
	c = clientView{}
	o.doesWith(publicKeys, "clients", "change", "robot", "--jwks-file", "-")
	if o.shows(&c, "clients", "show", "robot"); c.Keys == nil || c.KeysURI != "" {
		t.Errorf("keys here: %+v", c)
	}
	o.isRefused("--jwks-uri: excludes jwks", "clients", "change", "robot", "--jwks-uri", "https://robot.example.test/keys",
		"--jwks-file", o.file("keys.json", publicKeys))
	o.isRefused("--jwks-file: key 1 is a private key", "clients", "change", "robot", "--jwks-file", o.file("private.json",
		strings.Replace(publicKeys, `"kty"`, `"d":"AAAA","kty"`, 1)))
	o.isRefused("--jwks-file: must be a JWK Set", "clients", "change", "robot", "--jwks-file", o.file("empty.json", ""))
	o.isRefused(`--auth-alg: "HS256"`, "clients", "change", "robot", "--auth-alg", "HS256")

	// A second way is a secret, made and shown once; without it, it ends.
	o.shows(&c, "clients", "change", "robot", "--auth-method", "private_key_jwt", "--auth-method", "client_secret_post")
	if len(c.Secret) < 43 || c.Secrets != 1 || len(c.AuthMethods) != 2 {
		t.Errorf("two ways: %+v", c)
	}
	c = clientView{}
	if o.shows(&c, "clients", "change", "robot", "--auth-method", "private_key_jwt"); c.Secret != "" || c.Secrets != 0 {
		t.Errorf("one way again: %+v", c)
	}
}

func TestOneFlagHoldsAClientToTheFAPI2Profile(t *testing.T) {
	o := newOperator(t)
	var c clientView
	o.shows(&c, "clients", "add", "--id", "bank", "--name", "Bank", "--redirect-uri", "https://bank.example.test/cb",
		"--fapi2", "--jwks-uri", "https://bank.example.test/keys")
	strict := func(c clientView) bool {
		return c.FAPI2 && c.RequirePAR && c.DPoP && c.PKCE == "required" && c.IDTokenAlg == "ES256" && c.Secrets == 0 &&
			slices.Equal(c.AuthMethods, []string{"private_key_jwt"})
	}
	if !strict(c) || c.Secret != "" {
		t.Errorf("added: %+v", c)
	}
	for _, line := range []string{"--dpop=false", "--pkce default", "--require-par=false", "--error-iss off",
		"--auth-method client_secret_post", "--id-token-alg RS256", "--auth-alg RS256",
		"--redirect-uri http://localhost/cb"} {
		args := strings.Fields(line)
		flag, _, _ := strings.Cut(args[0], "=")
		o.isRefused("  "+flag+": ", append([]string{"clients", "change", "bank"}, args...)...)
	}
	o.shows(&c, "clients", "add", "--id", "wiki", "--name", "Wiki", "--redirect-uri", "https://wiki.example.test/cb")
	o.isRefused("--jwks-file: is missing", "clients", "change", "wiki", "--fapi2")
	c = clientView{}
	if o.shows(&c, "clients", "change", "wiki", "--fapi2", "--jwks-uri", "https://wiki.example.test/keys"); !strict(c) {
		t.Errorf("changed: %+v", c)
	}
	if o.shows(&c, "clients", "change", "wiki", "--fapi2=false", "--dpop=false"); c.FAPI2 || c.DPoP || !c.RequirePAR {
		t.Errorf("and back: %+v", c)
	}
}

func TestTheOldSecretCanBeEnded(t *testing.T) {
	w := newHarness(t)
	o := operatorOf(w)
	var c clientView
	o.shows(&c, "clients", "add", "--name", "Robot", "--grant", "client_credentials", "--scope", "robots")
	first, id := c.Secret, c.ID
	o.isRefused("has one secret", "clients", "secret", id, "--end-old")
	o.shows(&c, "clients", "secret", id)
	second := c.Secret
	if got := o.in("x", "clients", "secret", id, "--end-old", "--secret-file", "-"); got.code != wrongUsage {
		t.Errorf("exit %d", got.code)
	}
	c = clientView{}
	if o.shows(&c, "clients", "secret", id, "--end-old"); c.Secret != "" || c.Secrets != 1 {
		t.Errorf("ended: %+v", c)
	}
	for secret, want := range map[string]string{first: "invalid_client", second: ""} {
		if got := w.token(id, secret); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := o.logged(); got[len(got)-1] != "client.changed old secret ended" {
		t.Errorf("events %q", got)
	}
}

func TestEveryFieldOfAClientHasItsFlag(t *testing.T) {
	o := newOperator(t)
	line :=
		`clients add --id wiki --name Wiki --redirect-uri https://wiki.example.test/cb --backchannel-logout-uri
		https://wiki.example.test/back
		--frontchannel-logout-uri https://wiki.example.test/front --require-par --dpop --access-token jwt --audience api
		--default-max-age 0 --logo-uri https://wiki.example.test/l.png
		--client-uri https://wiki.example.test/ --policy-uri https://wiki.example.test/p --tos-uri
		https://wiki.example.test/t --initiate-login-uri https://wiki.example.test/i
		--contact ana@example.test --contact ben@example.test`
	var c clientView
	o.shows(&c, strings.Fields(line)...)
	if !c.RequirePAR || !c.DPoP || c.AccessToken != "jwt" || c.DefaultMaxAge == nil || *c.DefaultMaxAge != 0 ||
		c.Backchannel == "" || c.Frontchannel == "" ||
		c.LogoURI == "" || c.ClientURI == "" || c.PolicyURI == "" || c.TosURI == "" || c.InitiateLogin == "" ||
		len(c.Contacts) != 2 {
		t.Errorf("added: %+v", c)
	}
	table := o.does("clients", "show", "wiki")
	for _, cell := range []string{"jwt", "0 s", "/back", "/front", "/l.png", "/p", "/t", "/i", "ben@example.test"} {
		if !strings.Contains(table, cell) {
			t.Errorf("%s is not shown:\n%s", cell, table)
		}
	}
	c = clientView{}
	o.shows(&c, "clients", "change", "wiki", "--require-par=false", "--dpop=false", "--access-token", "opaque",
		"--default-max-age", "none", "--logo-uri", "")
	if c.RequirePAR || c.DPoP || c.AccessToken != "opaque" || c.DefaultMaxAge != nil || c.LogoURI != "" ||
		c.ClientURI == "" {
		t.Errorf("changed: %+v", c)
	}
	for _, wrong := range [][]string{{"--access-token", "saml"}, {"--default-max-age", "soon"}} {
		if got := o.in("", append([]string{"clients", "change", "wiki"}, wrong...)...); got.code != wrongUsage ||
			!strings.Contains(got.err, wrong[0]) {
			t.Errorf("%v: exit %d %s", wrong, got.code, got.err)
		}
	}
	for _, flag := range []string{"--backchannel-logout-uri", "--frontchannel-logout-uri", "--logo-uri", "--client-uri",
		"--policy-uri", "--tos-uri", "--initiate-login-uri", "--jwks-uri"} {
		o.isRefused("  "+flag+": ", "clients", "change", "wiki", flag, "http://wiki.example.test/")
	}
}

func TestADeclaredClientMayHaveEveryField(t *testing.T) {
	o := newOperator(t)
	o.vars = map[string]string{"WIKI": "Zk3vQ9xT2mW7pL4sD8fH1jC6bN5gR0yE"}
	o.configure("listen: "+freeAddress(t), "clients:",
		"  - {id: wiki, name: Wiki, secret: env:WIKI, auth_method: client_secret_post private_key_jwt, auth_alg: EdDSA, "+
			"jwks: 'file:"+o.file("keys.json", publicKeys)+"', redirect_uris: [https://wiki.example.test/],",
		"     backchannel_logout_uri: https://wiki.example.test/back, frontchannel_logout_uri: https://wiki.example.test/"+
			"front, require_par: true, dpop: true, access_token: jwt, audience: [api],",
		"     default_max_age: 0, logo_uri: https://wiki.example.test/l.png, client_uri: https://wiki.example.test/, "+
			"policy_uri: https://wiki.example.test/p, tos_uri: https://wiki.example.test/t,",
		"     initiate_login_uri: https://wiki.example.test/i, contacts: [ana@example.test]}",
		"  - {id: robot, name: Robot, auth_method: private_key_jwt, jwks_uri: https://robot.example.test/keys, "+
			"grant_types: [client_credentials], scopes: [robots]}")
	restart := func() []string {
		t.Helper()
		o.runs("Gatehouse serves", "serve", "--config", o.config).ends()
		return o.logged()
	}
	first := restart()
	if again := restart(); !slices.Equal(again, first) || len(first) != 2 {
		t.Errorf("a restart tells %q after %q", again, first)
	}
	var c clientView
	if o.shows(&c, "clients", "show", "wiki"); c.AuthAlg != "EdDSA" || c.Keys == nil || len(c.AuthMethods) != 2 ||
		c.Secrets != 1 || !c.RequirePAR || !c.DPoP || c.AccessToken != "jwt" ||
		!slices.Equal(c.Audience, []string{"api"}) || c.DefaultMaxAge == nil || c.Backchannel == "" || c.Frontchannel == "" ||
		c.LogoURI == "" || c.ClientURI == "" || c.PolicyURI == "" ||
		c.TosURI == "" || c.InitiateLogin == "" || len(c.Contacts) != 1 {
		t.Errorf("declared: %+v", c)
	}
	c = clientView{}
	if o.shows(&c, "clients", "show", "robot"); c.KeysURI == "" || c.Secrets != 0 {
		t.Errorf("declared: %+v", c)
	}
}
