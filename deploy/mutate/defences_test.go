package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// lib has a defence of each kind. Its tests notice what happens to every one of them but idle.
const lib = `package x

import "errors"

var errNo = errors.New("no")

const (
	//defence:A1 = 100
	most = 2
	other = 1
)

type pair struct{ a, b string }

type query struct{ said []any }

func (q *query) Where(cond string, args ...any) *query {
	q.said = append(append(q.said, cond), args...)
	return q
}

func no(n int) bool {
	//defence:A1
	if n > most {
		return true
	}
	switch {
	//defence:A1
	case n == -1,
		n == -2:
		return true
	}
	return n == -3 ||
		//defence:A1
		n == -4 ||
		n < -7 &&
			//defence:A1
			n > -9
}

func keep(in []int) (out []int, err error) {
	//defence:A1
	for _, n := range in {
		//defence:A1 = true
		if n != 3 {
			out = append(out, n)
		}
	}
	var last int
	//defence:A1
	last = len(out)
	first, n := 1, 2
	//defence:A1
	a, b := pieces()
	//defence:A1
	q := (&query{}).
		//defence:A1
		Where("a = ?", a).
		Where("b")
	p := pair{
		//defence:A1
		a: a,
		b: b,
	}
	if p.a == "" || first+n != 3 {
		return nil, errNo
	}
	//defence:A1
	return append(out, last, len(q.said)), check(
		//defence:A1
		b)
}

func pieces() (a, b string) {
	//defence:A1
	defer func() { b = "y" }()
	return "x", ""
}

func check(s string) error {
	if s == "" {
		return errNo
	}
	return nil
}

func idle(n int) int {
	//defence:A1 ./sub:TestIdle
	//defence:B10
	//defence:A2
	n++
	//defence:A3
	//defence:A4
	//defence:A1 D1
	return n + other
}

func more(n int) bool {
	n--
	for n > 0 {
		//defence:A5
		n--
	}
	return true
}

func wrong(n int) {
	//defence:A1
	switch n {
	//defence:A1
	case 1:
		//defence:A1
	}
	//defence:a1
	n++
	//defence:A1 = Most
	n++
}
`

const libTest = `package x

import (
	"fmt"
	"testing"
)

func TestA1_Everything(t *testing.T) {
	for n, want := range map[int]bool{
		0: false, 2: false, 3: true, -1: true, -2: true, -3: true, -4: true, -5: false, -8: true, -9: false,
	} {
		if no(n) != want {
			t.Error(n)
		}
	}
	if got, err := keep([]int{1, 3, 5}); fmt.Sprint(got, err) != "[1 5 2 3] <nil>" {
		t.Error(got, err)
	}
}
func TestOther_D1_Idle(t *testing.T) { if idle(1) != 3 { t.Fatal() } }
func TestA2_Nothing(t *testing.T) { idle(1) }
func TestA3_Sick(t *testing.T) { t.Fatal() }
func TestA4_Skipped(t *testing.T) { t.Skip() }
func TestA5_Loop(t *testing.T) { more(2) }
`

func write(t *testing.T, files map[string]string) string {
	top := t.TempDir()
	for name, text := range files {
		name = filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

func TestEveryVerdict(t *testing.T) {
	top := write(t, map[string]string{
		"go.mod":          "module x\n\ngo 1.26\n",
		"x.go":            lib,
		"x_test.go":       libTest,
		"sub/sub_test.go": "package sub\nimport (\"testing\"; \"x\")\nfunc TestIdle(t *testing.T) { x.Idle(t) }\n",
		"idle.go":         "package x\nimport \"testing\"\nfunc Idle(t *testing.T) { if idle(1) != 3 { t.Fatal() } }\n",
	})
	tree, err := newTree(t.Context(), top, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tree.grace = 2 * time.Second
	_, undefended, _ := strings.Cut(lib, "func idle")
	var got []string
	for _, a := range tree.anchors {
		verdict, why, err := tree.takeOut(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case a.line < strings.Count(lib, "\n")-strings.Count(undefended, "\n"):
			if verdict != killed {
				t.Errorf("%s: %s %s", a, verdict, why)
			}
		default:
			got = append(got, strings.TrimSpace(verdict+" "+why))
		}
	}
	want := []string{
		"killed", "broken no test that passes as things are has B10 in its name", "SURVIVED the tests of A2 pass in .",
		"broken no test that passes as things are has A3 in its name",
		"broken no test that passes as things are has A4 in its name",
		"SURVIVED the tests of A1 pass in .", "killed timeout",
		"SURVIVED the tests of A1 pass in .", "broken a case of a switch with a tag: anchor a statement of its body instead",
		"broken nothing that can be taken out starts on the line below",
		`broken "a1" is neither a row nor a test such as ./broker:TestResolve`,
		`broken the value "Most" may use literals, packages and local variables only`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
