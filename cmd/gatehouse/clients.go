package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/oidc"
)

// clientView is a client as the command line shows it; the secret only when it
// was made just now.
type clientView struct {
	ID           string    `json:"client_id"`
	Secret       string    `json:"client_secret,omitempty"`
	Name         string    `json:"client_name"`
	AuthMethod   string    `json:"token_endpoint_auth_method"`
	RedirectURIs []string  `json:"redirect_uris"`
	PostLogout   []string  `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes   []string  `json:"grant_types"`
	Scopes       []string  `json:"scopes"`
	IDTokenAlg   string    `json:"id_token_signed_response_alg"`
	Native       bool      `json:"native"`
	FirstParty   bool      `json:"first_party"`
	RequirePKCE  bool      `json:"require_pkce"`
	Disabled     bool      `json:"disabled"`
	CreatedAt    time.Time `json:"created_at"`
}

func viewClient(c broker.Client, secret string) clientView {
	return clientView{c.ID, secret, c.Name, c.AuthMethod, c.RedirectURIs, c.PostLogoutRedirectURIs, c.GrantTypes, c.Scopes, c.IDTokenAlg,
		c.Native, c.FirstParty, c.RequirePKCE(), c.Disabled, c.CreatedAt}
}

func clientCommands() []command {
	return []command{
		{"clients add", "", "register an app; prints its id and, once, its secret", addClient},
		{"clients list", "", "list the apps", listClients},
		{"clients show", "ID", "show an app", showClient},
		{"clients secret", "ID", "make a new secret; the one before stays good until the next", newSecret},
		{"clients disable", "ID", "turn an app off; its tokens end", func(*flag.FlagSet) action { return switchClient(true) }},
		{"clients enable", "ID", "turn an app on again", func(*flag.FlagSet) action { return switchClient(false) }},
		{"clients remove", "ID", "remove an app with its consents and tokens", removeClient},
	}
}

func addClient(fs *flag.FlagSet) action {
	var c broker.Client
	var redirects, logouts, grants, scopes, audience list
	fs.StringVar(&c.ID, "id", "", "client id; made up where empty")
	fs.StringVar(&c.Name, "name", "", "name that people see")
	fs.Var(&redirects, "redirect-uri", "redirect `URI`, compared byte for byte; repeat for more")
	fs.Var(&logouts, "post-logout-redirect-uri", "where /end_session may return to; repeat for more")
	fs.Var(&grants, "grant", "grant type; default authorization_code and refresh_token")
	fs.Var(&scopes, "scope", "scope it may ask for; default openid profile email offline_access")
	fs.Var(&audience, "audience", "who its access tokens are for, beside itself")
	fs.StringVar(&c.AuthMethod, "auth-method", "client_secret_basic", "client_secret_basic, client_secret_post or none (public)")
	fs.StringVar(&c.IDTokenAlg, "id-token-alg", "RS256", "RS256, ES256 or EdDSA")
	fs.BoolVar(&c.Native, "native", false, "a native app: loopback and reverse-DNS redirect URIs")
	fs.BoolVar(&c.FirstParty, "first-party", false, "your own app: no consent page")
	fs.BoolVar(&c.SkipPKCE, "no-pkce", false, "let an older confidential app do without PKCE")
	file := fs.String("secret-file", "", "`file` with a secret to use, - for standard input; made up where empty")
	return func(ctx context.Context, t *tool, args []string) error {
		if len(args) != 0 {
			return errUsage
		}
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		c.RedirectURIs, c.PostLogoutRedirectURIs, c.Audience = redirects, logouts, audience
		c.GrantTypes, c.Scopes = orDefault(grants, "authorization_code", "refresh_token"), orDefault(scopes, "openid", "profile", "email", "offline_access")
		if c.ID == "" {
			c.ID = strings.ToLower(broker.NewID())
		}
		c.CreatedAt, c.UpdatedAt = h.now(), h.now()
		secret := ""
		if !c.Public() {
			if secret = broker.NewToken(); *file != "" {
				if secret, err = t.secret(*file); err != nil {
					return err
				}
			}
		}
		if err := h.addClient(ctx, c, secret); err != nil {
			return err
		}
		return t.print(viewClient(c, secret), func(w io.Writer) { printClient(w, viewClient(c, secret)) })
	}
}

func orDefault(l list, d ...string) []string {
	if len(l) == 0 {
		return d
	}
	return l
}

// addClient validates and stores a new client with its secret, empty for a
// public one.
func (h *house) addClient(ctx context.Context, c broker.Client, secret string) error {
	if _, err := h.store.Client(ctx, c.ID); err == nil {
		return fmt.Errorf("there is a client %q already", c.ID)
	}
	if secret != "" {
		c.SecretHashes = []string{oidc.HashSecret(h.ring, c.ID, secret)}
	}
	return h.putClient(ctx, c, "added")
}

// putClient validates and stores a client.
func (h *house) putClient(ctx context.Context, c broker.Client, what string) error {
	if problems := oidc.ValidateClient(c); len(problems) > 0 {
		lines := make([]string, 0, len(problems))
		for _, p := range problems {
			lines = append(lines, p.String())
		}
		return fmt.Errorf("this client can't be registered:\n  %s", strings.Join(lines, "\n  "))
	}
	return h.store.Atomic(ctx, func(ctx context.Context) error {
		if err := h.store.PutClient(ctx, c); err != nil {
			return err
		}
		return h.record(ctx, broker.Event{Verb: broker.EventClientChanged, Client: c.ID, Detail: map[string]string{"change": what}})
	})
}

func printClient(w io.Writer, c clientView) {
	fmt.Fprintf(w, "client_id\t%s\nname\t%s\nauth method\t%s\ngrants\t%s\nscopes\t%s\nID token alg\t%s\nfirst party\t%v\nPKCE required\t%v\ndisabled\t%v\n",
		c.ID, c.Name, c.AuthMethod, strings.Join(c.GrantTypes, " "), strings.Join(c.Scopes, " "), c.IDTokenAlg, c.FirstParty, c.RequirePKCE, c.Disabled)
	for _, u := range c.RedirectURIs {
		fmt.Fprintf(w, "redirect URI\t%s\n", u)
	}
	for _, u := range c.PostLogout {
		fmt.Fprintf(w, "post-logout URI\t%s\n", u)
	}
	if c.Secret != "" {
		fmt.Fprintf(w, "client_secret\t%s\n\nThe secret is shown once. Keep it in the app's secret store.\n", c.Secret)
	}
}

func listClients(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, _ []string) error {
		h, err := t.house(ctx)
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
			fmt.Fprintln(w, "CLIENT ID\tNAME\tAUTH METHOD\tFIRST PARTY\tDISABLED\tREDIRECT URIS")
			for _, c := range views {
				fmt.Fprintf(w, "%s\t%s\t%s\t%v\t%v\t%s\n", c.ID, c.Name, c.AuthMethod, c.FirstParty, c.Disabled, strings.Join(c.RedirectURIs, " "))
			}
		})
	}
}

func (t *tool) client(ctx context.Context, args []string) (*house, broker.Client, error) {
	id, err := one(args)
	if err != nil {
		return nil, broker.Client{}, err
	}
	h, err := t.house(ctx)
	if err != nil {
		return nil, broker.Client{}, err
	}
	c, err := h.store.Client(ctx, id)
	if err != nil {
		return nil, c, fmt.Errorf("client %q: %w", id, err)
	}
	c.UpdatedAt = h.now()
	return h, c, nil
}

func showClient(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		_, c, err := t.client(ctx, args)
		if err != nil {
			return err
		}
		return t.print(viewClient(c, ""), func(w io.Writer) { printClient(w, viewClient(c, "")) })
	}
}

func newSecret(fs *flag.FlagSet) action {
	file := fs.String("secret-file", "", "`file` with a secret to use, - for standard input; made up where empty")
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.client(ctx, args)
		if err != nil {
			return err
		}
		if c.Public() {
			return fmt.Errorf("%s is a public client and has no secret", c.ID)
		}
		secret := broker.NewToken()
		if *file != "" {
			if secret, err = t.secret(*file); err != nil {
				return err
			}
		}
		c.SecretHashes = slices.Insert(c.SecretHashes, 0, oidc.HashSecret(h.ring, c.ID, secret))
		c.SecretHashes = c.SecretHashes[:min(2, len(c.SecretHashes))]
		if err := h.putClient(ctx, c, "secret"); err != nil {
			return err
		}
		return t.print(viewClient(c, secret), func(w io.Writer) { printClient(w, viewClient(c, secret)) })
	}
}

func switchClient(off bool) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.client(ctx, args)
		if err != nil {
			return err
		}
		what := "enabled"
		if c.Disabled = off; off {
			what = "disabled"
		}
		if err := h.putClient(ctx, c, what); err != nil {
			return err
		}
		if off {
			if err := h.store.EndFamilies(ctx, broker.FamilyFilter{Client: c.ID}, broker.Revoked, h.now()); err != nil {
				return err
			}
		}
		return t.print(viewClient(c, ""), func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", c.ID, what) })
	}
}

func removeClient(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.client(ctx, args)
		if err != nil {
			return err
		}
		return h.store.Atomic(ctx, func(ctx context.Context) error {
			if err := h.store.DeleteClient(ctx, c.ID); err != nil {
				return err
			}
			return h.record(ctx, broker.Event{Verb: broker.EventClientChanged, Client: c.ID, Detail: map[string]string{"change": "removed"}})
		})
	}
}
