package admin

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/text/language"

	"gatehouse/broker"
	"gatehouse/broker/mail"
)

// maxName is the longest name of an account in bytes.
const maxName = 200

// AddAccount is the input of Service.AddAccount.
type AddAccount struct {
	Email string
	Edit  EditAccount
	// Password is empty for a person who signs in through a provider.
	Password broker.Secret
	// Unverified marks an address that its owner has not proven: the account opens no
	// session, blocks no address, and is deleted when the owner proves it (SECURITY.md C9).
	Unverified bool
	DryRun     bool
}

// AddAccount creates an account.
func (s *Service) AddAccount(ctx context.Context, actor Actor, in AddAccount) (r Result[broker.Account], err error) {
	now := s.Now()
	a := broker.Account{ID: broker.NewID(), Unverified: in.Unverified, AuthEpoch: 1, CreatedAt: now, UpdatedAt: now}
	if a.Email, err = broker.CanonicalEmail(in.Email); err != nil {
		return r, err
	}
	if _, err = in.Edit.apply(&a); err != nil {
		return r, err
	}
	if in.Password != "" {
		if a.PasswordHash, err = s.Passwords.Hash(ctx, in.Password.Reveal()); err != nil {
			return r, err
		}
	}
	e, err := s.change(ctx, act{actor, in.DryRun}, broker.Event{Verb: broker.EventAccountCreated, Account: a.ID},
		func(ctx context.Context) error { return s.Store.CreateAccount(ctx, a) })
	if errors.Is(err, broker.Conflict) {
		err = conflict("email", "%s has an account already", a.Email)
	}
	return changed(a, e, err)
}

// EditAccount is what an actor may say about a person: claims of the scope profile. A nil
// field stays.
type EditAccount struct {
	Name, GivenName, FamilyName *string
	Locale                      *string // a BCP 47 tag; empty for unknown
}

// apply writes the fields into the account, and reports whether one has changed.
func (in EditAccount) apply(a *broker.Account) (changed bool, _ error) {
	for _, f := range []struct {
		flag  string
		value *string
		into  *string
	}{{"name", in.Name, &a.Name}, {"given-name", in.GivenName, &a.GivenName},
		{"family-name", in.FamilyName, &a.FamilyName}, {"locale", in.Locale, &a.Locale}} {
		if f.value == nil {
			continue
		}
		if len(*f.value) > maxName || broker.VisibleName(*f.value) != *f.value {
			return false, invalid(f.flag, "must be at most %d bytes on one line, without invisible characters", maxName)
		}
		if _, err := language.Parse(*f.value); f.flag == "locale" && *f.value != "" && err != nil {
			return false, invalid(f.flag, "must be a language tag such as de or en-GB")
		}
		changed, *f.into = changed || *f.into != *f.value, *f.value
	}
	return changed, nil
}

// ChangeAccount is the input of Service.ChangeAccount.
type ChangeAccount struct {
	Account string // e-mail address or id
	Edit    EditAccount
	DryRun  bool
}

// ChangeAccount changes what apps learn about a person. Sessions and tokens stay.
func (s *Service) ChangeAccount(ctx context.Context, actor Actor,
	in ChangeAccount) (r Result[broker.Account], _ error) {
	if in.Edit == (EditAccount{}) {
		return r, ErrNoChange
	}
	a, err := s.account(ctx, in.Account)
	if err != nil {
		return r, err
	}
	different, err := in.Edit.apply(&a)
	if err != nil || !different {
		r.Value = a
		return r, err
	}
	a.UpdatedAt = s.Now()
	e := broker.Event{Verb: broker.EventAccountChanged, Account: a.ID, Detail: detail("profile")}
	e, err = s.change(ctx, act{actor, in.DryRun}, e, func(ctx context.Context) error {
		return s.Store.ChangeAccount(ctx, a, a.AuthEpoch)
	})
	return changed(a, e, err)
}

// ListAccounts is the input of Service.Accounts.
type ListAccounts struct {
	After string // an e-mail address; empty starts at the beginning
	Limit int
}

// Accounts lists accounts by e-mail address.
func (s *Service) Accounts(ctx context.Context, _ Actor, in ListAccounts) ([]broker.Account, error) {
	if err := CheckLimit(in.Limit); err != nil {
		return nil, err
	}
	return s.Store.Accounts(ctx, strings.ToLower(in.After), in.Limit)
}

