package main

import (
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheMutantsOfAFunction(t *testing.T) {
	const text = `package x

func (r *rule) may(a, b int, s kind) (ok bool, err error) {
	if a < b && s != one {
		r.n = a
		return true, no
	}
	switch s {
	case one, two:
		r.n++
	}
	return a == b, nil
}
`
	all, err := mutants("x.go", text)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, m := range all {
		keys = append(keys, strings.TrimPrefix(m.key, "rule.may: "))
		if _, err := format.Source([]byte(m.apply(text))); err != nil || m.apply(text) == text {
			t.Errorf("%s: %v\n%s", m.key, err, m.apply(text))
		}
	}
	for _, want := range []string{
		"a < b && s != one -> true #1", "a < b && s != one -> false #1", "a < b && s != one -> !(a < b && s != one) #1",
		"a < b && s != one -> a < b || s != one #1", "a < b && s != one -> true && s != one #1",
		"a < b && s != one -> a < b && true #1",
		"a < b -> a <= b #1", "a < b -> a >= b #1", "s != one -> s == one #1", "r.n = a -> dropped #1", "r.n++ -> dropped #1",
		"true -> false #1", "return true, no -> return true, nil #1", "a == b -> true #1", "a == b -> false #1",
		"a == b -> a != b #1",
		"s == one -> true #1", "s == one -> false #1", "s == one -> !(s == one) #1", "s == two -> true #1",
		"s == two -> false #1", "s == two -> !(s == two) #1",
	} {
		i := slices.Index(keys, want)
		if i < 0 {
			t.Errorf("missing: %s", want)
			continue
		}
		keys = slices.Delete(keys, i, i+1)
	}
	if len(keys) > 0 {
		t.Errorf("unexpected: %q", keys)
	}
}

func TestSurvivorsAreExcusedByTheirKeyAlone(t *testing.T) {
	all := []mutant{{key: "f: a -> true #1"}, {key: "f: a -> false #1"}, {key: "f: b -> true #1"}}
	for _, c := range []struct {
		verdicts, argued []string
		wrong            bool
	}{
		{[]string{killed, killed, broken}, nil, false},
		{[]string{killed, survived, killed}, nil, true},
		{[]string{killed, survived, killed}, []string{"f: a -> false #1"}, false},
		{[]string{killed, killed, killed}, []string{"f: a -> false #1"}, true},
		{[]string{killed, killed, killed}, []string{"f: c -> false #1"}, true},
	} {
		if report, wrong := judge(all, c.verdicts, c.argued, true); wrong != c.wrong {
			t.Errorf("%q, %q: %v\n%s", c.verdicts, c.argued, wrong, report)
		}
	}
	file := filepath.Join(t.TempDir(), "equivalent.txt")
	for text, ok := range map[string]bool{"# About.\n\nf: a -> b #1\nBecause.\n": true, "f: a -> b #1\n": false,
		"f: a -> b #1\nx\n\nf: a -> b #1\nx\n": false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if keys, err := readEquivalent(file); (err == nil) != ok || ok && !slices.Equal(keys, []string{"f: a -> b #1"}) {
			t.Errorf("%q: %q, %v", text, keys, err)
		}
	}
}
