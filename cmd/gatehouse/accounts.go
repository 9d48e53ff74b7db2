package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"gatehouse/broker"
	"gatehouse/broker/mail"
	"gatehouse/broker/text"
)

func accountCommands() []command {
	return []command{
		{"accounts add", "EMAIL", "create an account", `ana@example.com --name "Ana Silva" --password-file -`, addAccount},
		{"accounts list", "", "list accounts by e-mail", "--limit 20", listAccounts},
		{"accounts show", "EMAIL|ID", "show an account and its sign-in methods", "ana@example.com", showAccount},
		{"accounts password", "EMAIL|ID", "set an account's password and tell its owner; its sessions and tokens end", "ana@example.com --password-file new.txt", setPassword},
		{"accounts disable", "EMAIL|ID", "turn an account off; its sessions and tokens end", "ana@example.com", switchAccount(true)},
		{"accounts enable", "EMAIL|ID", "turn an account on again", "ana@example.com", switchAccount(false)},
		{"accounts lock", "EMAIL|ID", "let an account in by one way only; its sessions and tokens end", "ana@example.com --only microsoft", lockAccount},
		{"accounts unlock", "EMAIL|ID", "let an account in by every way again", "ana@example.com", unlockAccount},
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
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		a := broker.Account{ID: broker.NewID(), Name: *name, Unverified: *unverified, AuthEpoch: 1, CreatedAt: h.now(), UpdatedAt: h.now()}
		if a.Email, err = broker.CanonicalEmail(args[0]); err != nil {
			return err
		}
		if len(*name) > 200 || strings.ContainsFunc(*name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
			return errors.New("--name: want at most 200 bytes on one line")
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
	password, err := t.secret(ctx, file)
	if err != nil {
		return "", err
	}
	return h.passwords().Hash(ctx, password)
}

func listAccounts(fs *flag.FlagSet) action {
	after := fs.String("after", "", "list from after this `ADDRESS`")
	limit := fs.Int("limit", 100, "at most so many, up to 1000")
	return func(ctx context.Context, t *tool, _ []string) error {
		if err := checkLimit(*limit); err != nil {
			return err
		}
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		all, err := h.store.Accounts(ctx, strings.ToLower(*after), *limit)
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

// account finds an account by the address or the id on the command line.
func (t *tool) account(ctx context.Context, which string) (*house, broker.Account, error) {
	h, err := t.house(ctx)
	if err != nil {
		return nil, broker.Account{}, err
	}
	var a broker.Account
	if strings.Contains(which, "@") {
		if which, err = broker.CanonicalEmail(which); err != nil {
			return nil, a, err
		}
		a, err = h.store.AccountByEmail(ctx, which)
	} else {
		a, err = h.store.Account(ctx, which)
	}
	if errors.Is(err, broker.NotFound) {
		return nil, a, fmt.Errorf("there is no account %q; an unverified one goes by its id, see accounts list", which)
	}
	return h, a, err
}

// renew writes an account under a new epoch, so that everything born before is
// dead, with its Event and what else belongs into the transaction.
func (h *house) renew(ctx context.Context, a *broker.Account, verb broker.Verb, what string, more func(ctx context.Context) error) error {
	seen := a.AuthEpoch
	a.AuthEpoch, a.UpdatedAt = seen+1, h.now()
	return h.store.Atomic(ctx, func(ctx context.Context) error {
		if err := h.store.ChangeAccount(ctx, *a, seen); err != nil {
			return err
		}
		if err := h.record(ctx, broker.Event{Verb: verb, Account: a.ID, Detail: map[string]string{"change": what}}); err != nil || more == nil {
			return err
		}
		return more(ctx)
	})
}

func setPassword(fs *flag.FlagSet) action {
	file := fs.String("password-file", "-", "`FILE` with the password, - for standard input")
	return func(ctx context.Context, t *tool, args []string) error {
		h, a, err := t.account(ctx, args[0])
		if err != nil {
			return err
		}
		if a.PasswordHash, err = t.hash(ctx, h, *file); err != nil {
			return err
		}
		texts, err := h.texts()
		if err != nil {
			return err
		}
		// The owner is told, because whoever holds an operator's shell could take the account over this way.
		err = h.renew(ctx, &a, broker.EventPasswordChanged, "set", func(ctx context.Context) error {
			return h.post(texts).Queue(ctx, mail.PasswordChanged{To: a.Email, At: h.now(), Locale: a.Locale})
		})
		if err != nil {
			return err
		}
		return t.print(viewAccount(a), func(w io.Writer) {
			fmt.Fprintf(w, "%s has a new password; every session and token has ended, and a mail tells the owner\n", a.Email)
		})
	}
}

func switchAccount(off bool) func(*flag.FlagSet) action {
	return func(*flag.FlagSet) action {
		return func(ctx context.Context, t *tool, args []string) error {
			h, a, err := t.account(ctx, args[0])
			if err != nil {
				return err
			}
			if a.Disabled != off {
				a.Disabled = off
				err = h.renew(ctx, &a, broker.EventAccountChanged, onOff(off), nil)
			}
			if err != nil {
				return err
			}
			return t.print(viewAccount(a), func(w io.Writer) { fmt.Fprintf(w, "%s is %s\n", a.Email, onOff(off)) })
		}
	}
}

func signOut(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, a, err := t.account(ctx, args[0])
		if err != nil {
			return err
		}
		if err := h.renew(ctx, &a, broker.EventSignedOut, "everywhere", nil); err != nil {
			return err
		}
		return t.print(viewAccount(a), func(w io.Writer) { fmt.Fprintf(w, "%s is signed out everywhere\n", a.Email) })
	}
}

func unlinkIdentity(fs *flag.FlagSet) action {
	id := fs.String("identity", "", "`ID` of the identity, as accounts show tells it")
	return func(ctx context.Context, t *tool, args []string) error {
		if *id == "" {
			return misuse("--identity is missing")
		}
		h, a, err := t.account(ctx, args[0])
		if err != nil {
			return err
		}
		texts, err := h.texts()
		if err != nil {
			return err
		}
		err = h.store.Atomic(ctx, func(ctx context.Context) error {
			a.UpdatedAt = h.now()
			// The row is taken first, so that two who unlink at once don't both see the other way in.
			if err := h.store.ChangeAccount(ctx, a, a.AuthEpoch); err != nil {
				return err
			}
			return h.unlink(ctx, texts, a, *id)
		})
		if err != nil {
			return err
		}
		return t.showAccount(ctx, h, a)
	}
}

// unlink removes an identity unless it is the last way in.
func (h *house) unlink(ctx context.Context, texts *text.Catalog, a broker.Account, id string) error {
	all, err := h.store.IdentitiesOf(ctx, a.ID)
	if err != nil {
		return err
	}
	connections, err := h.store.Connections(ctx)
	if err != nil {
		return err
	}
	n := slices.IndexFunc(all, func(i broker.Identity) bool { return i.ID == id })
	if n < 0 {
		return fmt.Errorf("%s has no identity %q; accounts show lists them", a.Email, id)
	}
	// Whoever is held to a connection binds another identity of it, once the operator has untied the first.
	loose := a
	loose.Lock = nil
	if !broker.WaysIn(loose, all, connections, h.cfg.Passwords).Without(id) {
		return fmt.Errorf("this is the last way into %s: set a password first, see accounts password, or turn the account off", a.Email)
	}
	if err := h.store.Unlink(ctx, id, h.now()); err != nil {
		return err
	}
	c, err := h.store.Connection(ctx, all[n].Connection)
	if err != nil {
		return err
	}
	if err := h.record(ctx, broker.Event{Verb: broker.EventIdentityUnlinked, Account: a.ID, Connection: c.ID}); err != nil {
		return err
	}
	return h.post(texts).Queue(ctx, mail.Unlinked{To: a.Email, Connection: c.Name, At: h.now(), Locale: a.Locale})
}

func listConsents(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, a, err := t.account(ctx, args[0])
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
		h, a, err := t.account(ctx, args[0])
		if err != nil {
			return err
		}
		err = h.store.Atomic(ctx, func(ctx context.Context) error {
			if err := h.store.RemoveConsent(ctx, a.ID, *client, h.now()); err != nil {
				return err
			}
			return h.record(ctx, broker.Event{Verb: broker.EventConsentRemoved, Account: a.ID, Client: *client})
		})
		if errors.Is(err, broker.NotFound) {
			return fmt.Errorf("%s allowed nothing to a client %q; accounts consents lists them", a.Email, *client)
		}
		if err != nil {
			return err
		}
		return t.removed("client_id", *client)
	}
}
