package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"gatehouse/broker"
	"gatehouse/providers"
)

// connectionView is a connection as the command line shows it: secrets only
// counted, and the redirect URI to copy to the provider.
type connectionView struct {
	ID          string            `json:"id"`
	Kind        string            `json:"kind"`
	Name        string            `json:"name"`
	State       string            `json:"state"`
	Issuer      string            `json:"issuer,omitempty"`
	ClientID    string            `json:"client_id"`
	Secrets     int               `json:"secrets"`
	Settings    map[string]string `json:"settings,omitempty"`
	Domains     []string          `json:"domains,omitempty"`
	Hidden      bool              `json:"hidden"`
	Position    int               `json:"position"`
	RedirectURI string            `json:"redirect_uri"`
}

func (h *house) viewConnection(c broker.Connection) connectionView {
	return connectionView{c.ID, c.Kind, c.Name, string(c.State), c.Issuer, c.ClientID, len(c.Secrets), c.Settings, c.Domains, c.Hidden, c.Position, h.callback(c.ID)}
}

func connectionCommands() []command {
	return []command{
		{"connections kinds", "", "list the kinds of provider and their settings", listKinds},
		{"connections add", "ID", "connect a provider; prints the redirect URI to register there", addConnection},
		{"connections list", "", "list the connections", listConnections},
		{"connections show", "ID", "show a connection", showConnection},
		{"connections secret", "ID", "add a new client secret; the one before stays good until the next", rotateConnection},
		{"connections rename", "ID", "change the name that people see, or the place on the page", renameConnection},
		{"connections disable", "ID", "turn a connection off: nobody signs in through it", func(*flag.FlagSet) action { return switchConnection(broker.Disabled) }},
		{"connections enable", "ID", "turn a connection on", func(*flag.FlagSet) action { return switchConnection(broker.Live) }},
		{"connections remove", "ID", "remove a connection that nobody's account hangs on", removeConnection},
	}
}

func listKinds(*flag.FlagSet) action {
	return func(_ context.Context, t *tool, _ []string) error {
		type field struct {
			Key    string `json:"key"`
			About  string `json:"about"`
			Needed bool   `json:"required"`
		}
		type view struct {
			Name   string  `json:"kind"`
			Label  string  `json:"label"`
			Fields []field `json:"settings"`
		}
		var views []view
		for _, k := range providers.Kinds() {
			v := view{Name: k.Name, Label: k.Label}
			for _, f := range k.Fields {
				v.Fields = append(v.Fields, field{f.Key, strings.TrimSpace(f.Label + ". " + f.Help), f.Required})
			}
			views = append(views, v)
		}
		return t.print(views, func(w io.Writer) {
			for _, k := range views {
				fmt.Fprintf(w, "%s\t%s\t\n", k.Name, k.Label)
				for _, f := range k.Fields {
					need := ""
					if f.Needed {
						need = " (required)"
					}
					fmt.Fprintf(w, "\t%s\t%s%s\n", f.Key, f.About, need)
				}
			}
		})
	}
}

func addConnection(fs *flag.FlagSet) action {
	c := broker.Connection{Settings: map[string]string{}, State: broker.Live}
	var domains list
	fs.StringVar(&c.Kind, "kind", "", "kind of provider, see connections kinds")
	fs.StringVar(&c.Name, "name", "", "name on the button: Continue with NAME")
	fs.StringVar(&c.Issuer, "issuer", "", "issuer `URL`, for kinds that have one")
	fs.StringVar(&c.ClientID, "client-id", "", "our client id at the provider")
	fs.Var(settings(c.Settings), "set", "a setting of the kind, `key=value`; repeat for more")
	fs.Var(&domains, "domain", "mail domain that is sent to this connection; repeat for more")
	fs.BoolVar(&c.Hidden, "hidden", false, "found by domain only, no button on the sign-in page")
	fs.IntVar(&c.Position, "position", 0, "order on the sign-in page")
	file := fs.String("client-secret-file", "", "`file` with our client secret at the provider, - for standard input")
	return func(ctx context.Context, t *tool, args []string) (err error) {
		if c.ID, err = one(args); err != nil {
			return err
		}
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		if *file != "" {
			secret, err := t.secret(*file)
			if err != nil {
				return err
			}
			c.Secrets = []broker.Secret{broker.Secret(secret)}
		}
		for _, d := range domains {
			if d, err = broker.CanonicalDomain(d); err != nil {
				return fmt.Errorf("--domain: not a mail domain")
			}
			c.Domains = append(c.Domains, d)
		}
		if _, err := h.store.Connection(ctx, c.ID); err == nil {
			return fmt.Errorf("there is a connection %q already", c.ID)
		}
		c.CreatedAt = h.now()
		if err := h.putConnection(ctx, c, "added"); err != nil {
			return err
		}
		return t.showConnection(h, c)
	}
}

