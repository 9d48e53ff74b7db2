package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
	"gatehouse/broker/credential"
	"gatehouse/config"
)

// tool is what a command works with: the terminal, the common flags, and the app once it is
// open.
type tool struct {
	terminal
	config string
	json   bool
	// creates reports whether the command may create a SQLite database: it would be empty, and a
	// command that reads is in the wrong folder then.
	creates bool
	opened  *app
}

// open opens configuration, keyring and storage, once.
func (t *tool) open(ctx context.Context) (*app, error) {
	if t.opened != nil {
		return t.opened, nil
	}
	cfg, err := t.load()
	if err != nil {
		return nil, err
	}
	path, sqlite := cfg.SQLite()
	fresh := sqlite && !exists(path)
	if fresh && !t.creates {
		return nil, fmt.Errorf("there is no database %s; name the server's configuration with --config, or start a new "+
			"deployment with gatehouse serve", absolute(path))
	}
	t.opened, err = openApp(ctx, cfg, newLog(t.err, slog.LevelWarn), time.Now)
	if err != nil {
		return nil, err
	}
	t.opened.passwordCost, t.opened.pause = t.passwordCost, t.pause
	if fresh { // in the wrong folder an empty list would be misleading
		fmt.Fprintf(t.err, "made a new database: %s\n", absolute(path))
	}
	return t.opened, t.useIssuer(ctx)
}

// useIssuer takes the server's issuer, which a command cannot know if it runs without the
// server's environment: redirect URIs start with it.
func (t *tool) useIssuer(ctx context.Context) error {
	issuer, err := t.opened.store.Issuer(ctx)
	if err == nil && issuer != "" && issuer != t.opened.cfg.Issuer {
		fmt.Fprintf(t.err, "The server's issuer is %s, and this command's configuration says %s: the server's is used.\n",
			issuer, t.opened.cfg.Issuer)
		t.opened.cfg.Issuer = issuer
	}
	return err
}

// absolute returns the absolute path, or the path itself if that fails.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// admin opens the app and returns its operations.
func (t *tool) admin(ctx context.Context) (*admin.Service, error) {
	h, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	return h.admin()
}

// actor is who uses the command line.
func (t *tool) actor() admin.Actor { return admin.Actor{ID: admin.Operator} }

func (t *tool) load() (*config.Config, error) { return config.Load(t.config, t.env) }

func (t *tool) close() error {
	if t.opened == nil {
		return nil
	}
	return t.opened.close()
}

// print prints a value as JSON, or the table that rows writes.
func (t *tool) print(v any, rows func(w io.Writer)) error {
	if t.json {
		e := json.NewEncoder(t.out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false) // the output is for a terminal or a script, and URLs have &
		return e.Encode(v)
	}
	w := tabwriter.NewWriter(t.out, 0, 4, 2, ' ', 0)
	rows(w)
	return w.Flush()
}

// each returns the views of a list, which is never nil: it is [] in JSON.
func each[T, V any](all []T, view func(T) V) []V {
	views := make([]V, 0, len(all))
	for _, v := range all {
		views = append(views, view(v))
	}
	return views
}

// show prints a thing: its JSON, or a row for each of its fields.
func (t *tool) show(v interface{ Rows() []admin.Row }) error {
	return t.print(v, func(w io.Writer) { rows(w, v.Rows()) })
}

func rows(w io.Writer, all []admin.Row) {
	for _, r := range all {
		row(w, r.Name, r.Value)
	}
}

// removed reports that something was removed.
func (t *tool) removed(key, id string) error {
	return t.print(map[string]any{key: id, "removed": true}, func(w io.Writer) { row(w, "removed "+id) })
}

// row writes one line of a table.
func row(w io.Writer, cells ...any) {
	for i, c := range cells {
		if i > 0 {
			io.WriteString(w, "\t")
		}
		io.WriteString(w, admin.Cell(c))
	}
	io.WriteString(w, "\n")
}

