package main

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

// If Entra responds 503, the sign-in ends in a refusal: no session, and no other method signs the person in.
func TestD19_WhileEntraIsDownNoOtherMethodSignsIn(t *testing.T) {
	for _, at := range []fakeidp.Endpoint{fakeidp.AtToken, fakeidp.AtJWKS, fakeidp.AtDiscovery} {
		t.Run(string(at), func(t *testing.T) {
			w := newHarness(t)
			b := newBrowser(t)
			b.open(w.file.App + "/login")
			w.sims["microsoft"].Misbehave(func(f *fakeidp.Fault) { f.Down(at) })
			b.click("Continue with Microsoft")
			if at != fakeidp.AtDiscovery {
				b.click("Bruno")
			}
			if b.page.status != http.StatusServiceUnavailable || !strings.Contains(textOf(b.page.root), "isn’t responding") {
				t.Errorf("answered %d:\n%s", b.page.status, textOf(b.page.root))
			}
			b.open(w.file.Issuer + "/account")
			if strings.Contains(textOf(b.page.root), "signed in as") {
				t.Error("somebody is signed in")
			}
			if n := len(w.events(broker.EventSignedIn)); n != 0 {
				t.Errorf("%d sign-ins", n)
			}
			found := w.events(broker.EventRefused)
			if len(found) == 0 || found[0].Code != broker.ConnectionUnavailable {
				t.Errorf("events %+v", found)
			}
		})
	}
}
