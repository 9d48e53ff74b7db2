package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCheckReportsAllProblemsEvenWithoutADatabase(t *testing.T) {
	o := newOperator(t)
	o.vars = map[string]string{"MAIL": "smtp://127.0.0.1:1", "CACHE": "redis://127.0.0.1:1"}
	o.configure("database: postgres://gatehouse@127.0.0.1:1/gatehouse", "keyring: /nowhere/ring.json", "redis: env:CACHE",
		"mail: {from: login@example.test, smtp: env:MAIL}",
		"issuer: https://login.example.test", "tls: {cert: /nowhere/tls.crt, key: /nowhere/tls.key}",
		"connections:", "  - {id: hub, kind: github, name: Hub}",
		"  - {id: local, kind: oidc, name: Local, issuer: 'http://127.0.0.1:1', client_id: c}",
		"clients:", `  - {id: wiki, name: Wiki, public: true, redirect_uris: ["https://wiki.example.test/?code=1"]}`)
	var found []finding
	got := o.in("", "check", "--json")
	if err := json.Unmarshal([]byte(got.out), &found); err != nil || got.code != failure {
		t.Fatalf("exit %d, %v\n%s%s", got.code, err, got.out, got.err)
	}
	want := map[string]string{
		"certificate": "/nowhere/tls.crt", "keyring": "/nowhere/ring.json is missing",
		"database": "connection refused", "redis": "connection refused",
		"mail": "see `mail.smtp`", "configuration connections[0] (hub)": "client_id is missing",
		"connection local": "`upstream_networks`", "configuration clients[0] (wiki)": "parameter of the response",
	}
	if len(found) != len(want) {
		t.Errorf("%d findings, want %d:\n%s", len(found), len(want), got.out)
	}
	for _, f := range found {
		problem, known := want[f.What]
		if !known || f.OK != (problem == "") || !strings.Contains(f.Problem, problem) {
			t.Errorf("%+v, want %q", f, problem)
		}
	}
	if !strings.Contains(got.err, "8 of 8 checks failed") {
		t.Errorf("it sums up %q", got.err)
	}

	o.configure("issuer: http://login.example.test", "listen: nowhere", "registration: maybe")
	if got = o.in("", "check"); got.code != failure || strings.Count(got.out, "WRONG") != 3 || !strings.Contains(got.out,
		"issuer (line 3)") {
		t.Errorf("wrong settings: exit %d\n%s%s", got.code, got.out, got.err)
	}
}

func TestCheckFindsAllThatServeRefusesAndBothListItTogether(t *testing.T) {
	o := newOperator(t)
	blocked := filepath.Join(o.file("blocked", ""), "data")
	hub := "connections: [{id: hub, kind: gogle, name: Hub, client_id: c}, {id: local, kind: oidc, name: L, client_id: c}]"
	app := `clients: [{id: wiki, name: Wiki, public: true, redirect_uris: ["https://wiki.example.test/?code=1"]}]`
	for name, c := range map[string]struct {
		lines []string
		vars  map[string]string
		says  []string
	}{
		"what only start-up knows": {[]string{"languages: [en, it]", "data_dir: " + blocked, hub, app}, nil,
			[]string{`languages: unknown language "it"`, "data_dir: ", "not a directory", `unknown kind "gogle"`,
				"connections[1] (local): ", "clients[0] (wiki): "}},
		"with what the file tells": {[]string{"registration: maybe", "languages: [it]", hub},
			map[string]string{"GATEHOUSE_ISUER": "https://login.example.test"},
			[]string{"registration", "languages: ", `unknown kind "gogle"`,
				"GATEHOUSE_ISUER: unknown variable: did you mean GATEHOUSE_ISSUER?"}},
	} {
		o.vars = c.vars
		o.configure(slices.Concat([]string{`operations: {listen: "off"}`, `listen: "127.0.0.1:0"`}, c.lines)...)
		config, err := os.ReadFile(o.config)
		if err != nil {
			t.Fatal(err)
		}
		o.config = o.file("own.yaml", strings.Join(strings.Split(string(config), "\n")[2:], "\n")) // own data_dir
		served, checked := o.in("", "serve"), o.in("", "check")
		if served.code != failure || served.out != "" || checked.code != failure {
			t.Errorf("%s: exit %d and %d, serve prints %q", name, served.code, checked.code, served.out)
		}
		for _, text := range c.says {
			if !strings.Contains(served.err, text) {
				t.Errorf("%s: serve does not say %q:\n%s", name, text, served.err)
			}
			words := strings.FieldsFunc(text, func(r rune) bool { return r == ':' })
			if !strings.Contains(checked.out, strings.TrimSpace(words[0])) {
				t.Errorf("%s: check does not say %q:\n%s", name, words[0], checked.out)
			}
		}
	}
	if exists(blocked) {
		t.Error("it was created")
	}
}

