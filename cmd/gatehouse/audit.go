package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/broker/admin"
)

type eventView struct {
	ID         string            `json:"id"`
	At         time.Time         `json:"at"`
	Verb       string            `json:"verb"`
	Code       string            `json:"code,omitempty"`
	Account    string            `json:"account,omitempty"`
	Actor      string            `json:"actor,omitempty"`
	Client     string            `json:"client,omitempty"`
	Connection string            `json:"connection,omitempty"`
	Session    string            `json:"session,omitempty"`
	Reference  string            `json:"reference,omitempty"`
	Address    string            `json:"address,omitempty"`
	UserAgent  string            `json:"user_agent,omitempty"`
	Detail     map[string]string `json:"detail,omitempty"`
}

func auditCommands() []command {
	return []command{{"audit", "", "read the audit log, newest first", "--account ana@example.com --since 24h", readAudit}}
}

func readAudit(fs *flag.FlagSet) action {
	var in admin.ReadAudit
	fs.StringVar(&in.Account, "account", "", "only about the account with this `ADDRESS` or id")
	fs.StringVar(&in.Client, "client", "", "only about this client `ID`")
	fs.StringVar(&in.Reference, "reference", "", "only the refusal that a person was shown with this `REFERENCE`")
	fs.StringVar(&in.Verb, "verb", "", "only this `VERB`, such as login.refused")
	fs.DurationVar(&in.Since, "since", 0, "only the last `DURATION`, such as 24h")
	fs.Func("before", "only before this `TIME`, such as 2026-11-22T08:30:00Z: the next page", func(s string) (err error) {
		if in.Before, err = time.Parse(time.RFC3339, s); err != nil {
			return errors.New("want a time such as 2026-11-22T08:30:00Z")
		}
		return nil
	})
	fs.IntVar(&in.Limit, "limit", 100, "at most so many, up to 1000")
	return func(ctx context.Context, t *tool, _ []string) error {
		if err := misused(in.Check()); err != nil {
			return err
		}
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		events, err := s.Events(ctx, t.actor(), in)
		if err != nil {
			return err
		}
		views := make([]eventView, 0, len(events))
		for _, e := range events {
			views = append(views, eventView{e.ID, e.At, string(e.Verb), string(e.Code), e.Account, e.Actor, e.Client, e.Connection, e.Session, e.Reference, e.Address, e.UserAgent, e.Detail})
		}
		return t.print(views, func(w io.Writer) {
			row(w, "AT", "VERB", "CODE", "ACCOUNT", "ACTOR", "CLIENT", "CONNECTION", "ADDRESS", "REFERENCE", "DETAIL")
			for _, e := range views {
				row(w, date(e.At), e.Verb, or(e.Code, "-"), or(e.Account, "-"), or(e.Actor, "-"), or(e.Client, "-"), or(e.Connection, "-"), or(e.Address, "-"), or(e.Reference, "-"), details(e.Detail))
			}
			if len(views) == in.Limit {
				fmt.Fprintf(w, "\nThere may be more: --before %s\n", views[len(views)-1].At.Format(time.RFC3339Nano))
			}
		})
	}
}

func details(m map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, k+"="+m[k])
	}
	return strings.Join(all, " ")
}
