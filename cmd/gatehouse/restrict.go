package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
)

// restrictionView is a restriction as the command line shows it.
type restrictionView struct {
	Only        string    `json:"only"`
	Connections []string  `json:"connections"`
	Guests      bool      `json:"guests"`
	Personal    bool      `json:"personal"`
	SetBy       string    `json:"set_by"`
	SetAt       time.Time `json:"set_at"`
}

func viewRestriction(l *broker.Restriction) *restrictionView {
	if l == nil {
		return nil
	}
	return &restrictionView{l.Only, l.Connections, l.Guests, l.Personal, l.SetBy, l.SetAt}
}

func (l restrictionView) String() string {
	text := fmt.Sprintf("only %s, through %s", l.Only, strings.Join(l.Connections, ", "))
	if l.Guests {
		text += ", guests too"
	}
	if l.Personal {
		text += ", personal accounts too"
	}
	return text + fmt.Sprintf("; set by %s on %s", l.SetBy, date(l.SetAt))
}

func restrictAccount(fs *flag.FlagSet) action {
	only := fs.String("only", "", "`WAY` in: microsoft, for every live Entra ID and AD FS connection of now; or ids of connections, separated by commas")
	guests := fs.Bool("guests", false, "accept guests of the directory too")
	personal := fs.Bool("personal", false, "accept personal Microsoft accounts too")
	return func(ctx context.Context, t *tool, args []string) error {
		if *only == "" {
			return misuse("--only is missing")
		}
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		done, err := s.RestrictAccount(ctx, t.actor(), admin.RestrictAccount{Account: args[0], Only: *only, Guests: *guests, Personal: *personal})
		if err != nil {
			return err
		}
		a := done.Value
		return t.print(viewAccount(a.Account), func(w io.Writer) {
			fmt.Fprintf(w, "%s: %s\nevery session and token of the account has ended\n", a.Email, viewRestriction(a.Restriction))
			if !a.Linked {
				fmt.Fprintln(w, "no identity of these connections is linked yet: at the next sign-in through one of them the account's password and a mailed code link it")
			}
		})
	}
}

func unrestrictAccount(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		done, err := s.UnrestrictAccount(ctx, t.actor(), admin.UnrestrictAccount{Account: args[0]})
		if err != nil {
			return err
		}
		return t.print(viewAccount(done.Value), func(w io.Writer) { fmt.Fprintf(w, "%s may sign in every way again\n", done.Value.Email) })
	}
}
