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
	"text/tabwriter"

	"gatehouse/broker/credential"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once what the first one asked to end
	os.Exit(run(ctx, os.Args[1:], terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv, program: os.Args[0]}))
}

// The exit statuses.
const (
	done          = 0
	failed        = 1
	notUnderstood = 2
	interrupted   = 130 // as a shell tells of Ctrl-C
)

// terminal is the world as a command sees it.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)
	program  string // as it was called, for lines to copy
	// passwordCost is that of new password hashes. Only tests set it; zero is the cost of production.
	passwordCost credential.Cost
}

// action carries a command out; args are what follows its flags, as many as the
// command's args name.
type action func(ctx context.Context, t *tool, args []string) error

// command is one verb of the binary: "accounts add".
type command struct {
	name, args, about string
	example           string // what follows the name on a line that does something useful
	// flags declares the command's own flags and returns its action.
	flags func(fs *flag.FlagSet) action
}

// misuse is a command line that can't be meant so. It never quotes an argument,
// which may be a secret in the wrong place.
type misuse string

func (m misuse) Error() string { return string(m) }

// run returns the exit status.
func run(ctx context.Context, args []string, term terminal) int {
	asked := len(args) == 0
	if !asked && isHelp(args[0]) {
		args, asked = args[1:], true
	}
	c, rest, ok := find(args)
	if !ok {
		return lost(term, args, asked)
	}
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	t := &tool{terminal: term}
	fs.StringVar(&t.config, "config", "", "configuration `FILE` (YAML); GATEHOUSE_… variables win over it")
	fs.BoolVar(&t.json, "json", false, "print JSON")
	do := c.flags(fs)
	rest, err := parse(fs, rest)
	switch {
	case asked || errors.Is(err, flag.ErrHelp):
		usage(term.out, c, fs)
		return done
	case err != nil:
		err = misuse(err.Error())
	case len(rest) != len(strings.Fields(c.args)):
		err = misuse(fmt.Sprintf("want %s behind the command, got %d arguments", arguments(c), len(rest)))
	default:
		err = do(ctx, t, rest)
		err = errors.Join(err, t.close())
	}
	return verdict(ctx, term.err, c, err)
}

// verdict tells what came of a command.
func verdict(ctx context.Context, w io.Writer, c command, err error) int {
	var wrong misuse
	switch {
	case err == nil:
		return done
	case errors.As(err, &wrong):
		fmt.Fprintf(w, "gatehouse %s: %v\nSee: gatehouse %s --help\n", c.name, wrong, c.name)
		return notUnderstood
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintf(w, "gatehouse %s: interrupted\n", c.name)
		return interrupted
	}
	fmt.Fprintf(w, "gatehouse %s: %s\n", c.name, explain(err))
	return failed
}

func arguments(c command) string {
	if c.args == "" {
		return "nothing"
	}
	return c.args
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
	return slices.Concat(serving(), keyCommands(), accountCommands(), clientCommands(), connectionCommands(), explainCommands(), auditCommands())
}

// lost answers a line that names no command: with the list that was asked for, or
// with what is wrong.
func lost(term terminal, args []string, asked bool) int {
	some := commands()
	if len(args) > 0 {
		asked = asked || isHelp(args[len(args)-1])
		some = slices.DeleteFunc(some, func(c command) bool { return !strings.HasPrefix(c.name, args[0]+" ") })
	}
	switch {
	case asked && len(some) > 0:
		overview(term.out, some)
		return done
	case len(some) > 0:
		fmt.Fprintf(term.err, "gatehouse %s: name one of its commands\n\n", args[0])
		overview(term.err, some)
	case strings.HasPrefix(args[0], "-"):
		fmt.Fprint(term.err, "gatehouse: the command comes first, its flags behind it\nSee: gatehouse --help\n")
	default:
		fmt.Fprintf(term.err, "gatehouse: there is no command %q\nSee: gatehouse --help\n", args[0])
	}
	return notUnderstood
}

func overview(out io.Writer, some []command) {
	fmt.Fprint(out, "Gatehouse is an identity broker: apps leave signing in to it.\n\nUsage: gatehouse COMMAND [flags]\n\n")
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, c := range some {
		fmt.Fprintf(w, "  %s\t%s\n", strings.TrimSpace(c.name+" "+c.args), c.about)
	}
	w.Flush()
	fmt.Fprint(out, "\ngatehouse COMMAND --help tells more. Start with: gatehouse demo\n")
}

func usage(out io.Writer, c command, fs *flag.FlagSet) {
	fmt.Fprintf(out, "gatehouse %s: %s\n\nUsage:   gatehouse %s\nExample: gatehouse %s\n\n", c.name, c.about,
		strings.TrimSpace(c.name+" [flags] "+c.args), strings.TrimSpace(c.name+" "+c.example))
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fs.VisitAll(func(f *flag.Flag) {
		value, about := flag.UnquoteUsage(f)
		if value == "string" || value == "value" {
			value = "TEXT"
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" {
			about += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(w, "  --%s\t%s\n", strings.TrimSpace(f.Name+" "+strings.ToUpper(value)), about)
	})
	w.Flush()
}
