package main

import (
	"strings"
	"testing"
)

func TestA17_A20_NoClientIsAddedWithAURIThatIsNeverCalled(t *testing.T) {
	o := newOperator(t)
	add := []string{"clients", "add", "--id", "wiki", "--name", "Wiki", "--redirect-uri", "https://wiki.example.test/cb"}
	for _, uri := range []string{"https://10.0.0.1/x", "https://127.0.0.1/x", "https://169.254.169.254/latest",
		"https://[::1]/x", "https://2130706433/x"} {
		o.isRefused("--backchannel-logout-uri: ", append(add, "--backchannel-logout-uri", uri)...)
		o.isRefused("--jwks-uri: ", append(add, "--auth-method", "private_key_jwt", "--jwks-uri", uri)...)
	}
	o.does(append(add, "--backchannel-logout-uri", "https://wiki.example.test/out")...)
	o.isRefused("cannot be called: ", "clients", "change", "wiki", "--backchannel-logout-uri", "https://10.0.0.1/x")
	o.configure("upstream_networks: [10.0.0.0/8]")
	o.does("clients", "change", "wiki", "--backchannel-logout-uri", "https://10.0.0.1/x")
	// After the networks are narrowed, the app can still be disabled.
	o.configure()
	o.isRefused("cannot be called: ", "clients", "change", "wiki", "--name", "Wikis")
	o.does("clients", "disable", "wiki")
	o.configure("clients:",
		`  - {id: notes, name: Notes, public: true, redirect_uris: ["https://notes.example.test/cb"], `+
			`backchannel_logout_uri: "https://10.0.0.1/x"}`)
	if got := o.in("", "check"); !strings.Contains(got.out+got.err, "cannot be called: ") {
		t.Errorf("%s %s", got.out, got.err)
	}
}
