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
	code := b.authorize(ask())
	hint := h.redeem(code.location().Query().Get("code")).text("id_token")
	bye := leave("id_token_hint", hint, "post_logout_redirect_uri", goodbye)
	for name, a := range map[string]answer{
		"a code":             code,
		"an error":           h.browser().get("/authorize?" + ask("prompt", "none").Encode()),
		"a sign-out":         b.get(bye),
		"a sign-out, reload": b.get(bye),
	} {
		if to := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || strings.Count(to, "#") != 1 ||
			!strings.HasSuffix(to, "#") {
			t.Errorf("%s: %d %s", name, a.StatusCode, to)
		}
	}
}
