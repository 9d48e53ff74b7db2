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

	"gatehouse/broker"
	"gatehouse/broker/admin"
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
	// Facebook wants these two as well.
	Deauthorize  string `json:"deauthorize_url,omitempty"`
	DataDeletion string `json:"data_deletion_url,omitempty"`
}

func (h *app) viewConnection(c broker.Connection) connectionView {
	v := connectionView{ID: c.ID, Kind: c.Kind, Name: c.Name, State: string(c.State), Issuer: c.Issuer, ClientID: c.ClientID, Secrets: len(c.Secrets),
		Settings: c.Settings, Domains: c.Domains, Hidden: c.Hidden, Position: c.Position, RedirectURI: h.callback(c.ID)}
	if c.Kind == "meta" {
		v.Deauthorize, v.DataDeletion = v.RedirectURI+"/deauthorize", v.RedirectURI+"/data-deletion"
	}
	return v
}

func connectionCommands() []command {
	return []command{
		{"connections kinds", "", "list the kinds of provider and their settings", "", listKinds},
		{"connections add", "ID", "connect a provider; prints the redirect URI to register there", "google --kind google --name Google --client-id 1234.apps.example --client-secret-file -", addConnection},
		{"connections list", "", "list the connections", "--json", listConnections},
		{"connections show", "ID", "show a connection", "google", showConnection},
		{"connections change", "ID", "change what the flags name: its button, its domains, what may change of its settings", "google --name \"Google Workspace\" --domain example.com", changeConnection},
		{"connections secret", "ID", "add a new client secret; the one before stays good until the next", "google --client-secret-file new.txt", rotateConnection},
		{"connections disable", "ID", "turn a connection off: nobody signs in through it", "google", switchConnection(false)},
		{"connections enable", "ID", "turn a connection on", "google", switchConnection(true)},
		{"connections remove", "ID", "remove a connection that nobody's account hangs on", "google", removeConnection},
	}
}

func listKinds(*flag.FlagSet) action {
	return func(_ context.Context, t *tool, _ []string) error {
		type field struct {
			Key     string   `json:"key"`
			About   string   `json:"about"`
			Needed  bool     `json:"required"`
			Default string   `json:"default,omitempty"`
			Options []string `json:"options,omitempty"`
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
				v.Fields = append(v.Fields, field{f.Key, strings.TrimSpace(f.Label + ". " + f.Help), f.Required, f.Default, f.Options})
			}
			views = append(views, v)
		}
		return t.print(views, func(w io.Writer) {
			for _, k := range views {
				row(w, k.Name, k.Label, "")
				for _, f := range k.Fields {
					about := f.About
					if f.Needed {
						about += " (required)"
					}
					if len(f.Options) > 0 {
						about += " (" + strings.Join(f.Options, ", ") + ")"
					}
					row(w, "", f.Key, about)
				}
			}
			fmt.Fprintln(w, "\nissuer, client_id and client_secret have flags of their own; every other one is given as --set KEY=VALUE.")
		})
	}
}

// connectionFlags are the flags of what may change of a connection.
func connectionFlags(fs *flag.FlagSet) (edit func() admin.EditConnection) {
	in := admin.EditConnection{Settings: map[string]string{}}
	name := fs.String("name", "", "name on the button: Continue with NAME")
	fs.Var(settings(in.Settings), "set", "a setting of the kind, `KEY=VALUE`, see connections kinds; repeat for more")
	fs.Var((*list)(&in.Domains), "domain", "mail `DOMAIN` whose people are sent to this connection; repeat for more")
	hidden := fs.Bool("hidden", false, "found by domain only, no button on the sign-in page")
	position := fs.Int("position", 0, "order on the sign-in page")
	return func() admin.EditConnection {
		fs.Visit(func(given *flag.Flag) {
			switch given.Name {
			case "name":
				in.Name = name
			case "hidden":
				in.Hidden = hidden
			case "position":
				in.Position = position
			}
		})
		return in
	}
}

