package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gatehouse/broker"
	"gatehouse/providers"
)

// AddConnection is the input of Service.AddConnection.
type AddConnection struct {
	ID       string
	Kind     string
	Issuer   string // empty for kinds without one
	ClientID string // ours at the provider
	Secret   broker.Secret
	// GenerateKey makes a private key instead of a secret, for private_key_jwt. Its public part is in the view.
	GenerateKey bool
	Edit        EditConnection
	Live        bool // else it is a draft
	DryRun      bool
}

// EditConnection names what may change of a connection. A nil field stays as it is.
type EditConnection struct {
	Name     *string
	Settings map[string]string // an empty value removes the setting
	Domains  []string          // an empty list, or an empty entry, removes all
	Hidden   *bool
	Position *int
}

// notASetting says what to do instead of setting a member of the connection.
var notASetting = map[string]string{
	"issuer":        "the issuer is given as --issuer to connections add and never changes: add a new connection",
	"client_id":     "the client id is given as --client-id to connections add and never changes: add a new connection",
	"client_secret": "a client secret is no setting: use connections secret",
}

// apply returns the connection with the changes.
func (in EditConnection) apply(c broker.Connection) (_ broker.Connection, err error) {
	for _, key := range []string{"issuer", "client_id", "client_secret"} {
		if _, there := in.Settings[key]; there {
			return c, invalid("set", "%s", notASetting[key])
		}
	}
	settings := map[string]string{}
	maps.Copy(settings, c.Settings)
	maps.Copy(settings, in.Settings)
	c.Settings = settings
	if in.Name != nil {
		c.Name = *in.Name
	}
	if in.Hidden != nil {
		c.Hidden = *in.Hidden
	}
	if in.Position != nil {
		c.Position = *in.Position
	}
	if in.Domains != nil {
		c.Domains, err = canonicalDomains(in.Domains)
	}
	return c, err
}

// canonicalDomains leaves empty entries out.
func canonicalDomains(in []string) (out []string, _ error) {
	for _, d := range in {
		if d == "" {
			continue
		}
		domain, err := broker.CanonicalDomain(d)
		if err != nil {
			return nil, invalid("domain", "%q is not a mail domain", d)
		}
		out = append(out, domain)
	}
	return out, nil
}

// AddConnection creates a connection, a draft unless the input says otherwise. Without a position it comes last.
func (s *Service) AddConnection(ctx context.Context, actor Actor,
	in AddConnection) (r Result[broker.Connection], _ error) {
	all, err := s.Store.Connections(ctx)
	if err != nil {
		return r, err
	}
	c := broker.Connection{ID: in.ID, Kind: in.Kind, State: broker.Draft, Issuer: in.Issuer, ClientID: in.ClientID,
		CreatedAt: s.Now()}
	for _, other := range all {
		if other.ID == in.ID {
			return r, conflict("id", "there is a connection %q already", in.ID)
		}
		c.Position = max(c.Position, other.Position+1)
	}
	if in.Live {
		c.State = broker.Live
	}
	if in.GenerateKey {
		if in.Secret, err = providers.NewClientKey(); err != nil {
			return r, err
		}
	}
	if in.Secret != "" {
		c.Secrets = []broker.Secret{in.Secret}
	}
	if c, err = in.Edit.apply(c); err != nil {
		return r, err
	}
	return s.putConnection(ctx, act{actor, in.DryRun}, s.Check.spelled(ctx, c, all), "added")
}

// Connections lists the connections by their order on the sign-in page.
func (s *Service) Connections(ctx context.Context, _ Actor) ([]broker.Connection, error) {
	return s.Store.Connections(ctx)
}

// Connection returns a connection by its id.
func (s *Service) Connection(ctx context.Context, _ Actor, id string) (broker.Connection, error) {
	return s.connection(ctx, id)
}

func (s *Service) connection(ctx context.Context, id string) (broker.Connection, error) {
	c, err := s.Store.Connection(ctx, id)
	if errors.Is(err, broker.NotFound) {
		err = missing("connection", "there is no connection %q", id)
	}
	return c, err
}

// ChangeConnection is the input of Service.ChangeConnection.
type ChangeConnection struct {
	Connection string // id
	Edit       EditConnection
	DryRun     bool
}

// ChangeConnection changes what the input names, and refuses to change nothing.
func (s *Service) ChangeConnection(ctx context.Context, actor Actor,
	in ChangeConnection) (r Result[broker.Connection], _ error) {
	before, err := s.connection(ctx, in.Connection)
	if err != nil {
		return r, err
	}
	after, err := in.Edit.apply(before)
	if err != nil {
		return r, err
	}
	if sameConnection(before, after) {
		return r, ErrNoChange
	}
	return s.putConnection(ctx, act{actor, in.DryRun}, after, "changed")
}

// ErrNoChange refuses a change that names no new value.
var ErrNoChange = Problem{broker.RequestInvalid, "", "nothing would change: give at least one flag a new value"}

