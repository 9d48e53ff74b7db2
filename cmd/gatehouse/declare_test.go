package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// declared validates a configuration.
func declared(t *testing.T, text string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := (&tool{config: file}).validate()
	return err
}

func TestTheRegistryValidatesDeclaredClients(t *testing.T) {
	const client = "  - {id: wiki, name: Wiki, public: true, redirect_uris: [https://wiki.example.com/cb]"
	const bank = "  - {id: wiki, name: Wiki, fapi2: true, redirect_uris: [https://wiki.example.com/cb], " +
		"jwks_uri: https://wiki.example.com/keys"
	for _, c := range []struct{ lines, field string }{
		{client + "}", ""},
		{client + ", pkce: required, error_iss: off, id_token_claims: minimal, preferred_username: none}", ""},
		{client + ", pkce: default, error_iss: on, id_token_claims: scopes, preferred_username: email}", ""},
		{bank + "}", ""},
		{bank + ", id_token_alg: EdDSA, auth_alg: PS256, pkce: required, require_par: true, dpop: true}", ""},
		{bank + ", id_token_alg: RS256}", "id_token_signed_response_alg"},
		{bank + ", pkce: default}", "pkce"},
		{bank + ", error_iss: off}", "error_iss"},
		{client + ", fapi2: true}", "token_endpoint_auth_method"},
		{client + ", pkce: off}", "pkce"},
		{client + ", pkce: optional}", "pkce"},
		{client + ", error_iss: maybe}", "error_iss"},
		{client + ", id_token_claims: all}", "id_token_claims"},
		{client + ", preferred_username: upn}", "preferred_username"},
		{client + ", grant_types: [password]}", "grant_types"},
		{client + ", grant_types: []}", "grant_types"},
		{client + ", grant_types: [client_credentials]}", "grant_types"},
		{strings.Replace(client, "https://wiki.example.com/cb", "", 1) + "}", "redirect_uris"},
		{client + ", id_token_alg: none}", "id_token_signed_response_alg"},
		{client + ", id_token_alg: HS256}", "id_token_signed_response_alg"},
		{client + ", scopes: ['openid profile']}", "scope"},
		{client + ", post_logout_redirect_uris: ['http://wiki.example.com']}", "post_logout_redirect_uris"},
	} {
		err := declared(t, "clients:\n"+c.lines+"\n")
		if c.field == "" && err != nil {
			t.Errorf("%s: %v", c.lines, err)
		}
		if c.field != "" && (err == nil || !strings.Contains(err.Error(), "clients[0] (wiki)") ||
			!strings.Contains(err.Error(), "\n  "+c.field+": ")) {
			t.Errorf("%s: %v, want one of %s", c.lines, err, c.field)
		}
	}
	bad := strings.Replace(client, "https:", "http:", 1) + "}\n"
	err := declared(t, "clients:\n"+bad+strings.Replace(bad, "id: wiki", "id: blog", 1))
	if err == nil || !strings.Contains(err.Error(), "clients[0] (wiki)") || !strings.Contains(err.Error(),
		"clients[1] (blog)") {
		t.Errorf("not all problems come at once: %v", err)
	}
}

func TestRedirectURIsOfDeclaredClients(t *testing.T) {
	for uri, good := range map[string]bool{
		"com.example.app:/callback": true, "com.example.app://callback": true, "http://127.0.0.1/cb": true,
		"http://[::1]/cb": true, "https://app.example.com/cb": true, "http://localhost:3000/cb": true,
		"myapp:/callback": false, "javascript:alert(1)": false, "JaVaScRiPt:alert(1)": false, "data:text/html,x": false,
		"http://app.example.com/cb": false, "https://*.example.com/cb": false, "https://app.example.com/cb#x": false,
		"https://app.example.com/cb#": false, "https://me@app.example.com/cb": false, "//app.example.com/cb": false,
		"/cb": false, "https:///cb": false, "https:app.example.com": false, "https://app.example.com/a b": false, "": false,
		"http://127.0.0.1.example.com/cb": false, "https://app.example.com/é": false,
	} {
		for _, isNative := range []bool{true, false} {
			text := fmt.Sprintf("clients:\n  - id: a\n    name: A\n    public: true\n    native: %v\n    redirect_uris: [%q]\n",
				isNative, uri)
			err := declared(t, text)
			want := good && (isNative || strings.HasPrefix(uri, "http"))
			if (err == nil) != want {
				t.Errorf("%q, native %v: %v", uri, isNative, err)
			}
		}
	}
}
