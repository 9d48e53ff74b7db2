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

// accountView is an account as the command line shows it: without its hash.
type accountView struct {
	ID         string         `json:"id"`
	Email      string         `json:"email"`
	Name       string         `json:"name"`
	Password   bool           `json:"has_password"`
	Disabled   bool           `json:"disabled"`
	Epoch      int64          `json:"auth_epoch"`
	CreatedAt  time.Time      `json:"created_at"`
	Identities []identityView `json:"identities,omitempty"`
}

type identityView struct {
	ID         string    `json:"id"`
	Connection string    `json:"connection"`
	Issuer     string    `json:"issuer"`
	Subject    string    `json:"subject"`
	Email      string    `json:"email"`
	LinkedAt   time.Time `json:"linked_at"`
	SeenAt     time.Time `json:"seen_at"`
}

func viewAccount(a broker.Account) accountView {
	return accountView{ID: a.ID, Email: a.Email, Name: a.Name, Password: a.HasPassword(), Disabled: a.Disabled, Epoch: a.AuthEpoch, CreatedAt: a.CreatedAt}
}

func accountCommands() []command {
	return []command{
		{"accounts add", "EMAIL", "create an account", addAccount},
		{"accounts list", "", "list accounts by e-mail", listAccounts},
		{"accounts show", "EMAIL", "show an account and its sign-in methods", showAccount},
		{"accounts password", "EMAIL", "set an account's password; its sessions and tokens end", setPassword},
		{"accounts disable", "EMAIL", "turn an account off; its sessions and tokens end", func(*flag.FlagSet) action {
			return changeAccount(broker.EventAccountChanged, "disabled", func(a *broker.Account) { a.Disabled = true })
		}},
		{"accounts enable", "EMAIL", "turn an account on again", func(*flag.FlagSet) action {
			return changeAccount(broker.EventAccountChanged, "enabled", func(a *broker.Account) { a.Disabled = false })
		}},
		{"accounts signout", "EMAIL", "end every session and token of an account", func(*flag.FlagSet) action {
			return changeAccount(broker.EventSignedOut, "everywhere", func(*broker.Account) {})
		}},
		{"accounts unlink", "EMAIL", "remove an identity from an account", unlinkIdentity},
		{"accounts consents", "EMAIL", "list what an account allowed which client", listConsents},
		{"accounts consents remove", "EMAIL", "take an account's consent to a client back; its tokens end", removeConsent},
	}
}

func addAccount(fs *flag.FlagSet) action {
	name := fs.String("name", "", "the person's name")
	file := fs.String("password-file", "", "`file` with the password, - for standard input; without it only upstreams sign in")
	return func(ctx context.Context, t *tool, args []string) error {
		email, err := one(args)
		if err != nil {
			return err
		}
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		a := broker.Account{ID: broker.NewID(), Name: *name, AuthEpoch: 1, CreatedAt: h.now(), UpdatedAt: h.now()}
		if a.Email, err = broker.CanonicalEmail(email); err != nil {
			return err
		}
		if *file != "" {
			if a.PasswordHash, err = t.hash(ctx, h, *file); err != nil {
				return err
			}
		}
		err = h.store.Atomic(ctx, func(ctx context.Context) error {
			if err := h.store.CreateAccount(ctx, a); err != nil {
				return err
			}
			return h.record(ctx, broker.Event{Verb: broker.EventAccountCreated, Account: a.ID})
		})
		if errors.Is(err, broker.Conflict) {
			return fmt.Errorf("%s has an account already", a.Email)
		}
		if err != nil {
			return err
		}
		return t.print(viewAccount(a), func(w io.Writer) { fmt.Fprintf(w, "created %s (%s)\n", a.Email, a.ID) })
	}
}

func (t *tool) hash(ctx context.Context, h *house, file string) (string, error) {
	password, err := t.secret(file)
	if err != nil {
		return "", err
	}
	return h.passwords().Hash(ctx, password)
}

func listAccounts(fs *flag.FlagSet) action {
	after := fs.String("after", "", "list from after this `address`")
	limit := fs.Int("limit", 100, "at most so many")
	return func(ctx context.Context, t *tool, _ []string) error {
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		all, err := h.store.Accounts(ctx, *after, *limit)
		if err != nil {
			return err
		}
		views := make([]accountView, 0, len(all))
		for _, a := range all {
			views = append(views, viewAccount(a))
		}
		return t.print(views, func(w io.Writer) {
			fmt.Fprintln(w, "EMAIL\tNAME\tPASSWORD\tDISABLED\tCREATED\tID")
			for _, a := range views {
				fmt.Fprintf(w, "%s\t%s\t%v\t%v\t%s\t%s\n", a.Email, a.Name, a.Password, a.Disabled, date(a.CreatedAt), a.ID)
			}
		})
	}
}

