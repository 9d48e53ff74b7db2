package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"gatehouse/broker"
)

// ReadAudit is the input of Service.Events. Empty fields select everything.
type ReadAudit struct {
	Account   string // e-mail address or id
	Client    string // id
	Reference string // as shown to a person
	Verb      string
	Since     time.Duration // only the last so long
	Before    time.Time     // the next page
	Limit     int
}

// Check validates the input without the store.
func (in ReadAudit) Check() error {
	if in.Since < 0 {
		return invalid("since", "must be a duration such as 24h")
	}
	if in.Verb == "" || slices.Contains(broker.Verbs(), broker.Verb(in.Verb)) {
		return CheckLimit(in.Limit)
	}
	var verbs []string
	for _, v := range broker.Verbs() {
		verbs = append(verbs, string(v))
	}
	slices.Sort(verbs)
	if near := broker.Nearest(in.Verb, verbs); near != "" {
		return invalid("verb", "unknown verb %q; did you mean %s?", in.Verb, near)
	}
	return invalid("verb", "unknown verb %q; verbs are %s", in.Verb, strings.Join(verbs, ", "))
}

// Events reads the audit log, newest first.
func (s *Service) Events(ctx context.Context, _ Actor, in ReadAudit) ([]broker.Event, error) {
	if err := in.Check(); err != nil {
		return nil, err
	}
	f := broker.EventFilter{Client: in.Client, Reference: broker.ReadReference(in.Reference),
		Verb: broker.Verb(in.Verb), Before: in.Before, Limit: in.Limit}
	if in.Account != "" {
		a, err := s.account(ctx, in.Account)
		if err != nil {
			return nil, err
		}
		f.Account = a.ID
	}
	if in.Since > 0 {
		f.Since = s.Now().Add(-in.Since)
	}
	return s.Store.Events(ctx, f)
}

// Addresses returns the e-mail addresses of the accounts that the events name, by id. An
// account that was removed has none.
func (s *Service) Addresses(ctx context.Context, events []broker.Event) (map[string]string, error) {
	known := map[string]string{"": "", Operator: ""}
	for _, e := range events {
		for _, id := range []string{e.Account, e.Actor} {
			if _, seen := known[id]; seen {
				continue
			}
			a, err := s.Store.Account(ctx, id)
			if err != nil && !errors.Is(err, broker.NotFound) {
				return nil, err
			}
			known[id] = a.Email
		}
	}
	return known, nil
}
