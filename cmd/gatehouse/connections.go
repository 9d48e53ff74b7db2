package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"unicode"

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
	// Facebook wants these two as well.
	Deauthorize  string `json:"deauthorize_url,omitempty"`
	DataDeletion string `json:"data_deletion_url,omitempty"`
}

func (h *house) viewConnection(c broker.Connection) connectionView {
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
		{"connections disable", "ID", "turn a connection off: nobody signs in through it", "google", switchConnection(broker.Disabled)},
		{"connections enable", "ID", "turn a connection on", "google", switchConnection(broker.Live)},
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

// connectionFlags are the flags of what may change of a connection. The answer
// copies those that were given.
func connectionFlags(fs *flag.FlagSet) (apply func(*broker.Connection) error) {
	f := broker.Connection{Settings: map[string]string{}}
	fs.StringVar(&f.Name, "name", "", "name on the button: Continue with NAME")
	fs.Var(settings(f.Settings), "set", "a setting of the kind, `KEY=VALUE`, see connections kinds; repeat for more")
	fs.Var((*list)(&f.Domains), "domain", "mail `DOMAIN` whose people are sent to this connection; repeat for more")
	fs.BoolVar(&f.Hidden, "hidden", false, "found by domain only, no button on the sign-in page")
	fs.IntVar(&f.Position, "position", 0, "order on the sign-in page")
	return func(c *broker.Connection) (wrong error) {
		c.Settings = maps.Clone(c.Settings)
		if c.Settings == nil {
			c.Settings = map[string]string{}
		}
		maps.Copy(c.Settings, f.Settings)
		fs.Visit(func(given *flag.Flag) {
			switch given.Name {
			case "name":
				c.Name = f.Name
			case "domain":
				c.Domains, wrong = canonicalDomains(f.Domains)
			case "hidden":
				c.Hidden = f.Hidden
			case "position":
				c.Position = f.Position
			}
		})
		return wrong
	}
}

// canonicalDomains leaves the empty one out, so that --domain "" takes all away.
func canonicalDomains(in []string) (out []string, _ error) {
	for _, d := range in {
		if d == "" {
			continue
		}
		domain, err := broker.CanonicalDomain(d)
		if err != nil {
			return nil, fmt.Errorf("%q is no mail domain", d)
		}
		out = append(out, domain)
	}
	return out, nil
}

func addConnection(fs *flag.FlagSet) action {
	apply := connectionFlags(fs)
	c := broker.Connection{State: broker.Live}
	fs.StringVar(&c.Kind, "kind", "", "`KIND` of provider, see connections kinds")
	fs.StringVar(&c.Issuer, "issuer", "", "issuer `URL`, for kinds that have one")
	fs.StringVar(&c.ClientID, "client-id", "", "our client id at the provider")
	file := fs.String("client-secret-file", "", "`FILE` with our client secret at the provider, - for standard input")
	return func(ctx context.Context, t *tool, args []string) error {
		c.ID = args[0]
		if err := apply(&c); err != nil {
			return err
		}
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		if _, err := h.store.Connection(ctx, c.ID); err == nil {
			return fmt.Errorf("there is a connection %q already; connections change alters it", c.ID)
		}
		if *file != "" {
			secret, err := t.secret(ctx, *file)
			if err != nil {
				return err
			}
			c.Secrets = []broker.Secret{broker.Secret(secret)}
		}
		c.CreatedAt = h.now()
		return t.putConnection(ctx, h, c, "added")
	}
}

// putConnection stores a connection and shows it.
func (t *tool) putConnection(ctx context.Context, h *house, c broker.Connection, what string) error {
	if err := h.putConnection(ctx, c, what); err != nil {
		return err
	}
	return t.showConnection(h, providers.Normalise(c))
}

// putConnection validates and stores a connection.
func (h *house) putConnection(ctx context.Context, c broker.Connection, what string) error {
	all, err := h.store.Connections(ctx)
	if err != nil {
		return err
	}
	if problems := connectionProblems(c, all, h.cfg.UpstreamNetworks); len(problems) > 0 {
		return fmt.Errorf("this connection can't be used:\n  %s", strings.Join(problems, "\n  "))
	}
	return h.storeConnection(ctx, providers.Normalise(c), what)
}

func (h *house) storeConnection(ctx context.Context, c broker.Connection, what string) error {
	c.UpdatedAt = h.now()
	return h.store.Atomic(ctx, func(ctx context.Context) error {
		err := h.store.PutConnection(ctx, c)
		if errors.Is(err, broker.Conflict) {
			return fmt.Errorf("connection %s was live: its kind, issuer, client id and %s never change; add a new connection instead",
				c.ID, strings.Join(providers.Pinned(c.Kind), ", "))
		}
		if err != nil {
			return err
		}
		return h.record(ctx, broker.Event{Verb: broker.EventConnChanged, Connection: c.ID, Detail: map[string]string{"change": what}})
	})
}

// connectionProblems finds what is wrong with a connection by itself, beside the
// others, and under the networks that the configuration opens.
func connectionProblems(c broker.Connection, all []broker.Connection, open []netip.Prefix) (found []string) {
	if c.ID == "" || len(c.ID) > 63 || c.ID[0] == '-' || strings.Trim(c.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" { // it is part of a path
		found = append(found, "its id must be 1 to 63 lower-case letters, digits and dashes")
	}
	if strings.TrimSpace(c.Name) != c.Name || c.Name == "" || len(c.Name) > 60 || strings.ContainsFunc(c.Name, unicode.IsControl) {
		found = append(found, "name must be 1 to 60 bytes on one line, as people know the provider: it is on the button")
	}
	for _, other := range all {
		for _, d := range other.Domains {
			if other.ID != c.ID && slices.Contains(c.Domains, d) {
				found = append(found, fmt.Sprintf("domain %s is sent to the connection %s already", d, other.ID))
			}
		}
	}
	// Who may edit a connection must not open the company's network with it: that is the configuration's.
	for text := range strings.FieldsFuncSeq(c.Settings["networks"], func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		p, err := netip.ParsePrefix(text)
		if err == nil && !slices.ContainsFunc(open, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) }) {
			found = append(found, fmt.Sprintf("networks: %s is not open; list it in upstream_networks of the configuration", p))
		}
	}
	return append(found, providers.Problems(c)...)
}

