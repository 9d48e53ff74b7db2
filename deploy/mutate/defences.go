package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Verdicts on one change.
const (
	killed   = "killed"
	survived = "SURVIVED"
	broken   = "broken"
)

const baselineLimit = 10 * time.Minute

// defences takes out every anchored defence that the expression finds, one after the other, and returns an error
// unless the tests notice each.
func defences(ctx context.Context, top, scratch string, only *regexp.Regexp) error {
	t, err := newTree(ctx, top, scratch)
	if err != nil {
		return err
	}
	counts, rows, began := map[string]int{}, map[string]bool{}, time.Now()
	for _, a := range t.anchors {
		if !only.MatchString(a.String()) {
			continue
		}
		verdict, why, err := t.takeOut(ctx, a)
		if err != nil {
			return err
		}
		counts[verdict]++
		for _, r := range a.rows {
			rows[r] = true
		}
		fmt.Println(strings.TrimRight(fmt.Sprintf("%-8s  %s  %s", verdict, a, why), " "))
	}
	all := counts[killed] + counts[survived] + counts[broken]
	if all == 0 {
		return errors.New("-only matches no anchor")
	}
	var names []string
	for r := range rows {
		names = append(names, r)
	}
	fmt.Println("rows:", strings.Join(sortRows(names), " "))
	fmt.Printf("%d killed, %d survived, %d broken in %s\n",
		counts[killed], counts[survived], counts[broken], time.Since(began).Round(time.Second))
	if counts[killed] < all {
		return errors.New("the tests do not notice the removal of every defence")
	}
	return nil
}

// tree is the module with a switch at every anchor.
type tree struct {
	top, module, overlay, scratch string
	anchors                       []anchor
	suites                        []*suite
	grace                         time.Duration // what a run may take beyond ten times its tests' time as things are
}

func newTree(ctx context.Context, top, scratch string) (*tree, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m")
	cmd.Dir = top
	name, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m: %w", err)
	}
	t := &tree{grace: 30 * time.Second, top: top, module: strings.TrimSpace(string(name)), scratch: scratch,
		overlay: filepath.Join(scratch, "overlay.json")}
	sources, err := readSources(top)
	if err != nil {
		return nil, err
	}
	replace := map[string]string{}
	add := func(file, text string) error {
		replaced := filepath.Join(scratch, fmt.Sprintf("%d.go", len(replace)))
		replace[filepath.Join(top, file)] = replaced
		return os.WriteFile(replaced, []byte(text), 0o600)
	}
	wrong := []error{add(path.Join(switchesDir, "switches.go"), switches)}
	for _, s := range sources {
		wrong = append(wrong, add(s.file, s.instrument(t.module)))
		t.anchors = append(t.anchors, s.anchors...)
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err := errors.Join(append(wrong, err, os.WriteFile(t.overlay, list, 0o600))...); err != nil {
		return nil, err
	}
	cmd = exec.CommandContext(ctx, "go", "build", "-overlay="+t.overlay, "./...")
	cmd.Dir = top
	if out, err := cmd.CombinedOutput(); err != nil {
		text := string(out)
		for file, replaced := range replace {
			text = strings.ReplaceAll(text, replaced, file)
		}
		const what = "the tree with its switches does not compile, see the anchors above these lines"
		return nil, fmt.Errorf("%s: %w\n%s", what, err, text)
	}
	t.suites, err = readSuites(ctx, top, t.module)
	return t, err
}

// takeOut runs the tests of an anchor without its defence. The second result gives the details.
func (t *tree) takeOut(ctx context.Context, a anchor) (verdict, why string, err error) {
	if a.wrong != "" {
		return broken, a.wrong, nil
	}
	var notes []string
	note := func(o outcome) {
		if o.hung && !slices.Contains(notes, "timeout") {
			notes = append(notes, "timeout")
		}
	}
	if a.named != nil {
		for _, n := range a.named {
			i := slices.IndexFunc(t.suites, func(s *suite) bool { return s.pkg == n.pkg })
			if i < 0 || !slices.Contains(t.suites[i].tests, strings.Split(n.test, "/")[0]) {
				return broken, "there is no test " + n.String(), nil
			}
			o, ran, err := t.try(ctx, t.suites[i], []string{n.test}, a)
			switch {
			case err != nil:
				return "", "", err
			case !ran:
				return broken, n.String() + " does not pass as things are", nil
			case o.passed:
				return survived, n.String() + " passes", nil
			}
			note(o)
		}
		return killed, strings.Join(notes, " "), nil
	}
	failed := map[string]bool{}
	for _, row := range a.rows {
		verdict, why, err := t.row(ctx, a, row, failed, note)
		if err != nil || verdict != killed {
			return verdict, why, err
		}
	}
	return killed, strings.Join(notes, " "), nil
}

// row runs the tests that carry a row, those of the anchor's own package first, until one fails.
func (t *tree) row(
	ctx context.Context, a anchor, row string, failed map[string]bool, note func(outcome),
) (verdict, why string, err error) {
	for test := range failed {
		if hasRow(test, row) {
			return killed, "", nil
		}
	}
	var asked []string
	for _, s := range t.near(a) {
		tests := s.named(row)
		if len(tests) == 0 {
			continue
		}
		o, ran, err := t.try(ctx, s, tests, a)
		if err != nil {
			return "", "", err
		}
		if !ran {
			continue
		}
		if !o.passed {
			note(o)
			for _, test := range o.failed {
				failed[test] = true
			}
			return killed, "", nil
		}
		asked = append(asked, s.pkg)
	}
	if asked == nil {
		return broken, "no test that passes as things are has " + row + " in its name", nil
	}
	return survived, "the tests of " + row + " pass in " + strings.Join(asked, " "), nil
}

// near lists the suites whose tests are built from the anchor's package, its own first.
func (t *tree) near(a anchor) []*suite {
	home := path.Join(t.module, path.Dir(a.file))
	var own, rest []*suite
	for _, s := range t.suites {
		switch {
		case s.path == home:
			own = append(own, s)
		case slices.Contains(s.deps, home):
			rest = append(rest, s)
		}
	}
	return append(own, rest...)
}

// try runs those of the tests that pass with all defences, and reports whether there are any.
func (t *tree) try(ctx context.Context, s *suite, tests []string, a anchor) (o outcome, ran bool, err error) {
	if err := t.build(ctx, s); err != nil {
		return o, false, err
	}
	good, err := s.usable(ctx, tests, baselineLimit)
	if err != nil || len(good) == 0 {
		return o, false, err
	}
	for _, some := range s.quickFirst(good) {
		if o, err = s.run(ctx, some, a.id(), t.grace+10*s.took(some)); err != nil || !o.passed {
			break
		}
	}
	return o, true, err
}

func (t *tree) build(ctx context.Context, s *suite) error {
	if s.binary != "" {
		return nil
	}
	binary := filepath.Join(t.scratch, strings.ReplaceAll(strings.TrimPrefix(s.pkg, "./"), "/", "_")+".test")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay="+t.overlay, "-o", binary, s.path)
	cmd.Dir = t.top
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the tests of %s do not compile: %w\n%s", s.pkg, err, out)
	}
	s.binary = binary
	return nil
}
