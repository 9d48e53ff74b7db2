package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bare is a client without a flaw, to put one in.
const bare = "clients:\n  - {id: wiki, name: Wiki, secret: env:S, redirect_uris: [https://wiki.example.com/cb]"

func TestAllProblemsAreReportedByTheirKeys(t *testing.T) {
	_, problems := load(t, `
issuer: http://login.example.com/
listen: 8080
isuer: https://typo.example.com
mail:
  smtp: env:NOT_THERE
  form: typo
database_pool: many
passwords: [maybe]
languages: en
trusted_proxies:
  - 10.0.0.1/8
  - 0.0.0.0/0
  - proxy.example.com
registration: open
registration: closed
<<: {registration: form}
nowhere: &x {cert: 1}
operations: *x
tls: {cert: /a.pem}
product: Acme
connections:
  - {id: Google, kind: google, name: Google, domain: example.com}
`, env{"GATEHOUSE_LOG_LEVEL": "loud", "GATEHOUSE_UPSTREAM_NETWORKS": "10.0.0.0/8,nonsense,::/0"})
	want := []string{
		"<<", "connections[0].domain", "connections[0].id", "database_pool", "issuer", "isuer", "languages", "listen",
		"log.level", "mail.form", "mail.smtp", "nowhere", "operations", "passwords",
		"product", "registration", "tls", "trusted_proxies[0]", "trusted_proxies[2]", "upstream_networks[1]",
	}
	got := keys(problems)
	for _, key := range want {
		if !slices.Contains(got, key) {
			t.Errorf("%s is not reported", key)
		}
	}
	text := problems.Error()
	for _, part := range []string{"isuer (line 4): ", "mail.form (line 7): ", "log.level (GATEHOUSE_LOG_LEVEL): ",
		"trusted_proxies[2] (line 14): ", "upstream_networks[1] (GATEHOUSE_UPSTREAM_NETWORKS): ",
		"database_pool (line 8): expected a whole number"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing", part)
		}
	}
	if strings.Contains(text, "config.") || strings.Contains(text, "!!") || strings.Count(text, "\n") != len(problems) {
		t.Errorf("that is no text for an operator:\n%s", text)
	}
	for _, p := range problems {
		if p.Fix == "" || p.Key == "" {
			t.Errorf("%+v says nothing", p)
		}
	}
}