// secret reads a secret from a file, or from standard input for "-". It must not come from
// the command line, which every process can read.
func (t *tool) secret(ctx context.Context, path string) (broker.Secret, error) {
	var b []byte
	name, err := "standard input", error(nil)
	if path == "-" && t.ask != nil {
		var typed string
		typed, err = t.ask(ctx, "Type it (it does not show): ", true)
		b = []byte(typed)
	} else {
		b, name, err = t.read(ctx, path, "secret", admin.MaxSecret)
	}
	if err != nil {
		return "", err
	}
	return admin.ParseSecret(b, name)
}

// optionalSecret is secret, or nothing if no file is named.
func (t *tool) optionalSecret(ctx context.Context, path string) (broker.Secret, error) {
	if path == "" {
		return "", nil
	}
	return t.secret(ctx, path)
}

// read reads a file, or standard input for "-", up to one byte more than most. It also
// returns a name for error messages.
func (t *tool) read(ctx context.Context, path, what string, most int64) (_ []byte, name string, _ error) {
	from, name := t.in, "standard input"
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, "", err
		}
		defer file.Close()
		from, name = file, path
	} else if file, ok := t.in.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&fs.ModeCharDevice != 0 {
			fmt.Fprintln(t.err, "Type the "+what+", then Enter and Ctrl-D:")
		}
	}
	b, err := readAll(ctx, from, most)
	return b, name, err
}

// readAll reads until the end, or until ctx ends: a person may never finish typing.
func readAll(ctx context.Context, from io.Reader, most int64) ([]byte, error) {
	return abandon(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(from, most+1)) })
}

// abandon waits for what read returns, but no longer than ctx lives.
func abandon(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type answer struct {
		b   []byte
		err error
	}
	done := make(chan answer, 1)
	go func() {
		b, err := read()
		done <- answer{b, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-done:
		return a.b, a.err
	}
}

// misused turns a problem of the input into a misuse.
func misused(err error) error {
	p, ok := errors.AsType[admin.Problem](err)
	if !ok {
		return err
	}
	return misuse(inFlags(p))
}

// asMisuse turns what is wrong with the input of an operation into a misuse: the operation has
// the rules for its flags and arguments.
func asMisuse(err error) error {
	p, ok := errors.AsType[admin.Problem](err)
	if ok && p.Code == broker.RequestInvalid || errors.Is(err, broker.EmailInvalid) {
		return misuse(explain(err))
	}
	return err
}

// noChange turns a change without a new value into a misuse.
func noChange(err error) error {
	if errors.Is(err, admin.ErrNoChange) {
		return misused(err)
	}
	return err
}

// inFlags words a problem in terms of the command line.
func inFlags(p admin.Problem) string {
	if p.Code == broker.RequestInvalid && p.Field != "" {
		return "--" + p.Field + ": " + p.Text
	}
	hints := map[string]string{"account": "accounts list", "identity": "accounts show", "client": "clients list",
		"connection": "connections list", "key": "keys list"}
	if hint := hints[p.Field]; p.Code == broker.NotFound && hint != "" {
		return p.Text + "; " + hint + " shows them"
	}
	return p.Text
}

// explain words an error for an operator.
func explain(err error) string {
	if p, ok := errors.AsType[admin.Problem](err); ok {
		return strings.Replace(err.Error(), p.Text, inFlags(p), 1)
	}
	switch {
	case errors.Is(err, broker.EmailInvalid):
		return "that is not an e-mail address"
	case errors.Is(err, broker.WeakPassword):
		return fmt.Sprintf("the password must have %d to %d characters and not be a common one", credential.MinPassword,
			credential.MaxPassword)
	case errors.Is(err, broker.Conflict):
		return err.Error() + ": it was changed at the same time; look at it and try again"
	}
	return strings.NewReplacer("\n\t", " ", "\t", " ").Replace(err.Error()) // a driver's list of addresses
}

// or returns the text, or otherwise if it is empty.
func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func newLog(w io.Writer, level slog.Level) *slog.Logger {
	//defence:G16 = slog.New(slog.NewTextHandler(w, nil))
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