func addConnection(fs *flag.FlagSet) action {
	edit := connectionFlags(fs)
	var in admin.AddConnection
	fs.StringVar(&in.Kind, "kind", "", "`KIND` of provider, see connections kinds")
	fs.StringVar(&in.Issuer, "issuer", "", "issuer `URL`, for kinds that have one")
	fs.StringVar(&in.ClientID, "client-id", "", "our client id at the provider")
	file := fs.String("client-secret-file", "", "`FILE` with our client secret at the provider, - for standard input")
	return func(ctx context.Context, t *tool, args []string) error {
		in.ID, in.Edit = args[0], edit()
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		if *file != "" {
			if in.Secret, err = t.secret(ctx, *file); err != nil {
				return err
			}
		}
		done, err := s.AddConnection(ctx, t.actor(), in)
		return t.changedConnection(done, err)
	}
}

// changedConnection shows the outcome of an operation.
func (t *tool) changedConnection(done admin.Result[broker.Connection], err error) error {
	if errors.Is(err, admin.ErrNoChange) {
		return misused(err)
	}
	if err != nil {
		return err
	}
	return t.showConnection(done.Value)
}

func (t *tool) showConnection(c broker.Connection) error {
	v := t.opened.viewConnection(c)
	return t.print(v, func(w io.Writer) {
		row(w, "id", v.ID)
		row(w, "kind", v.Kind)
		row(w, "name", v.Name)
		row(w, "state", v.State)
		if v.Issuer != "" {
			row(w, "issuer", v.Issuer)
		}
		row(w, "client id", v.ClientID)
		row(w, "secrets", v.Secrets)
		for _, k := range slices.Sorted(maps.Keys(v.Settings)) {
			row(w, k, v.Settings[k])
		}
		row(w, "domains", or(strings.Join(v.Domains, " "), "-"))
		row(w, "listed", yesNo(!v.Hidden))
		row(w, "redirect URI", v.RedirectURI)
		if v.Deauthorize != "" {
			row(w, "deauthorize", v.Deauthorize)
			row(w, "data deletion", v.DataDeletion)
		}
	})
}

func listConnections(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, _ []string) error {
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		all, err := s.Connections(ctx, t.actor())
		if err != nil {
			return err
		}
		views := make([]connectionView, 0, len(all))
		for _, c := range all {
			views = append(views, t.opened.viewConnection(c))
		}
		return t.print(views, func(w io.Writer) {
			row(w, "ID", "KIND", "NAME", "STATE", "ISSUER", "DOMAINS")
			for _, c := range views {
				row(w, c.ID, c.Kind, c.Name, c.State, or(c.Issuer, "-"), or(strings.Join(c.Domains, " "), "-"))
			}
		})
	}
}

func showConnection(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		c, err := s.Connection(ctx, t.actor(), args[0])
		if err != nil {
			return err
		}
		return t.showConnection(c)
	}
}

func rotateConnection(fs *flag.FlagSet) action {
	file := fs.String("client-secret-file", "-", "`FILE` with the new secret, - for standard input")
	return func(ctx context.Context, t *tool, args []string) error {
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		in := admin.RotateConnectionSecret{Connection: args[0]}
		if in.Secret, err = t.secret(ctx, *file); err != nil {
			return err
		}
		done, err := s.RotateConnectionSecret(ctx, t.actor(), in)
		return t.changedConnection(done, err)
	}
}

func changeConnection(fs *flag.FlagSet) action {
	edit := connectionFlags(fs)
	return func(ctx context.Context, t *tool, args []string) error {
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		done, err := s.ChangeConnection(ctx, t.actor(), admin.ChangeConnection{Connection: args[0], Edit: edit()})
		return t.changedConnection(done, err)
	}
}

func switchConnection(live bool) func(*flag.FlagSet) action {
	return func(*flag.FlagSet) action {
		return func(ctx context.Context, t *tool, args []string) error {
			s, err := t.admin(ctx)
			if err != nil {
				return err
			}
			do := s.DisableConnection
			if live {
				do = s.EnableConnection
			}
			done, err := do(ctx, t.actor(), admin.SwitchConnection{Connection: args[0]})
			return t.changedConnection(done, err)
		}
	}
}

func removeConnection(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		if _, err := s.RemoveConnection(ctx, t.actor(), admin.RemoveConnection{Connection: args[0]}); err != nil {
			return err
		}
		return t.removed("id", args[0])
	}
}
