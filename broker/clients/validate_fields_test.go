package clients

import (
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

func TestEveryRefusalOfARegisteredFieldNamesIt(t *testing.T) {
	curve, other, edwards := newHeldKey(t, "a", signing.ES256), newHeldKey(t, "b", signing.ES256),
		newHeldKey(t, "e", signing.EdDSA)
	good := func() broker.Client {
		age := 0
		return broker.Client{ID: "app", Name: "App", AuthMethods: []string{"client_secret_basic", MethodKey},
			SecretHashes: []string{"k1.x"}, Keys: keySetOf(t, curve, other, edwards),
			AuthAlg: signing.ES256, RedirectURIs: []string{callback}, GrantTypes: []string{GrantCode},
			Scopes: []string{"openid"}, PushedOnly: true, DPoPBound: true, JWTAccess: true,
			BackchannelLogoutURI: "https://app.example.com/back?of=app", FrontchannelLogoutURI: "https://app.example.com/front",
			DefaultMaxAge: &age, LogoURI: "https://cdn.example.com/l.png",
			ClientURI: "https://app.example.com", PolicyURI: "https://app.example.com/policy",
			TosURI: "https://app.example.com/tos", InitiateLoginURI: "https://app.example.com/login",
			Contacts: []string{"apps@example.com"}}
	}
	if p := Validate(good()); len(p) > 0 {
		t.Fatalf("a good one: %v", p)
	}
	age := func(n int) func(*broker.Client) { return func(c *broker.Client) { c.DefaultMaxAge = &n } }
	jwks := func(set string) func(*broker.Client) { return func(c *broker.Client) { c.Keys = set } }
	private := strings.Replace(keySetOf(t, curve), `"kty"`, `"d":"AAAA","kty"`, 1)
	uri := func(u string) func(*broker.Client) { return func(c *broker.Client) { c.Keys, c.KeysURI = "", u } }
	for name, c := range map[string]struct {
		change func(*broker.Client)
		field  string
	}{
		"a method twice": {func(c *broker.Client) {
			c.AuthMethods = append(c.AuthMethods, MethodKey)
		}, "token_endpoint_auth_method"},
		"none and a key": {func(c *broker.Client) {
			c.AuthMethods, c.SecretHashes = []string{"none", MethodKey}, nil
		}, "token_endpoint_auth_method"},
		"client_secret_jwt": {func(c *broker.Client) { c.AuthMethods = append(c.AuthMethods, "client_secret_jwt") },
			"token_endpoint_auth_method"},
		"a secret that nothing takes": {func(c *broker.Client) { c.AuthMethods = []string{MethodKey} }, "client_secret"},
		"a method without its secret": {func(c *broker.Client) { c.SecretHashes = nil }, "client_secret"},
		"HS256":                       {func(c *broker.Client) { c.AuthAlg = "HS256" }, "token_endpoint_auth_signing_alg"},
		"alg none":                    {func(c *broker.Client) { c.AuthAlg = "none" }, "token_endpoint_auth_signing_alg"},
		"no keys":                     {jwks(""), "jwks"},
		"a set of none":               {jwks(`{"keys":[]}`), "jwks"},
		"no set":                      {jwks(`[]`), "jwks"},
		"no JSON":                     {jwks(`{"keys":[`), "jwks"},
		"a key alone": {jwks(strings.TrimSuffix(strings.TrimPrefix(keySetOf(t, curve), `{"keys":[`), `]}`)),
			"jwks"},
		"a private key": {jwks(private), "jwks"},
		"a shared secret": {jwks(`{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`),
			"jwks"},
		"a key for secrecy": {jwks(strings.Replace(keySetOf(t, curve), `"kty"`, `"use":"enc","kty"`, 1)), "jwks"},
		"a key off the curve": {
			jwks(
				`{"keys":[{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE",` +
					`"y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}]}`), "jwks"},
		"a short RSA key": {jwks(`{"keys":[{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("q", 170) + `"}]}`),
			"jwks"},
		"another curve":             {jwks(`{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}]}`), "jwks"},
		"a key for another alg":     {jwks(strings.Replace(keySetOf(t, curve), `"kty"`, `"alg":"RS256","kty"`, 1)), "jwks"},
		"a kid twice":               {jwks(keySetOf(t, curve, curve)), "jwks"},
		"no kid, and more than one": {jwks(strings.Replace(keySetOf(t, curve, other), `"kid":"a",`, "", 1)), "jwks"},
		"no key for the alg":        {jwks(keySetOf(t, edwards)), "jwks"},
		"too much": {jwks(strings.Replace(keySetOf(t, curve), "{", "{"+strings.Repeat(" ", MaxKeySet), 1)),
			"jwks"},
		"keys here and there":      {func(c *broker.Client) { c.KeysURI = "https://app.example.com/keys" }, "jwks_uri"},
		"keys over http":           {uri("http://app.example.com/keys"), "jwks_uri"},
		"keys over http, loopback": {uri("http://127.0.0.1/keys"), "jwks_uri"},
		"keys with a fragment":     {uri("https://app.example.com/keys#x"), "jwks_uri"},
		"keys with a password":     {uri("https://me:you@app.example.com/keys"), "jwks_uri"},
		"keys in a file":           {uri("file:///etc/passwd"), "jwks_uri"},
		"back over http": {func(c *broker.Client) { c.BackchannelLogoutURI = "http://app.example.com/back" },
			"backchannel_logout_uri"},
		"back with a fragment": {func(c *broker.Client) { c.BackchannelLogoutURI += "#x" }, "backchannel_logout_uri"},
		"front over http": {func(c *broker.Client) { c.FrontchannelLogoutURI = "http://app.example.com/front" },
			"frontchannel_logout_uri"},
		"front with a fragment": {func(c *broker.Client) { c.FrontchannelLogoutURI += "#x" }, "frontchannel_logout_uri"},
		"front elsewhere": {func(c *broker.Client) { c.FrontchannelLogoutURI = "https://other.example.com/front" },
			"frontchannel_logout_uri"},
		"front on another port": {func(c *broker.Client) {
			c.FrontchannelLogoutURI = "https://app.example.com:8443/front"
		}, "frontchannel_logout_uri"},
		"front with a sid": {func(c *broker.Client) {
			c.FrontchannelLogoutURI += "?sid=x"
		}, "frontchannel_logout_uri"},
		"front as a script": {func(c *broker.Client) {
			c.FrontchannelLogoutURI = "javascript:alert(1)"
		}, "frontchannel_logout_uri"},
		"an age below zero": {age(-1), "default_max_age"},
		"an age beyond":     {age(longestMaxAge + 1), "default_max_age"},
		"pushed, without a code": {func(c *broker.Client) {
			c.GrantTypes, c.Scopes = []string{GrantClient}, []string{"photos"}
		}, "require_pushed_authorization_requests"},
		"a logo over http":          {func(c *broker.Client) { c.LogoURI = "http://cdn.example.com/l.png" }, "logo_uri"},
		"a logo of data":            {func(c *broker.Client) { c.LogoURI = "data:image/png;base64,AA" }, "logo_uri"},
		"a page over http":          {func(c *broker.Client) { c.ClientURI = "http://localhost/" }, "client_uri"},
		"a policy that is a script": {func(c *broker.Client) { c.PolicyURI = "javascript:alert(1)" }, "policy_uri"},
		"terms without a scheme":    {func(c *broker.Client) { c.TosURI = "app.example.com/tos" }, "tos_uri"},
		"a login over http": {func(c *broker.Client) {
			c.InitiateLoginURI = "http://app.example.com/login"
		}, "initiate_login_uri"},
		"an empty contact":       {func(c *broker.Client) { c.Contacts = []string{""} }, "contacts"},
		"a contact of two lines": {func(c *broker.Client) { c.Contacts = []string{"a\nb"} }, "contacts"},
		"too many contacts": {func(c *broker.Client) {
			c.Contacts = strings.Fields(strings.Repeat("a@example.com ", 21))
		}, "contacts"},
		"a native app's bare scheme": {func(c *broker.Client) {
			c.Native, c.RedirectURIs = true, append(c.RedirectURIs, "myapp:/cb")
		}, "redirect_uris"},
		"a native app's http": {func(c *broker.Client) {
			c.Native, c.RedirectURIs = true, append(c.RedirectURIs, "http://app.example.com/cb")
		}, "redirect_uris"},
		"a native app's upper scheme": {func(c *broker.Client) {
			c.Native, c.RedirectURIs = true, append(c.RedirectURIs, "com.Example.app:/cb")
		}, "redirect_uris"},
		"a native app's wildcard port": {func(c *broker.Client) {
			c.Native, c.RedirectURIs = true, append(c.RedirectURIs, "http://127.0.0.1:*/cb")
		}, "redirect_uris"},
	} {
		client := good()
		c.change(&client)
		problems := Validate(client)
		if len(problems) != 1 || problems[0].Field != c.field || !strings.HasPrefix(problems[0].String(), c.field+": ") {
			t.Errorf("%s: %v, want one of %s", name, problems, c.field)
		}
		for _, p := range problems {
			if strings.Contains(p.String(), "AAAA") && c.field == "jwks" {
				t.Errorf("%s: the reason repeats a key: %s", name, p)
			}
		}
	}
}

func TestWhatAClientMayRegister(t *testing.T) {
	key := newHeldKey(t, "a", signing.ES256)
	for name, c := range map[string]broker.Client{
		"keys that nothing uses": {AuthMethods: []string{"client_secret_basic"}, SecretHashes: []string{"k1.x"},
			Keys: keySetOf(t, key)},
		"one key without a kid": {AuthMethods: []string{MethodKey}, Keys: strings.Replace(keySetOf(t, key),
			`"kid":"a",`, "", 1)},
		"keys elsewhere": {AuthMethods: []string{MethodKey}, KeysURI: "https://app.example.com/keys?of=app"},
		"every algorithm": {AuthMethods: []string{MethodKey}, Keys: keySetOf(t, key,
			newHeldKey(t, "r", signing.RS256), newHeldKey(t, "e", signing.EdDSA))},
		"logout on a developer's own": {AuthMethods: []string{"none"}, RedirectURIs: []string{"http://localhost:3000/cb"},
			BackchannelLogoutURI: "http://127.0.0.1:3000/b", FrontchannelLogoutURI: "http://localhost:3000/f"},
		"a native app's three kinds": {AuthMethods: []string{"none"}, Native: true,
			RedirectURIs: []string{"com.example.app:/cb", "http://127.0.0.1/cb", "http://[::1]/cb",
				"https://app.example.com/claimed"}},
		"a scheme with an authority": {AuthMethods: []string{"none"}, Native: true,
			RedirectURIs: []string{"com.example.app://cb"}},
		"a public client held to DPoP": {AuthMethods: []string{"none"}, DPoPBound: true, PushedOnly: true},
	} {
		c.ID, c.Name, c.GrantTypes, c.Scopes = "app", "App", []string{GrantCode}, []string{"openid"}
		if c.RedirectURIs == nil {
			c.RedirectURIs = []string{callback}
		}
		if p := Validate(c); len(p) > 0 {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func TestKeysAreStoredInOneSpelling(t *testing.T) {
	set := keySetOf(t, newHeldKey(t, "a", signing.ES256))
	if got := CompactKeys(" " + strings.Replace(set, ",", " ,\n ", -1) + "\n"); got != set {
		t.Errorf("%s", got)
	}
	if got := CompactKeys("{"); got != "{" {
		t.Errorf("%s", got)
	}
}
