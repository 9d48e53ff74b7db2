package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/admin"
)

type connectionsKinds struct{}

func (*connectionsKinds) Run(t *tool) error {
	views := admin.Kinds()
	return t.print(views, func(w io.Writer) {
		for _, k := range views {
			row(w, k.Name, k.Label, "")
			for _, f := range k.Fields {
				row(w, "", f.Key, f.Hint())
			}
		}
		fmt.Fprintln(w, "\nissuer, client_id and client_secret have flags of their own; every other one is given as "+
			"--set KEY=VALUE.")
	})
}

// connectionFlags are what may change of a connection. A pointer is nil if its flag is not
// given.
type connectionFlags struct {
	Name     *string           `help:"Name on the button: Continue with NAME."`
	Set      map[string]string `mapsep:"none" placeholder:"KEY=VALUE" help:"A setting of the kind, see connections kinds. Repeatable."`
	Domain   []string          `sep:"none" help:"Mail domain whose people are sent to this connection. Repeatable."`
	Hidden   *bool             `help:"Found by domain only, without a button on the sign-in page."`
	Position *int              `placeholder:"N" help:"Order on the sign-in page."`
	CABundle []byte            `name:"ca-bundle-file" type:"filecontent" placeholder:"FILE" help:"PEM certificates of the provider's private CA."`
}

func (f *connectionFlags) edit() admin.EditConnection {
	if len(f.CABundle) > 0 {
		f.Set = maps.Clone(f.Set)
		if f.Set == nil {
			f.Set = map[string]string{}
		}
		f.Set["ca_bundle"] = string(f.CABundle)
	}
	return admin.EditConnection{Name: f.Name, Settings: f.Set, Domains: f.Domain, Hidden: f.Hidden, Position: f.Position}
}

type connectionsAdd struct {
	connectionArg
	Kind             string `placeholder:"KIND" help:"Kind of provider, see connections kinds."`
	Issuer           string `placeholder:"URL" help:"Issuer, for kinds that have one."`
	ClientID         string `name:"client-id" placeholder:"ID" help:"Gatehouse's client id at the provider."`
	ClientSecretFile string `placeholder:"FILE" help:"File with the client secret at the provider, - for standard input."`
	GenerateKey      bool   `help:"Make a private key instead of a secret, for private_key_jwt, and print its public part."`
	Live             bool   `help:"Put it on the sign-in page without a test. Else it is a draft."`
	connectionFlags
}

func (c *connectionsAdd) Run(ctx context.Context, t *tool, s *admin.Service) error {
	secret, err := t.optionalSecret(ctx, c.ClientSecretFile)
	if err != nil {
		return err
	}
	in := admin.AddConnection{ID: c.ID, Kind: c.Kind, Issuer: c.Issuer, ClientID: c.ClientID, Secret: secret,
		GenerateKey: c.GenerateKey, Live: c.Live, Edit: c.edit()}
	done, err := s.AddConnection(ctx, t.actor(), in)
	if err := t.connectionDone(done, err); err != nil || c.Live {
		return err
	}
	if err := s.TestConnection(ctx, t.actor(), c.ID); err != nil {
		fmt.Fprintf(t.err, "\n%s is a draft: %s\nThen try again: gatehouse connections test %s\n", c.ID, explain(err), c.ID)
		return nil
	}
	fmt.Fprintf(t.err, "\n%s is a draft, and its provider answers. Register the redirect URI there, then put it on the "+
		"sign-in page: gatehouse connections enable %s\n", c.ID, c.ID)
	return nil
}

// connectionDone shows the connection that an operation changed.
func (t *tool) connectionDone(done admin.Result[broker.Connection], err error) error {
	if p, ok := errors.AsType[admin.Problem](err); ok { // its own flags, not --set
		p.Text = strings.NewReplacer("  client_id ", "  --client-id ", "  client_secret ", "  --client-secret-file ",
			"  issuer ", "  --issuer ").Replace(p.Text)
		err = p
	}
	if err != nil {
		return noChange(err)
	}
	return t.showConnection(done.Value)
}

func (t *tool) showConnection(c broker.Connection) error {
	return t.show(admin.ViewConnection(c, t.opened.callback(c.ID)))
}

type connectionsList struct{}

func (*connectionsList) Run(ctx context.Context, t *tool, s *admin.Service) error {
	all, err := s.Connections(ctx, t.actor())
	if err != nil {
		return err
	}
	views := each(all, func(c broker.Connection) admin.ConnectionView {
		return admin.ViewConnection(c, t.opened.callback(c.ID))
	})
	return t.print(views, func(w io.Writer) {
		row(w, "ID", "KIND", "NAME", "STATE", "ISSUER", "DOMAINS")
		for _, c := range views {
			row(w, c.ID, c.Kind, c.Name, c.State, or(c.Issuer, "-"), or(strings.Join(c.Domains, " "), "-"))
		}
	})
}

type connectionsShow struct{ connectionArg }

func (c *connectionsShow) Run(ctx context.Context, t *tool, s *admin.Service) error {
	connection, err := s.Connection(ctx, t.actor(), c.ID)
	if err != nil {
		return err
	}
	return t.showConnection(connection)
}

type connectionsChange struct {
	connectionArg
	connectionFlags
}

func (c *connectionsChange) Run(ctx context.Context, t *tool, s *admin.Service) error {
	return t.connectionDone(s.ChangeConnection(ctx, t.actor(), admin.ChangeConnection{Connection: c.ID, Edit: c.edit()}))
}

type connectionsSecret struct {
	connectionArg
	ClientSecretFile string `default:"-" placeholder:"FILE" help:"File with the new secret, - for standard input."`
	GenerateKey      bool   `help:"Make a private key instead, for private_key_jwt, and print its public part."`
}

func (c *connectionsSecret) Run(ctx context.Context, t *tool, s *admin.Service) error {
	in := admin.RotateConnectionSecret{Connection: c.ID, GenerateKey: c.GenerateKey}
	if !c.GenerateKey {
		var err error
		if in.Secret, err = t.secret(ctx, c.ClientSecretFile); err != nil {
			return err
		}
	}
	return t.connectionDone(s.RotateConnectionSecret(ctx, t.actor(), in))
}

type connectionsTest struct{ connectionArg }

func (c *connectionsTest) Run(ctx context.Context, t *tool, s *admin.Service) error {
	if err := s.TestConnection(ctx, t.actor(), c.ID); err != nil {
		return err
	}
	return t.print(finding{What: "connection " + c.ID, OK: true}, func(w io.Writer) { row(w, "connection "+c.ID, "ok") })
}

type connectionsDisable struct{ connectionArg }

func (c *connectionsDisable) Run(ctx context.Context, t *tool, s *admin.Service) error {
	return t.connectionDone(s.DisableConnection(ctx, t.actor(), admin.SwitchConnection{Connection: c.ID}))
}

type connectionsEnable struct{ connectionArg }

func (c *connectionsEnable) Run(ctx context.Context, t *tool, s *admin.Service) error {
	return t.connectionDone(s.EnableConnection(ctx, t.actor(), admin.SwitchConnection{Connection: c.ID}))
}

type connectionsRemove struct {
	connectionArg
	yesFlag
}

func (c *connectionsRemove) Run(ctx context.Context, t *tool, s *admin.Service) error {
	if err := t.confirm(ctx, c.yesFlag, "Remove the connection "+c.ID+"?"); err != nil {
		return err
	}
	if _, err := s.RemoveConnection(ctx, t.actor(), admin.RemoveConnection{Connection: c.ID}); err != nil {
		return err
	}
	return t.removed("id", c.ID)
}
