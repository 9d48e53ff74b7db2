package main

import (
	"context"
	"slices"
)

// inTurns drives two things one after the other, several times, since a machine's speed wanders from one second
// to the next. It returns each one's sum and the median of how much more the second costs.
func inTurns(ctx context.Context, turns int, runs [2]func(context.Context) (sample, error)) (sums [2]sample, ratio float64, err error) {
	var ratios []float64
	for i := range turns {
		var cost [2]float64
		for j := range runs {
			which := (i + j) % 2 // neither is always the first
			r, err := runs[which](ctx)
			if err != nil {
				return sums, 0, err
			}
			cost[which] = r.cpuMS()
			sums[which].add(r)
		}
		ratios = append(ratios, cost[1]/cost[0])
	}
	for i := range sums {
		slices.Sort(sums[i].latencies)
	}
	slices.Sort(ratios)
	return sums, ratios[turns/2], nil
}

func (r *sample) add(more sample) {
	r.done += more.done
	r.took += more.took
	r.own += more.own
	r.store += more.store
	r.latencies = append(r.latencies, more.latencies...)
}

// operation finds one by its name.
func (s *stack) operation(name string) operation {
	all := operations(s, crypto{})
	return all[slices.IndexFunc(all, func(op operation) bool { return op.name == name })]
}
