package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"gatehouse/broker/admin"
)

func accountCommands() []command {
	return []command{
		{"accounts add", "EMAIL", "create an account", `ana@example.com --name "Ana Silva" --password-file -`, addAccount},
		{"accounts list", "", "list accounts by e-mail", "--limit 20", listAccounts},
		{"accounts show", "EMAIL|ID", "show an account and its sign-in methods", "ana@example.com", showAccount},
		{"accounts password", "EMAIL|ID", "set an account's password and tell its owner; its sessions and tokens end", "ana@example.com --password-file new.txt", setPassword},
		{"accounts disable", "EMAIL|ID", "turn an account off; its sessions and tokens end", "ana@example.com", switchAccount(true)},
		{"accounts enable", "EMAIL|ID", "turn an account on again", "ana@example.com", switchAccount(false)},
		{"accounts restrict", "EMAIL|ID", "let an account sign in one way only; its sessions and tokens end", "ana@example.com --only microsoft", restrictAccount},
		{"accounts unrestrict", "EMAIL|ID", "let an account sign in every way again", "ana@example.com", unrestrictAccount},
		{"accounts signout", "EMAIL|ID", "end every session and token of an account", "ana@example.com", signOut},
		{"accounts unlink", "EMAIL|ID", "remove an identity from an account and tell its owner", "ana@example.com --identity 4Q7…", unlinkIdentity},
		{"accounts consents", "EMAIL|ID", "list what an account allowed which client", "ana@example.com", listConsents},
		{"accounts consents remove", "EMAIL|ID", "take an account's consent to a client back; its tokens end", "ana@example.com --client wiki", removeConsent},
	}
}

func addAccount(fs *flag.FlagSet) action {
	name := fs.String("name", "", "the person's name")
	file := fs.String("password-file", "", "`FILE` with the password, - for standard input; without one the person signs in through a provider")
	unverified := fs.Bool("unverified", false, "nobody has proven the address: the account opens nothing and blocks nobody, and goes when somebody proves it")
	return func(ctx context.Context, t *tool, args []string) error {
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		in := admin.AddAccount{Email: args[0], Name: *name, Unverified: *unverified}
		if *file != "" {
			if in.Password, err = t.secret(ctx, *file); err != nil {
				return err
			}
		}
		done, err := s.AddAccount(ctx, t.actor(), in)
		if err != nil {
			return err
		}
		a := done.Value
		return t.print(viewAccount(a), func(w io.Writer) { fmt.Fprintf(w, "created %s (%s)\n", a.Email, a.ID) })
	}
}

func listAccounts(fs *flag.FlagSet) action {
	after := fs.String("after", "", "list from after this `ADDRESS`")
	limit := fs.Int("limit", 100, "at most so many, up to 1000")
	return func(ctx context.Context, t *tool, _ []string) error {
		if err := misused(admin.CheckLimit(*limit)); err != nil {
			return err
		}
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		all, err := s.Accounts(ctx, t.actor(), admin.ListAccounts{After: *after, Limit: *limit})
		if err != nil {
			return err
		}
		views := make([]accountView, 0, len(all))
		for _, a := range all {
			views = append(views, viewAccount(a))
		}
		return t.print(views, func(w io.Writer) {
			row(w, "EMAIL", "NAME", "PASSWORD", "STATE", "CREATED", "ID")
			for _, a := range views {
				row(w, a.Email, or(a.Name, "-"), yesNo(a.Password), state(a), date(a.CreatedAt), a.ID)
			}
			if len(views) == *limit {
				fmt.Fprintf(w, "\nThere may be more: --after %s\n", views[len(views)-1].Email)
			}
		})
	}
}

func setPassword(fs *flag.FlagSet) action {
	file := fs.String("password-file", "-", "`FILE` with the password, - for standard input")
	return func(ctx context.Context, t *tool, args []string) error {
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		in := admin.SetPassword{Account: args[0]}
		if in.Password, err = t.secret(ctx, *file); err != nil {
			return err
		}
		done, err := s.SetPassword(ctx, t.actor(), in)
		if err != nil {
			return err
		}
		return t.print(viewAccount(done.Value), func(w io.Writer) {
			fmt.Fprintf(w, "%s has a new password; every session and token has ended, and a mail tells the owner\n", done.Value.Email)
		})
	}
}

func switchAccount(off bool) func(*flag.FlagSet) action {
	return func(*flag.FlagSet) action {
		return func(ctx context.Context, t *tool, args []string) error {
			s, err := t.admin(ctx)
			if err != nil {
				return err
			}
			do := s.EnableAccount
			if off {
				do = s.DisableAccount
			}
			done, err := do(ctx, t.actor(), admin.SwitchAccount{Account: args[0]})
			if err != nil {
				return err
			}
			return t.print(viewAccount(done.Value), func(w io.Writer) { fmt.Fprintf(w, "%s is %s\n", done.Value.Email, admin.State(off)) })
		}
	}
}

func signOut(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		done, err := s.SignOutAccount(ctx, t.actor(), admin.SignOutAccount{Account: args[0]})
		if err != nil {
			return err
		}
		return t.print(viewAccount(done.Value), func(w io.Writer) { fmt.Fprintf(w, "%s is signed out everywhere\n", done.Value.Email) })
	}
}

func unlinkIdentity(fs *flag.FlagSet) action {
	id := fs.String("identity", "", "`ID` of the identity, as accounts show tells it")
	return func(ctx context.Context, t *tool, args []string) error {
		if *id == "" {
			return misuse("--identity is missing")
		}
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		done, err := s.UnlinkIdentity(ctx, t.actor(), admin.UnlinkIdentity{Account: args[0], Identity: *id})
		if err != nil {
			return err
		}
		return t.showAccount(done.Value)
	}
}

func listConsents(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		all, err := s.Consents(ctx, t.actor(), args[0])
		if err != nil {
			return err
		}
		type view struct {
			Client    string    `json:"client_id"`
			Scopes    []string  `json:"scopes"`
			GrantedAt time.Time `json:"granted_at"`
		}
		views := make([]view, 0, len(all))
		for _, c := range all {
			views = append(views, view{c.ClientID, c.Scopes, c.GrantedAt})
		}
		return t.print(views, func(w io.Writer) {
			row(w, "CLIENT", "SCOPES", "GRANTED")
			for _, c := range views {
				row(w, c.Client, strings.Join(c.Scopes, " "), date(c.GrantedAt))
			}
		})
	}
}

func removeConsent(fs *flag.FlagSet) action {
	client := fs.String("client", "", "`ID` of the client")
	return func(ctx context.Context, t *tool, args []string) error {
		if *client == "" {
			return misuse("--client is missing")
		}
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		if _, err := s.RevokeConsent(ctx, t.actor(), admin.RevokeConsent{Account: args[0], Client: *client}); err != nil {
			return err
		}
		return t.removed("client_id", *client)
	}
}
