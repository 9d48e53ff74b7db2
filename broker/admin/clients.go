package admin

import (
	"context"
	"errors"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/egress"
)

// AddClient is the input of Service.AddClient.
type AddClient struct {
	ID     string        // empty: generated
	Secret broker.Secret // empty: generated, if the client has one
	Edit   EditClient
	DryRun bool
}

// Check validates the input without the store. secret reports whether a secret will follow.
func (in AddClient) Check(secret bool) error {
	if c := in.Edit.apply(newClient()); secret && !clients.TakesSecret(c) {
		return invalid("secret-file", "%s takes no secret", strings.Join(c.AuthMethods, " "))
	}
	return nil
}

// IssuedClient is a client with the secret that the operation gave it.
type IssuedClient struct {
	broker.Client
	Secret broker.Secret // empty if it got none, and in a dry run
}

// AddClient registers a client.
func (s *Service) AddClient(ctx context.Context, actor Actor, in AddClient) (r Result[IssuedClient], err error) {
	if err := in.Check(in.Secret != ""); err != nil {
		return r, err
	}
	c := in.Edit.apply(newClient())
	c.CreatedAt = s.Now()
	if c.ID = in.ID; c.ID == "" {
		c.ID = strings.ToLower(broker.NewID())
	}
	if _, err := s.Store.Client(ctx, c.ID); err == nil {
		return r, conflict("id", "there is a client %q already", c.ID)
	}
	if clients.TakesSecret(c) {
		if in.Secret, err = s.secret(in.Secret); err != nil {
			return r, err
		}
		c.SecretHashes = clients.WithSecret(s.Keyring, c, in.Secret.Reveal())
	}
	return s.putIssued(ctx, act{actor, in.DryRun}, c, in.Secret, "added")
}

// secret returns the given secret if it is strong enough, or a generated one.
func (s *Service) secret(own broker.Secret) (broker.Secret, error) {
	const shortest = 32 // characters
	if own == "" {
		return broker.Secret(broker.NewToken()), nil
	}
	if flaw := s.Weakness(own.Reveal(), shortest); flaw != "" {
		return "", invalid("secret-file", "the secret %s", flaw)
	}
	return own, nil
}

// putIssued validates and stores a client whose fields an actor chose.
func (s *Service) putIssued(ctx context.Context, by act, c broker.Client, secret broker.Secret,
	what string) (r Result[IssuedClient], _ error) {
	if err := CheckClient(c, s.Egress); err != nil {
		return r, err
	}
	done, err := s.putClient(ctx, by, c, what, nil)
	if by.dryRun {
		secret = ""
	}
	return Result[IssuedClient]{IssuedClient{done.Value, secret}, done.Events}, err
}

// CheckClient returns everything that is wrong with a client as one error. That includes
// the URIs that out would never call (SECURITY.md A17).
func CheckClient(c broker.Client, out *egress.Client) error {
	return clientError(clients.Check(c, out))
}

// putClient validates and stores a client, with its Event and the other writes of the
// transaction. It does not check again whether the client's URIs can be reached.
func (s *Service) putClient(ctx context.Context, by act, c broker.Client, what string,
	more func(ctx context.Context) error) (r Result[broker.Client], _ error) {
	if err := clientError(clients.Validate(c)); err != nil {
		return r, err
	}
	c.UpdatedAt = s.Now()
	e := broker.Event{Verb: broker.EventClientChanged, Client: c.ID, Detail: detail(what)}
	e, err := s.change(ctx, by, e, func(ctx context.Context) error {
		if err := s.Store.PutClient(ctx, c); err != nil || more == nil {
			return err
		}
		return more(ctx)
	})
	return changed(c, e, err)
}

// Clients lists the clients.
func (s *Service) Clients(ctx context.Context, _ Actor) ([]broker.Client, error) {
	return s.Store.Clients(ctx)
}

// Client returns a client by its id.
func (s *Service) Client(ctx context.Context, _ Actor, id string) (broker.Client, error) {
	return s.client(ctx, id)
}

func (s *Service) client(ctx context.Context, id string) (broker.Client, error) {
	c, err := s.Store.Client(ctx, id)
	if errors.Is(err, broker.NotFound) {
		err = missing("client", "there is no client %q", id)
	}
	return c, err
}

// ChangeClient is the input of Service.ChangeClient.
type ChangeClient struct {
	Client string // id
	Edit   EditClient
	DryRun bool
}

// ChangeClient changes the fields that the input names, and refuses an input that changes
// nothing. A client that changes to authentication without a secret loses its secrets;
// one that changes back gets a new secret.
func (s *Service) ChangeClient(ctx context.Context, actor Actor, in ChangeClient) (r Result[IssuedClient], _ error) {
	before, err := s.client(ctx, in.Client)
	if err != nil {
		return r, err
	}
	c := in.Edit.apply(before)
	if sameClient(c, before) {
		return r, ErrNoChange
	}
	var secret broker.Secret
	switch takes := clients.TakesSecret(c); {
	case !takes:
		c.SecretHashes = nil
	case len(c.SecretHashes) == 0:
		secret = broker.Secret(broker.NewToken())
		c.SecretHashes = clients.WithSecret(s.Keyring, c, secret.Reveal())
	}
	return s.putIssued(ctx, act{actor, in.DryRun}, c, secret, "changed")
}

// SwitchClient is the input of Service.EnableClient and Service.DisableClient.
type SwitchClient struct {
	Client string // id
	DryRun bool
}

// DisableClient disables a client and ends its tokens.
func (s *Service) DisableClient(ctx context.Context, actor Actor, in SwitchClient) (Result[broker.Client], error) {
	return s.switchClient(ctx, actor, in, true, func(ctx context.Context) error {
		return s.Store.RevokeGrants(ctx, broker.GrantFilter{Client: in.Client}, broker.Revoked, s.Now())
	})
}

// EnableClient enables a client. Its tokens from before stay ended.
func (s *Service) EnableClient(ctx context.Context, actor Actor, in SwitchClient) (Result[broker.Client], error) {
	return s.switchClient(ctx, actor, in, false, nil)
}

func (s *Service) switchClient(ctx context.Context, actor Actor, in SwitchClient, disabled bool,
	more func(ctx context.Context) error) (r Result[broker.Client], _ error) {
	c, err := s.client(ctx, in.Client)
	if err != nil || c.Disabled == disabled {
		r.Value = c
		return r, err
	}
	c.Disabled = disabled
	return s.putClient(ctx, act{actor, in.DryRun}, c, State(disabled), more)
}

// RemoveClient is the input of Service.RemoveClient.
type RemoveClient struct {
	Client string // id
	DryRun bool
}

// RemoveClient deletes a client with its consents and tokens.
func (s *Service) RemoveClient(ctx context.Context, actor Actor, in RemoveClient) (r Result[broker.Client], _ error) {
	c, err := s.client(ctx, in.Client)
	if err != nil {
		return r, err
	}
	e := broker.Event{Verb: broker.EventClientChanged, Client: c.ID, Detail: detail("removed")}
	e, err = s.change(ctx, act{actor, in.DryRun}, e,
		func(ctx context.Context) error { return s.Store.DeleteClient(ctx, c.ID) })
	return changed(c, e, err)
}
