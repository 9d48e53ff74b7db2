package login_test

import (
	"fmt"
	"net/http"
	"testing"

	"gatehouse/broker/credential"
)

func TestE2_OnePasswordOverManyAccountsOfOneNetworkIsStoppedAndThePageSaysWhen(t *testing.T) {
	g := newFixture(t)
	g.account(ana, password)
	answered := 0
	try := func(b *browser, email, with string) page {
		path, _ := b.begin()
		b.post(path+"/email", "email", email)
		return b.post(path+"/password", "email", email, "password", with)
	}
	for i := range 150 {
		b := g.browser()
		b.at = fmt.Sprintf("[2001:db8:1:2::%d]", i+1)
		p := try(b, fmt.Sprintf("p%d@example.com", i), "Summer 2026 Tennis")
		if p.status == http.StatusUnprocessableEntity {
			answered++
			continue
		}
		p.has(t, http.StatusTooManyRequests, "Too many attempts. Try again in 15 minutes.")
		if p.header.Get("Retry-After") != "900" {
			t.Fatalf("Retry-After %q", p.header.Get("Retry-After"))
		}
	}
	if answered != credential.NetworkFailures {
		t.Errorf("%d tries were answered", answered)
	}
	try(g.browser(), ana, password).atApp(t, ana) // from another network
}
