package login

import (
	"context"
	"errors"
	"strings"

	"gatehouse/broker"
)

// identify takes an address. It looks up no account, so its response is the same for every address (SECURITY.md E1).
// If the upstream gave no address, or for a registration, it sends a code. first: the first page was posted, which may
// be open while a login in which nothing is proven waits for a later one.
func (s *service) identify(ctx context.Context, v visit, id, typed string, first bool) error {
	sc, err := s.expect(ctx, v, id, broker.StepChoose, broker.StepOrg, broker.StepPassword, broker.StepEmail,
		broker.StepCode)
	if err == nil && (first && sc.HasProof() && sc.Step != broker.StepChoose ||
		!first && sc.Step == broker.StepCode) {
		err = broker.Conflict
	}
	if err != nil {
		return err
	}
	email, err := broker.CanonicalEmail(typed)
	if err != nil {
		return err
	}
	if sc.Step == broker.StepEmail && !first {
		return s.mailCode(ctx, v, sc, email)
	}
	_, err = s.replace(ctx, sc.Login, sc.Identified(email))
	return err
}

// address returns the address that the password page is for.
func address(sc scene) string {
	if sc.Choice == broker.ChoiceNew {
		return sc.VerifiedEmail
	}
	return sc.Email
}

// password signs in with the address of the identifier step. shown is the address that the page showed: if
// another tab has changed it, nothing happens.
func (s *service) password(ctx context.Context, v visit, id, shown, password string) error {
	sc, err := s.expect(ctx, v, id, broker.StepPassword)
	if err != nil {
		return err
	}
	email := address(sc)
	if !strings.EqualFold(strings.TrimSpace(shown), email) {
		return broker.Conflict
	}
	a, err := broker.Found(s.Store.AccountByEmail(ctx, email))
	if err != nil {
		return err
	}
	//defence:E1
	if err := s.checkPassword(ctx, v, sc, email, a, password); err != nil {
		return err
	}
	authn := broker.Authn{Method: broker.ByPassword, AMR: []string{"pwd"}, AuthTime: s.Now(), Epoch: a.AuthEpoch}
	rule, err := s.Gate.Rule(ctx, *a, authn, sc.ClientID)
	if err != nil {
		return err
	}
	if rule != nil {
		// The next decision is a refusal. Record that the password was right.
		e := broker.Event{Verb: broker.EventPasswordBlocked, Code: rule.Refusal(), Account: a.ID, Client: sc.ClientID,
			Detail: setBy(rule)}
		if err := s.Store.Record(ctx, v.event(e)); err != nil {
			return err
		}
	}
	_, err = s.replace(ctx, sc.Login, sc.BoundTo(a.ID, authn))
	return err
}

// amrFactor are the methods of a second factor (RFC 8176 §2).
var amrFactor = []string{"otp", "mfa"}

// factor checks the second factor of a person who is otherwise authenticated.
func (s *service) factor(ctx context.Context, v visit, id, typed string) error {
	sc, err := s.expect(ctx, v, id, broker.StepFactor)
	if err != nil {
		return err
	}
	if err := s.Factors.Check(ctx, sc.AccountID, typed); err != nil {
		return wrongFactor(err)
	}
	_, err = s.replace(ctx, sc.Login, sc.WithFactor(amrFactor...))
	return err
}

// factorWrong is a wrong code of a second factor; the page shows it at that field.
type factorWrong struct{ error }

func (w factorWrong) Unwrap() error { return w.error }

func wrongFactor(err error) error { return factorWrong{err} }

// blank is returned for a field that was left empty. Nothing is compared, counted or recorded.
type blank struct{ broker.Code }

func (b blank) Unwrap() error { return b.Code }

// knowsPassword reports whether a fresh proof is given by password, else by mailed code.
func knowsPassword(sc scene) bool { return sc.Facts.Passwords && sc.Facts.Account.HasPassword() }

// still checks that a chosen session still exists: a fresh proof alone must not restore one that has ended.
func (s *service) still(ctx context.Context, v visit, sc scene) error {
	//defence:E13 = true
	if sc.SessionID == "" {
		return nil
	}
	have, _, err := s.current(ctx, v, sc.Login)
	if err != nil || have != nil && have.ID == sc.SessionID {
		return err
	}
	if err := s.dropProof(ctx, sc.Login, broker.StartAgain); broker.CodeOf(err) != broker.InteractionRequired {
		return err
	}
	return broker.Conflict
}

