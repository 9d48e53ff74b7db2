package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"gatehouse/broker"
	"gatehouse/config"
)

// tool is what an action works with: the terminal, its common flags, and the
// house once it is opened.
type tool struct {
	terminal
	config string
	json   bool
	opened *house
}

// house opens configuration, keyring and storage, once.
func (t *tool) house(ctx context.Context) (*house, error) {
	if t.opened != nil {
		return t.opened, nil
	}
	cfg, err := t.load()
	if err != nil {
		return nil, err
	}
	t.opened, err = openHouse(ctx, cfg, newLog(t.err, slog.LevelWarn), time.Now)
	return t.opened, err
}

func (t *tool) load() (*config.Config, error) { return config.Load(t.config, t.env) }

func (t *tool) close() error {
	if t.opened == nil {
		return nil
	}
	return t.opened.close()
}

// print shows a value as JSON, or as the table that rows writes.
func (t *tool) print(v any, rows func(w io.Writer)) error {
	if t.json {
		e := json.NewEncoder(t.out)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	w := tabwriter.NewWriter(t.out, 0, 4, 2, ' ', 0)
	rows(w)
	return w.Flush()
}

// secret reads a secret from a file, or from standard input for "-". A secret
// never comes from the command line, where every process can read it.
func (t *tool) secret(path string) (string, error) {
	var b []byte
	var err error
	if path == "-" {
		b, err = io.ReadAll(io.LimitReader(t.in, 1<<16))
	} else {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return "", err
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", fmt.Errorf("%s holds no secret", path)
	}
	return s, nil
}

// one returns the single argument of a command.
func one(args []string) (string, error) {
	if len(args) != 1 {
		return "", errUsage
	}
	return args[0], nil
}

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// settings is a flag of key=value pairs.
type settings map[string]string

func (s settings) String() string { return "" }
func (s settings) Set(v string) error {
	k, val, ok := strings.Cut(v, "=")
	if !ok || k == "" {
		return errors.New("want key=value")
	}
	s[k] = val
	return nil
}

// explain says what an error means to an operator.
func explain(err error) string {
	switch {
	case errors.Is(err, broker.Internal) || errors.Is(err, broker.Unavailable):
		return err.Error()
	case errors.Is(err, broker.NotFound):
		return "no such thing: " + err.Error()
	case errors.Is(err, broker.EmailInvalid):
		return "that is not an e-mail address"
	case errors.Is(err, broker.WeakPassword):
		return "the password must have 12 to 256 characters and not be a common one"
	}
	return err.Error()
}

func date(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format("2006-01-02 15:04:05")
}

func newLog(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