// account finds an account by the address on the command line.
func (t *tool) account(ctx context.Context, args []string) (*house, broker.Account, error) {
	email, err := one(args)
	if err != nil {
		return nil, broker.Account{}, err
	}
	h, err := t.house(ctx)
	if err != nil {
		return nil, broker.Account{}, err
	}
	if email, err = broker.CanonicalEmail(email); err != nil {
		return nil, broker.Account{}, err
	}
	a, err := h.store.AccountByEmail(ctx, email)
	if errors.Is(err, broker.NotFound) {
		return nil, a, fmt.Errorf("%s has no account", email)
	}
	return h, a, err
}

func showAccount(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, a, err := t.account(ctx, args)
		if err != nil {
			return err
		}
		ids, err := h.store.IdentitiesOf(ctx, a.ID)
		if err != nil {
			return err
		}
		v := viewAccount(a)
		for _, i := range ids {
			v.Identities = append(v.Identities, identityView{i.ID, i.Connection, i.Issuer, i.Subject, i.Email, i.LinkedAt, i.SeenAt})
		}
		return t.print(v, func(w io.Writer) {
			fmt.Fprintf(w, "id\t%s\nemail\t%s\nname\t%s\npassword\t%v\ndisabled\t%v\ncreated\t%s\n", v.ID, v.Email, v.Name, v.Password, v.Disabled, date(v.CreatedAt))
			for _, i := range v.Identities {
				fmt.Fprintf(w, "identity\t%s: %s at %s, %s, linked %s, last seen %s\n", i.ID, i.Connection, i.Issuer, i.Email, date(i.LinkedAt), date(i.SeenAt))
			}
		})
	}
}

func setPassword(fs *flag.FlagSet) action {
	file := fs.String("password-file", "-", "`file` with the password, - for standard input")
	return func(ctx context.Context, t *tool, args []string) error {
		h, _, err := t.account(ctx, args)
		if err != nil {
			return err
		}
		hash, err := t.hash(ctx, h, *file)
		if err != nil {
			return err
		}
		return changeAccount(broker.EventPasswordChanged, "set", func(a *broker.Account) { a.PasswordHash = hash })(ctx, t, args)
	}
}

// changeAccount edits an account and raises its epoch, so that everything born
// before is dead.
func changeAccount(verb broker.Verb, what string, edit func(*broker.Account)) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, a, err := t.account(ctx, args)
		if err != nil {
			return err
		}
		seen := a.AuthEpoch
		edit(&a)
		a.AuthEpoch, a.UpdatedAt = seen+1, h.now()
		err = h.store.Atomic(ctx, func(ctx context.Context) error {
			if err := h.store.ChangeAccount(ctx, a, seen); err != nil {
				return err
			}
			return h.record(ctx, broker.Event{Verb: verb, Account: a.ID, Detail: map[string]string{"change": what}})
		})
		if err != nil {
			return err
		}
		return t.print(viewAccount(a), func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", a.Email, what) })
	}
}

func unlinkIdentity(fs *flag.FlagSet) action {
	id := fs.String("identity", "", "`id` of the identity, as shown by accounts show")
	return func(ctx context.Context, t *tool, args []string) error {
		h, a, err := t.account(ctx, args)
		if err != nil {
			return err
		}
		ids, err := h.store.IdentitiesOf(ctx, a.ID)
		if err != nil {
			return err
		}
		for _, i := range ids {
			if i.ID != *id {
				continue
			}
			if len(ids) == 1 && !a.HasPassword() {
				return errors.New("this is the only way into the account; set a password first")
			}
			return h.store.Atomic(ctx, func(ctx context.Context) error {
				if err := h.store.Unlink(ctx, i.ID, h.now()); err != nil {
					return err
				}
				return h.record(ctx, broker.Event{Verb: broker.EventIdentityUnlinked, Account: a.ID, Connection: i.Connection})
			})
		}
		return fmt.Errorf("%s has no identity %q", a.Email, *id)
	}
}

func listConsents(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, a, err := t.account(ctx, args)
		if err != nil {
			return err
		}
		all, err := h.store.ConsentsOf(ctx, a.ID)
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
			fmt.Fprintln(w, "CLIENT\tSCOPES\tGRANTED")
			for _, c := range views {
				fmt.Fprintf(w, "%s\t%v\t%s\n", c.Client, c.Scopes, date(c.GrantedAt))
			}
		})
	}
}

func removeConsent(fs *flag.FlagSet) action {
	client := fs.String("client", "", "`id` of the client")
	return func(ctx context.Context, t *tool, args []string) error {
		h, a, err := t.account(ctx, args)
		if err != nil {
			return err
		}
		return h.store.Atomic(ctx, func(ctx context.Context) error {
			if err := h.store.RemoveConsent(ctx, a.ID, *client, h.now()); err != nil {
				return err
			}
			return h.record(ctx, broker.Event{Verb: broker.EventConsentRemoved, Account: a.ID, Client: *client})
		})
	}
}
