package admin

import (
	"context"
	"errors"
	"slices"

	"gatehouse/broker"
	"gatehouse/broker/mail"
)

// UnlinkIdentity is the input of Service.UnlinkIdentity.
type UnlinkIdentity struct {
	Account  string // e-mail address or id
	Identity string // id
	DryRun   bool
}

// UnlinkIdentity removes an identity from an account unless it is the last sign-in method.
// The account's owner gets a mail.
func (s *Service) UnlinkIdentity(ctx context.Context, actor Actor,
	in UnlinkIdentity) (r Result[AccountDetails], _ error) {
	a, err := s.account(ctx, in.Account)
	if err != nil {
		return r, err
	}
	i, err := s.identity(ctx, a, in.Identity)
	if err != nil {
		return r, err
	}
	c, err := s.Store.Connection(ctx, i.Connection)
	if err != nil {
		return r, err
	}
	a.UpdatedAt = s.Now()
	left := AccountDetails{Account: a}
	e := broker.Event{Verb: broker.EventIdentityUnlinked, Account: a.ID, Connection: c.ID}
	e, err = s.change(ctx, act{actor, in.DryRun}, e, func(ctx context.Context) error {
		// Write the account's row first, so that the second of two concurrent calls sees
		// the result of the first.
		if err := s.Store.ChangeAccount(ctx, a, a.AuthEpoch); err != nil {
			return err
		}
		if err := s.unlink(ctx, a, in.Identity); err != nil {
			return err
		}
		all, err := s.Store.IdentitiesOf(ctx, a.ID)
		if err != nil {
			return err
		}
		left.Identities = all
		return s.Mail.Queue(ctx, mail.Unlinked{To: a.Email, Connection: c.Name, At: s.Now(), Locale: a.Locale})
	})
	return changed(left, e, err)
}

// identity returns the identity if it is linked to the account.
func (s *Service) identity(ctx context.Context, a broker.Account, id string) (i broker.Identity, _ error) {
	all, err := s.Store.IdentitiesOf(ctx, a.ID)
	if err != nil {
		return i, err
	}
	n := slices.IndexFunc(all, func(i broker.Identity) bool { return i.ID == id })
	if n < 0 {
		return i, missing("identity", "%s has no identity %q", a.Email, id)
	}
	return all[n], nil
}

func (s *Service) unlink(ctx context.Context, a broker.Account, id string) error {
	all, err := s.Store.IdentitiesOf(ctx, a.ID)
	if err != nil {
		return err
	}
	connections, err := s.Store.Connections(ctx)
	if err != nil {
		return err
	}
	// Ignore a restriction: a restricted person can link another identity of an allowed
	// connection once the first one is unlinked.
	a.Restriction = nil
	if !broker.SignInMethodsOf(a, all, connections, s.PasswordSignIn).Without(id) {
		return Problem{broker.LastMethod, "identity",
			"this is the last way into " + a.Email + ": set a password first, or disable the account"}
	}
	err = s.Store.Unlink(ctx, id, s.Now())
	if errors.Is(err, broker.NotFound) {
		return missing("identity", "%s has no identity %q", a.Email, id)
	}
	return err
}

// Consents lists what an account, by its e-mail address or id, allowed each client.
func (s *Service) Consents(ctx context.Context, _ Actor, account string) ([]broker.Consent, error) {
	a, err := s.account(ctx, account)
	if err != nil {
		return nil, err
	}
	return s.Store.ConsentsOf(ctx, a.ID)
}

// RevokeConsent is the input of Service.RevokeConsent.
type RevokeConsent struct {
	Account string // e-mail address or id
	Client  string // id
	DryRun  bool
}

// RevokeConsent removes an account's consent to a client and ends the client's tokens for it.
func (s *Service) RevokeConsent(ctx context.Context, actor Actor,
	in RevokeConsent) (r Result[broker.Account], _ error) {
	a, err := s.account(ctx, in.Account)
	if err != nil {
		return r, err
	}
	e := broker.Event{Verb: broker.EventConsentRemoved, Account: a.ID, Client: in.Client}
	e, err = s.change(ctx, act{actor, in.DryRun}, e, func(ctx context.Context) error {
		return s.Store.RemoveConsent(ctx, a.ID, in.Client, s.Now())
	})
	if errors.Is(err, broker.NotFound) {
		err = missing("", "%s gave no consent to a client %q", a.Email, in.Client)
	}
	return changed(a, e, err)
}
