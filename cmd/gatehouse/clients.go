package main

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
)

type clientsAdd struct {
	ID         string `placeholder:"ID" help:"Client id. Generated if omitted."`
	SecretFile string `placeholder:"FILE" help:"File with a secret, - for standard input. Generated if omitted."`
	appFlags
}

func (c *clientsAdd) Validate() error {
	edit, err := c.edit(nil)
	if err != nil {
		return err
	}
	return misused(admin.AddClient{Edit: edit}.Check(c.SecretFile != ""))
}

func (c *clientsAdd) Run(ctx context.Context, t *tool, s *admin.Service) error {
	in := admin.AddClient{ID: c.ID}
	keys, err := t.keys(ctx, c.JWKSFile)
	if err != nil {
		return err
	}
	if in.Edit, err = c.edit(keys); err != nil {
		return err
	}
	if in.Secret, err = t.optionalSecret(ctx, c.SecretFile); err != nil {
		return err
	}
	return t.clientDone(s.AddClient(ctx, t.actor(), in))
}

// clientDone shows the client that an operation changed, with its new secret.
func (t *tool) clientDone(done admin.Result[admin.IssuedClient], err error) error {
	if err != nil {
		return noChange(inClientFlags(err))
	}
	return t.showClient(done.Value.Client, done.Value.Secret)
}

type clientsList struct{}

func (*clientsList) Run(ctx context.Context, t *tool, s *admin.Service) error {
	all, err := s.Clients(ctx, t.actor())
	if err != nil {
		return err
	}
	views := each(all, func(c broker.Client) admin.ClientView { return admin.ViewClient(c, "") })
	return t.print(views, func(w io.Writer) {
		row(w, "CLIENT ID", "NAME", "AUTH METHOD", "STATE", "REDIRECT URIS")
		for _, c := range views {
			row(w, c.ID, c.Name, strings.Join(c.AuthMethods, " "), admin.State(c.Disabled), strings.Join(c.RedirectURIs, " "))
		}
	})
}

type clientsShow struct{ clientArg }

func (c *clientsShow) Run(ctx context.Context, t *tool, s *admin.Service) error {
	client, err := s.Client(ctx, t.actor(), c.ID)
	if err != nil {
		return err
	}
	return t.showClient(client, "")
}

type clientsChange struct {
	clientArg
	appFlags
}

func (c *clientsChange) Validate() error {
	_, err := c.edit(nil)
	return err
}

func (c *clientsChange) Run(ctx context.Context, t *tool, s *admin.Service) error {
	in := admin.ChangeClient{Client: c.ID}
	keys, err := t.keys(ctx, c.JWKSFile)
	if err != nil {
		return err
	}
	if in.Edit, err = c.edit(keys); err != nil {
		return err
	}
	return t.clientDone(s.ChangeClient(ctx, t.actor(), in))
}

type clientsSecret struct {
	clientArg
	SecretFile string `xor:"secret" placeholder:"FILE" help:"File with a secret, - for standard input. Generated if omitted."`
	EndOld     bool   `xor:"secret" help:"Make no secret, but end the old one, once every copy of the app has the new one."`
}

func (c *clientsSecret) Run(ctx context.Context, t *tool, s *admin.Service) error {
	if c.EndOld {
		done, err := s.EndOldClientSecret(ctx, t.actor(), admin.EndOldClientSecret{Client: c.ID})
		if err != nil {
			return err
		}
		return t.showClient(done.Value, "")
	}
	secret, err := t.optionalSecret(ctx, c.SecretFile)
	if err != nil {
		return err
	}
	in := admin.RotateClientSecret{Client: c.ID, Secret: secret}
	return t.clientDone(s.RotateClientSecret(ctx, t.actor(), in))
}

type clientsDisable struct{ clientArg }

func (c *clientsDisable) Run(ctx context.Context, t *tool, s *admin.Service) error {
	return t.clientSwitched(s.DisableClient(ctx, t.actor(), admin.SwitchClient{Client: c.ID}))
}

type clientsEnable struct{ clientArg }

func (c *clientsEnable) Run(ctx context.Context, t *tool, s *admin.Service) error {
	return t.clientSwitched(s.EnableClient(ctx, t.actor(), admin.SwitchClient{Client: c.ID}))
}

func (t *tool) clientSwitched(done admin.Result[broker.Client], err error) error {
	if err != nil {
		return err
	}
	c := done.Value
	return t.print(admin.ViewClient(c, ""), func(w io.Writer) { row(w, c.ID+" is "+admin.State(c.Disabled)) })
}

type clientsToken struct {
	Life time.Duration `default:"1h" help:"How long it is valid."`
	Uses int           `default:"1" help:"How many apps it registers."`
}

func (c *clientsToken) Validate() error {
	return misused(admin.CreateRegistrationToken{Life: c.Life, Uses: c.Uses}.Check())
}

func (c *clientsToken) Run(ctx context.Context, t *tool, s *admin.Service) error {
	done, err := s.CreateRegistrationToken(ctx, t.actor(), admin.CreateRegistrationToken{Life: c.Life, Uses: c.Uses})
	if err != nil {
		return err
	}
	view := admin.RegistrationTokenView{Token: done.Value.Token.Reveal(), Endpoint: t.opened.cfg.Issuer + "/register",
		Uses: c.Uses, Expires: done.Value.Expires}
	return t.print(view, func(w io.Writer) {
		row(w, "token", view.Token)
		row(w, "endpoint", view.Endpoint)
		row(w, "uses", strconv.Itoa(view.Uses))
		row(w, "expires", view.Expires.Format(time.RFC3339))
	})
}

type clientsLogouts struct {
	Limit int `default:"100" help:"At most this many, up to 1000."`
}

func (c *clientsLogouts) Validate() error { return misused(admin.CheckLimit(c.Limit)) }

// Run shows the sign-out notices that are not delivered yet. The audit log has the others:
// logout.delivered, logout.undelivered.
func (c *clientsLogouts) Run(ctx context.Context, t *tool, s *admin.Service) error {
	all, err := s.PendingLogouts(ctx, t.actor(), c.Limit)
	if err != nil {
		return err
	}
	views := each(all, admin.ViewLogout)
	return t.print(views, func(w io.Writer) {
		row(w, "CLIENT", "SESSION", "ACCOUNT", "ENDED", "ATTEMPTS", "NEXT", "GIVEN UP", "LAST ERROR")
		for _, v := range views {
			row(w, v.Client, v.Session, v.Account, admin.Date(v.EndedAt), v.Attempts, admin.Date(v.NextAt),
				admin.Date(v.ExpiresAt),
				or(v.LastError, "-"))
		}
	})
}

type clientsRemove struct {
	clientArg
	yesFlag
}

func (c *clientsRemove) Run(ctx context.Context, t *tool, s *admin.Service) error {
	if err := t.confirm(ctx, c.yesFlag, "Remove the app "+c.ID+" with its consents and tokens?"); err != nil {
		return err
	}
	if _, err := s.RemoveClient(ctx, t.actor(), admin.RemoveClient{Client: c.ID}); err != nil {
		return err
	}
	return t.removed("client_id", c.ID)
}
