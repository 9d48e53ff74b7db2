package storage

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/limit"
)

// Anyone can cause refusals, each of which would be a row that nothing removes for a year. So only the first ones of
// a kind and a network in an hour have rows of their own, see Options.Refusals; of the others, the 1,000th, the
// 10,000th and so on.
const refusalsWithin = time.Hour

// Record implements broker.AuditLog. Refusals of strangers are aggregated: an event that stands for more than itself
// has their number in the detail "count". The log and the metrics have each of them.
func (s *Store) Record(ctx context.Context, events ...broker.Event) error {
	var kept []broker.Event
	for _, e := range events {
		//defence:H4
		if ofStranger(e) && !s.InTransaction(ctx) {
			n, err := s.countRefusal(ctx, e)
			if err != nil {
				return err
			}
			if n > s.refusals {
				if !powerOfTen(n) {
					continue
				}
				e.Detail = maps.Clone(e.Detail)
				if e.Detail == nil {
					e.Detail = map[string]string{}
				}
				e.Detail["count"] = strconv.FormatInt(n, 10)
			}
		}
		kept = append(kept, e)
	}
	return s.DB.Record(ctx, kept...)
}

// ofStranger reports whether an event is a refusal over the network that concerns no account. A wrong password is none:
// it must cost the same with and without an account (SECURITY.md E1), and its own limit bounds it.
func ofStranger(e broker.Event) bool {
	return e.Code != "" &&
		//defence:E1
		e.Verb != broker.EventPasswordFailed && e.Address != "" && e.Account == "" && e.Actor == "" && e.Session == ""
}

func (s *Store) countRefusal(ctx context.Context, e broker.Event) (int64, error) {
	ends := e.At.Truncate(refusalsWithin).Add(refusalsWithin)
	key := []string{string(e.Verb), string(e.Code), limit.Network(e.Address), strconv.FormatInt(ends.Unix(), 36)}
	return s.Count(ctx, "refusals", strings.Join(key, " "), ends)
}

func powerOfTen(n int64) bool {
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}
