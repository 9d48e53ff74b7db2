package login

import (
	"context"
	"errors"

	"gatehouse/broker"
	"gatehouse/broker/credential"
	"gatehouse/broker/limit"
	"gatehouse/broker/mail"
)

// locale returns the language of a login's mails and upstream pages: the one chosen or requested in it, else the
// browser's.
func (s *service) locale(v visit, l broker.Login) string {
	if lang := s.Toolkit.Texts.Match(l.Locale); lang != "" {
		return lang
	}
	return v.locale()
}

// target is what this browser's tries count against.
func (v visit) target(email string, a *broker.Account) credential.Target {
	return credential.Target{Address: email, Account: a, Known: a != nil &&
		//defence:E2
		v.known(*a),
		//defence:E2 E18
		Network: limit.Network(v.address())}
}

// checkPassword compares a password with an account, nil for an address without one. It records a wrong
// password; both cases cost the same.
func (s *service) checkPassword(ctx context.Context, v visit, sc scene, email string, a *broker.Account,
	password string) error {
	if password == "" {
		return blank{broker.WrongPassword}
	}
	err := s.Passwords.Check(ctx, v.target(email, a), password)
	if errors.Is(err, broker.WrongPassword) {
		e := broker.Event{Verb: broker.EventPasswordFailed, Code: broker.WrongPassword, Client: sc.ClientID}
		if a != nil {
			e.Account = a.ID
		}
		if failed := s.Store.Record(ctx, v.event(e)); failed != nil {
			return failed
		}
	}
	return err
}

// sendCode issues a code and queues its mail. An owner who registers again gets another text, so that only the
// mailbox reveals the account. Where registration is off, an address without an account gets no mail.
func (s *service) sendCode(ctx context.Context, v visit, sc scene, email string,
	owner *broker.Account) (broker.MailedCode, error) {
	l := sc.Login
	to := v.target(email, owner)
	by := credential.Requester{Browser: l.Browser, Network: to.Network, Known: to.Known}
	code, secret, err := s.Codes.Issue(ctx, by, email)
	if err != nil {
		return code, err
	}
	e := broker.Event{Verb: broker.EventCodeSent, Client: l.ClientID}
	var m mail.Message = mail.Code{To: email, Code: secret, Locale: s.locale(v, l)}
	switch {
	//defence:E1 C7
	case owner == nil && !sc.Facts.Registers():
		m = mail.Withheld{Code: mail.Code{To: email, Code: secret, Locale: s.locale(v, l)}}
		e.Detail = map[string]string{"withheld": "registration is off"}
	case owner != nil:
		e.Account = owner.ID
		if l.Choice == broker.ChoiceNew && l.Claims == nil {
			m = mail.AlreadyRegistered{To: email, Code: secret, Locale: s.locale(v, l)}
		}
	}
	return code, s.Store.Atomic(ctx, func(ctx context.Context) error {
		if err := s.Store.Record(ctx, v.event(e)); err != nil {
			return err
		}
		return s.Mailer.Queue(ctx, m)
	})
}

// mailLinked tells the owner about the new sign-in method, in the owner's language.
func (s *service) mailLinked(ctx context.Context, v visit, sc scene, owner broker.Account, i broker.Identity) error {
	m := mail.Linked{To: owner.Email, Connection: i.Connection, Email: i.Email, At: i.LinkedAt, Locale: owner.Locale}
	if c := sc.Facts.Connection; c != nil {
		m.Connection = c.Name
	}
	if m.Locale == "" {
		m.Locale = s.locale(v, sc.Login)
	}
	return s.Mailer.Queue(ctx, m)
}
