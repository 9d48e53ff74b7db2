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

	"gatehouse/broker"
	"gatehouse/broker/oidc"
	"gatehouse/config"
)

// clientView is a client as the command line shows it; the secret only when it
// was made just now.
type clientView struct {
	ID           string    `json:"client_id"`
	Secret       string    `json:"client_secret,omitempty"`
	Name         string    `json:"client_name"`
	AuthMethods  []string  `json:"token_endpoint_auth_methods"`
	RedirectURIs []string  `json:"redirect_uris"`
	PostLogout   []string  `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes   []string  `json:"grant_types"`
	Scopes       []string  `json:"scopes"`
	Audience     []string  `json:"audience,omitempty"`
	IDTokenAlg   string    `json:"id_token_signed_response_alg"`
	Native       bool      `json:"native"`
	FirstParty   bool      `json:"first_party"`
	RequirePKCE  bool      `json:"require_pkce"`
	Secrets      int       `json:"secrets"`
	Disabled     bool      `json:"disabled"`
	CreatedAt    time.Time `json:"created_at"`
}

func viewClient(c broker.Client, secret string) clientView {
	return clientView{c.ID, secret, c.Name, c.AuthMethods, append([]string{}, c.RedirectURIs...), c.PostLogoutRedirectURIs, c.GrantTypes, c.Scopes, c.Audience, c.IDTokenAlg,
		c.Native, c.FirstParty, c.RequirePKCE(), len(c.SecretHashes), c.Disabled, c.CreatedAt}
}

func clientCommands() []command {
	return []command{
		{"clients add", "", "register an app; prints its id and, once, its secret", `--name Wiki --redirect-uri https://wiki.example.com/callback --json`, addClient},
		{"clients list", "", "list the apps", "--json", listClients},
		{"clients show", "ID", "show an app", "wiki", showClient},
		{"clients change", "ID", "change what the flags name; a list is replaced as a whole", "wiki --redirect-uri https://wiki.example.com/callback", changeClient},
		{"clients secret", "ID", "make a new secret; the one before stays good until the next", "wiki --json", newSecret},
		{"clients disable", "ID", "turn an app off; its tokens end", "wiki", switchClient(true)},
		{"clients enable", "ID", "turn an app on again", "wiki", switchClient(false)},
		{"clients token", "", "make a token with which an app registers itself; needs client_registration", "--life 1h --json", registrationToken},
		{"clients remove", "ID", "remove an app with its consents and tokens", "wiki", removeClient},
	}
}

// clientFlags are the flags that describe an app. The answer copies those that
// were given into a client.
func clientFlags(fs *flag.FlagSet) (apply func(*broker.Client)) {
	var f broker.Client
	fs.StringVar(&f.Name, "name", "", "name that people see")
	fs.Var((*list)(&f.RedirectURIs), "redirect-uri", "redirect `URI`, compared byte for byte; repeat for more")
	fs.Var((*list)(&f.PostLogoutRedirectURIs), "post-logout-redirect-uri", "`URI` that /end_session may return to; repeat for more")
	fs.Var((*list)(&f.GrantTypes), "grant", "grant `TYPE`: authorization_code, refresh_token, client_credentials; repeat for more; without it the first two")
	fs.Var((*list)(&f.Scopes), "scope", "scope it may ask for; repeat for more; without it openid profile email offline_access")
	fs.Var((*list)(&f.Audience), "audience", "who its access tokens are for, beside itself; repeat for more")
	fs.StringVar(&f.IDTokenAlg, "id-token-alg", "RS256", "RS256, ES256 or EdDSA")
	fs.BoolVar(&f.Native, "native", false, "a native app: loopback and reverse-DNS redirect URIs")
	fs.BoolVar(&f.FirstParty, "first-party", false, "your own app: no consent page")
	fs.BoolVar(&f.SkipPKCE, "no-pkce", false, "let an older confidential app do without PKCE")
	return func(c *broker.Client) {
		copies := map[string]func(){
			"name":                     func() { c.Name = f.Name },
			"redirect-uri":             func() { c.RedirectURIs = f.RedirectURIs },
			"post-logout-redirect-uri": func() { c.PostLogoutRedirectURIs = f.PostLogoutRedirectURIs },
			"grant":                    func() { c.GrantTypes = f.GrantTypes },
			"scope":                    func() { c.Scopes = f.Scopes },
			"audience":                 func() { c.Audience = f.Audience },
			"id-token-alg":             func() { c.IDTokenAlg = f.IDTokenAlg },
			"native":                   func() { c.Native = f.Native },
			"first-party":              func() { c.FirstParty = f.FirstParty },
			"no-pkce":                  func() { c.SkipPKCE = f.SkipPKCE },
		}
		fs.Visit(func(given *flag.Flag) {
			if copy := copies[given.Name]; copy != nil {
				copy()
			}
		})
	}
}

