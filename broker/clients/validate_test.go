package clients

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
)

const (
	callback = "https://app.example.com/callback"
	goodbye  = "https://app.example.com/goodbye"
)

func TestEveryRefusalOfAClientNamesItsField(t *testing.T) {
	good := func() broker.Client {
		return broker.Client{ID: "app", Name: "App", AuthMethods: []string{"client_secret_basic"},
			SecretHashes: []string{"k1.x"}, RedirectURIs: []string{callback},
			PostLogoutRedirectURIs: []string{goodbye}, GrantTypes: []string{GrantCode, GrantRefresh}, Scopes: []string{"openid",
				"offline_access"}}
	}
	if p := Validate(good()); len(p) > 0 {
		t.Fatalf("a good one: %v", p)
	}
	public := func(c *broker.Client) { c.AuthMethods, c.SecretHashes = []string{"none"}, nil }
	for name, c := range map[string]struct {
		change func(*broker.Client)
		field  string
	}{
		"no id":                 {func(c *broker.Client) { c.ID = "" }, "client_id"},
		"an id with a space":    {func(c *broker.Client) { c.ID = "my app" }, "client_id"},
		"an id with a colon":    {func(c *broker.Client) { c.ID = "a:b" }, "client_id"},
		"no name":               {func(c *broker.Client) { c.Name = " " }, "client_name"},
		"a name with a newline": {func(c *broker.Client) { c.Name = "a\nb" }, "client_name"},
		"no method":             {func(c *broker.Client) { c.AuthMethods = nil }, "token_endpoint_auth_method"},
		"tls_client_auth": {func(c *broker.Client) {
			c.AuthMethods = []string{"tls_client_auth"}
		}, "token_endpoint_auth_method"},
		"public with a secret": {func(c *broker.Client) {
			c.AuthMethods = []string{"none"}
		}, "token_endpoint_auth_method"},
		"no secret":           {func(c *broker.Client) { c.SecretHashes = nil }, "client_secret"},
		"three secrets":       {func(c *broker.Client) { c.SecretHashes = []string{"a", "b", "c"} }, "client_secret"},
		"public without PKCE": {func(c *broker.Client) { public(c); c.PKCE = broker.PKCEOff }, "pkce"},
		"no grant":            {func(c *broker.Client) { c.GrantTypes, c.Scopes = nil, nil }, "grant_types"},
		"password grant": {func(c *broker.Client) {
			c.GrantTypes = append(c.GrantTypes, "password")
		}, "grant_types"},
		"a grant twice": {func(c *broker.Client) { c.GrantTypes = append(c.GrantTypes, GrantCode) }, "grant_types"},
		"public machine": {func(c *broker.Client) { public(c); c.GrantTypes = append(c.GrantTypes, GrantClient) },
			"grant_types"},
		"refresh alone":   {func(c *broker.Client) { c.GrantTypes = []string{GrantRefresh} }, "grant_types"},
		"no redirect URI": {func(c *broker.Client) { c.RedirectURIs = nil }, "redirect_uris"},
		"plain http": {func(c *broker.Client) { c.RedirectURIs = []string{"http://app.example.com/cb"} },
			"redirect_uris"},
		"a fragment": {func(c *broker.Client) { c.RedirectURIs = []string{callback + "#x"} }, "redirect_uris"},
		"a wildcard": {func(c *broker.Client) { c.RedirectURIs = []string{"https://*.example.com/cb"} },
			"redirect_uris"},
		"a script": {func(c *broker.Client) {
			c.RedirectURIs = []string{"javascript:alert(1)"}
		}, "redirect_uris"},
		"a scheme on the web": {func(c *broker.Client) {
			c.RedirectURIs = []string{"com.example.app:/cb"}
		}, "redirect_uris"},
		"an opaque URI": {func(c *broker.Client) {
			c.Native = true
			c.RedirectURIs = []string{"com.example.app:cb"}
		}, "redirect_uris"},
		"an upper-case host": {func(c *broker.Client) { c.RedirectURIs = []string{"https://App.example.com/cb"} },
			"redirect_uris"},
		"a parameter of ours": {func(c *broker.Client) {
			c.RedirectURIs = []string{callback + "?state=x"}
		}, "redirect_uris"},
		"a URI twice": {func(c *broker.Client) {
			c.RedirectURIs = []string{callback, callback}
		}, "redirect_uris"},
		"a bad post-logout URI": {func(c *broker.Client) { c.PostLogoutRedirectURIs = []string{"http://app.example.com"} },
			"post_logout_redirect_uris"},
		"OpenID":                  {func(c *broker.Client) { c.Scopes = append(c.Scopes, "OpenID") }, "scope"},
		"a scope with a space":    {func(c *broker.Client) { c.Scopes = append(c.Scopes, "a b") }, "scope"},
		"a scope twice":           {func(c *broker.Client) { c.Scopes = append(c.Scopes, "openid") }, "scope"},
		"refresh, not offline":    {func(c *broker.Client) { c.Scopes = []string{"openid"} }, "scope"},
		"offline without refresh": {func(c *broker.Client) { c.GrantTypes = []string{GrantCode} }, "scope"},
		"an empty audience":       {func(c *broker.Client) { c.Audience = []string{""} }, "audience"},
		"HS256":                   {func(c *broker.Client) { c.IDTokenAlg = "HS256" }, "id_token_signed_response_alg"},
	} {
		client := good()
		c.change(&client)
		problems := Validate(client)
		if len(problems) != 1 || problems[0].Field != c.field || !strings.HasPrefix(problems[0].String(), c.field+": ") {
			t.Errorf("%s: %v, want one of %s", name, problems, c.field)
		}
	}
}

func TestA24_A20_NoClientHasANameThatLooksLikeAnother(t *testing.T) {
	for name, problem := range map[string]string{"Courts Booking": "", "Яндекс Mail": "", "Мicrosoft": "U+041C",
		"Micro\u200bsoft": "U+200B", "\u202etfosorciM": "U+202E", "a\x1b[31m": "U+001B"} {
		var found string
		for _, p := range Validate(broker.Client{ID: "app", Name: name}) {
			if p.Field == "client_name" {
				found += p.Text
			}
		}
		if (found == "") != (problem == "") || !strings.Contains(found, problem) {
			t.Errorf("%+q: %q, want %q", name, found, problem)
		}
	}
}

func TestA2_NoRegistrationSwitchesPKCEOffForAPublicOrNativeClient(t *testing.T) {
	for name, c := range map[string]broker.Client{
		"public": {AuthMethods: []string{"none"}, PKCE: broker.PKCEOff},
		"native": {AuthMethods: SecretMethods(), Native: true, PKCE: broker.PKCEOff},
	} {
		off := func(p Problem) bool { return p.Field == "pkce" && strings.Contains(p.Text, "always use PKCE") }
		if !slices.ContainsFunc(Validate(c), off) || !c.RequirePKCE() {
			t.Errorf("%s: %v", name, Validate(c))
		}
	}
}
