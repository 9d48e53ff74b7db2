package oidc

import "testing"

func TestTheIssuerIsAnOrigin(t *testing.T) {
	for _, bad := range []string{"", "id.example.com", "https://id.example.com/", "https://id.example.com/x",
		"https://id.example.com?x", "https://u@id.example.com"} {
		if _, err := New(Options{Issuer: bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
