// Command mutate proves that the tests can fail. It changes one thing at a time, runs the tests against it, and
// prints which changes no test noticed. The work tree stays untouched: the go command reads each changed file
// through -overlay.
//
//	go run ./deploy/mutate [-only 'broker/admit.go']
//
// takes out the defences of SECURITY.md, one after the other. A comment line marks each:
//
//	//defence:A5 D1                         rows of the threat table
//	//defence:A5 ./broker:TestResolve       and tests by name, for one without the row in its name
//	//defence:A5 = time.Hour                and what the expression below is worth without the defence
//
// It stands above what it takes out, which may be a part of a statement on a line of its own:
//
//   - an if, a case of a switch without a tag: the condition is false
//   - one side of && or ||: it counts no more
//   - an assignment, a call, a defer, a loop, a switch, a select: it is skipped
//   - a definition, a constant, a member of a literal, an argument, any other expression: the zero value
//   - a return: the zero values
//   - a call in a chain, such as .Where("a = ?", b): the first argument is its zero value, the others are gone
//
// A value after = takes the place of false or zero; literals are best, since a rename does not reach it. Two anchors on
// one statement are two defences. All switches are compiled in at once, and the environment turns one of them.
//
// A defence is killed if for each row a test fails that has it as an element of its name, TestA5_D1_…, in any
// package; where tests are named, each of them. Otherwise it SURVIVED, or is broken: there is no such test, or none
// that passes as things are. Tests that need PostgreSQL or Redis take GATEHOUSE_TEST_* from the environment.
//
//	go run ./deploy/mutate -rules [-only 'resolve.go|MatchRedirect']
//
// changes every condition, comparison, refusal, truth value and assignment of the rules in package broker, and runs
// that package's tests. A survivor is printed with its kind: true, false, not, op, left, right, none or drop. A comment
// above its line excuses one that no test can notice:
//
//	//equivalent:left,right The reason.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
)

func main() {
	rules := flag.Bool("rules", false, "change every rule of package broker instead")
	only := flag.String("only", "", "keep to what this `regexp` finds in file:line and rows, or in file and function")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *rules, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rules bool, only string) error {
	keep, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("the module is not found: %w", err)
	}
	scratch, err := os.MkdirTemp("", "gatehouse-mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	top := strings.TrimSpace(string(out))
	if rules {
		err = changeRules(ctx, &bench{top: top, scratch: scratch, sound: map[string]string{}}, keep)
	} else {
		err = defences(ctx, top, scratch, keep)
	}
	return errors.Join(err, ctx.Err())
}
