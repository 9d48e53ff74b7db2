package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"gatehouse/broker/admin"
)

type auditCmd struct {
	Account   string        `placeholder:"EMAIL|ID" help:"Only about this account."`
	Client    string        `placeholder:"ID" help:"Only about this client."`
	Reference string        `placeholder:"XXXX-XXXX" help:"Only the refusal that a person was shown with this reference."`
	Verb      string        `help:"Only this verb, such as login.refused."`
	Since     time.Duration `placeholder:"DURATION" help:"Only the last so long, such as 24h."`
	Before    string        `placeholder:"TIME" help:"Only before this time, such as 2026-11-22T08:30:00Z: the next page."`
	Limit     int           `default:"100" help:"At most this many, up to 1000."`
}

// input reads the flags as the input of the operation.
func (c *auditCmd) input() (in admin.ReadAudit, err error) {
	in = admin.ReadAudit{Account: c.Account, Client: c.Client, Reference: c.Reference, Verb: c.Verb, Since: c.Since,
		Limit: c.Limit}
	if c.Before != "" {
		if in.Before, err = time.Parse(time.RFC3339, c.Before); err != nil {
			return in, misuse("--before: must be a time such as 2026-11-22T08:30:00Z")
		}
	}
	return in, misused(in.Check())
}

func (c *auditCmd) Validate() error {
	_, err := c.input()
	return err
}

func (c *auditCmd) Run(ctx context.Context, t *tool, s *admin.Service) error {
	in, err := c.input()
	if err != nil {
		return err
	}
	events, err := s.Events(ctx, t.actor(), in)
	if err != nil {
		return err
	}
	views := each(events, admin.ViewEvent)
	addresses, err := s.Addresses(ctx, events)
	if err != nil {
		return err
	}
	person := func(id string) string { return or(addresses[id], or(id, "-")) }
	return t.print(views, func(w io.Writer) {
		if len(views) == 0 {
			fmt.Fprintln(w, "no events found")
			return
		}
		row(w, "AT", "VERB", "CODE", "ACCOUNT", "ACTOR", "CLIENT", "CONNECTION", "ADDRESS", "REFERENCE", "DETAIL")
		for _, e := range views {
			row(w, admin.Date(e.At), e.Verb, or(e.Code, "-"), person(e.Account), person(e.Actor), or(e.Client, "-"),
				or(e.Connection, "-"), or(e.Address, "-"), or(e.Reference, "-"), e.Details())
		}
		if len(views) == in.Limit {
			fmt.Fprintf(w, "\nThere may be more: --before %s\n", views[len(views)-1].At.Format(time.RFC3339Nano))
		}
	})
}
