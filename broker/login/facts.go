package login

import (
	"context"
	"errors"

	"gatehouse/broker"
)

// look reads the facts afresh and asks Next.
func (s *service) look(ctx context.Context, v visit, l broker.Login) (scene, error) {
	return s.lookAt(ctx, v, l, nil)
}

// lookAt is look where the login's account was read a moment ago; nil reads it.
func (s *service) lookAt(ctx context.Context, v visit, l broker.Login, a *broker.Account) (scene, error) {
	sc := scene{Login: l}
	sc.Facts = broker.Facts{Now: s.Now(), Account: a, Registration: s.Registration, Passwords: s.PasswordSignIn}
	var err error
	switch {
	case l.AccountID != "":
		err = s.boundFacts(ctx, &sc)
	case l.Claims != nil:
		err = s.upstreamFacts(ctx, v, &sc)
	default:
		err = s.localFacts(ctx, v, &sc)
	}
	if err != nil {
		return sc, err
	}
	sc.Step, sc.No = broker.Next(l, sc.Facts)
	if sc.Step == broker.StepLink {
		verdict, _ := broker.Resolve(l, sc.Facts) // Next has just asked it
		sc.Proof = verdict.Proof
	}
	return sc, nil
}

func (s *service) boundFacts(ctx context.Context, sc *scene) (err error) {
	f := &sc.Facts
	f.Authn = sc.Authn
	if f.Account == nil {
		f.Account, err = found(s.Accounts.Account(ctx, sc.AccountID))
	}
	if err != nil {
		return err
	}
	if sc.Authn.Method == broker.ByUpstream {
		if f.Connection, err = found(s.Connections.Connection(ctx, sc.Authn.Connection)); err != nil {
			return err
		}
	}
	if !sc.Authn.Factor && sc.SessionID == "" {
		f.Enrolled, err = s.enrolled(ctx, sc.AccountID)
	}
	return err
}

func (s *service) enrolled(ctx context.Context, account string) (bool, error) {
	if s.Factors == nil {
		return false, nil
	}
	return s.Factors.Enrolled(ctx, account)
}

func (s *service) upstreamFacts(ctx context.Context, v visit, sc *scene) (err error) {
	f, c := &sc.Facts, sc.Claims
	if f.Connection, err = found(s.Connections.Connection(ctx, c.Connection)); err != nil {
		return err
	}
	if sc.Purpose == broker.PurposeLink {
		if err = s.actingFacts(ctx, v, sc); err != nil {
			return err
		}
	}
	i, a, err := s.Identities.Identity(ctx, c.Connection, c.Issuer, c.Subject)
	if err == nil {
		sc.Identity, f.Linked = &i, &a
		return nil
	}
	if !errors.Is(err, broker.NotFound) {
		return err
	}
	if err = nil; sc.LinkTargetID != "" {
		f.Owner, err = found(s.Accounts.Account(ctx, sc.LinkTargetID))
	} else if address := verifiedEmail(sc.Login); address != "" {
		f.Owner, err = found(s.Accounts.AccountByEmail(ctx, address))
	}
	if err != nil || f.Owner == nil {
		return err
	}
	return s.ownerFacts(ctx, f, *f.Owner)
}

// ownerFacts are what a link asks about the account that would get the identity.
func (s *service) ownerFacts(ctx context.Context, f *broker.Facts, owner broker.Account) (err error) {
	if f.Enrolled, err = s.enrolled(ctx, owner.ID); err != nil || owner.Restriction == nil {
		return err
	}
	f.Bound, err = s.Identities.IdentitiesOf(ctx, owner.ID)
	return err
}

// actingFacts are who this browser is signed in as, for a link that was asked for inside.
func (s *service) actingFacts(ctx context.Context, v visit, sc *scene) error {
	have, a, err := v.current()
	if err != nil || have == nil {
		return err
	}
	sc.Session, sc.Facts.Acting, sc.Facts.ActingAs = have, a, have.Authn
	if a.Restriction != nil {
		sc.Facts.Bound, err = s.Identities.IdentitiesOf(ctx, a.ID)
	}
	return err
}

// localFacts never looks an account up by the typed address: the identifier step
// answers the same for everybody (SECURITY.md E1).
func (s *service) localFacts(ctx context.Context, v visit, sc *scene) (err error) {
	f := &sc.Facts
	switch {
	case sc.Purpose == broker.PurposeLink:
		err = s.actingFacts(ctx, v, sc)
	case sc.Choice == broker.ChoiceNew && sc.VerifiedEmail != "":
		f.Owner, err = found(s.Accounts.AccountByEmail(ctx, sc.VerifiedEmail))
	case sc.Choice == broker.ChoiceNew:
	case sc.Email != "":
		f.Org, err = s.org(ctx, sc.Email)
	case sc.Pick && sc.Choice != choiceOther:
		_, a, no := v.current()
		if err = no; a != nil {
			f.Sessions = 1
		}
	}
	return err
}

// proven is the address that a mailed code or the upstream vouches for. An
// asserted one (EmailAsserted) is nobody's: it reveals and reaches no account.
func verifiedEmail(l broker.Login) string {
	switch {
	case l.VerifiedEmail != "":
		return l.VerifiedEmail
	case l.Claims != nil && l.Claims.Level >= broker.EmailVerified:
		return l.Claims.Email
	default:
		return ""
	}
}

// org finds the live connection that a typed address is routed to.
func (s *service) org(ctx context.Context, email string) (*broker.Connection, error) {
	all, err := s.Connections.Connections(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Usable() == nil && all[i].Routes(email) {
			return &all[i], nil
		}
	}
	return nil, nil
}

// found turns NotFound into nil: for the rules, nobody is a fact.
func found[T any](v T, err error) (*T, error) {
	if errors.Is(err, broker.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &v, nil
}
