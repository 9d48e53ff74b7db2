package main

import (
	"testing"
	"time"

	"gatehouse/broker"
)

// Cases that the model found, each as a test of its own.

func TestE13_APasswordBringsNoChosenSessionBackThatHasEnded(t *testing.T) {
	s := newAttackHarness(t)
	b := newBrowser(t)
	b.open(s.file.App + "/login")
	b.press("Continue", "email", "ben@example.test")
	b.press("Sign in", "password", demoPassword)
	s.returned(b, "Ben Carter")

	s.advance(time.Minute)
	b.open(s.file.Issuer + "/authorize?" + s.asking("prompt", "select_account login").Encode())
	b.press("B Ben Carter ben@example.test")
	asked := b.page
	b.open(s.file.Issuer + "/end_session")
	b.press("Sign out")
	b.page = asked
	b.press("Continue", "password", demoPassword)
	if n := len(s.events(broker.EventSignedIn)); n != 1 {
		t.Errorf("%d sign-ins, and only one was asked for who it is: %s", n, textOf(b.page.root))
	}
	b.sees("Sign in")
}
