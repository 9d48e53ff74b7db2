package oidc

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/broker"
)

// RFC 8252 §7: the three kinds of redirect to a native app, as the README lists them.
func TestANativeAppComesBackByLoopbackByAClaimedLinkOrByItsOwnScheme(t *testing.T) {
	h := newHarness(t)
	h.client(broker.Client{ID: "native", Name: "Native", AuthMethods: []string{"none"}, Native: true, FirstParty: true,
		RedirectURIs: []string{
			"http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost:4000/callback",
			"https://app.example.com/native", "com.example.app:/callback"}})
	for uri, good := range map[string]bool{
		"http://127.0.0.1:49152/callback": true, "http://127.0.0.1/callback": true, "http://[::1]:61000/callback": true,
		"http://127.0.0.1:49152/other": false, "http://127.0.0.1:49152/callback/": false,
		"https://127.0.0.1:49152/callback": false, "http://127.0.0.1:/callback": false,
		"http://localhost:4000/callback": true, "http://localhost:4001/callback": false,
		"https://app.example.com/native": true, "https://app.example.com/native/": false,
		"https://app.example.com:8443/native": false,
		"com.example.app:/callback":           true, "com.example.app://callback": false, "com.example.app:/callback2": false,
		"com.example.app2:/callback": false,
	} {
		a := h.browser().authorize(ask("client_id", "native", "redirect_uri", uri))
		if !good {
			h.page(a, broker.RedirectURIMismatch)
			continue
		}
		code := a.location().Query().Get("code")
		if strings.HasPrefix(uri, "com.") { // the person clicks: no page may open an app by itself
			_, rest, _ := strings.Cut(a.body, `href="`+uri+`?code=`)
			code, _, _ = strings.Cut(rest, "&")
			if a.StatusCode != http.StatusOK || a.Header.Get("Location") != "" {
				t.Errorf("%s: %d %s", uri, a.StatusCode, a.Header.Get("Location"))
			}
		}
		got := h.redeem(code, "client_id", "native", "redirect_uri", uri)
		if got.StatusCode != http.StatusOK || got.text("id_token") == "" {
			t.Errorf("%s: %d %s", uri, got.StatusCode, got.body)
		}
	}
}

func TestANativeAppHearsOfAnErrorWhereItHearsOfACode(t *testing.T) {
	h := newHarness(t)
	h.client(broker.Client{ID: "native", Name: "Native", AuthMethods: []string{"none"}, Native: true, FirstParty: true,
		RedirectURIs: []string{"http://127.0.0.1/callback", "com.example.app:/callback"}})
	a := h.browser().get("/authorize?" + ask("client_id", "native", "redirect_uri", "http://127.0.0.1:5000/callback",
		"code_challenge", "-").Encode())
	if q := a.location().Query(); a.location().Host != "127.0.0.1:5000" || q.Get("error") != "invalid_request" ||
		q.Get("iss") != issuer {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	a = h.browser().get("/authorize?" + ask("client_id", "native", "redirect_uri", "com.example.app:/callback",
		"code_challenge", "-").Encode())
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body,
		`href="com.example.app:/callback?error=invalid_request`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