// settings that are refused, each with the one key that is to blame.
func TestASettingThatWouldNotBeSafeIsRefused(t *testing.T) {
	https := "trusted_proxies: [10.0.0.1]\nissuer: "
	pg := "keyring: /k\ndatabase: "
	cases := []struct{ yaml, key string }{
		{"issuer: login.example.com", "issuer"},
		{"issuer: ftp://login.example.com", "issuer"},
		{"issuer: http://login.example.com", "issuer"},
		{"issuer: http://10.0.0.1", "issuer"},
		{"issuer: http://localhost.example.com", "issuer"},
		{"issuer: https://login.example.com", "issuer"}, // nothing terminates it
		{https + "https://", "issuer"},
		{https + "https://login.example.com/", "issuer"},
		{https + "https://login.example.com/idp", "issuer"},
		{https + "https://login.example.com?x=1", "issuer"},
		{https + "https://login.example.com?", "issuer"},
		{https + `"https://login.example.com#"`, "issuer"},
		{https + "https://me@login.example.com", "issuer"},
		{https + "https://login.example.com:443", "issuer"},
		{https + "'https://login.example.com:'", "issuer"},
		{https + "https://Login.example.com", "issuer"},
		{https + "HTTPS://login.example.com", "issuer"},
		{"tls: {cert: a, key: b}", "issuer"}, // http with a certificate
		{"tls: {key: b}", "tls"},
		{"listen: localhost", "listen"},
		{"listen: localhost:http", "listen"},
		{"listen: localhost:70000", "listen"},
		{"operations: {listen: 'no'}", "operations.listen"},
		{"audit: {retention: -1}", "audit.retention"},
		{"audit: {refusals: 0}", "audit.refusals"},
		{"operations: {listen: localhost:8080}", "operations.listen"},
		{"internal_hosts: ['http://gatehouse']", "internal_hosts[0]"},
		{"internal_hosts: [ok, Gatehouse]", "internal_hosts[1]"},
		{"internal_hosts: ['gatehouse:8080/']", "internal_hosts[0]"},
		{"internal_hosts: ['']", "internal_hosts[0]"},
		{"trusted_proxies: [0.0.0.0/0]", "trusted_proxies[0]"},
		{"trusted_proxies: ['::/0']", "trusted_proxies[0]"},
		{"upstream_networks: [10.0.0.0/8, 169.254.169.254]", "upstream_networks[1]"},
		{"upstream_networks: [fe80::/10]", "upstream_networks[0]"},
		{"upstream_networks: [128.0.0.0/1]", "upstream_networks[0]"},
		{"upstream_networks:\n  - '::ffff:10.0.0.0/104'", "upstream_networks[0]"},
		{"data_dir: ''", "data_dir"},
		{"database: mysql://db/x", "database"},
		{"database: gatehouse.db", "database"},
		{"database: 'sqlite:'", "database"},
		{"database: 'sqlite::memory:'", "database"},
		{"database: 'sqlite:x.db?mode=ro'", "database"},
		{"database: sqlite:///var/x.db", "database"},
		{pg + "postgres://db", "database"},
		{pg + "postgres:///x", "database"},
		{pg + "postgres://u:" + random + "@db/x", "database"}, // a password in the file
		{pg + "postgres://u@db/x?password=" + random, "database"},
		{"database: postgres://db/x", "keyring"},
		{"keyring: '{\"keys\":[]}'", "keyring"},
		{"keyring: env:NOT_THERE", "keyring"},
		{"database_pool: 0", "database_pool"},
		{"database_pool: 100000", "database_pool"},
		{"sqlite_synchronous: off", "sqlite_synchronous"},
		{"redis: http://redis", "redis"},
		{"redis: redis://:" + random + "@redis", "redis"},
		{"mail: {smtp: 'smtp://mail.example.com'}", "mail.from"},
		{"mail: {from: nobody}", "mail.from"},
		{"mail: {from: a@example.com, smtp: mail.example.com}", "mail.smtp"},
		{"mail: {from: a@example.com, smtp: 'smtp://u@mail.example.com'}", "mail.smtp"},
		{"mail: {from: a@example.com, smtp: 'smtp://mail.example.com/?skip=verify'}", "mail.smtp"},
		{"mail: {from: a@example.com, smtp: 'smtp://u:" + random + "@mail.example.com'}", "mail.smtp"},
		{"product: {name: ''}", "product.name"},
		{"product: {name: \"a\\nb\"}", "product.name"},
		{"product: {name: " + strings.Repeat("x", 61) + "}", "product.name"},
		{"product: {support_url: 'javascript:alert(1)'}", "product.support_url"},
		{"product: {privacy_url: 'mailto:a@example.com'}", "product.privacy_url"},
		{"product: {terms_url: 'http://example.com'}", "product.terms_url"},
		{"registration: open", "registration"},
		{"languages: []", "languages"},
		{"languages: [en, english language]", "languages[1]"},
		{"languages: [en, en]", "languages[1]"},
		{"log: {level: trace}", "log.level"},
		{"connections: [{kind: google, name: G}]", "connections[0].id"},
		{"connections: [{id: a/b, kind: google, name: G}]", "connections[0].id"},
		{"connections: [{id: g, kind: google, name: G}, {id: g, kind: google, name: G}]", "connections[1].id"},
		{"connections: [{id: g, name: G}]", "connections[0].kind"},
		{"connections: [{id: g, kind: google}]", "connections[0].name"},
		{"connections: [{id: g, kind: oidc, name: G, issuer: id.example.com}]", "connections[0].issuer"},
		{"connections: [{id: g, kind: oidc, name: G, issuer: 'https://id.example.com?x'}]", "connections[0].issuer"},
		{"connections: [{id: g, kind: oidc, name: G, client_id: 'x '}]", "connections[0].client_id"},
		{"connections: [{id: g, kind: oidc, name: G, client_secret: " + random + "}]", "connections[0].client_secret"},
		{"connections: [{id: g, kind: oidc, name: G, domains: [example]}]", "connections[0].domains[0]"},
		{"connections: [{id: g, kind: oidc, name: G, domains: [Example.com]}]", "connections[0].domains[0]"},
		{"connections: [{id: g, kind: oidc, name: G, domains: ['*.example.com']}]", "connections[0].domains[0]"},
		{"connections: [{id: g, kind: oidc, name: G, domains: [a.example, a.example]}]", "connections[0].domains[1]"},
		{strings.Replace(bare, "wiki,", "'wi ki',", 1) + "}", "clients[0].id"},
		{strings.Replace(bare, "name: Wiki,", "", 1) + "}", "clients[0].name"},
		{strings.Replace(bare, "env:S", random, 1) + "}", "clients[0].secret"},
		{strings.Replace(bare, "secret: env:S,", "", 1) + "}", "clients[0].secret"},
		{bare + ", public: true}", "clients[0].secret"},
		{bare + ", auth_method: none}", "clients[0].auth_method"},
		{bare + ", auth_method: client_secret_jwt}", "clients[0].auth_method"},
		{bare + ", auth_method: client_secret_basic none}", "clients[0].auth_method"},
		{bare + ", auth_method: private_key_jwt, jwks_uri: 'https://wiki.example.com/keys'}", "clients[0].secret"},
		{bare + ", auth_method: client_secret_basic private_key_jwt}", "clients[0].jwks"},
		{bare + ", auth_method: client_secret_basic private_key_jwt, jwks: '{}', jwks_uri: 'https://wiki.example.com/keys'}",
			"clients[0].jwks"},
		{bare + ", jwks: 'file:/nowhere/jwks.json'}", "clients[0].jwks"},
		{bare + ", access_token: saml}", "clients[0].access_token"},
		{strings.Replace(bare, "secret: env:S", "auth_method: client_secret_post", 1) + ", public: true}",
			"clients[0].auth_method"},
		{bare + ", require_pkce: true}", "clients[0].require_pkce"},
		{"listen: localhost:1\nlisten: localhost:2", "listen"},
		{"unknown: 1", "unknown"},
		{"database: !!int " + random, ""},
		{"product: {name: !!binary " + random + "_}", ""},
		{"- : 1", ""},
		{"-: 1", "-"},
		{"yaml: 1", "yaml"},
		{"createkeyring: true", "createkeyring"},
		{"mail: text", "mail"},
		{"mail: [text]", "mail"},
		{"database: {value: x}", "database"},
		{"issuer:\n  [a, b]", "issuer"},
		{"database_pool:\n    many", "database_pool"},
		{"connections: [google]", "connections"},
		{"connections: [{id: g, kind: oidc, name: G, settings: {a: [b]}}]", "connections[0].settings.a"},
		{"connections: [{id: g, kind: oidc, name: G, settings: {a: b, a: c}}]", "connections[0].settings.a"},
		{"trusted_proxies: *x", ""},
		{"a: &a [*a]", "a"},
		{"- a list", ""},
		{"listen: [", ""},
		{"listen: localhost:1\n---\nlisten: localhost:2", ""},
	}
	for _, c := range cases {
		_, problems := load(t, c.yaml, env{"S": random})
		if got := keys(problems); !slices.Equal(got, []string{c.key}) {
			t.Errorf("%s\n  blamed: %q, want %q\n  %v", c.yaml, got, c.key, problems)
		}
		if strings.Contains(problems.Error(), random) {
			t.Errorf("%s: a secret is in the error", c.yaml)
		}
	}
}

