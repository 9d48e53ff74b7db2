package main

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// driving runs one measurement.
type driving = func(context.Context) (sample, error)

// turns is how many pairs of measurements compare makes.
const turns = 5

// compare measures two things several times. It returns the sum of each one's samples, and the median of the
// second one's cost divided by the first one's.
func compare(ctx context.Context, runs [2]driving,
	both func(context.Context, [2]driving) ([2]sample, error)) (sums [2]sample, ratio float64, err error) {
	var ratios []float64
	for range turns {
		pair, err := both(ctx, runs)
		if err != nil {
			return sums, 0, err
		}
		for i := range sums {
			sums[i].add(pair[i])
		}
		ratios = append(ratios, pair[1].cpuMS()/pair[0].cpuMS())
	}
	for i := range sums {
		slices.Sort(sums[i].latencies)
	}
	slices.Sort(ratios)
	return sums, ratios[turns/2], nil
}

// inTurns runs one after the other.
func inTurns(ctx context.Context, runs [2]driving) (pair [2]sample, err error) {
	for i, run := range runs {
		if pair[i], err = run(ctx); err != nil {
			return pair, err
		}
	}
	return pair, nil
}

// atOnce runs both at the same time, so that both see the same variations of the machine's speed.
func atOnce(ctx context.Context, runs [2]driving) (pair [2]sample, err error) {
	var all sync.WaitGroup
	var failed [2]error
	for i, run := range runs {
		all.Go(func() { pair[i], failed[i] = run(ctx) })
	}
	all.Wait()
	return pair, errors.Join(failed[:]...)
}

func (r *sample) add(more sample) {
	r.done += more.done
	r.took += more.took
	r.own += more.own
	r.store += more.store
	r.latencies = append(r.latencies, more.latencies...)
}

// operation returns the operation of that name.
func (s *stack) operation(name string) operation {
	all := operations(s, crypto{})
	return all[slices.IndexFunc(all, func(op operation) bool { return op.name == name })]
}
