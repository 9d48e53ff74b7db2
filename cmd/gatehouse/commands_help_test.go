package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEveryCommandExplainsItself(t *testing.T) {
	o := &operator{t: t, config: filepath.Join(t.TempDir(), "is-not-there.yaml")} // help opens nothing
	for _, v := range verbs(t) {
		words := strings.Fields(v.name)
		got := o.in("", append(words, "--help")...)
		if got.code != success || got.err != "" {
			t.Errorf("%s --help: exit %d, %q", v.name, got.code, got.err)
		}
		want := append([]string{"Usage: gatehouse " + v.name, "Example:\n  gatehouse " + v.name, "--config=FILE", "--json"},
			v.args()...)
		for _, f := range v.node.Flags {
			want = append(want, "--"+f.Name)
		}
		for _, part := range want {
			if !strings.Contains(got.out, part) {
				t.Errorf("%s --help does not say %q:\n%s", v.name, part, got.out)
			}
		}
		if about := strings.Fields(got.out); !strings.Contains(strings.Join(about, " "), v.node.Help) {
			t.Errorf("%s --help does not say %q:\n%s", v.name, v.node.Help, got.out)
		}
		for line := range strings.Lines(got.out) {
			if utf8.RuneCountInString(line) > helpWidth+1 {
				t.Errorf("%s --help has a line over %d columns: %s", v.name, helpWidth, line)
			}
		}
		var out bytes.Buffer
		if code := run(t.Context(), append([]string{"help"}, words...), terminal{out: &out, err: &out}); code != success ||
			out.String() != got.out {
			t.Errorf("help %s: exit %d\n%s", v.name, code, out.String())
		}
		if needs := len(v.args()); needs > 0 && len(strings.Fields(v.node.Tag.Get("example"))) < needs {
			t.Errorf("the example of %s leaves its argument out", v.name)
		}
	}
}

// Every example must parse.
func TestEveryExampleParses(t *testing.T) {
	for _, v := range verbs(t) {
		if err := parses(t, append(strings.Fields(v.name), shellWords(v.node.Tag.Get("example"))...)...); err != nil {
			t.Errorf("%s %s: %v", v.name, v.node.Tag.Get("example"), err)
		}
	}
}

func TestTheOverviewNamesEveryCommandAndAGroupItsOwn(t *testing.T) {
	for _, args := range [][]string{{}, {"help"}, {"--help"}, {"-h"}} {
		var out, err bytes.Buffer
		if code := run(t.Context(), args, terminal{out: &out, err: &err}); code != success || err.Len() > 0 {
			t.Errorf("%q: exit %d, %s", args, code, &err)
		}
		for _, v := range verbs(t) {
			if !strings.Contains(out.String(), "  "+v.name+" ") {
				t.Errorf("%q does not list %s:\n%s", args, v.name, &out)
			}
		}
	}
	for _, args := range [][]string{{"clients", "--help"}, {"help", "clients"}} {
		var out bytes.Buffer
		code := run(t.Context(), args, terminal{out: &out, err: &out})
		if code != success || !strings.Contains(out.String(), "clients secret") || strings.Contains(out.String(),
			"accounts") {
			t.Errorf("%q: exit %d\n%s", args, code, &out)
		}
	}
}

func TestTheVersionIsShown(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"--version"}, terminal{out: &out, err: &out}); code != success ||
		!strings.HasPrefix(out.String(), "gatehouse ") {
		t.Errorf("exit %d: %s", code, &out)
	}
}

func TestAMistypedWordGetsASuggestion(t *testing.T) {
	o := newOperator(t)
	for line, says := range map[string]string{
		"acounts list":              `unknown command acounts, did you mean "accounts"?`,
		"accounts shwo ana":         `unknown command shwo, did you mean "show"?`,
		"accounts list --limt 3":    `unknown flag --limt, did you mean "--limit"?`,
		"clients add --redirect-ur": `did you mean "--redirect-uri"?`,
	} {
		if got := o.in("", strings.Fields(line)...); got.code != wrongUsage || !strings.Contains(got.err, says) {
			t.Errorf("%s: exit %d, want %s, got:\n%s", line, got.code, says, got.err)
		}
	}
}
