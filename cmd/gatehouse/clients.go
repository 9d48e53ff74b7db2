package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/admin"
	"gatehouse/broker/clients"
	"gatehouse/broker/egress"
	"gatehouse/config"
)

func clientCommands() []command {
	return []command{
		{"clients add", "", "register an app; prints its id and, once, its secret", `--name Wiki --redirect-uri https://wiki.example.com/callback --json`, addClient},
		{"clients list", "", "list the apps", "--json", listClients},
		{"clients show", "ID", "show an app", "wiki", showClient},
		{"clients change", "ID", "change what the flags name; a list is replaced as a whole", "wiki --redirect-uri https://wiki.example.com/callback", changeClient},
		{"clients secret", "ID", "make a new secret; the one before stays good until the next, or until --end-old", "wiki --json", newSecret},
		{"clients disable", "ID", "turn an app off; its tokens end", "wiki", switchClient(true)},
		{"clients enable", "ID", "turn an app on again", "wiki", switchClient(false)},
		{"clients token", "", "make a token with which an app registers itself; needs client_registration", "--life 1h --json", registrationToken},
		{"clients logouts", "", "list the apps that still have to be told of a sign-out, and what kept them", "--json", listLogouts},
		{"clients remove", "ID", "remove an app with its consents and tokens", "wiki", removeClient},
	}
}

func addClient(fs *flag.FlagSet) action {
	apply := clientFlags(fs)
	id := fs.String("id", "", "client id; made up where empty")
	file := fs.String("secret-file", "", "`FILE` with a secret to use, - for standard input; made up where empty")
	return func(ctx context.Context, t *tool, _ []string) error {
		c := broker.Client{ID: *id, AuthMethods: []string{"client_secret_basic"}, IDTokenAlg: "RS256", GrantTypes: []string{"authorization_code", "refresh_token"},
			Scopes: []string{"openid", "profile", "email", "offline_access"}}
		if err := apply(ctx, t, &c); err != nil {
			return err
		}
		if !clients.TakesSecret(c) && *file != "" {
			return misuse("--secret-file: " + strings.Join(c.AuthMethods, " ") + " takes no secret")
		}
		h, err := t.open(ctx)
		if err != nil {
			return err
		}
		if c.ID == "" {
			c.ID = strings.ToLower(broker.NewID())
		}
		c.CreatedAt, c.UpdatedAt = h.now(), h.now()
		secret := ""
		if clients.TakesSecret(c) {
			if secret, err = t.clientSecret(ctx, *file); err != nil {
				return err
			}
		}
		if err := h.addClient(ctx, c, secret); err != nil {
			return err
		}
		if c, err = h.store.Client(ctx, c.ID); err != nil {
			return err
		}
		return t.showClient(c, secret)
	}
}

// clientSecret reads a secret of the operator's own, or makes one up.
func (t *tool) clientSecret(ctx context.Context, file string) (string, error) {
	if file == "" {
		return broker.NewToken(), nil
	}
	secret, err := t.secret(ctx, file)
	if err != nil {
		return "", err
	}
	if flaw := config.Weakness(secret.Reveal(), 32); flaw != "" {
		return "", fmt.Errorf("the secret %s", flaw)
	}
	return secret.Reveal(), nil
}

// addClient validates and stores a new client with its secret, empty for one
// that has none.
func (h *app) addClient(ctx context.Context, c broker.Client, secret string) error {
	if _, err := h.store.Client(ctx, c.ID); err == nil {
		return fmt.Errorf("there is a client %q already; clients change alters it", c.ID)
	}
	if secret != "" {
		c.SecretHashes = []string{clients.HashSecret(h.ring, c.ID, secret)}
	}
	if err := checkClient(h.cfg, c); err != nil {
		return err
	}
	return h.putClient(ctx, c, "added")
}

// putClient validates and stores a client, with its Event and what else belongs
// into the transaction.
func (h *app) putClient(ctx context.Context, c broker.Client, what string, more ...func(ctx context.Context) error) error {
	if err := clientError(clients.Validate(c)); err != nil {
		return err
	}
	return h.store.Atomic(ctx, func(ctx context.Context) error {
		if err := h.store.PutClient(ctx, c); err != nil {
			return err
		}
		for _, do := range more {
			if err := do(ctx); err != nil {
				return err
			}
		}
		return h.record(ctx, broker.Event{Verb: broker.EventClientChanged, Client: c.ID, Detail: map[string]string{"change": what}})
	})
}

// checkClient tells everything that is wrong with a client that somebody describes,
// which of its URIs we would never call included. A client that is only switched off
// is not held to that.
func checkClient(cfg *config.Config, c broker.Client) error {
	out, err := egress.New(egress.Options{Allow: cfg.UpstreamNetworks})
	if err != nil {
		return err
	}
	return clientError(clients.Check(c, out))
}

func clientError(problems []clients.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	lines := make([]string, 0, len(problems))
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return fmt.Errorf("this client can't be registered:\n  %s", strings.Join(lines, "\n  "))
}

