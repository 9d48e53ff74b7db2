package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
	"gatehouse/broker/credential"
)

// operator runs commands in this process, each as a shell would.
type operator struct {
	t      *testing.T
	dir    string
	config string
	vars   map[string]string
	ask    asker // a person at a terminal; nil without one, and then commands are confirmed with --yes
	// pause is what a command does instead of waiting; nil: it waits.
	pause func(context.Context, time.Duration) error
}

// terminal is where a command of the operator runs.
func (o *operator) terminal(in io.Reader, out, err io.Writer) terminal {
	return terminal{in: in, out: out, err: err, env: o.env, program: "gatehouse", ask: o.ask,
		passwordCost: cheapPasswords(), pause: o.pause}
}

// outcome is what a command left on the terminal.
type outcome struct {
	code     int
	out, err string
}

// newOperator has a configuration of its own, on SQLite in a folder of its own.
func newOperator(t *testing.T, more ...string) *operator {
	t.Helper()
	o := &operator{t: t, dir: t.TempDir()}
	o.configure(more...)
	return o
}

// operatorOf is the operator of a running demo.
func operatorOf(w *harness) *operator {
	return &operator{t: w.t, dir: w.data, config: filepath.Join(w.data, "gatehouse.yaml")}
}

func (o *operator) configure(more ...string) {
	o.t.Helper()
	o.config = filepath.Join(o.dir, "gatehouse.yaml")
	lines := append([]string{"data_dir: " + filepath.Join(o.dir, "data"), "operations: {listen: \"off\"}"}, more...)
	if !slices.ContainsFunc(more, func(line string) bool { return strings.HasPrefix(line, "listen:") }) {
		lines = append(lines, `listen: "127.0.0.1:0"`) // because port 8080 may be in use
	}
	if err := os.WriteFile(o.config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// in runs a command with something on standard input.
func (o *operator) in(stdin string, args ...string) outcome {
	return o.until(context.Background(), strings.NewReader(stdin), args...)
}

func (o *operator) until(ctx context.Context, stdin io.Reader, args ...string) outcome {
	var out, err bytes.Buffer
	if o.ask == nil && final(strings.Join(args, " ")) {
		args = append(slices.Clone(args), "--yes")
	}
	code := run(ctx, append(args, "--config", o.config), o.terminal(stdin, &out, &err))
	return outcome{code, out.String(), err.String()}
}

// final reports whether a command line cannot be undone, and asks.
func final(line string) bool {
	return !strings.Contains(line, "-help") && (strings.HasPrefix(line, "clients remove ") ||
		strings.HasPrefix(line, "connections remove ") || strings.HasPrefix(line, "accounts unlink ") ||
		strings.HasPrefix(line, "accounts consents remove ") || strings.HasPrefix(line, "keys retire ") ||
		strings.HasPrefix(line, "keys rotate-signing --emergency"))
}

func (o *operator) env() (all []string) {
	for name, value := range o.vars {
		all = append(all, name+"="+value)
	}
	return all
}

// does fails unless the command succeeds, and returns its output.
func (o *operator) does(args ...string) string { o.t.Helper(); return o.doesWith("", args...) }

func (o *operator) doesWith(stdin string, args ...string) string {
	o.t.Helper()
	got := o.in(stdin, args...)
	if got.code != success {
		o.t.Fatalf("gatehouse %s: exit %d\n%s%s", strings.Join(args, " "), got.code, got.out, got.err)
	}
	return got.out
}

// shows reads the JSON of a command that succeeds.
func (o *operator) shows(v any, args ...string) {
	o.t.Helper()
	reflect.ValueOf(v).Elem().SetZero() // what the answer leaves out is not there
	text := o.does(append(args, "--json")...)
	if err := json.Unmarshal([]byte(text), v); err != nil {
		o.t.Fatalf("gatehouse %s --json: %v:\n%s", strings.Join(args, " "), err, text)
	}
}

// isRefused fails unless the command ends with 1 or 2 and says why.
func (o *operator) isRefused(why string, args ...string) {
	o.t.Helper()
	o.isRefusedWith("", why, args...)
}

func (o *operator) isRefusedWith(stdin, why string, args ...string) {
	o.t.Helper()
	got := o.in(stdin, args...)
	if got.code != failure && got.code != wrongUsage || !strings.Contains(got.err, why) {
		o.t.Errorf("gatehouse %s: exit %d, want %d and %q, got:\n%s%s", strings.Join(args, " "), got.code, failure, why,
			got.out, got.err)
	}
}

// file writes a file into the operator's folder.
func (o *operator) file(name, text string) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

// logged are the Events since the beginning, oldest first, as "verb change".
func (o *operator) logged() (all []string) {
	o.t.Helper()
	var events []eventView
	o.shows(&events, "audit", "--limit", "1000")
	slices.Reverse(events)
	for _, e := range events {
		if e.Actor == "operator" {
			all = append(all, strings.TrimSpace(e.Verb+" "+e.Detail["change"]))
		}
	}
	return all
}

// store opens the operator's database beside the commands.
func (o *operator) store() *app {
	o.t.Helper()
	tool := &tool{terminal: o.terminal(strings.NewReader(""), io.Discard, io.Discard),
		config: o.config, creates: true}
	h, err := tool.open(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { h.close() })
	return h
}

// breakTable makes every write of a kind to a table fail, until mended.
func (o *operator) breakTable(what, table string) (mend func()) {
	o.t.Helper()
	h := o.store()
	path, _ := h.cfg.SQLite()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		o.t.Fatal(err)
	}
	exec := func(query string) {
		o.t.Helper()
		if _, err := db.Exec(query); err != nil {
			o.t.Fatal(err)
		}
	}
	exec(fmt.Sprintf("CREATE TRIGGER broken BEFORE %s ON %s BEGIN SELECT RAISE(ABORT, 'broken by the test'); END", what,
		table))
	return func() { exec("DROP TRIGGER broken"); db.Close() }
}

const boats = "seven boats at noon"

func TestWhatIsNotUnderstoodExitsWithTwoAndTouchesNothing(t *testing.T) {
	o := newOperator(t)
	for name, tc := range map[string]struct{ line, says string }{
		"no such command":      {"acounts list", "unknown command acounts"},
		"no such verb":         {"accounts remove", "unknown command remove"},
		"a group alone":        {"accounts", "missing command; commands are add, list"},
		"help of nothing":      {"bogus --help", "unknown command bogus"},
		"no such flag":         {"accounts list --bogus", "unknown flag --bogus"},
		"a flag of another":    {"accounts list --identity x", "unknown flag --identity"},
		"too few":              {"accounts show", "missing EMAIL or ID"},
		"too many":             {"accounts show a@example.test b@example.test", "too many arguments"},
		"none wanted":          {"serve now", "too many arguments"},
		"demo wants none":      {"demo now", "too many arguments"},
		"no number":            {"accounts list --limit many", "-limit"},
		"a limit of nothing":   {"accounts list --limit 0", "1 to 1000"},
		"a limit of all":       {"audit --limit 1001", "1 to 1000"},
		"no duration":          {"audit --since yesterday", "-since"},
		"a negative duration":  {"audit --since -1h", "--since"},
		"no time":              {"audit --before noon", "2026-"},
		"no key=value":         {"connections add x --set scopes", "<key>=<value>"},
		"no identity":          {"accounts unlink a@example.test", "missing flags: --identity"},
		"no client":            {"accounts consents remove a@example.test", "missing flags: --client"},
		"secret of the public": {"clients add --name x --auth-method none --secret-file s", "takes no secret"},
		"a negative wait":      {"keys rotate --wait -1s", "--wait"},
	} {
		got := o.in("", strings.Fields(tc.line)...)
		if got.code != wrongUsage || !strings.Contains(got.err, tc.says) || got.out != "" {
			t.Errorf("%s: gatehouse %s: exit %d, want %d and %q, got:\n%s%s", name, tc.line, got.code, wrongUsage, tc.says,
				got.out, got.err)
		}
	}
	if _, err := os.Stat(filepath.Join(o.dir, "data")); !os.IsNotExist(err) {
		t.Errorf("a line that was not understood made files: %v", err)
	}
}

// A secret in the arguments appears in process lists and in the shell's history.
func TestNoSecretIsTakenFromTheCommandLineOrRepeated(t *testing.T) {
	for _, v := range verbs(t) {
		for _, f := range v.node.Flags {
			if (strings.Contains(f.Name, "secret") || strings.Contains(f.Name, "password")) && !strings.HasSuffix(f.Name,
				"-file") {
				t.Errorf("%s --%s takes a secret from the command line", v.name, f.Name)
			}
		}
	}
	o := newOperator(t)
	for _, line := range []string{"accounts password ana@example.test hunter2hunter2",
		"clients secret wiki hunter2hunter2", "accounts bogus hunter2hunter2"} {
		got := o.in("", strings.Fields(line)...)
		if got.code != wrongUsage || strings.Contains(got.out+got.err, "hunter2") {
			t.Errorf("%s: exit %d:\n%s%s", line, got.code, got.out, got.err)
		}
	}
}

func TestASecretComesFromAFileOrStandardInput(t *testing.T) {
	o := newOperator(t)
	for i, tc := range []struct{ name, text, why string }{
		{"a line", boats + "\n", ""},
		{"without an end", boats, ""},
		{"of Windows", boats + "\r\n", ""},
		{"with spaces around", "  " + boats + " ", ""},
		{"nothing", "", "contains no secret"},
		{"an empty line", "\n", "contains no secret"},
		{"two lines", boats + "\n" + boats + "\n", "more than one line"},
		{"a NUL", boats + "\x00", "more than one line"},
		{"too long", strings.Repeat("x", admin.MaxSecret+1), "too long"},
		{"too short", "short", "12 to 256 characters"},
		{"known to everybody", "password1234", "not be a common one"},
	} {
		path := o.file("secret", tc.text)
		for how, from := range map[string]struct{ stdin, path string }{"file": {"", path}, "stdin": {tc.text, "-"}} {
			args := []string{"accounts", "add", fmt.Sprintf("p%d-%s@example.test", i, how), "--password-file", from.path}
			if tc.why == "" {
				o.doesWith(from.stdin, args...)
			} else {
				o.isRefusedWith(from.stdin, tc.why, args...)
			}
		}
	}
	o.isRefused("no such file", "accounts", "add", "x@example.test", "--password-file", filepath.Join(o.dir, "nowhere"))
	var all []accountView
	if o.shows(&all, "accounts", "list"); len(all) != 8 {
		t.Errorf("%d accounts, want 8: a refused secret makes none", len(all))
	}
	h := o.store()
	a, err := h.store.AccountByEmail(t.Context(), "p2-file@example.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.passwords().Check(t.Context(), credential.Target{Address: a.Email, Account: &a}, boats); err != nil {
		t.Errorf("the line's end became part of the password: %v", err)
	}
}

// reading is a reader that does what the function does.
type reading func([]byte) (int, error)

func (r reading) Read(b []byte) (int, error) { return r(b) }

func TestCtrlCEndsWhateverWaits(t *testing.T) {
	o := newOperator(t)
	o.doesWith(boats, "accounts", "add", "ana@example.test", "--password-file", "-")
	silent, speak := io.Pipe() // input that never ends
	defer speak.Close()
	for _, line := range []string{"accounts password ana@example.test", "keys rotate --wait 1h"} {
		ctx, cancel := context.WithCancel(t.Context())
		o.pause = func(ctx context.Context, d time.Duration) error { cancel(); return broker.Pause(ctx, d) }
		stdin := reading(func(b []byte) (int, error) { cancel(); return silent.Read(b) })
		got := o.until(ctx, stdin, strings.Fields(line)...)
		if got.code != interrupted || !strings.Contains(got.err, "interrupted") || got.out != "" {
			t.Errorf("%s: exit %d:\n%s%s", line, got.code, got.out, got.err)
		}
	}
	o.pause = nil
	o.does("keys", "rotate", "--wait", "0s") // an interrupted rotation does not block the next
	if got := o.logged(); !slices.Equal(got, []string{"account.created", "key.changed"}) {
		t.Errorf("events %q", got)
	}
}

// A name chosen by a stranger must not move the operator's cursor or hide a line.
func TestATableKeepsControlCharactersAway(t *testing.T) {
	o := newOperator(t)
	h := o.store()
	err := h.store.CreateAccount(t.Context(), broker.Account{ID: broker.NewID(), Email: "eve@example.test",
		Name: "Eve\x1b[2J\u202e\r\nroot\tadmin", AuthEpoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.record(t.Context(), broker.Event{Verb: broker.EventRefused, Client: "x\x1b]0;y\a\nz"}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"accounts list", "accounts show eve@example.test", "audit"} {
		out := o.does(strings.Fields(line)...)
		if strings.ContainsAny(out, "\x1b\a\r\u202e") || strings.Contains(out, "\nroot") || strings.Contains(out, "\nz") {
			t.Errorf("%s: %q", line, out)
		}
	}
}
