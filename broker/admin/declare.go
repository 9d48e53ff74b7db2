package admin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/providers"
)

// DeclareConnection is a connection as the configuration file declares it: the input of
// Service.DeclareConnection.
type DeclareConnection struct {
	ID, Kind, Name, Issuer, ClientID string
	Secret                           broker.Secret // empty keeps the stored one
	Settings                         map[string]string
	Domains                          []string
	Position                         int
	DryRun                           bool
}

// Over returns the stored connection, or the zero value, with the declaration applied.
func (in DeclareConnection) Over(c broker.Connection, now time.Time) (_ broker.Connection, err error) {
	c.ID, c.Kind, c.Name, c.Issuer, c.ClientID = in.ID, in.Kind, in.Name, in.Issuer, in.ClientID
	c.Settings, c.Position = in.Settings, in.Position
	if c.Domains, err = canonicalDomains(in.Domains); err != nil {
		return c, err
	}
	if c.State == "" {
		c.State, c.CreatedAt = broker.Live, now
	}
	if in.Secret != "" && (len(c.Secrets) == 0 || c.Secrets[0] != in.Secret) {
		c.Secrets = withSecret(c.Secrets, in.Secret)
	}
	return providers.Normalise(c), nil
}

// Declared returns the stored connections with the declarations applied, those that are not stored yet at the end.
func Declared(stored []broker.Connection, declared []DeclareConnection, now time.Time) (all []broker.Connection) {
	all = slices.Clone(stored)
	for _, d := range declared {
		n := slices.IndexFunc(all, func(c broker.Connection) bool { return c.ID == d.ID })
		if n < 0 {
			all, n = append(all, broker.Connection{}), len(all)
		}
		all[n], _ = d.Over(all[n], now) // CheckDeclared reports what is wrong with it
	}
	return all
}

// CheckDeclared validates each declared connection beside the others, without the store, which
// may have its secret. An error is nil for a valid one.
func CheckDeclared(declared []DeclareConnection, networks []netip.Prefix) []error {
	all, errs := make([]broker.Connection, len(declared)), make([]error, len(declared))
	for i, d := range declared {
		all[i], errs[i] = d.Over(broker.Connection{Secrets: []broker.Secret{"stored"}}, time.Time{})
	}
	for i, c := range all {
		if problems := ConnectionProblems(c, all, networks); errs[i] == nil && len(problems) > 0 {
			errs[i] = errors.New(strings.Join(problems, "; "))
		}
	}
	return errs
}

// DeclareConnection creates or changes a connection as declared. It writes nothing if the
// stored one is the same, so that a restart changes nothing.
func (s *Service) DeclareConnection(ctx context.Context, actor Actor,
	in DeclareConnection) (Result[broker.Connection], error) {
	r, err := s.declareConnection(ctx, actor, in)
	if err != nil { // another replica may have declared it at the same moment
		r, err = s.declareConnection(ctx, actor, in)
	}
	return r, err
}

func (s *Service) declareConnection(ctx context.Context, actor Actor,
	in DeclareConnection) (r Result[broker.Connection], _ error) {
	stored, err := s.Store.Connection(ctx, in.ID)
	if err != nil && !errors.Is(err, broker.NotFound) {
		return r, err
	}
	found := err == nil
	c, err := in.Over(stored, s.Now())
	if err != nil || found && sameConnection(c, stored) {
		return Result[broker.Connection]{Value: c}, err
	}
	return s.putConnection(ctx, act{actor, in.DryRun}, c, "declared")
}

// sameConnection reports whether two connections are configured alike. It compares
// printed text, which treats nil and empty as equal, but secrets, which print as dots, by
// their values.
func sameConnection(a, b broker.Connection) bool {
	return fmt.Sprint(a) == fmt.Sprint(b) && slices.Equal(a.Secrets, b.Secrets)
}

// DeclareClient is a client as the configuration file declares it: the input of
// Service.DeclareClient.
type DeclareClient struct {
	Client broker.Client // without secrets, state and times
	Secret broker.Secret // empty keeps the stored one
	DryRun bool
}

// Over returns the stored client, or the zero value, with the declaration applied, except
// for the secret.
func (in DeclareClient) Over(stored broker.Client) broker.Client {
	c := clients.WithDefaults(in.Client)
	c.Keys = clients.CompactKeys(c.Keys)
	c.SecretHashes, c.RegistrationHash = stored.SecretHashes, stored.RegistrationHash
	c.Disabled, c.CreatedAt, c.UpdatedAt = stored.Disabled, stored.CreatedAt, stored.UpdatedAt
	if !clients.TakesSecret(c) {
		c.SecretHashes = nil
	}
	return c
}

// DeclareClient creates or changes a client as declared. It writes nothing if the stored
// one is the same.
func (s *Service) DeclareClient(ctx context.Context, actor Actor, in DeclareClient) (r Result[broker.Client], _ error) {
	stored, err := s.Store.Client(ctx, in.Client.ID)
	if err != nil && !errors.Is(err, broker.NotFound) {
		return r, err
	}
	found := err == nil
	c := in.Over(stored)
	if in.Secret != "" && clients.TakesSecret(c) {
		c.SecretHashes = clients.WithSecret(s.Keyring, c, in.Secret.Reveal())
	}
	if found && sameClient(c, stored) {
		r.Value = c
		return r, nil
	}
	if c.CreatedAt.IsZero() {
		c.CreatedAt = s.Now()
	}
	if err := CheckClient(c, s.Egress); err != nil {
		return r, err
	}
	return s.putClient(ctx, act{actor, in.DryRun}, c, "declared", nil)
}
