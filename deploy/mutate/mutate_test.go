package main

import (
	"go/format"
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
		"a < b && s != one -> true", "a < b && s != one -> false", "a < b && s != one -> !(a < b && s != one)",
		"a < b && s != one -> a < b || s != one", "a < b && s != one -> true && s != one",
		"a < b && s != one -> a < b && true",
		"a < b -> a <= b", "a < b -> a >= b", "s != one -> s == one", "r.n = a -> dropped", "r.n++ -> dropped",
		"true -> false", "return true, no -> return true, nil", "a == b -> true", "a == b -> false",
		"a == b -> a != b",
		"s == one -> true", "s == one -> false", "s == one -> !(s == one)", "s == two -> true",
		"s == two -> false", "s == two -> !(s == two)",
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

func TestASurvivorNeedsAnExcuse(t *testing.T) {
	const text = "//equivalent:left,op A reason.\n// More of it.\nx\n//equivalent:drop It does nothing.\ny\n"
	excuses, err := readExcuses("a.go", text)
	want := []excuse{{"a.go", 3, "left"}, {"a.go", 3, "op"}, {"a.go", 5, "drop"}}
	if err != nil || !slices.Equal(excuses, want) {
		t.Fatal(excuses, err)
	}
	for _, bad := range []string{"//equivalent:left\nx\n", "//equivalent: a reason\nx\n"} {
		if got, err := readExcuses("a.go", bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
	all := []mutant{{file: "a.go", line: 3, kind: "left"}, {file: "a.go", line: 3, kind: "right"}}
	excuses = excuses[:1]
	for _, c := range []struct {
		verdicts []string
		excuses  []excuse
		wrong    bool
	}{
		{[]string{killed, broken}, nil, false},
		{[]string{survived, killed}, nil, true},
		{[]string{survived, killed}, excuses, false},
		{[]string{survived, survived}, excuses, true},
		{[]string{killed, killed}, excuses, true},
	} {
		if report, wrong := judge(all, c.verdicts, c.excuses, true); wrong != c.wrong {
			t.Errorf("%q, %v: %v\n%s", c.verdicts, c.excuses, wrong, report)
		}
	}
}
