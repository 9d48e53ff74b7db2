package main

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// tried is one way to run a command over what stockForEveryCommand made.
type tried struct {
	args    []string
	stdin   string
	decides bool // it writes an Event
}

// everyCommand has at least one way for each that ends by itself, in an order in
// which they can all succeed.
func everyCommand() map[string][]tried {
	change := func(line string) []tried { return []tried{{strings.Fields(line), "", true}} }
	look := func(line string) []tried { return []tried{{strings.Fields(line), "", false}} }
	secret := func(line, secret string) []tried { return []tried{{strings.Fields(line), secret, true}} }
	return map[string][]tried{
		"check": look(""), "migrate": look(""),
		"keys create": look("NEW"), "keys list": look(""), "keys rotate": change("--wait 0s"), "keys retire": change("kold"),
		"keys rotate-signing": change(""),
		"accounts add":        secret("new@example.test --name New --password-file -", boats),
		"accounts change":     change("ana@example.test --given-name Ana --family-name Silva --locale pt"),
		"completion":          look("bash"),
		"accounts list":       look(""), "accounts show": look("ana@example.test"),
		"accounts password": secret("ana@example.test", "nine larks by the mill"),
		"accounts disable":  change("ana@example.test"), "accounts enable": change("off@example.test"),
		"accounts signout": change("ana@example.test"), "accounts unlink": change("ana@example.test --identity the-identity"),
		"accounts consents": look("ana@example.test"), "accounts consents remove": change("ana@example.test --client wiki"),
		"clients add": change("--name New --redirect-uri https://new.example.test/"), "clients list": look(""),
		"clients show":   look("wiki"),
		"clients change": change("wiki --name Other"), "clients secret": change("wiki"),
		"clients disable": change("wiki"), "clients enable": change("off"), "clients remove": change("wiki"),
		"clients token": change("--life 2h"), "clients logouts": look("--limit 5"),
		"connections kinds": look(""),
		"connections add":   secret("new --live --kind google --name New --client-id c --client-secret-file -", "a secret"),
		"connections list":  look(""), "connections show": look("hub"), "connections change": change("hub --name Other"),
		"connections secret": secret("hub", "another secret"), "connections disable": change("hub"),
		"connections enable": change("off"), "connections test": look("hub"),
		"connections remove": change("off"),
		"accounts restrict":  change("ana@example.test --only hub"), "accounts unrestrict": change("only@example.test"),
		"explain": {{[]string{"--connection", "hub", "--claims", "-"},
			`{"id":7,"emails":[{"email":"ana@example.test","primary":true,"verified":true}]}`, false}},
		"audit": look(""),
	}
}

// endlessCommands are the commands that run until they are stopped.
func endlessCommands() []string { return []string{"demo", "serve"} }

// stockForEveryCommand makes something of each kind to work on: a keyring whose
// old key nothing uses, an account with an identity, a consent and a grant, and
// of everything one that is off.
func stockForEveryCommand(o *operator) {
	t := o.t
	t.Helper()
	o.keyring("kold", time.Now().Add(-90*24*time.Hour))
	o.keyring("knew", time.Now().Add(-40*24*time.Hour))
	h := o.store()
	o.doesWith(boats, "accounts", "add", "ana@example.test", "--password-file", "-")
	o.does("accounts", "add", "off@example.test")
	o.does("accounts", "disable", "off@example.test")
	for _, id := range []string{"wiki", "off"} {
		o.does("clients", "add", "--id", id, "--name", id, "--redirect-uri", "https://wiki.example.test/")
	}
	o.does("clients", "disable", "off")
	for _, id := range []string{"hub", "off"} { // of a kind that check asks no network about
		o.doesWith("a secret", "connections", "add", id, "--live", "--kind", "github", "--name", id, "--client-id", "c",
			"--client-secret-file", "-")
	}
	o.does("connections", "disable", "off")
	o.doesWith(boats, "accounts", "add", "only@example.test", "--password-file", "-")
	o.does("accounts", "restrict", "only@example.test", "--only", "hub")
	a, err := h.store.AccountByEmail(t.Context(), "ana@example.test")
	if err == nil {
		err = h.store.Link(t.Context(), broker.Identity{ID: "the-identity", AccountID: a.ID, Connection: "hub", Issuer: "i",
			Subject: "s", LinkedAt: h.now(), SeenAt: h.now()})
	}
	if err == nil {
		err = h.store.PutConsent(t.Context(), broker.Consent{AccountID: a.ID, ClientID: "wiki", Version: "1",
			Scopes: []string{"openid"}, GrantedAt: h.now()})
	}
	if err == nil {
		err = h.store.CreateGrant(t.Context(), broker.Grant{ID: "family", ClientID: "wiki", AccountID: a.ID,
			Authn:     broker.Authn{Method: broker.ByUpstream, Connection: "hub", Identity: "the-identity", Epoch: a.AuthEpoch},
			CreatedAt: h.now(), ExpiresAt: h.now().Add(time.Hour)}, true)
	}
	if err == nil {
		err = h.signingKeys().Start(t.Context())
	}
	o.freeKeys(h)
	if err = errors.Join(err, h.close()); err != nil {
		t.Fatal(err)
	}
}