// confirm takes the required fresh proof that the upstream could not give: the password, or a mailed code if
// there is none.
func (s *service) confirm(ctx context.Context, v visit, id, password, code string) error {
	sc, err := s.expect(ctx, v, id, broker.StepConfirm)
	if err != nil {
		return err
	}
	if err := s.still(ctx, v, sc); err != nil {
		return err
	}
	a, amr := *sc.Facts.Account, "pwd"
	switch {
	case knowsPassword(sc):
		err = s.checkPassword(ctx, v, sc, a.Email, &a, password)
	case sc.Code == nil || sc.Code.Email != a.Email:
		err = broker.Conflict // no code was sent: the page offers to send one
	default:
		amr, err = "otp", s.Codes.Check(ctx, v.target(a.Email, &a), sc.Code, code)
	}
	if err != nil {
		return err
	}
	_, err = s.replace(ctx, sc.Login, sc.Confirmed(amr, s.Now()))
	return err
}

// goOn takes the account of this browser's session for the login. Nothing is proven, so no session is created;
// Finish returns the existing one. If the session is too old and no factor of ours may renew it, the person signs in to
// that account again.
func (s *service) goOn(ctx context.Context, v visit, id, session string) error {
	sc, err := s.expect(ctx, v, id, broker.StepPick)
	if err != nil {
		return err
	}
	have, a, err := s.current(ctx, v, sc.Login)
	if err != nil {
		return err
	}
	if have == nil || have.ID != session {
		return broker.Conflict
	}
	next := sc.Continued(*have)
	d, err := s.Gate.Login(ctx, next, v.sessions)
	if err != nil {
		return err
	}
	if errors.Is(d.No, broker.StartAgain) {
		next = sc.MeantFor(*a)
	}
	_, err = s.replace(ctx, sc.Login, next)
	return err
}

// The choices of a page in addition to those of the domain package.
const (
	choiceBack     broker.Choice = "back"
	choicePassword broker.Choice = "password" // E-2: use your password instead
)

// choose takes a branch that the page offers; any other one is Conflict.
func (s *service) choose(ctx context.Context, v visit, id string, choice broker.Choice) error {
	sc, err := s.expect(ctx, v, id, broker.StepChoose, broker.StepPick, broker.StepOrg, broker.StepPassword,
		broker.StepEmail,
		broker.StepCode, broker.StepNeutral, broker.StepRegister, broker.StepOwn)
	if err != nil {
		return err
	}
	if choice == broker.ChoiceNew && sc.Step == broker.StepNeutral {
		return s.mailCode(ctx, v, sc, sc.Claims.Email)
	}
	next, offered := branch(sc, choice)
	if !offered {
		return broker.Conflict
	}
	_, err = s.replace(ctx, sc.Login, next)
	return err
}

// branch returns the login after a choice, and whether the page offers that choice.
func branch(sc scene, choice broker.Choice) (next broker.Login, offered bool) {
	upstream := sc.Claims != nil
	switch {
	case choice == broker.ChoiceOther && sc.Step == broker.StepPick:
		return sc.WithChoice(broker.ChoiceOther), true
	case choice == choicePassword && sc.Step == broker.StepOrg && sc.Facts.Passwords:
		return sc.PasswordInstead(), true
	case choice == broker.ChoiceNew && !upstream:
		return sc.WithChoice(broker.ChoiceNew), true
	case choice == broker.ChoiceExisting && upstream && sc.Step != broker.StepOwn:
		return sc.WithChoice(broker.ChoiceExisting), true
	case choice == choiceBack && sc.Step == broker.StepOwn:
		return sc.WithChoice(broker.ChoiceNone), true
	case choice == choiceBack && sc.Step == broker.StepCode:
		return sc.CodeDropped(), true
	case choice == choiceBack && !upstream:
		return sc.WithChoice(broker.ChoiceNone), true
	default:
		return sc.Login, false
	}
}

// restart is "Start again" and "Cancel": it keeps only the app's request.
func (s *service) restart(ctx context.Context, v visit, id string) error {
	l, err := s.open(ctx, v, id)
	if err != nil {
		return err
	}
	if l.IsConsumed() && l.SessionID != "" {
		return broker.Conflict // it was successful; show the result
	}
	return s.revive(ctx, l)
}

// revive resets a login that ended without a session, or whose session is gone. It keeps no proof.
func (s *service) revive(ctx context.Context, seen broker.Login) error {
	_, err := s.logins.Change(ctx, seen.ID, func(l *broker.Login) error {
		if !same(*l, seen) {
			return broker.Conflict
		}
		*l = l.Restarted()
		return nil
	})
	return err
}