func TestG15_ShortAndWellKnownSecretsAreRefused(t *testing.T) {
	weak := []string{
		"changeme", "changeme-changeme-changeme-changeme-changeme", "CHANGE_ME_TO_A_LONG_RANDOM_STRING_1234", "secret",
		"s3cr3t", "password", "your-client-secret-goes-here-0123456789",
		"replace-me-with-a-real-secret-of-32-chars", "gatehouse-client-secret-for-the-demo-app",
		"supersecretsupersecretsupersecret", "my secret for the wiki, which nobody knows",
		"0123456789012345678901234567890123456789", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"abababababababababababababababababababab", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		"qwertyuiopasdfghjklzxcvbnmqwertyuiop", random[:31],
	}
	for _, secret := range weak {
		_, problems := load(t, bare+"}", env{"S": secret})
		if got := keys(problems); !slices.Equal(got, []string{"clients[0].secret"}) {
			t.Errorf("%q as a client's secret: %v", secret, problems)
		}
		if len(secret) > 8 && strings.Contains(problems.Error(), secret) {
			t.Errorf("%q is in the error", secret)
		}
	}
	for _, secret := range append(weak[:12:12], random[:15]) {
		_, problems := load(t, "connections: [{id: g, kind: oidc, name: G, client_secret: env:S}]", env{"S": secret})
		if got := keys(problems); !slices.Equal(got, []string{"connections[0].client_secret"}) {
			t.Errorf("%q as an upstream's secret: %v", secret, problems)
		}
	}
	for _, secret := range []string{"postgres", "password", "changeme", "gatehouse", "admin", "secret", "12345678",
		random[:7]} {
		for key, url := range map[string]string{"DATABASE": "postgres://u:%s@db/x", "REDIS": "redis://:%s@redis:6379",
			"MAIL_SMTP": "smtps://u:%s@mail.example.com"} {
			e := env{"GATEHOUSE_MAIL_FROM": "a@example.com", "GATEHOUSE_KEYRING": "/k", "GATEHOUSE_" + key: fmt.Sprintf(url,
				secret)}
			if _, problems := load(t, "", e); len(problems) != 1 || strings.ReplaceAll(problems[0].Key, ".",
				"_") != strings.ToLower(key) {
				t.Errorf("%s with the password %q: %v", key, secret, problems)
			}
		}
	}
	if _, problems := load(t, "", env{"GATEHOUSE_DATABASE": "postgres://postgres:postgres@localhost/x",
		"GATEHOUSE_KEYRING": "/k"}); problems != nil {
		t.Errorf("on the machine itself: %v", problems)
	}
	good := []string{random, random[:32], "4f8a0c3e9d1b7265f0e4a8c2d6b39175", "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",
		"a2f~Q8.Kz_0pLm4Rt6Yw9Xc1Vb3Nh5Jg7Sd"}
	for _, secret := range good {
		if _, problems := load(t, bare+"}", env{"S": secret}); problems != nil {
			t.Errorf("%q: %v", secret, problems)
		}
	}
}

