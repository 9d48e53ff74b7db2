package main

import (
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

// Apps know a refused exchange by one code, whatever the reason (the contract of sso_error). The operator finds the
// finer one by the reference on the page.
func TestAWrongClientSecretIsARejectedExchangeToPeopleAndNamedToTheOperator(t *testing.T) {
	for connection, words := range map[string]string{"google": "invalid_client", "microsoft": "AADSTS7000215",
		"facebook": "client secret", "club": "invalid_client"} {
		t.Run(connection, func(t *testing.T) {
			w := newHarness(t)
			w.sims[connection].Misbehave(func(f *fakeidp.Fault) { f.RefuseSecret = true })
			c, err := w.h.store.Connection(w.ctx, connection)
			if err != nil {
				t.Fatal(err)
			}
			b := newBrowser(t)
			b.open(w.file.Issuer + "/login")
			b.click("Continue with " + c.Name)
			b.click(strings.Fields(w.sims[connection].Personas()[0].Name)[0])
			page := textOf(b.page.root)
			if !strings.Contains(page, string(broker.UpstreamRejected)) || strings.Contains(page, words) ||
				strings.Contains(page, string(broker.UpstreamMisconfigured)) {
				t.Errorf("the page:\n%s", page)
			}
			found := w.events(broker.EventRefused)
			if len(found) != 1 || found[0].Code != broker.UpstreamRejected || found[0].Connection != connection ||
				!strings.Contains(found[0].Detail["cause"], string(broker.UpstreamMisconfigured)) ||
				!strings.Contains(found[0].Detail["cause"], words) || !strings.Contains(page, found[0].Reference) {
				t.Errorf("the audit log: %+v", found)
			}
		})
	}
}