func listClients(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, _ []string) error {
		h, err := t.open(ctx)
		if err != nil {
			return err
		}
		all, err := h.store.Clients(ctx)
		if err != nil {
			return err
		}
		views := make([]clientView, 0, len(all))
		for _, c := range all {
			views = append(views, viewClient(c, ""))
		}
		return t.print(views, func(w io.Writer) {
			row(w, "CLIENT ID", "NAME", "AUTH METHOD", "STATE", "REDIRECT URIS")
			for _, c := range views {
				row(w, c.ID, c.Name, strings.Join(c.AuthMethods, " "), admin.State(c.Disabled), strings.Join(c.RedirectURIs, " "))
			}
		})
	}
}

func (t *tool) client(ctx context.Context, id string) (*app, broker.Client, error) {
	h, err := t.open(ctx)
	if err != nil {
		return nil, broker.Client{}, err
	}
	c, err := h.store.Client(ctx, id)
	if errors.Is(err, broker.NotFound) {
		err = fmt.Errorf("there is no client %q; clients list names them", id)
	}
	c.UpdatedAt = h.now()
	return h, c, err
}

func showClient(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		_, c, err := t.client(ctx, args[0])
		if err != nil {
			return err
		}
		return t.showClient(c, "")
	}
}

func changeClient(fs *flag.FlagSet) action {
	apply := clientFlags(fs)
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.client(ctx, args[0])
		if err != nil {
			return err
		}
		before := c
		if err := apply(ctx, t, &c); err != nil {
			return err
		}
		if alikeClients(c, before) {
			return misuse("name at least one flag with a new value")
		}
		secret := ""
		switch takes := clients.TakesSecret(c); {
		case !takes:
			c.SecretHashes = nil // another way to authenticate ends them
		case len(c.SecretHashes) == 0:
			secret = broker.NewToken()
			c.SecretHashes = clients.WithSecret(h.ring, c, secret)
		}
		if err := checkClient(h.cfg, c); err != nil {
			return err
		}
		if err := h.putClient(ctx, c, "changed"); err != nil {
			return err
		}
		return t.showClient(c, secret)
	}
}

func newSecret(fs *flag.FlagSet) action {
	file := fs.String("secret-file", "", "`FILE` with a secret to use, - for standard input; made up where empty")
	end := fs.Bool("end-old", false, "make none, but end the one before the newest, once every copy of the app has the new one")
	return func(ctx context.Context, t *tool, args []string) error {
		if *end && *file != "" {
			return misuse("--end-old makes no secret: leave --secret-file out")
		}
		h, c, err := t.client(ctx, args[0])
		switch {
		case err != nil:
			return err
		case c.Public():
			return fmt.Errorf("%s is a public client and has no secret", c.ID)
		case !clients.TakesSecret(c):
			return fmt.Errorf("%s has no secret: it authenticates by %s; clients change --auth-method alters that", c.ID, strings.Join(c.AuthMethods, " "))
		case *end:
			return t.endOldSecret(ctx, h, c)
		}
		secret, err := t.clientSecret(ctx, *file)
		if err != nil {
			return err
		}
		c.SecretHashes = clients.WithSecret(h.ring, c, secret)
		if err := h.putClient(ctx, c, "secret"); err != nil {
			return err
		}
		return t.showClient(c, secret)
	}
}

// endOldSecret leaves the newest secret alone.
func (t *tool) endOldSecret(ctx context.Context, h *app, c broker.Client) error {
	if len(c.SecretHashes) < 2 {
		return fmt.Errorf("%s has one secret; clients secret makes a new one beside it", c.ID)
	}
	c.SecretHashes = c.SecretHashes[:1]
	if err := h.putClient(ctx, c, "old secret ended"); err != nil {
		return err
	}
	return t.showClient(c, "")
}

func switchClient(off bool) func(*flag.FlagSet) action {
	return func(*flag.FlagSet) action {
		return func(ctx context.Context, t *tool, args []string) error {
			h, c, err := t.client(ctx, args[0])
			if err != nil {
				return err
			}
			if c.Disabled != off {
				c.Disabled = off
				err = h.putClient(ctx, c, admin.State(off), func(ctx context.Context) error {
					if !off {
						return nil
					}
					return h.store.RevokeGrants(ctx, broker.GrantFilter{Client: c.ID}, broker.Revoked, h.now())
				})
			}
			if err != nil {
				return err
			}
			return t.print(viewClient(c, ""), func(w io.Writer) { row(w, c.ID+" is "+admin.State(off)) })
		}
	}
}

func removeClient(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.client(ctx, args[0])
		if err != nil {
			return err
		}
		err = h.store.Atomic(ctx, func(ctx context.Context) error {
			if err := h.store.DeleteClient(ctx, c.ID); err != nil {
				return err
			}
			return h.record(ctx, broker.Event{Verb: broker.EventClientChanged, Client: c.ID, Detail: map[string]string{"change": "removed"}})
		})
		if err != nil {
			return err
		}
		return t.removed("client_id", c.ID)
	}
}