func TestReferences(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"good": random + "\r\n", "empty": " \n", "large": strings.Repeat("x",
		maxFile+1)} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for reference, good := range map[string]bool{
		"env:S": true, "file:" + folder + "/good": true, "env:NOT_THERE": false, "env:EMPTY": false, "env:": false,
		"file:": false, "file:" + folder: false,
		"file:" + folder + "/empty": false, "file:" + folder + "/large": false, "file:" + folder + "/missing": false,
		"env:" + random: false,
	} {
		c, problems := load(t, strings.Replace(bare, "env:S", "'"+reference+"'", 1)+"}", env{"S": random, "EMPTY": ""})
		if good && (problems != nil || c.Clients[0].Secret.Reveal() != random) {
			t.Errorf("%s: %v", reference, problems)
		}
		if !good && (!slices.Equal(keys(problems), []string{"clients[0].secret"}) || strings.Contains(problems.Error(),
			random)) {
			t.Errorf("%s: %v", reference, problems)
		}
	}
}

func TestG15_AFileThatCannotBeReadIsAnError(t *testing.T) {
	for name, path := range map[string]string{"missing": filepath.Join(t.TempDir(), "none.yaml"), "a folder": t.TempDir(),
		"large": file(t, "#"+strings.Repeat("x", maxFile))} {
		if c, err := Load(path, env{}.list); err == nil || c != nil {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if _, err := Load(file(t, ""), env{}.list); err != nil {
		t.Errorf("an empty file: %v", err)
	}
}

func FuzzLoadAnswersAConfigOrAnError(f *testing.F) {
	f.Add("mail: {smtp: 'smtp://u:p@h'}")
	f.Add("clients: [{secret: env:S}]\nkeyring: k\n")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file:") {
			return // never read what a fuzzer names
		}
		c, err := Load(file(t, text), env{}.list)
		if _, all := errors.AsType[Problems](err); c == nil || err != nil && !all {
			t.Errorf("%v, %v", c, err)
		}
	})
}
