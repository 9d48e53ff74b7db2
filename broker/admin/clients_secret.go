package admin

import (
	"context"
	"strconv"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// RotateClientSecret is the input of Service.RotateClientSecret.
type RotateClientSecret struct {
	Client string        // id
	Secret broker.Secret // empty: generated
	DryRun bool
}

// RotateClientSecret gives a client a new secret. The one before it stays valid until the
// next, or until EndOldClientSecret.
func (s *Service) RotateClientSecret(ctx context.Context, actor Actor,
	in RotateClientSecret) (r Result[IssuedClient], _ error) {
	c, err := s.clientWithSecret(ctx, in.Client)
	if err != nil {
		return r, err
	}
	if in.Secret, err = s.secret(in.Secret); err != nil {
		return r, err
	}
	c.SecretHashes = clients.WithSecret(s.Keyring, c, in.Secret.Reveal())
	done, err := s.putClient(ctx, act{actor, in.DryRun}, c, "secret", nil)
	if in.DryRun {
		in.Secret = ""
	}
	return Result[IssuedClient]{IssuedClient{done.Value, in.Secret}, done.Events}, err
}

func (s *Service) clientWithSecret(ctx context.Context, id string) (broker.Client, error) {
	c, err := s.client(ctx, id)
	switch {
	case err != nil:
		return c, err
	case c.Public():
		return c, conflict("client", "%s is a public client and has no secret", c.ID)
	case !clients.TakesSecret(c):
		return c, conflict("client", "%s has no secret: it authenticates by %s", c.ID, strings.Join(c.AuthMethods, " "))
	}
	return c, nil
}

// EndOldClientSecret is the input of Service.EndOldClientSecret.
type EndOldClientSecret struct {
	Client string // id
	DryRun bool
}

// EndOldClientSecret leaves a client its newest secret only.
func (s *Service) EndOldClientSecret(ctx context.Context, actor Actor,
	in EndOldClientSecret) (r Result[broker.Client], _ error) {
	c, err := s.clientWithSecret(ctx, in.Client)
	if err != nil {
		return r, err
	}
	if len(c.SecretHashes) < 2 {
		return r, conflict("client", "%s has one secret only", c.ID)
	}
	c.SecretHashes = c.SecretHashes[:1]
	return s.putClient(ctx, act{actor, in.DryRun}, c, "old secret ended", nil)
}

// CreateRegistrationToken is the input of Service.CreateRegistrationToken.
type CreateRegistrationToken struct {
	Life   time.Duration
	Uses   int // how many apps it registers
	DryRun bool
}

// Check validates the input without the store.
func (in CreateRegistrationToken) Check() error {
	if in.Life < time.Second || in.Life > clients.MaxRegistrationToken {
		return invalid("life", "must be from a second to %d days", clients.MaxRegistrationToken/(24*time.Hour))
	}
	if in.Uses < 1 || in.Uses > clients.MaxRegistrations {
		return invalid("uses", "must be from 1 to %d", clients.MaxRegistrations)
	}
	return nil
}

// RegistrationToken is the outcome of Service.CreateRegistrationToken.
type RegistrationToken struct {
	Token   broker.Secret // empty in a dry run
	Expires time.Time
}

// CreateRegistrationToken creates an initial access token (RFC 7591 §1.2). The token is
// not stored; a row is written when it is used.
func (s *Service) CreateRegistrationToken(ctx context.Context, actor Actor,
	in CreateRegistrationToken) (r Result[RegistrationToken], err error) {
	if err := in.Check(); err != nil {
		return r, err
	}
	if !s.ClientRegistration {
		return r, conflict("", "apps do not register themselves here: set client_registration: true in the configuration "+
			"first")
	}
	t := RegistrationToken{Expires: s.Now().Add(in.Life).UTC().Truncate(time.Second)}
	if !in.DryRun {
		if t.Token, err = clients.NewInitialToken(s.Keyring, t.Expires, in.Uses); err != nil {
			return r, err
		}
	}
	what := detail("registration token")
	what["uses"], what["expires"] = strconv.Itoa(in.Uses), t.Expires.Format(time.RFC3339)
	e, err := s.change(ctx, act{actor, in.DryRun}, broker.Event{Verb: broker.EventClientChanged, Detail: what},
		func(context.Context) error { return nil })
	return changed(t, e, err)
}

// PendingLogouts lists the apps that still have to be told of a sign-out, the oldest first.
func (s *Service) PendingLogouts(ctx context.Context, _ Actor, limit int) ([]broker.Logout, error) {
	if err := CheckLimit(limit); err != nil {
		return nil, err
	}
	return s.Store.Logouts(ctx, "", limit)
}
