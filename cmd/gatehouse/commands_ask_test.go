package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
)

// answers is a person at a terminal, who gives these answers in turn.
func answers(asked *[]string, answers ...string) asker {
	return func(_ context.Context, question string, secret bool) (string, error) {
		kind := "shown: "
		if secret {
			kind = "hidden: "
		}
		*asked = append(*asked, kind+question)
		next := answers[0]
		answers = answers[1:]
		return next, nil
	}
}

func TestAPasswordIsTypedTwiceAndDoesNotShow(t *testing.T) {
	o := newOperator(t)
	var asked []string
	o.ask = answers(&asked, boats, boats)
	o.does("accounts", "add", "ana@example.test", "--password-file", "-")
	if len(asked) != 2 || slices.ContainsFunc(asked, func(q string) bool { return !strings.HasPrefix(q, "hidden: ") }) {
		t.Errorf("asked %q", asked)
	}
	o.ask = answers(&asked, boats, boats+".")
	o.isRefused("the two passwords differ", "accounts", "password", "ana@example.test")
	asked = nil
	o.ask = answers(&asked, "a secret of the provider")
	o.does("connections", "add", "hub", "--kind", "github", "--name", "Hub", "--client-id", "c", "--client-secret-file",
		"-")
	if len(asked) != 1 || !strings.HasPrefix(asked[0], "hidden: ") {
		t.Errorf("a secret that somebody else chose is asked for as %q", asked)
	}
}

func TestWhatCannotBeUndoneIsConfirmed(t *testing.T) {
	stocked := newOperator(t)
	stockForEveryCommand(stocked)
	for _, line := range []string{"clients remove wiki", "connections remove off", "keys retire kold",
		"keys rotate-signing --emergency", "accounts unlink ana@example.test --identity the-identity",
		"accounts consents remove ana@example.test --client wiki"} {
		if !final(line) {
			t.Fatalf("%s is not listed", line)
		}
		o := stocked.twin(t)
		args := strings.Fields(line)
		var out, err bytes.Buffer
		code := run(t.Context(), append(slices.Clone(args), "--config", o.config),
			o.terminal(strings.NewReader("y\n"), &out, &err))
		if code != wrongUsage || !strings.Contains(err.String(), "--yes") {
			t.Errorf("%s without a terminal: exit %d, %s", line, code, &err)
		}
		before := len(o.logged())
		var asked []string
		for _, no := range []string{"", "n", "yo"} {
			o.ask = answers(&asked, no)
			o.isRefused("nothing was changed", args...)
		}
		if n := len(o.logged()); n != before {
			t.Errorf("%s: %d events after three refusals", line, n-before)
		}
		o.ask = answers(&asked, " Yes ")
		o.does(args...)
		if n := len(o.logged()); n != before+1 {
			t.Errorf("%s: %d events", line, n-before)
		}
	}
}

func TestTheExitCodeTellsAMistakeOnTheLineFromAFailure(t *testing.T) {
	o := newOperator(t)
	o.does("accounts", "add", "ana@example.test")
	for line, want := range map[string]int{
		"accounts show ana@example.test":                          success,
		"accounts show eve@example.test":                          failure,
		"accounts add ana@example.test":                           failure,
		"accounts add ana":                                        wrongUsage,
		"accounts change ana@example.test":                        wrongUsage,
		"accounts change ana@example.test --locale x-":            wrongUsage,
		"clients add --name X --redirect-uri nonsense":            wrongUsage,
		"clients change wiki --name X":                            failure,
		"connections add x --kind gogle --name X --client-id c":   wrongUsage,
		"audit --verb nonsense":                                   wrongUsage,
		"audit --limit 0":                                         wrongUsage,
		"accounts restrict ana@example.test --only no-such-thing": failure,
	} {
		if got := o.in("", strings.Fields(line)...); got.code != want {
			t.Errorf("%s: exit %d, want %d\n%s", line, got.code, want, got.err)
		}
	}
}

