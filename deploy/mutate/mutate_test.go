package main

import (
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestABlockIsReadAsItIsWritten(t *testing.T) {
	got, err := parseBlocks("x.txt", `# About the file.

# Why.
A2 B10 broker/oidc/request.go
- 	if method != methodS256 {
-
- 		return
+ 	if false {
- 	second
! ./broker/oidc ^TestA2_
! ./cmd/gatehouse ^TestB10_

C1 a/b.sql
- x
+
! ./a .
`)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	a, b := got[0], got[1]
	if a.at != "x.txt:4" || a.head() != "A2 B10 broker/oidc/request.go" || len(a.changes) != 2 || len(a.checks) != 2 {
		t.Errorf("%+v", a)
	}
	if !slices.Equal(a.changes[0].old, []string{"\tif method != methodS256 {", "", "\t\treturn"}) || !slices.Equal(a.changes[0].new, []string{"\tif false {"}) ||
		a.changes[1].new != nil || a.checks[1].pkg != "./cmd/gatehouse" || a.checks[1].tests != "^TestB10_" {
		t.Errorf("%+v", a)
	}
	if !slices.Equal(b.changes[0].new, []string{""}) {
		t.Errorf("%+v", b)
	}
	for _, bad := range []string{"A2\n- x\n! ./a .", "a2 x.go\n- x\n! ./a .", "A2 ../x.go\n- x\n! ./a .", "A2 x.go\n! ./a .", "A2 x.go\n- x", "A2 x.go\n+ x\n! ./a .",
		"A2 x.go\n- x\n! ./a", "A2 x.go\n- x\n! ./a (", "A2 x.go\nx\n! ./a ."} {
		if got, err := parseBlocks("x.txt", bad); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

func TestTheOldTextIsThereOnce(t *testing.T) {
	for _, c := range []struct {
		text     string
		old, new []string
		n        int
		want     string
	}{
		{"a\nb\nc\n", []string{"b"}, []string{"x", "y"}, 1, "a\nx\ny\nc\n"},
		{"a\nb\nc\n", []string{"a", "b"}, nil, 1, "c\n"},
		{"a\n\tb\nb\n", []string{"b"}, []string{"x"}, 1, "a\n\tb\nx\n"},
		{"a b c\n", []string{"b"}, []string{"x"}, 1, "a x c\n"},
		{"b\nb\n", []string{"b"}, nil, 2, ""},
		{"a\n", []string{"b"}, nil, 0, ""},
	} {
		got, n := change{c.old, c.new}.apply(c.text)
		if n != c.n || n == 1 && got != c.want {
			t.Errorf("%q in %q: %d times, %q", c.old, c.text, n, got)
		}
	}
}

// A module of its own shows what becomes of a block of each kind.
func TestEveryVerdict(t *testing.T) {
	top := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module x\n\ngo 1.26\n",
		"x.go":   "package x\n\nfunc no(n int) bool { return n > 3 }\n\nfunc idle() int { return 1 }\n",
		"x_test.go": `package x
import "testing"
func TestA1_No(t *testing.T) { if no(3) || !no(4) { t.Fatal() } }
func TestSick(t *testing.T) { t.Fatal() }
`} {
		if err := os.WriteFile(filepath.Join(top, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	blocks, err := parseBlocks("x.txt", `A1 x.go
- n > 3
+ n > 2
! . ^TestA1_

A1 x.go
- func idle() int { return 1 }
+ func idle() int { return 2 }
! . ^TestA1_

A1 x.go
- n > 5
! . ^TestA1_

A1 gone.go
- x
! . ^TestA1_

A1 x.go
- n > 3
+ m > 3
! . ^TestA1_

A1 x.go
- n > 3
+ n > 2
! . ^TestSick

A1 x.go
- n > 3
+ n > 2
! . ^TestNobody
`)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{top: top, scratch: t.TempDir(), sound: map[string]string{}}
	for i, want := range []string{killed, survived, stale, stale, broken, broken, broken} {
		if got, why, err := b.takeOut(t.Context(), blocks[i]); err != nil || got != want {
			t.Errorf("%s: %s (%s), not %s; %v", blocks[i].at, got, why, want, err)
		}
	}
}

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
		"a < b && s != one -> a < b || s != one #1", "a < b && s != one -> true && s != one #1", "a < b && s != one -> a < b && true #1",
		"a < b -> a <= b #1", "a < b -> a >= b #1", "s != one -> s == one #1", "r.n = a -> dropped #1", "r.n++ -> dropped #1",
		"true -> false #1", "return true, no -> return true, nil #1", "a == b -> true #1", "a == b -> false #1", "a == b -> a != b #1",
		"s == one -> true #1", "s == one -> false #1", "s == one -> !(s == one) #1", "s == two -> true #1", "s == two -> false #1", "s == two -> !(s == two) #1",
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
	for text, ok := range map[string]bool{"# About.\n\nf: a -> b #1\nBecause.\n": true, "f: a -> b #1\n": false, "f: a -> b #1\nx\n\nf: a -> b #1\nx\n": false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if keys, err := readEquivalent(file); (err == nil) != ok || ok && !slices.Equal(keys, []string{"f: a -> b #1"}) {
			t.Errorf("%q: %q, %v", text, keys, err)
		}
	}
}

// A defence that moved is taken out by nobody until its block moves along.
func TestEveryDefenceStandsWhereItsBlockSays(t *testing.T) {
	top := filepath.Join("..", "..")
	blocks, err := readBlocks(top)
	if err != nil || len(blocks) == 0 {
		t.Fatal(len(blocks), err)
	}
	for _, d := range blocks {
		text, err := os.ReadFile(filepath.Join(top, d.file))
		if err != nil {
			t.Errorf("%s: %v", d.at, err)
			continue
		}
		code, n := string(text), 0
		for _, c := range d.changes {
			if code, n = c.apply(code); n != 1 {
				t.Errorf("%s %s: the old text is there %d times: %q", d.at, d.head(), n, strings.Join(c.old, "\n"))
			}
		}
	}
}
