package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// suite is the tests of one package.
type suite struct {
	pkg   string // ./broker/web
	path  string // its import path
	dir   string
	deps  []string // import paths of what its tests are built from
	tests []string

	binary string               // built when it is first needed
	sound  map[string]*baseline // by test
}

// baseline is how a test ends with all defences.
type baseline struct {
	wrong string // why it can't be used; empty if it passes
	took  time.Duration
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w*)\(\w+ \*testing\.T\)`)

// readSuites lists the module's packages that have tests. Those that are built from less come first.
func readSuites(ctx context.Context, top, module string) ([]*suite, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-test", "-f", `{{.ImportPath}} {{.Dir}} {{join .Deps " "}}`, "./...")
	cmd.Dir, cmd.Stderr = top, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []*suite
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		path, ok := strings.CutSuffix(fields[0], ".test")
		if !ok {
			continue
		}
		s := &suite{pkg: "." + strings.TrimPrefix(path, module), path: path, dir: fields[1], deps: fields[2:],
			sound: map[string]*baseline{}}
		if s.tests, err = testsIn(s.dir); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b *suite) int { return len(a.deps) - len(b.deps) })
	return all, nil
}

func testsIn(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			all = append(all, m[1])
		}
	}
	return all, nil
}

// hasRow reports whether a row is an element of a test's name.
func hasRow(test, row string) bool {
	return slices.Contains(strings.Split(strings.TrimPrefix(test, "Test"), "_"), row)
}

func (s *suite) named(row string) []string {
	var all []string
	for _, t := range s.tests {
		if hasRow(t, row) {
			all = append(all, t)
		}
	}
	return all
}

// outcome is how a run of a test binary ended.
type outcome struct {
	passed, hung bool
	failed       []string
	took         map[string]time.Duration // of each test that passed
	skipped      []string
	output       string
}

var verdictLine = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \((\S+)\)`)

// run runs tests of the binary with one defence out, or none.
func (s *suite) run(ctx context.Context, tests []string, mutant string, limit time.Duration) (outcome, error) {
	cmd := exec.CommandContext(ctx, s.binary, "-test.run="+pattern(tests), "-test.v", "-test.failfast",
		"-test.timeout="+limit.String())
	if mutant == "" {
		cmd.Args = slices.DeleteFunc(cmd.Args, func(a string) bool { return a == "-test.failfast" })
	}
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), switchesEnv+"="+mutant)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && (ctx.Err() != nil || !errors.As(err, &exit)) {
		return outcome{}, errors.Join(err, ctx.Err())
	}
	o := outcome{passed: err == nil, output: string(out), took: map[string]time.Duration{}}
	for line := range strings.Lines(o.output) {
		m := verdictLine.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "panic: test timed out after"):
			o.hung = true
		case m == nil:
		case m[1] == "FAIL":
			o.failed = append(o.failed, m[2])
		case m[1] == "SKIP":
			o.skipped = append(o.skipped, m[2])
		default:
			o.took[m[2]], _ = time.ParseDuration(m[3])
		}
	}
	return o, nil
}

// pattern matches exactly the tests. If there are several, none may be a subtest.
func pattern(tests []string) string {
	if len(tests) > 1 {
		return "^(" + strings.Join(tests, "|") + ")$"
	}
	parts := strings.Split(tests[0], "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// usable runs, with all defences, the tests that have not run yet, and returns those that pass.
func (s *suite) usable(ctx context.Context, tests []string, limit time.Duration) ([]string, error) {
	var fresh []string
	for _, t := range tests {
		if s.sound[t] == nil {
			fresh = append(fresh, t)
		}
	}
	if len(fresh) > 0 {
		o, err := s.run(ctx, fresh, "", limit)
		if err != nil {
			return nil, err
		}
		for _, t := range fresh {
			s.sound[t] = o.baseline(t)
		}
	}
	var good []string
	for _, t := range tests {
		if b := s.sound[t]; b.wrong == "" {
			good = append(good, t)
		} else if slices.Contains(fresh, t) {
			fmt.Fprintf(os.Stderr, "%s %s %s\n", s.pkg, t, b.wrong)
		}
	}
	return good, nil
}

// took is how long tests take with all defences.
func (s *suite) took(tests []string) (all time.Duration) {
	for _, t := range tests {
		all += s.sound[t].took
	}
	return all
}

// quickFirst splits tests into those that take a quarter of the time together, and the slow ones.
func (s *suite) quickFirst(tests []string) [][]string {
	byTime := func(a, b string) int { return cmp.Compare(s.sound[a].took, s.sound[b].took) }
	tests = slices.SortedStableFunc(slices.Values(tests), byTime)
	n := 1
	for n < len(tests) && s.took(tests[:n+1]) <= s.took(tests)/4 {
		n++
	}
	if n == len(tests) {
		return [][]string{tests}
	}
	return [][]string{tests[:n], tests[n:]}
}

func (o outcome) baseline(test string) *baseline {
	took, passed := o.took[test]
	switch {
	case passed:
		return &baseline{took: took}
	case slices.Contains(o.skipped, test):
		return &baseline{wrong: "is skipped: does it need GATEHOUSE_TEST_POSTGRES or GATEHOUSE_TEST_REDIS?"}
	case slices.Contains(o.failed, test):
		return &baseline{wrong: "fails anyhow:\n" + excerpt(o.output, test)}
	}
	return &baseline{wrong: "did not run:\n" + excerpt(o.output, "")}
}

// excerpt is the end of a run's output, from the first mention of a test.
func excerpt(output, test string) string {
	var kept []string
	scan := bufio.NewScanner(strings.NewReader(output))
	for scan.Scan() {
		kept = append(kept, scan.Text())
	}
	begins := func(l string) bool { return strings.HasPrefix(l, "=== RUN   "+test) }
	if i := slices.IndexFunc(kept, begins); test != "" && i >= 0 {
		kept = kept[i:]
	}
	return strings.Join(kept[:min(len(kept), 40)], "\n")
}
