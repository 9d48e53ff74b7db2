package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/broker"
)

// internals are errors between the store and fosite; no app gets them.
var internals = map[string]bool{"not_found": true, "inactive_token": true, "unknown_request": true,
	"invalidated_authorize_code": true,
	"serialization_failure":      true, "token_expired": true, "invalid_token_format": true}

var (
	spokenError  = regexp.MustCompile(`fosite\.Err([A-Z]\w*)`)
	literalError = regexp.MustCompile(
		`"((?:invalid|unauthorized|unsupported|unapproved|insufficient|unmet|expired|use)_\w+|` +
			`\w+_(?:denied|down|error|pending|required|unavailable))"`)
	capital = regexp.MustCompile(`([a-z])([A-Z])`)
)

// The table of errors has every error that the code can return, and no other.
func TestTheReadmeSaysWhatEveryErrorMeans(t *testing.T) {
	explained, answered := explainedErrors(t), answeredErrors(t)
	if len(answered) < 25 {
		t.Fatalf("only %v were found", answered)
	}
	for name, where := range answered {
		if !explained[name] {
			t.Errorf("%s answers %s, which README.md does not explain", where, name)
		}
	}
	for name := range explained {
		if answered[name] == "" {
			t.Errorf("README.md explains %s, which nothing answers", name)
		}
	}
}

func explainedErrors(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n### What an error means\n")
	table, _, _ = strings.Cut(table, "\n## ")
	all := map[string]bool{}
	for line := range strings.Lines(table) {
		if cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | "); strings.HasPrefix(line, "| `") {
			for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cell, -1) {
				all[name[1]] = true
			}
		}
	}
	return all
}

// answeredErrors finds them in the source: the codes, package oidc,
// and the toolkit, which writes its responses.
func answeredErrors(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, c := range broker.Codes() {
		if name := c.Meaning().OAuth; name != "" {
			all[name] = "the code " + string(c)
		}
	}
	top := filepath.Join("..", "..", "broker")
	files, err := filepath.Glob(filepath.Join(top, "oidc", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, filepath.Join(top, "web", "fail.go")) {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range spokenError.FindAllStringSubmatch(string(source), -1) {
			name := strings.ToLower(capital.ReplaceAllString(strings.Replace(m[1], "URI", "Uri", 1), "${1}_$2"))
			if !internals[name] {
				all[name] = filepath.Base(f)
			}
		}
		for _, m := range literalError.FindAllStringSubmatch(string(source), -1) {
			all[m[1]] = filepath.Base(f)
		}
	}
	return all
}
