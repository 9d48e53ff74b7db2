package login_test

import (
	"context"
	"testing"

	"gatehouse/broker"
)

func TestB17_ASessionBehindAConnectionThatIsOffEndsWithTheNextSignIn(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.linked(a, "google", "g1")
	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code")
	g.connection("google", 0, func(c *broker.Connection) { c.State = broker.Disabled })
	path, _ = b.begin()
	b.post(path+"/email", "email", ana)
	b.post(path+"/password", "email", ana, "password", password)
	all, err := g.db.SessionsOf(context.Background(), a.ID)
	must(t, err)
	alive := 0
	for _, s := range all {
		if s.EndedAt.IsZero() {
			alive++
		}
	}
	// Switched on again, the first one would live beside the second.
	if len(all) != 2 || alive != 1 {
		t.Fatalf("%d sessions, %d of them have not ended", len(all), alive)
	}
}
