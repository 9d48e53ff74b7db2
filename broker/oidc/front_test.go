package oidc

import (
	"net/http"
	"strings"
	"testing"
)

func TestThePageAtTheIssuerLeadsPeopleToTheirAccountAndDevelopersToDiscovery(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	for lang, word := range map[string]string{"en": "Go to my account", "fr": "Accéder à mon compte",
		"es": "Ir a mi cuenta", "de": "Zu meinem Konto"} {
		a := b.get("/?lang=" + lang)
		if a.StatusCode != http.StatusOK || a.Header.Get("Content-Language") != lang {
			t.Fatalf("%s: %d %v", lang, a.StatusCode, a.Header)
		}
		for _, part := range []string{`href="/account"`, word, `href="` + issuer + `/.well-known/openid-configuration"`} {
			if !strings.Contains(a.body, part) {
				t.Errorf("%s: the page lacks %s", lang, part)
			}
		}
	}
	if a := b.get("/nowhere"); a.StatusCode != http.StatusNotFound {
		t.Errorf("another path: %d", a.StatusCode)
	}
}