// RotateConnectionSecret is the input of Service.RotateConnectionSecret.
type RotateConnectionSecret struct {
	Connection string // id
	Secret     broker.Secret
	// GenerateKey makes a private key instead of a secret, for private_key_jwt.
	GenerateKey bool
	DryRun      bool
}

// RotateConnectionSecret adds a client secret. The one before it stays valid until the next.
func (s *Service) RotateConnectionSecret(ctx context.Context, actor Actor,
	in RotateConnectionSecret) (r Result[broker.Connection], _ error) {
	c, err := s.connection(ctx, in.Connection)
	if err != nil {
		return r, err
	}
	if in.GenerateKey {
		if in.Secret, err = providers.NewClientKey(); err != nil {
			return r, err
		}
	}
	c.Secrets = withSecret(c.Secrets, in.Secret)
	return s.putConnection(ctx, act{actor, in.DryRun}, c, "secret")
}

// withSecret puts a secret first and keeps the one before it.
func withSecret(live []broker.Secret, secret broker.Secret) []broker.Secret {
	kept := slices.DeleteFunc(slices.Clone(live), func(s broker.Secret) bool { return s == secret })
	kept = slices.Insert(kept, 0, secret)
	return kept[:min(2, len(kept))]
}

// SwitchConnection is the input of Service.EnableConnection and Service.DisableConnection.
type SwitchConnection struct {
	Connection string // id
	DryRun     bool
}

// EnableConnection makes a connection live, if it is complete. A draft must also pass TestConnection.
func (s *Service) EnableConnection(ctx context.Context, actor Actor,
	in SwitchConnection) (r Result[broker.Connection], _ error) {
	c, err := s.connection(ctx, in.Connection)
	if err != nil || c.State == broker.Live {
		r.Value = c
		return r, err
	}
	if c.State == broker.Draft {
		if err := s.TestConnection(ctx, actor, c.ID); err != nil {
			return r, err
		}
	}
	c.State = broker.Live
	return s.putConnection(ctx, act{actor, in.DryRun}, c, string(c.State))
}

// TestConnection asks a connection's provider for everything that it says without a sign-in, and returns why no
// sign-in can work. It changes nothing.
func (s *Service) TestConnection(ctx context.Context, _ Actor, id string) error {
	c, err := s.connection(ctx, id)
	if err != nil {
		return err
	}
	all, err := s.Store.Connections(ctx)
	if err != nil {
		return err
	}
	if err := s.Check.Try(ctx, c, all); err != nil {
		return fmt.Errorf("no sign-in through %s can work: %w", c.ID, err)
	}
	return nil
}

// DisableConnection disables a connection, also one that is no longer complete.
func (s *Service) DisableConnection(ctx context.Context, actor Actor,
	in SwitchConnection) (r Result[broker.Connection], _ error) {
	c, err := s.connection(ctx, in.Connection)
	if err != nil || c.State == broker.Disabled {
		r.Value = c
		return r, err
	}
	c.State = broker.Disabled
	return s.storeConnection(ctx, act{actor, in.DryRun}, c, string(c.State))
}

// putConnection validates and stores a connection.
func (s *Service) putConnection(ctx context.Context, by act, c broker.Connection,
	what string) (r Result[broker.Connection], _ error) {
	all, err := s.Store.Connections(ctx)
	if err != nil {
		return r, err
	}
	if problems := ConnectionProblems(c, all, s.Networks); len(problems) > 0 {
		return r, invalid("", "this connection can't be used:\n  %s", strings.Join(problems, "\n  "))
	}
	return s.storeConnection(ctx, by, providers.Normalise(c), what)
}

func (s *Service) storeConnection(ctx context.Context, by act, c broker.Connection,
	what string) (Result[broker.Connection], error) {
	c.UpdatedAt = s.Now()
	e := broker.Event{Verb: broker.EventConnChanged, Connection: c.ID, Detail: detail(what)}
	e, err := s.change(ctx, by, e, func(ctx context.Context) error { return s.Store.PutConnection(ctx, c) })
	if errors.Is(err, broker.Conflict) {
		err = conflict("connection", "connection %s was live: its kind, issuer, client id and %s never change; add a new "+
			"connection instead",
			c.ID, strings.Join(providers.Pinned(c.Kind), ", "))
	}
	return changed(c, e, err)
}

// RemoveConnection is the input of Service.RemoveConnection.
type RemoveConnection struct {
	Connection string // id
	DryRun     bool
}

// RemoveConnection deletes a connection to which no identity belongs.
func (s *Service) RemoveConnection(ctx context.Context, actor Actor,
	in RemoveConnection) (r Result[broker.Connection], _ error) {
	c, err := s.connection(ctx, in.Connection)
	if err != nil {
		return r, err
	}
	e := broker.Event{Verb: broker.EventConnChanged, Connection: c.ID, Detail: detail("removed")}
	e, err = s.change(ctx, act{actor, in.DryRun}, e,
		func(ctx context.Context) error { return s.Store.DeleteConnection(ctx, c.ID) })
	if errors.Is(err, broker.Conflict) {
		err = conflict("connection", "people sign in through %s; disable it instead, or unlink them first", c.ID)
	}
	return changed(c, e, err)
}