func TestTheShellCompletesCommandsAndFlags(t *testing.T) {
	complete := func(words ...string) []string {
		var out bytes.Buffer
		if code := run(t.Context(), append([]string{completeWord}, words...), terminal{out: &out,
			err: &out}); code != success {
			t.Errorf("%q: exit %d", words, code)
		}
		return strings.Fields(out.String())
	}
	for _, c := range []struct{ words, want []string }{
		{[]string{"acc"}, []string{"accounts"}},
		{[]string{"accounts", "un"}, []string{"unrestrict", "unlink"}},
		{[]string{"accounts", "consents", ""}, []string{"list", "remove"}},
		{[]string{"accounts", "restrict", "ana@example.test", "--on"}, []string{"--only"}},
		{[]string{"clients", "add", "--conf"}, []string{"--config"}},
		{[]string{"nonsense"}, nil},
	} {
		if got := complete(c.words...); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.words, got, c.want)
		}
	}
	if all := complete(""); len(all) < 10 {
		t.Errorf("the commands are %q", all)
	}
}

func TestAnAccountHasWhatDiscoveryAdvertises(t *testing.T) {
	o := newOperator(t)
	o.does("accounts", "add", "ana@example.test", "--name", "Ana Silva", "--given-name", "Ana", "--family-name", "Silva",
		"--locale", "pt")
	o.does("accounts", "change", "ana@example.test", "--given-name", "Anita", "--locale", "")
	a, err := o.store().store.AccountByEmail(t.Context(), "ana@example.test")
	if err != nil || a.Name != "Ana Silva" || a.GivenName != "Anita" || a.FamilyName != "Silva" || a.Locale != "" ||
		a.AuthEpoch != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	o.does("accounts", "change", "ana@example.test", "--given-name", "Anita") // nothing to do, nothing to tell
	if got := o.logged(); !slices.Equal(got, []string{"account.created", "account.changed profile"}) {
		t.Errorf("events %q", got)
	}
	o.isRefused("--locale: must be a language tag", "accounts", "change", "ana@example.test", "--locale", "x-")
}

func TestACommandUsesTheServersIssuerAndReadingCreatesNothing(t *testing.T) {
	o := newOperator(t)
	got := o.in("", "accounts", "list")
	if got.code != failure || !strings.Contains(got.err, o.inData("gatehouse.db")) || !strings.Contains(got.err,
		"--config") ||
		exists(o.inData("gatehouse.db")) {
		t.Errorf("without a database: exit %d, %s", got.code, got.err)
	}
	alone := o.config
	o.configure("issuer: http://localhost:7001", "listen: "+freeAddress(t))
	o.runs("Gatehouse serves", "serve", "--config", o.config).ends()
	if told := o.in("", "accounts", "list"); told.err != "" {
		t.Errorf("the server's own configuration: %s", told.err)
	}
	o.configure()
	if o.config != alone {
		t.Fatal("another configuration")
	}
	got = o.in("a secret", "connections", "add", "hub", "--kind", "github", "--name", "Hub", "--client-id", "c",
		"--client-secret-file", "-")
	if !strings.Contains(got.out, "http://localhost:7001/callback/hub") || !strings.Contains(got.err,
		"The server's issuer is http://localhost:7001") {
		t.Errorf("without the server's issuer: exit %d\n%s%s", got.code, got.out, got.err)
	}
}

func TestAnErrorSpeaksOfTheFlagThatWasTyped(t *testing.T) {
	o := newOperator(t)
	for line, says := range map[string]string{
		"clients add --name X --redirect-uri nonsense":                         "--redirect-uri: ",
		"clients add --name X --redirect-uri https://a.example/ --grant magic": "--grant: ",
		"connections add x --live --kind oidc --name X --client-id c":          "--issuer is missing",
		"connections add x --live --kind github --name X":                      "--client-id is missing",
	} {
		got := o.in("", strings.Fields(line)...)
		if !strings.Contains(got.err, says) || strings.Contains(got.err, "redirect_uris") {
			t.Errorf("%s: want %q in:\n%s", line, says, got.err)
		}
	}
}
