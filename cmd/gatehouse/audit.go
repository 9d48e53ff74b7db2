package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"gatehouse/broker"
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
	return []command{{"audit", "", "read the audit log, newest first", readAudit}}
}

func readAudit(fs *flag.FlagSet) action {
	var f broker.EventFilter
	email := fs.String("account", "", "only about the account with this `address`")
	fs.StringVar(&f.Client, "client", "", "only about this client `id`")
	fs.StringVar(&f.Reference, "reference", "", "only the refusal that a person was shown with this `reference`")
	fs.Func("verb", "only this `verb`, such as login.refused", func(s string) error { f.Verb = broker.Verb(s); return nil })
	since := fs.Duration("since", 0, "only the last `duration`, such as 24h")
	fs.IntVar(&f.Limit, "limit", 100, "at most so many")
	return func(ctx context.Context, t *tool, args []string) error {
		if len(args) != 0 {
			return errUsage
		}
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		if *email != "" {
			_, a, err := t.account(ctx, []string{*email})
			if err != nil {
				return err
			}
			f.Account = a.ID
		}
		if *since < 0 {
			return errors.New("--since: want a positive duration")
		}
		if *since > 0 {
			f.Since = h.now().Add(-*since)
		}
		events, err := h.store.Events(ctx, f)
		if err != nil {
			return err
		}
		views := make([]eventView, 0, len(events))
		for _, e := range events {
			views = append(views, eventView{e.ID, e.At, string(e.Verb), string(e.Code), e.Account, e.Actor, e.Client, e.Connection, e.Session, e.Reference, e.Address, e.UserAgent, e.Detail})
		}
		return t.print(views, func(w io.Writer) {
			fmt.Fprintln(w, "AT\tVERB\tCODE\tACCOUNT\tCLIENT\tCONNECTION\tADDRESS\tREFERENCE")
			for _, e := range views {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", date(e.At), e.Verb, e.Code, e.Account, e.Client, e.Connection, e.Address, e.Reference)
			}
		})
	}
}
