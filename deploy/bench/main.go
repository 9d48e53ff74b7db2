// Command bench drives the real binary from outside and prints the cost of each operation: operations per second,
// and CPU milliseconds by process, which can be compared between machines. Beside them it prints the cost of the
// unavoidable cryptography and the required figures. It starts and stops everything that it measures.
//
//	go run ./deploy/bench -engines sqlite,postgres -for 5s -only login,refresh
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	engines, only []string
	duration      time.Duration
	workers       int
	binary        string
	against       string
	rows          int
}

func main() {
	var o options
	engines := flag.String("engines", "sqlite,postgres", "`databases` to measure; postgres includes Redis")
	only := flag.String("only", "", "operations to measure, by the start of their name; empty: all")
	flag.DurationVar(&o.duration, "for", 5*time.Second, "duration of each operation")
	flag.IntVar(&o.workers, "c", 16, "concurrency")
	flag.StringVar(&o.binary, "binary", "", "binary to measure; empty: build it")
	flag.StringVar(&o.against, "against", "", "older `binary` to compare with, operation by operation, and nothing else")
	flag.IntVar(&o.rows, "rows", 1_000_000, "rows of each kind that growth inserts with psql or sqlite3; growth runs "+
		"only if -only names it")
	hello := flag.String("hello", "", "serve one word at this `address` and nothing else, for comparison")
	flag.Parse()
	if *hello != "" {
		serveHello(*hello)
	}
	o.engines = strings.Split(*engines, ",")
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // PostgreSQL runs as another user
		return err
	}
	if o.binary == "" {
		if o.binary, err = build(ctx, dir); err != nil {
			return err
		}
	}
	costs := measureCrypto()
	hello, err := measureHello(ctx, o)
	if err != nil {
		return err
	}
	fmt.Println("one core of this machine, in CPU ms, and its ratio to that of PERFORMANCE.md:")
	for _, row := range []struct {
		name        string
		here, there float64
	}{{"RS256 sign", costs.rs256, 0.83}, {"ES256 sign", costs.es256, 0.027}, {"argon2id", costs.argon2id, 23},
		{"net/http says hello", hello, 0.020}} {
		fmt.Printf("  %-20s %7.3f  %5.2f ×\n", row.name, row.here, row.here/row.there)
	}
	fmt.Printf("argon2id on all cores at once, as under load: %.1f\n", costs.hashing)
	sizeRow(o.binary)
	measure := measureEngine
	if o.against != "" {
		measure = measureAgainst
	}
	for _, engine := range o.engines {
		if failed := measure(ctx, o, dir, engine, costs); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", engine, failed))
		}
	}
	return err
}

func (o options) wants(name string) bool {
	return len(o.only) == 0 || slices.ContainsFunc(o.only, func(p string) bool { return strings.HasPrefix(name, p) })
}

func measureEngine(ctx context.Context, o options, dir, engine string, costs crypto) error {
	s, err := openStack(ctx, dir, engine, o.binary)
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Printf("\n%s, concurrency %d\n%-34s %9s %9s %9s %9s %9s\n", engine, o.workers,
		"operation", "per s", "own ms", "store ms", "CPU ms", "crypto")
	var failures []error // measure the other operations after a failure
	for _, op := range operations(s, costs) {
		if !o.wants(op.name) {
			continue
		}
		if err := s.measure(ctx, o, op); err != nil {
			fmt.Printf("%-34s FAILED: %v\n", op.name, err)
			failures = append(failures, fmt.Errorf("%s: %w", op.name, err))
		}
	}
	if o.wants("crowd") {
		failures = append(failures, crowd(ctx, o, dir, engine))
	}
	if o.wants("sameness") {
		failures = append(failures, s.sameness(ctx))
	}
	if o.wants("rotation") && engine == "postgres" { // replicas are for PostgreSQL
		failures = append(failures, s.rotation(ctx))
	}
	if len(o.only) > 0 && o.wants("growth") {
		failures = append(failures, growth(ctx, o, dir, s))
	}
	if o.wants("start") {
		failures = append(failures, s.measureStart(ctx))
	}
	if o.wants("outage") {
		failures = append(failures, outages(ctx, o, s))
	}
	return errors.Join(failures...)
}

// verdict compares a figure with the required one; 0 means that there is none.
func verdict(got, must float64) string {
	switch {
	case must == 0:
		return ""
	case got <= must:
		return "ok"
	}
	return fmt.Sprintf("over by %.0f %%", 100*(got/must-1))
}

func sizeRow(binary string) {
	info, err := os.Stat(binary)
	if err != nil {
		return
	}
	const must = 50
	size := float64(info.Size()) / 1e6
	fmt.Printf("stripped binary %.1f MB, must be %d: %s\n", size, must, verdict(size, must))
}
