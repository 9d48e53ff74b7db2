// Command gatehouse is the identity broker and everything an operator does to it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr, os.LookupEnv})
	stop()
	os.Exit(code)
}

// terminal is the world as a command sees it.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)
}

// action carries a command out; args are what follows its flags.
type action func(ctx context.Context, t *tool, args []string) error

// command is one verb of the binary: "accounts add".
type command struct {
	name, args, about string
	// flags declares the command's own flags and returns its action.
	flags func(fs *flag.FlagSet) action
}

// errUsage makes run print how the command is used.
var errUsage = errors.New("usage")

// run returns the exit status: 0 done, 1 failed, 2 not understood.
func run(ctx context.Context, args []string, term terminal) int {
	c, rest, ok := find(args)
	if !ok {
		overview(term.out, args)
		if len(args) == 0 || isHelp(args[len(args)-1]) {
			return 0
		}
		fmt.Fprintf(term.err, "gatehouse: there is no command %q\n", strings.Join(args, " "))
		return 2
	}
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	t := &tool{terminal: term}
	fs.StringVar(&t.config, "config", "", "configuration `file` (YAML); GATEHOUSE_… variables win over it")
	fs.BoolVar(&t.json, "json", false, "print JSON")
	do := c.flags(fs)
	rest, err := parse(fs, rest)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(term.out, c, fs)
		return 0
	case err == nil:
		err = do(ctx, t, rest)
		err = errors.Join(err, t.close())
	default:
		fmt.Fprintf(term.err, "gatehouse %s: %v\n", c.name, err)
		return 2
	}
	switch {
	case errors.Is(err, errUsage):
		usage(term.err, c, fs)
		return 2
	case err != nil:
		fmt.Fprintf(term.err, "gatehouse %s: %v\n", c.name, explain(err))
		return 1
	}
	return 0
}

// parse lets flags stand before and after the arguments.
func parse(fs *flag.FlagSet, in []string) (args []string, _ error) {
	for {
		if err := fs.Parse(in); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return args, nil
		}
		args, in = append(args, fs.Arg(0)), fs.Args()[1:]
	}
}

func isHelp(s string) bool { return slices.Contains([]string{"help", "-h", "-help", "--help"}, s) }

// find matches the longest command name at the start of args.
func find(args []string) (command, []string, bool) {
	for n := min(3, len(args)); n > 0; n-- {
		name := strings.Join(args[:n], " ")
		for _, c := range commands() {
			if c.name == name {
				return c, args[n:], true
			}
		}
	}
	return command{}, nil, false
}

// commands lists everything the binary does, in the order of its help.
func commands() []command {
	return slices.Concat(serving(), keyCommands(), accountCommands(), clientCommands(), connectionCommands(), auditCommands())
}

func overview(w io.Writer, args []string) {
	group := ""
	if len(args) > 0 {
		group = args[0]
	}
	all := commands()
	some := slices.DeleteFunc(slices.Clone(all), func(c command) bool { return !strings.HasPrefix(c.name, group+" ") })
	if len(some) == 0 {
		some = all
	}
	fmt.Fprint(w, "Gatehouse is an identity broker: apps leave signing in to it.\n\nUsage: gatehouse COMMAND [flags]\n\n")
	for _, c := range some {
		fmt.Fprintf(w, "  %-42s %s\n", strings.TrimSpace(c.name+" "+c.args), c.about)
	}
	fmt.Fprint(w, "\ngatehouse COMMAND --help tells more. Start with: gatehouse demo\n")
}

func usage(w io.Writer, c command, fs *flag.FlagSet) {
	fmt.Fprintf(w, "gatehouse %s: %s\n\nUsage: gatehouse %s\n\n", c.name, c.about, strings.TrimSpace(c.name+" [flags] "+c.args))
	fs.SetOutput(w)
	fs.PrintDefaults()
}
