package login

import (
	"context"
	"errors"

	"gatehouse/broker"
)

// mailCode sends a code to an unverified address. On a registration with a password, an address with an account gets
// a different mail; everything else is the same (SECURITY.md E1).
func (s *service) mailCode(ctx context.Context, v visit, sc scene, email string) error {
	owner, err := broker.Found(s.Store.AccountByEmail(ctx, email))
	if err != nil {
		return err
	}
	code, err := s.sendCode(ctx, v, sc, email, owner)
	if tooMany := errors.Is(err, broker.CodeTooSoon) || errors.Is(err, broker.RateLimited); tooMany {
		// Go back to the page of the code that was sent, if it was left.
		if left := sc.LeftCode; left != nil && left.Email == email && s.Now().Before(left.ExpiresAt) {
			code, err = *left, nil
		}
	}
	if err != nil {
		return err
	}
	code.Renewed = sc.Code != nil && sc.Code.Email == email
	_, err = s.replace(ctx, sc.Login, sc.CodeSent(code))
	return err
}

// resend sends a new code to the address of the last one. If the page asks an owner without a password for a
// code, it sends the first one to that owner.
func (s *service) resend(ctx context.Context, v visit, id string) error {
	sc, err := s.expect(ctx, v, id, broker.StepCode, broker.StepLink, broker.StepConfirm)
	switch {
	case err != nil:
		return err
	case sc.Step == broker.StepCode:
		return s.mailCode(ctx, v, sc, sc.Code.Email)
	case sc.Step == broker.StepLink && sc.Proof.Code:
		return s.mailCode(ctx, v, sc, sc.Facts.Owner.Email)
	case sc.Step == broker.StepConfirm && !knowsPassword(sc):
		return s.mailCode(ctx, v, sc, sc.Facts.Account.Email)
	}
	return broker.Conflict
}

// reauthenticate checks the mailed code.
func (s *service) reauthenticate(ctx context.Context, v visit, id, typed string) error {
	sc, err := s.expect(ctx, v, id, broker.StepCode)
	if err != nil {
		return err
	}
	owner, err := broker.Found(s.Store.AccountByEmail(ctx, sc.Code.Email))
	if err != nil {
		return err
	}
	if err := s.Codes.Check(ctx, v.target(sc.Code.Email, owner), sc.Code, typed); err != nil {
		return err
	}
	_, err = s.replace(ctx, sc.Login, sc.AddressVerified(sc.Code.Email, s.Now()))
	return err
}