func addClient(fs *flag.FlagSet) action {
	apply := clientFlags(fs)
	id := fs.String("id", "", "client id; made up where empty")
	method := fs.String("auth-method", "client_secret_basic", "client_secret_basic, client_secret_post or none (public)")
	file := fs.String("secret-file", "", "`FILE` with a secret to use, - for standard input; made up where empty")
	return func(ctx context.Context, t *tool, _ []string) error {
		c := broker.Client{ID: *id, AuthMethods: strings.Fields(*method), IDTokenAlg: "RS256", GrantTypes: []string{"authorization_code", "refresh_token"},
			Scopes: []string{"openid", "profile", "email", "offline_access"}}
		apply(&c)
		if c.Public() && *file != "" {
			return misuse("--secret-file: a public client has no secret")
		}
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		if c.ID == "" {
			c.ID = strings.ToLower(broker.NewID())
		}
		c.CreatedAt, c.UpdatedAt = h.now(), h.now()
		secret := ""
		if !c.Public() {
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
	if flaw := config.Weakness(secret, 32); flaw != "" {
		return "", fmt.Errorf("the secret %s", flaw)
	}
	return secret, nil
}

// addClient validates and stores a new client with its secret, empty for a
// public one.
func (h *house) addClient(ctx context.Context, c broker.Client, secret string) error {
	if _, err := h.store.Client(ctx, c.ID); err == nil {
		return fmt.Errorf("there is a client %q already; clients change alters it", c.ID)
	}
	if secret != "" {
		c.SecretHashes = []string{oidc.HashSecret(h.ring, c.ID, secret)}
	}
	return h.putClient(ctx, c, "added")
}

// putClient validates and stores a client, with its Event and what else belongs
// into the transaction.
func (h *house) putClient(ctx context.Context, c broker.Client, what string, more ...func(ctx context.Context) error) error {
	if err := clientError(oidc.ValidateClient(c)); err != nil {
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

func clientError(problems []oidc.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	lines := make([]string, 0, len(problems))
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return fmt.Errorf("this client can't be registered:\n  %s", strings.Join(lines, "\n  "))
}

func (t *tool) showClient(c broker.Client, secret string) error {
	v := viewClient(c, secret)
	return t.print(v, func(w io.Writer) {
		row(w, "client_id", v.ID)
		row(w, "name", v.Name)
		row(w, "auth method", strings.Join(v.AuthMethods, " "))
		row(w, "grants", strings.Join(v.GrantTypes, " "))
		row(w, "scopes", strings.Join(v.Scopes, " "))
		row(w, "audience", strings.Join(v.Audience, " "))
		row(w, "ID token alg", v.IDTokenAlg)
		row(w, "first party", yesNo(v.FirstParty))
		row(w, "native", yesNo(v.Native))
		row(w, "PKCE", map[bool]string{true: "required", false: "optional"}[v.RequirePKCE])
		row(w, "secrets", v.Secrets)
		row(w, "state", onOff(v.Disabled))
		for _, u := range v.RedirectURIs {
			row(w, "redirect URI", u)
		}
		for _, u := range v.PostLogout {
			row(w, "post-logout URI", u)
		}
		if v.Secret != "" {
			fmt.Fprintf(w, "client_secret\t%s\n\nThe secret is shown this once. Keep it in the app's secret store.\n", v.Secret)
		}
	})
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
			row(w, "CLIENT ID", "NAME", "AUTH METHOD", "STATE", "REDIRECT URIS")
			for _, c := range views {
				row(w, c.ID, c.Name, c.AuthMethods, onOff(c.Disabled), strings.Join(c.RedirectURIs, " "))
			}
		})
	}
}

func (t *tool) client(ctx context.Context, id string) (*house, broker.Client, error) {
	h, err := t.house(ctx)
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
		before := fmt.Sprint(c)
		if apply(&c); fmt.Sprint(c) == before {
			return misuse("name at least one flag with a new value")
		}
		if err := h.putClient(ctx, c, "changed"); err != nil {
			return err
		}
		return t.showClient(c, "")
	}
}

func newSecret(fs *flag.FlagSet) action {
	file := fs.String("secret-file", "", "`FILE` with a secret to use, - for standard input; made up where empty")
	return func(ctx context.Context, t *tool, args []string) error {
		h, c, err := t.client(ctx, args[0])
		if err != nil {
			return err
		}
		if c.Public() {
			return fmt.Errorf("%s is a public client and has no secret", c.ID)
		}
		secret, err := t.clientSecret(ctx, *file)
		if err != nil {
			return err
		}
		c.SecretHashes = h.secretHashes(c, secret)
		if err := h.putClient(ctx, c, "secret"); err != nil {
			return err
		}
		return t.showClient(c, secret)
	}
}

// secretHashes are those of a client after it got a secret: the new one and the
// one before it. A secret that it has already is hashed anew, under the primary key.
func (h *house) secretHashes(c broker.Client, secret string) []string {
	kept := slices.DeleteFunc(slices.Clone(c.SecretHashes), func(hash string) bool { return oidc.SameSecret(h.ring, c.ID, secret, hash) })
	kept = slices.Insert(kept, 0, oidc.HashSecret(h.ring, c.ID, secret))
	return kept[:min(2, len(kept))]
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
				err = h.putClient(ctx, c, onOff(off), func(ctx context.Context) error {
					if !off {
						return nil
					}
					return h.store.EndFamilies(ctx, broker.FamilyFilter{Client: c.ID}, broker.Revoked, h.now())
				})
			}
			if err != nil {
				return err
			}
			return t.print(viewClient(c, ""), func(w io.Writer) { row(w, c.ID+" is "+onOff(off)) })
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
