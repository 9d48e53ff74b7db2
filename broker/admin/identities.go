package admin

import (
	"context"
	"errors"
	"slices"

	"gatehouse/broker"
	"gatehouse/broker/access"
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
	u := access.Unlinking{Account: a, Identity: in.Identity, Connection: c.Name, At: s.Now()}
	u.May = func(identities []broker.Identity, connections []broker.Connection) error {
		return s.mayUnlink(a, in.Identity, identities, connections)
	}
	left := AccountDetails{Account: a}
	e := broker.Event{Verb: broker.EventIdentityUnlinked, Account: a.ID, Connection: c.ID}
	e, err = s.change(ctx, act{actor, in.DryRun}, e, func(ctx context.Context) error {
		err := access.Unlink(ctx, s.Store, s.Mail, u)
		if errors.Is(err, broker.NotFound) {
			return missing("identity", "%s has no identity %q", a.Email, in.Identity)
		}
		if err != nil {
			return err
		}
		left.Identities, err = s.Store.IdentitiesOf(ctx, a.ID)
		return err
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

// mayUnlink refuses to unlink the last sign-in method of an account.
func (s *Service) mayUnlink(a broker.Account, identity string, all []broker.Identity,
	connections []broker.Connection) error {
	// Ignore a restriction: a restricted person can link another identity of an allowed
	// connection once the first one is unlinked.
	a.Restriction = nil
	if !broker.SignInMethodsOf(a, all, connections, s.PasswordSignIn).Without(identity) {
		return Problem{broker.LastMethod, "identity",
			"this is the last sign-in method of " + a.Email + ": set a password first, or disable the account"}
	}
	return nil
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
