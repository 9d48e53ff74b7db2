// Command mutate proves that the tests can fail. It changes one thing at a time, lets the tests run
// against it, and says which changes nobody noticed. The work tree stays untouched: the go command is
// shown each changed file through -overlay.
//
//	go run ./deploy/mutate -defences [-only '^C5 ']
//
// takes out the defences of defences/*.txt, one after the other. A block is
//
//	# why it is there
//	A2 broker/oidc/request.go
//	- 	if method != methodS256 {
//	+ 	if false {
//	! ./broker/oidc ^TestA2_
//
// that is: rows of the threat table and a file; the old lines, which must stand there exactly once; the
// new lines, none to delete them; packages and tests, each of which must notice. More lines with - begin
// another change of the same file. A block is killed when all its tests fail and nothing else is good:
// SURVIVED (a test passed), stale (the old lines are not there once) and broken (it does not compile, or
// the test does not exist or fails anyhow). Tests that need PostgreSQL or Redis take GATEHOUSE_TEST_* from
// the environment.
//
//	go run ./deploy/mutate -rules [-only 'redirect.go|Resolve']
//
// changes every condition, comparison, refusal, truth value and assignment of the rules in package broker,
// and runs that package's tests. A survivor that no test could notice stands in equivalent.txt: its key as
// printed here without the place, and below it the argument.
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
	defences := flag.Bool("defences", false, "take out every defence of deploy/mutate/defences")
	rules := flag.Bool("rules", false, "change every rule of package broker")
	only := flag.String("only", "", "keep to what this `regexp` finds in the first line of a block, or in a rule's file and function")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *defences, *rules, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, defences, rules bool, only string) error {
	keep, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	if !defences && !rules {
		return errors.New("say -defences or -rules")
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
	b := &bench{top: strings.TrimSpace(string(out)), scratch: scratch, sound: map[string]string{}}
	if defences {
		err = takeOut(ctx, b, keep)
	}
	if rules && ctx.Err() == nil {
		err = errors.Join(err, changeRules(ctx, b, keep))
	}
	return errors.Join(err, ctx.Err())
}
