// Command gatehouse is the identity broker and everything an operator does to it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"gatehouse/broker/credential"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills the process
	os.Exit(run(ctx, os.Args[1:], terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Environ,
		program: os.Args[0], ask: askAtTerminal()}))
}

// The exit codes.
const (
	success     = 0
	failure     = 1
	wrongUsage  = 2
	interrupted = 130 // as a shell reports Ctrl-C
)

// terminal holds a command's streams and environment.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	env      func() []string // NAME=VALUE
	program  string          // as it was called, for lines to copy
	ask      asker           // nil without a terminal
	// passwordCost is the cost of new password hashes. Only tests set it; zero is the cost of production.
	passwordCost credential.Cost
	// pause replaces waits. Only tests set it; nil waits on the real clock.
	pause func(context.Context, time.Duration) error
}

// misuse is a mistake on the command line. It never quotes an argument, which may be a
// secret in the wrong place.
type misuse string

func (m misuse) Error() string { return string(m) }

// run runs one command and returns the exit code.
func run(ctx context.Context, args []string, term terminal) int {
	t := &tool{terminal: term}
	p, err := newCommandParser(ctx, t)
	if err != nil {
		fmt.Fprintf(term.err, "gatehouse: %v\n", err)
		return failure
	}
	if len(args) > 0 && args[0] == completeWord {
		p.complete(term.out, args[1:])
		return success
	}
	if shown, err := p.showHelp(args); shown {
		return verdict(ctx, term.err, "gatehouse", err)
	}
	name, do, err := p.parse(args)
	if err == nil {
		err = asMisuse(do())
		err = errors.Join(err, t.close())
	}
	return verdict(ctx, term.err, name, err)
}

// verdict prints why a command failed, and returns the exit code.
func verdict(ctx context.Context, w io.Writer, name string, err error) int {
	wrong, isMisuse := errors.AsType[misuse](err)
	switch {
	case err == nil:
		return success
	case isMisuse:
		fmt.Fprintf(w, "%s: %v\nSee: %s --help\n", name, wrong, name)
		return wrongUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintf(w, "%s: interrupted\n", name)
		return interrupted
	}
	fmt.Fprintf(w, "%s: %s\n", name, explain(err))
	return failure
}
