package login

import (
	"context"
	"time"

	"gatehouse/broker"
)

// form is the input of the short registration.
type form struct {
	Shown    string // the link confirmation that the page showed
	Given    string
	Family   string
	Password string
}

// register creates an account from the short registration: for an upstream's identity, or with a password for an
// address that a code has verified.
func (s *service) register(ctx context.Context, v visit, id string, in form) error {
	sc, err := s.expect(ctx, v, id, broker.StepRegister)
	if err == nil && s.linkConfirmation(sc.Login, nil) != in.Shown {
		err = broker.Conflict
	}
	if err != nil {
		return err
	}
	a := fromClaims(sc.Login, s.Now(), s.locale(v, sc.Login))
	given, familyName := cleanName(in.Given), cleanName(in.Family)
	if given == "" {
		return broker.NameInvalid
	}
	a.GivenName, a.FamilyName, a.Name = given, familyName, cleanName(fullName(given, familyName))
	if sc.Claims == nil {
		if a.PasswordHash, err = s.Passwords.Hash(ctx, in.Password); err != nil {
			return err
		}
	}
	_, err = s.create(ctx, v, sc, a)
	return err
}

// fromClaims returns the account for an identity and a verified address.
func fromClaims(l broker.Login, now time.Time, locale string) broker.Account {
	a := broker.Account{ID: broker.NewID(), Email: l.VerifiedAddress(), Locale: locale, CreatedAt: now, UpdatedAt: now}
	if c := l.Claims; c != nil {
		a.Name, a.GivenName, a.FamilyName = c.Name, c.GivenName, c.FamilyName
		if a.Name == "" {
			a.Name = cleanName(fullName(c.GivenName, c.FamilyName))
		}
	}
	return a
}

// create writes the account, its identity and their Events in one transaction and makes it the login's account. It
// returns Conflict if the address or the identity was taken in the meantime; the login then shows the page for that
// case.
func (s *service) create(ctx context.Context, v visit, sc scene, a broker.Account) (broker.Login, error) {
	authn := broker.Authn{Method: broker.ByPassword, AMR: []string{"pwd"}, AuthTime: s.Now(), Epoch: a.AuthEpoch}
	var i broker.Identity
	if sc.Claims != nil {
		i = identity(*sc.Claims, a.ID, s.Now())
		authn = vouched(*sc.Claims, i.ID, a)
		if sc.VerifiedEmail != "" { // by a code, in this login
			authn.AMR, authn.AuthTime = broker.Methods(authn.AMR, "otp"), sc.VerifiedAt
		}
	}
	err := s.Store.Atomic(ctx, func(ctx context.Context) error {
		if err := s.Store.CreateAccount(ctx, a); err != nil {
			return err
		}
		events := []broker.Event{v.event(broker.Event{Verb: broker.EventAccountCreated, Account: a.ID, Actor: a.ID,
			Client: sc.ClientID})}
		if sc.Claims != nil {
			if err := s.Store.Link(ctx, i); err != nil {
				return err
			}
			events = append(events, v.event(broker.Event{Verb: broker.EventIdentityLinked, Account: a.ID, Actor: a.ID,
				Client: sc.ClientID, Connection: i.Connection}))
		}
		return s.Store.Record(ctx, events...)
	})
	if err != nil {
		return sc.Login, err
	}
	return s.replace(ctx, sc.Login, sc.BoundTo(a.ID, authn))
}
