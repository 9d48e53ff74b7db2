package admin

import (
	"context"
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
	return CheckLimit(in.Limit)
}

// Events reads the audit log, newest first.
func (s *Service) Events(ctx context.Context, _ Actor, in ReadAudit) ([]broker.Event, error) {
	if err := in.Check(); err != nil {
		return nil, err
	}
	f := broker.EventFilter{Client: in.Client, Reference: in.Reference, Verb: broker.Verb(in.Verb), Before: in.Before,
		Limit: in.Limit}
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
