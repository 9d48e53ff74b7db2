package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"gatehouse/broker"
)

// asker asks a person for one line. A secret one does not show while it is typed.
type asker func(ctx context.Context, question string, secret bool) (string, error)

// askAtTerminal returns an asker, or nil if standard input is not a terminal.
func askAtTerminal() asker {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil
	}
	return func(ctx context.Context, question string, secret bool) (string, error) {
		fmt.Fprint(os.Stderr, question)
		defer term.Restore(fd, before) // after Ctrl-C too
		line, err := abandon(ctx, func() (line []byte, err error) {
			if secret {
				line, err = term.ReadPassword(fd)
				fmt.Fprintln(os.Stderr)
				return line, err
			}
			for b := make([]byte, 1); ; line = append(line, b[0]) {
				if _, err := os.Stdin.Read(b); err != nil || b[0] == '\n' {
					return line, err
				}
			}
		})
		return string(line), err
	}
}

// newPassword is secret for a new password, which a person types twice.
func (t *tool) newPassword(ctx context.Context, path string) (broker.Secret, error) {
	first, err := t.optionalSecret(ctx, path)
	if err != nil || path != "-" || t.ask == nil {
		return first, err
	}
	second, err := t.ask(ctx, "The same again: ", true)
	if err == nil && second != first.Reveal() {
		err = errors.New("the two passwords differ; nothing was changed")
	}
	return first, err
}

// yesFlag is for commands that cannot be undone.
type yesFlag struct {
	Yes bool `help:"Do not ask for confirmation."`
}

// confirm asks before something that cannot be undone.
func (t *tool) confirm(ctx context.Context, yes yesFlag, question string) error {
	if yes.Yes {
		return nil
	}
	if t.ask == nil {
		return misuse("this cannot be undone: confirm it with --yes, because there is no terminal to ask on")
	}
	answer, err := t.ask(ctx, question+" [y/N] ", false)
	if a := strings.ToLower(strings.TrimSpace(answer)); err == nil && a != "y" && a != "yes" {
		err = errors.New("nothing was changed")
	}
	return err
}
