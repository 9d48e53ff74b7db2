package main

import (
	"context"
	"errors"
	"fmt"
)

// measureAgainst measures the operations of two binaries in turns, each on a deployment of its own, and prints
// what they cost and the median ratio. The old binary comes first in each pair.
func measureAgainst(ctx context.Context, o options, dir, engine string, costs crypto) error {
	var stacks [2]*stack
	for i, binary := range []string{o.against, o.binary} {
		s, err := openStack(ctx, dir, engine, binary)
		if err != nil {
			return fmt.Errorf("%s: %w", binary, err)
		}
		defer s.close()
		stacks[i] = s
	}
	fmt.Printf("\n%s, concurrency %d, CPU ms, %d pairs\n%-34s %9s %9s %9s %9s\n", engine, o.workers, turns,
		"operation", "before", "after", "ratio", "at most")
	var failures []error // measure the other operations after a failure
	before, after := operations(stacks[0], costs), operations(stacks[1], costs)
	for i, op := range after {
		if !o.wants(op.name) {
			continue
		}
		sums, ratio, err := pairOf(ctx, o, stacks, [2]operation{before[i], op})
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", op.name, err))
			continue
		}
		most := op.ratio[engine]
		fmt.Printf("%-34s %9.3f %9.3f %9.2f %9.2f  %s\n", op.name, sums[0].cpuMS(), sums[1].cpuMS(), ratio, most,
			verdict(ratio, most))
		if ratio > most {
			failures = append(failures, fmt.Errorf("%s costs %.2f times as much, at most %.2f", op.name, ratio, most))
		}
	}
	return errors.Join(failures...)
}

// pairOf measures one operation of both deployments in turns.
func pairOf(ctx context.Context, o options, stacks [2]*stack,
	ops [2]operation) (sums [2]sample, ratio float64, err error) {
	var runs [2]driving
	for i, s := range stacks {
		c, err := s.ready(ctx, o.workers, ops[i])
		if err != nil {
			return sums, 0, err
		}
		defer c.close()
		if err := c.warm(ctx, o.duration/5); err != nil {
			return sums, 0, err
		}
		runs[i] = func(ctx context.Context) (sample, error) { return c.drive(ctx, o.duration) }
	}
	return compare(ctx, runs, inTurns)
}