// AccountDetails is an account with the identities that are linked to it.
type AccountDetails struct {
	broker.Account
	Identities []broker.Identity
}

// Account returns an account by its e-mail address or its id.
func (s *Service) Account(ctx context.Context, _ Actor, which string) (d AccountDetails, err error) {
	if d.Account, err = s.account(ctx, which); err == nil {
		d.Identities, err = s.Store.IdentitiesOf(ctx, d.ID)
	}
	return d, err
}

// account finds an account by its e-mail address or its id.
func (s *Service) account(ctx context.Context, which string) (a broker.Account, err error) {
	if strings.Contains(which, "@") {
		if which, err = broker.CanonicalEmail(which); err != nil {
			return a, err
		}
		a, err = s.Store.AccountByEmail(ctx, which)
	} else {
		a, err = s.Store.Account(ctx, which)
	}
	if errors.Is(err, broker.NotFound) {
		err = missing("account", "there is no account %q; an unverified one goes by its id", which)
	}
	return a, err
}

// renew writes an account under a new epoch, which ends its sessions and tokens, together
// with its Event and the other writes of the transaction.
func (s *Service) renew(ctx context.Context, by act, a broker.Account, e broker.Event,
	more func(ctx context.Context) error) (Result[broker.Account], error) {
	seen := a.AuthEpoch
	a.AuthEpoch = seen + 1
	e.Account = a.ID
	e, err := s.change(ctx, by, e, func(ctx context.Context) error {
		if err := s.Store.ChangeAccount(ctx, a, seen); err != nil || more == nil {
			return err
		}
		return more(ctx)
	})
	return changed(a, e, err)
}

// SetPassword is the input of Service.SetPassword.
type SetPassword struct {
	Account  string // e-mail address or id
	Password broker.Secret
	DryRun   bool
}

// SetPassword sets the password of an account, ends its sessions and tokens, and mails its
// owner, because an actor who may do this could take the account over.
func (s *Service) SetPassword(ctx context.Context, actor Actor, in SetPassword) (r Result[broker.Account], err error) {
	a, err := s.account(ctx, in.Account)
	if err != nil {
		return r, err
	}
	if a.PasswordHash, err = s.Passwords.Hash(ctx, in.Password.Reveal()); err != nil {
		return r, err
	}
	e := broker.Event{Verb: broker.EventPasswordChanged, Detail: detail("set")}
	return s.renew(ctx, act{actor, in.DryRun}, a, e, func(ctx context.Context) error {
		return s.Mail.Queue(ctx, mail.PasswordChanged{To: a.Email, At: s.Now(), Locale: a.Locale})
	})
}

// SwitchAccount is the input of Service.DisableAccount and Service.EnableAccount.
type SwitchAccount struct {
	Account string // e-mail address or id
	DryRun  bool
}

// DisableAccount disables an account and ends its sessions and tokens.
func (s *Service) DisableAccount(ctx context.Context, actor Actor, in SwitchAccount) (Result[broker.Account], error) {
	return s.switchAccount(ctx, actor, in, true)
}

// EnableAccount enables an account. Sessions and tokens from before stay ended.
func (s *Service) EnableAccount(ctx context.Context, actor Actor, in SwitchAccount) (Result[broker.Account], error) {
	return s.switchAccount(ctx, actor, in, false)
}

func (s *Service) switchAccount(ctx context.Context, actor Actor, in SwitchAccount,
	disabled bool) (r Result[broker.Account], _ error) {
	a, err := s.account(ctx, in.Account)
	if err != nil || a.Disabled == disabled {
		r.Value = a
		return r, err
	}
	a.Disabled = disabled
	return s.renew(ctx, act{actor, in.DryRun}, a,
		broker.Event{Verb: broker.EventAccountChanged, Detail: detail(State(disabled))}, nil)
}

// SignOutAccount is the input of Service.SignOutAccount.
type SignOutAccount struct {
	Account string // e-mail address or id
	DryRun  bool
}

// SignOutAccount ends every session and token of an account.
func (s *Service) SignOutAccount(ctx context.Context, actor Actor,
	in SignOutAccount) (r Result[broker.Account], err error) {
	a, err := s.account(ctx, in.Account)
	if err != nil {
		return r, err
	}
	return s.renew(ctx, act{actor, in.DryRun}, a,
		broker.Event{Verb: broker.EventSignedOut, Detail: detail("everywhere")}, nil)
}