// putConnection validates and stores a connection.
func (h *house) putConnection(ctx context.Context, c broker.Connection, what string) error {
	if problems := providers.Problems(c); len(problems) > 0 {
		return fmt.Errorf("this connection can't be used:\n  %s", strings.Join(problems, "\n  "))
	}
	c = providers.Normalise(c)
	c.UpdatedAt = h.now()
	return h.store.Atomic(ctx, func(ctx context.Context) error {
		err := h.store.PutConnection(ctx, c)
		if errors.Is(err, broker.Conflict) {
			return fmt.Errorf("connection %s is live: its kind, issuer, client id and tenant never change; add a new connection instead", c.ID)
		}
		if err != nil {
			return err
		}
		return h.record(ctx, broker.Event{Verb: broker.EventConnChanged, Connection: c.ID, Detail: map[string]string{"change": what}})
	})
}

func (t *tool) showConnection(h *house, c broker.Connection) error {
	v := h.viewConnection(c)
	return t.print(v, func(w io.Writer) {
		fmt.Fprintf(w, "id\t%s\nkind\t%s\nname\t%s\nstate\t%s\nissuer\t%s\nclient id\t%s\nsecrets\t%d\ndomains\t%s\nredirect URI\t%s\n",
			v.ID, v.Kind, v.Name, v.State, v.Issuer, v.ClientID, v.Secrets, strings.Join(v.Domains, " "), v.RedirectURI)
		for k, val := range v.Settings {
			fmt.Fprintf(w, "%s\t%s\n", k, val)
		}
	})
}

func listConnections(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, _ []string) error {
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		all, err := h.store.Connections(ctx)
		if err != nil {
			return err
		}
		views := make([]connectionView, 0, len(all))
		for _, c := range all {
			views = append(views, h.viewConnection(c))
		}
		return t.print(views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tKIND\tNAME\tSTATE\tISSUER\tDOMAINS")
			for _, c := range views {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Kind, c.Name, c.State, c.Issuer, strings.Join(c.Domains, " "))
			}
		})
	}
}

func (t *tool) connection(ctx context.Context, args []string) (*house, broker.Connection, error) {
	id, err := one(args)
	if err != nil {
		return nil, broker.Connection{}, err
	}
	h, err := t.house(ctx)
	if err != nil {
		return nil, broker.Connection{}, err
	}
	c, err := h.store.Connection(ctx, id)
	if err != nil {
		return nil, c, fmt.Errorf("connection %q: %w", id, err)
	}
	return h, c, nil
}

func showConnection(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.connection(ctx, args)
		if err != nil {
			return err
		}
		return t.showConnection(h, c)
	}
}

func rotateConnection(fs *flag.FlagSet) action {
	file := fs.String("client-secret-file", "-", "`file` with the new secret, - for standard input")
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.connection(ctx, args)
		if err != nil {
			return err
		}
		secret, err := t.secret(*file)
		if err != nil {
			return err
		}
		c.Secrets = slices.Insert(c.Secrets, 0, broker.Secret(secret))
		c.Secrets = c.Secrets[:min(2, len(c.Secrets))]
		if err := h.putConnection(ctx, c, "secret"); err != nil {
			return err
		}
		return t.showConnection(h, c)
	}
}

func renameConnection(fs *flag.FlagSet) action {
	name := fs.String("name", "", "name on the button")
	position := fs.Int("position", -1, "order on the sign-in page")
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.connection(ctx, args)
		if err != nil {
			return err
		}
		if *name != "" {
			c.Name = *name
		}
		if *position >= 0 {
			c.Position = *position
		}
		if err := h.putConnection(ctx, c, "renamed"); err != nil {
			return err
		}
		return t.showConnection(h, c)
	}
}

func switchConnection(s broker.ConnectionState) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.connection(ctx, args)
		if err != nil {
			return err
		}
		c.State = s
		if err := h.putConnection(ctx, c, string(s)); err != nil {
			return err
		}
		return t.showConnection(h, c)
	}
}

func removeConnection(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.connection(ctx, args)
		if err != nil {
			return err
		}
		return h.store.Atomic(ctx, func(ctx context.Context) error {
			err := h.store.DeleteConnection(ctx, c.ID)
			if errors.Is(err, broker.Conflict) {
				return fmt.Errorf("people sign in through %s; disable it instead, or unlink them first", c.ID)
			}
			if err != nil {
				return err
			}
			return h.record(ctx, broker.Event{Verb: broker.EventConnChanged, Connection: c.ID, Detail: map[string]string{"change": "removed"}})
		})
	}
}
