package login_test

import (
	"context"
	"testing"

	"gatehouse/broker"
)

// claimed is an imported account with an unverified address, with a password
// that an attacker knows.
func (g *fixture) claimed(email, password string) broker.Account {
	g.t.Helper()
	hash, err := g.pass.Hash(context.Background(), password)
	must(g.t, err)
	a := broker.Account{ID: broker.NewID(), Email: email, Name: "Mallory", PasswordHash: hash, Unverified: true,
		CreatedAt: g.time(), UpdatedAt: g.time()}
	must(g.t, g.db.CreateAccount(context.Background(), a))
	return a
}

const planted = "the password that mallory planted"

func TestC9_C13_AClaimedAddressBelongsToThePersonWhoVerifiesIt(t *testing.T) {
	g := newFixture(t)
	old := g.claimed(ana, planted)
	guess := func() page {
		b := g.browser()
		path, _ := b.begin()
		b.post(path+"/email", "email", ana)
		return b.post(path+"/password", "email", ana, "password", planted)
	}
	guess().has(t, 422, "password")

	g.claims("code", verified("g1", ana))
	b := g.browser()
	path, _ := b.begin()
	p := b.through(path, "google", "code")
	p.has(t, 200, "Create your account")
	b.post(path+"/register", "confirmation", p.hidden("confirmation"), "given_name", "Ana").atApp(t, ana)

	now, err := g.db.AccountByEmail(context.Background(), ana)
	must(t, err)
	if now.ID == old.ID || now.HasPassword() || now.Name == "Mallory" {
		t.Errorf("the owner inherited %+v", now)
	}
	if _, err := g.db.Account(context.Background(), old.ID); broker.CodeOf(err) != broker.NotFound {
		t.Errorf("the claimed account is still there: %v", err)
	}
	guess().has(t, 422, "password")
}

func TestC11_NoIdentityIsLinkedToAnUnverifiedAddress(t *testing.T) {
	g := newFixture(t)
	old := g.claimed(ana, planted)
	g.claims("code", broker.Claims{Subject: "f1", Email: ana, Level: broker.EmailAsserted})
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "facebook", "code")
	p := b.post(path+"/wish", "wish", "own")
	p.has(t, 200, "password")
	b.post(path+"/own", "confirmation", p.hidden("confirmation"), "email", ana, "password", planted).has(t, 422,
		"password")
	if ids := g.identities(old); len(ids) != 0 {
		t.Fatalf("the claimed account has %+v", ids)
	}
	i := broker.Identity{ID: broker.NewID(), AccountID: old.ID, Connection: "facebook", Issuer: "https://facebook.test",
		Subject: "f1"}
	if err := g.db.Link(context.Background(), i); broker.CodeOf(err) != broker.NotFound {
		t.Errorf("linked: %v", err)
	}
}

func TestC21_ANewSubjectWithAKnownAddressGoesThroughTheConfirmation(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, password)
	g.linked(a, "google", "g1")
	for level := broker.EmailAsserted; level <= broker.EmailAuthoritative; level++ {
		// the mailbox, or its whole domain, has a new owner
		g.claims("code", broker.Claims{Subject: "g2", Email: ana, Level: level})
		b := g.browser()
		path, _ := b.begin()
		b.through(path, "google", "code").has(t, 200, map[broker.Level]string{broker.EmailAsserted: "Do you already have an account?"}[level])
		if n := len(g.events(broker.EventSignedIn)); n != 0 {
			t.Fatalf("level %d opened a session", level)
		}
	}
	if ids := g.identities(a); len(ids) != 1 {
		t.Errorf("identities %+v", ids)
	}
}