func (t *tool) showConnection(h *house, c broker.Connection) error {
	v := h.viewConnection(c)
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
			row(w, "ID", "KIND", "NAME", "STATE", "ISSUER", "DOMAINS")
			for _, c := range views {
				row(w, c.ID, c.Kind, c.Name, c.State, or(c.Issuer, "-"), or(strings.Join(c.Domains, " "), "-"))
			}
		})
	}
}

func (t *tool) connection(ctx context.Context, id string) (*house, broker.Connection, error) {
	h, err := t.house(ctx)
	if err != nil {
		return nil, broker.Connection{}, err
	}
	c, err := h.store.Connection(ctx, id)
	if errors.Is(err, broker.NotFound) {
		err = fmt.Errorf("there is no connection %q; connections list names them", id)
	}
	return h, c, err
}

func showConnection(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.connection(ctx, args[0])
		if err != nil {
			return err
		}
		return t.showConnection(h, c)
	}
}

func rotateConnection(fs *flag.FlagSet) action {
	file := fs.String("client-secret-file", "-", "`FILE` with the new secret, - for standard input")
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.connection(ctx, args[0])
		if err != nil {
			return err
		}
		secret, err := t.secret(ctx, *file)
		if err != nil {
			return err
		}
		c.Secrets = withSecret(c.Secrets, broker.Secret(secret))
		return t.putConnection(ctx, h, c, "secret")
	}
}

// withSecret puts a secret first and keeps the one before it.
func withSecret(live []broker.Secret, secret broker.Secret) []broker.Secret {
	kept := slices.DeleteFunc(slices.Clone(live), func(s broker.Secret) bool { return s == secret })
	kept = slices.Insert(kept, 0, secret)
	return kept[:min(2, len(kept))]
}

func changeConnection(fs *flag.FlagSet) action {
	apply := connectionFlags(fs)
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.connection(ctx, args[0])
		if err != nil {
			return err
		}
		before := fmt.Sprint(c)
		if err := apply(&c); err != nil {
			return err
		}
		if fmt.Sprint(c) == before {
			return misuse("name at least one flag with a new value")
		}
		return t.putConnection(ctx, h, c, "changed")
	}
}

func switchConnection(s broker.ConnectionState) func(*flag.FlagSet) action {
	return func(*flag.FlagSet) action {
		return func(ctx context.Context, t *tool, args []string) error {
			h, c, err := t.connection(ctx, args[0])
			if err != nil {
				return err
			}
			was := c.State
			switch c.State = s; {
			case was == s:
			case s == broker.Disabled: // also one that could not be used any more
				err = h.storeConnection(ctx, c, string(s))
			default:
				err = h.putConnection(ctx, c, string(s))
			}
			if err != nil {
				return err
			}
			return t.showConnection(h, c)
		}
	}
}

func removeConnection(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.connection(ctx, args[0])
		if err != nil {
			return err
		}
		err = h.store.Atomic(ctx, func(ctx context.Context) error {
			if err := h.store.DeleteConnection(ctx, c.ID); err != nil {
				return err
			}
			return h.record(ctx, broker.Event{Verb: broker.EventConnChanged, Connection: c.ID, Detail: map[string]string{"change": "removed"}})
		})
		if errors.Is(err, broker.Conflict) {
			return fmt.Errorf("people sign in through %s; disable it instead, or unlink them first", c.ID)
		}
		if err != nil {
			return err
		}
		return t.removed("id", c.ID)
	}
}
