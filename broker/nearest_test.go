package broker_test

import (
	"testing"

	"gatehouse/broker"
)

func TestAMistypedWordFindsItsNeighbour(t *testing.T) {
	known := []string{"issuer", "listen", "mail.from", "login.refused", "login.succeeded"}
	for mistyped, want := range map[string]string{"isuer": "issuer", "issure": "issuer", "mail.form": "mail.from",
		"login.refuse": "login.refused", "Login.refused": "login.refused", "lsten": "listen", "x": "", "": "",
		"nowhere": "", "issuer": "issuer"} {
		if got := broker.Nearest(mistyped, known); got != want {
			t.Errorf("%q: %q, want %q", mistyped, got, want)
		}
	}
}