func TestEveryCommandPrintsJSONAndOtherwiseATable(t *testing.T) {
	ways := everyCommand()
	var names []string
	for _, v := range verbs(t) {
		if !slices.Contains(endlessCommands(), v.name) {
			names = append(names, v.name)
		}
	}
	if known := slices.Sorted(maps.Keys(ways)); !slices.Equal(known, slices.Sorted(slices.Values(names))) {
		t.Fatalf("the commands are %q, tried are %q", names, known)
	}
	stocked := newOperator(t)
	stockForEveryCommand(stocked)
	for mode, asJSON := range map[string]bool{"JSON": true, "table": false} {
		for _, name := range names {
			t.Run(name+" "+mode, func(t *testing.T) {
				o := stocked.twin(t)
				for _, w := range ways[name] {
					args := append(strings.Fields(name), w.args...)
					if asJSON {
						args = append(args, "--json")
					}
					if n := slices.Index(args, "NEW"); n >= 0 {
						args[n] = filepath.Join(o.dir, "new.json")
					}
					before := len(o.logged())
					got := o.in(w.stdin, args...)
					if got.code != success || got.out == "" {
						t.Fatalf("exit %d\n%s%s", got.code, got.out, got.err)
					}
					if valid := oneJSON(got.out); valid != asJSON {
						t.Errorf("JSON: %v\n%s", valid, got.out)
					}
					if strings.Contains(got.out, "%!") {
						t.Errorf("it prints a format: %s", got.out)
					}
					if n := len(o.logged()) - before; (n > 0) != w.decides {
						t.Errorf("%d events", n)
					}
				}
			})
		}
	}
}

// twin has a copy of everything that the operator has.
func (o *operator) twin(t *testing.T) *operator {
	t.Helper()
	other := newOperator(t, "client_registration: true")
	if err := os.CopyFS(filepath.Join(other.dir, "data"), os.DirFS(filepath.Join(o.dir, "data"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(other.dir, "data", "keyring.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	return other
}

// oneJSON reports whether a text is one JSON object or list and nothing else.
func oneJSON(s string) bool {
	d := json.NewDecoder(strings.NewReader(s))
	var v any
	if d.Decode(&v) != nil {
		return false
	}
	_, more := d.Token()
	switch v.(type) {
	case map[string]any, []any:
		return more == io.EOF
	}
	return false
}

// Every command line of the README must run.
func TestEveryCommandOfTheREADMEParses(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, v := range verbs(t) {
		known[v.name] = true
	}
	parsed := 0
	var lines []string
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "./gatehouse "); ok {
			rest, _, _ = strings.Cut(rest, "#")
			lines = append(lines, rest)
			parsed++
			if err := parses(t, shellWords(rest)...); err != nil {
				t.Errorf("README: %q: %v", rest, err)
			}
		} else if _, rest, ok := strings.Cut(line, "| `gatehouse "); ok { // the table of what looks after it
			name, about, _ := strings.Cut(rest, "`")
			if known[name] {
				lines = append(lines, name)
				continue
			}
			for i, verb := range strings.Split(about, "`") {
				if i%2 == 1 {
					lines = append(lines, name+" "+verb)
					if !known[name+" "+verb] && !strings.HasPrefix(verb, "--") {
						t.Errorf("README: there is no command %q", name+" "+verb)
					}
				}
			}
		}
	}
	if len(lines) < 30 || parsed == 0 {
		t.Errorf("only %d commands were found", len(lines))
	}
	for name := range known { // and none is left out, but what explains itself elsewhere
		mentioned := slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line+" ", name+" ") })
		if group, _, in := strings.Cut(name, " "); !mentioned && in && group != "keys" && name != "accounts consents remove" {
			t.Errorf("README does not mention %s", name)
		}
	}
}
