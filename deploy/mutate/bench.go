package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// bench runs tests against changed files.
type bench struct {
	top     string // of the module
	scratch string
	serial  atomic.Int64

	mu    sync.Mutex
	sound map[string]string // what is wrong with a test as things are, by package and name
}

// check names a package and the tests that must notice a change.
type check struct {
	pkg, tests string
	limit      time.Duration
}

// try runs the tests with one file, relative to the top, replaced. why has details.
func (b *bench) try(ctx context.Context, file, text string, c check) (verdict, why string, err error) {
	replaced := filepath.Join(b.scratch, fmt.Sprintf("%d%s", b.serial.Add(1), filepath.Ext(file)))
	overlay := replaced + ".json"
	if err := os.WriteFile(replaced, []byte(text), 0o600); err != nil {
		return "", "", err
	}
	defer os.Remove(replaced)
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(b.top, file): replaced}})
	if err != nil {
		return "", "", err
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		return "", "", err
	}
	defer os.Remove(overlay)
	out, passed, err := b.test(ctx, c, "-overlay="+overlay, "-count=1", "-failfast")
	switch {
	case err != nil:
		return "", "", err
	case !passed && unbuilt(out):
		return broken, "does not compile: " + summary(out), nil
	}
	// A failure means something only if the test passes without the change.
	if wrong, err := b.ailing(ctx, c); err != nil || wrong != "" {
		return broken, wrong, err
	}
	if passed {
		return survived, "", nil
	}
	return killed, "", nil
}

// ailing returns what is wrong with a test without any change.
func (b *bench) ailing(ctx context.Context, c check) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := c.pkg + " " + c.tests
	if wrong, known := b.sound[name]; known {
		return wrong, nil
	}
	out, passed, err := b.test(ctx, c)
	switch {
	case err != nil:
		return "", err
	case !passed:
		fmt.Fprint(os.Stderr, out) // a test that fails now and then can't be run again to be asked why
		b.sound[name] = name + " fails anyhow: " + summary(out)
	case strings.Contains(out, "[no tests to run]") || strings.Contains(out, "[no test files]"):
		b.sound[name] = name + " names no test"
	default:
		b.sound[name] = ""
	}
	return b.sound[name], nil
}

func (b *bench) test(ctx context.Context, c check, flags ...string) (out string, passed bool, err error) {
	args := append([]string{"test", "-vet=off", "-timeout=" + c.limit.String()}, flags...)
	if c.tests != "" {
		args = append(args, "-run="+c.tests)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, c.pkg)...)
	cmd.Dir = b.top
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that go takes the test with it
	cmd.WaitDelay = 10 * time.Second
	text, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && (ctx.Err() != nil || !errors.As(err, &exit)) {
		return "", false, errors.Join(err, ctx.Err())
	}
	return string(text), err == nil, nil
}

func unbuilt(out string) bool {
	return strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]")
}

// summary is the first line that is not a heading.
func summary(out string) string {
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line[0] != '=' {
			return line
		}
	}
	return "no output"
}
