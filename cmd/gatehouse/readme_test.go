package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/broker"
)

// internals are errors by which the store and fosite talk to each other; no app hears of them.
var internals = map[string]bool{"not_found": true, "inactive_token": true, "unknown_request": true, "invalidated_authorize_code": true,
	"serialization_failure": true, "token_expired": true, "invalid_token_format": true}

var (
	spokenError  = regexp.MustCompile(`fosite\.Err([A-Z]\w*)`)
	literalError = regexp.MustCompile(`ErrorField:\s*"(\w+)"|"error": "(\w+)"|"error": \{"(\w+)"\}|"(invalid_token|insufficient_scope)"`)
	capital      = regexp.MustCompile(`([a-z])([A-Z])`)
)

func TestTheReadmeSaysWhatEveryErrorMeans(t *testing.T) {
	top := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(top, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | "); strings.HasPrefix(line, "| `") {
			for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cell, -1) {
				explained[name[1]] = true
			}
		}
	}
	answered := map[string]string{}
	for _, c := range broker.Codes() {
		if name := c.Meaning().OAuth; name != "" {
			answered[name] = "the code " + string(c)
		}
	}
	files, err := filepath.Glob(filepath.Join(top, "broker", "oidc", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, m := range spokenError.FindAllStringSubmatch(string(source), -1) {
			name := strings.ToLower(capital.ReplaceAllString(strings.Replace(m[1], "URI", "Uri", 1), "${1}_$2"))
			answered[name] = filepath.Base(f)
		}
		for _, m := range literalError.FindAllStringSubmatch(string(source), -1) {
			answered[m[1]+m[2]+m[3]+m[4]] = filepath.Base(f)
		}
	}
	if len(answered) < 15 {
		t.Fatalf("only %v were found", answered)
	}
	for name, where := range answered {
		if !explained[name] && !internals[name] {
			t.Errorf("%s answers %s, which README.md does not explain", where, name)
		}
	}
}
