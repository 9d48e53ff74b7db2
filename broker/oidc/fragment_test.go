package oidc

import (
	"net/http"
	"strings"
	"testing"
)

// A Location without a fragment inherits that of the URL which redirects.
func TestAnAnswerToAnAppEndsWithAFragmentOfItsOwn(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	for name, a := range map[string]answer{
		"a code":   b.authorize(ask()),
		"an error": h.browser().get("/authorize?" + ask("prompt", "none").Encode()),
	} {
		if to := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || strings.Count(to, "#") != 1 ||
			!strings.HasSuffix(to, "#") {
			t.Errorf("%s: %d %s", name, a.StatusCode, to)
		}
	}
}