func TestCheckChangesNothingAndMigrateMaySayTheSameTwice(t *testing.T) {
	o := newOperator(t)
	for _, says := range []string{"made a new database: " + filepath.Join(o.dir, "data", "gatehouse.db"), ""} {
		if got := o.in("", "migrate"); got.code != success || strings.TrimSpace(got.err) != says {
			t.Errorf("exit %d, %q, want %q", got.code, got.err, says)
		}
	}
	var one, two map[string]int64
	o.shows(&one, "migrate")
	if o.shows(&two, "migrate"); one["schema"] < 1 || one["schema"] != two["schema"] {
		t.Errorf("schema %v, then %v", one, two)
	}
	if out := o.does("migrate"); out != fmt.Sprintf("the database is at schema %d\n", one["schema"]) {
		t.Errorf("it says %q", out)
	}
	var found []finding
	if o.shows(&found, "check"); len(found) != 5 || slices.ContainsFunc(found, func(f finding) bool { return !f.OK }) {
		t.Errorf("found %+v", found)
	}

	// A database of an older version is reported and not migrated.
	fresh := newOperator(t)
	fresh.keyring("kown", time.Now())
	path := fresh.file("data/gatehouse.db", "")
	if fresh.shows(&found, "check"); !strings.Contains(fmt.Sprint(found), "has schema 0") {
		t.Errorf("found %+v", found)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 4096 {
		t.Errorf("check migrated: %v %v", info, err)
	}
}

func TestWhatTheConfigurationDeclaresIsStoredAndRecordedOnce(t *testing.T) {
	o := newOperator(t)
	o.vars = map[string]string{"HUB": "a secret of the hub", "WIKI": "Zk3vQ9xT2mW7pL4sD8fH1jC6bN5gR0yE"}
	declare := func(hub, wiki string) {
		o.configure("listen: "+freeAddress(t),
			"connections:",
			"  - {id: corp, kind: oidc, name: Corp, issuer: 'https://id.example.test/.well-known/openid-configuration', "+
				"client_id: c, domains: [corp.example.test], settings: {scopes: ' openid email ', ca_bundle: ''}}",
			"  - {id: hub, kind: github, name: "+hub+", client_id: c, client_secret: env:HUB}",
			"clients:", "  - {id: wiki, name: "+wiki+", secret: env:WIKI, redirect_uris: [https://wiki.example.test/]}",
			"  - {id: phone, name: Phone, public: true, native: true, redirect_uris: [com.example.phone:/cb]}")
	}
	restart := func() []string {
		t.Helper()
		o.runs("Gatehouse serves", "serve", "--config", o.config).ends()
		return o.logged()
	}
	declare("Hub", "Wiki")
	first := restart()
	if want := []string{"connection.changed declared", "connection.changed declared", "client.changed declared",
		"client.changed declared"}; !slices.Equal(first, want) {
		t.Fatalf("the first start tells %q", first)
	}
	if again := restart(); !slices.Equal(again, first) {
		t.Errorf("a restart tells %q more", again[len(first):])
	}
	declare("GitHub", "Wiki")
	if second := restart(); !slices.Equal(second[len(first):], []string{"connection.changed declared"}) {
		t.Errorf("another name tells %q", second[len(first):])
	}
	var c connectionView
	if o.shows(&c, "connections", "show", "hub"); c.Name != "GitHub" || c.Secrets != 1 || c.Position != 1 {
		t.Errorf("the connection: %+v", c)
	}

	// What the operator turned off stays off, and a new secret leaves the old one alive.
	o.does("connections", "disable", "hub")
	o.does("clients", "disable", "wiki")
	o.vars["HUB"], o.vars["WIKI"] = "another secret of the hub", "mW7pL4sD8fH1jC6bN5gR0yEZk3vQ9xT2"
	told := len(o.logged())
	if third := restart(); len(third) != told+2 {
		t.Errorf("new secrets tell %q", third[told:])
	}
	var client clientView
	o.shows(&c, "connections", "show", "hub")
	o.shows(&client, "clients", "show", "wiki")
	if c.State != "disabled" || c.Secrets != 2 || !client.Disabled || client.Secrets != 2 {
		t.Errorf("%+v %+v", c, client)
	}

	// After the keyring was rotated, the client's secret is hashed again, once, and the other one stays.
	o.does("keys", "rotate", "--wait", "0s")
	told = len(o.logged())
	if fourth := restart(); !slices.Equal(fourth[told:], []string{"client.changed declared"}) {
		t.Errorf("after the rotation: %q", fourth[told:])
	}
	if fifth := restart(); len(fifth) != told+1 {
		t.Errorf("and again: %q", fifth[told:])
	}
	if o.shows(&client, "clients", "show", "wiki"); client.Secrets != 2 {
		t.Errorf("%d secrets", client.Secrets)
	}
}
