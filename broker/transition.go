package broker

import (
	"slices"
	"time"
)

// The transitions of a Login. Each returns the login as it is afterwards, without the
// notice of the page before. Storing it is the caller's work.

func (l Login) withoutNotice() Login {
	l.Notice, l.NoticeFor, l.NoticeRef = "", "", ""
	return l
}

// Noticed shows a code as a banner on the next page. It is about a connection, where
// that is given; ref is the reference of its Event.
func (l Login) Noticed(code Code, connection, ref string) Login {
	l.Notice, l.NoticeFor, l.NoticeRef = code, connection, ref
	return l
}

// Restarted is the login as it began: the same request, nothing proven.
func (l Login) Restarted() Login {
	return Login{ID: l.ID, Browser: l.Browser, Request: l.Request, ClientID: l.ClientID, Locale: l.Locale, Hint: l.Hint,
		Connection: l.Connection, Fresh: l.Fresh, MaxAge: l.MaxAge, Pick: l.Pick, Purpose: l.Purpose, For: l.For,
		CreatedAt: l.CreatedAt, ExpiresAt: l.ExpiresAt}
}

// Identified takes the address of the identifier step (canonical). It drops whatever
// another address had proven.
func (l Login) Identified(email string) Login {
	l = l.withoutNotice()
	l.Email, l.UsePassword, l.Choice, l.VerifiedEmail = email, false, ChoiceNone, ""
	return l
}

// PasswordInstead passes the organisation page by.
func (l Login) PasswordInstead() Login {
	l = l.withoutNotice()
	l.UsePassword = true
	return l
}

// WithChoice takes a branch that a page offered. A code that is out belongs to the
// branch before, and so does an address that was proven without an upstream.
func (l Login) WithChoice(w Choice) Login {
	l = l.withoutNotice()
	l.Choice, l.Code = w, nil
	if l.Claims == nil {
		l.VerifiedEmail = ""
	}
	return l
}

// CodeSent remembers the mailed code that is out.
func (l Login) CodeSent(c MailedCode) Login {
	l = l.withoutNotice()
	l.Code = &c
	return l
}

// CodeDropped forgets it.
func (l Login) CodeDropped() Login {
	l = l.withoutNotice()
	l.Code = nil
	return l
}

// AddressVerified remembers the address that a mailed code has proven.
func (l Login) AddressVerified(email string) Login {
	l = l.withoutNotice()
	l.VerifiedEmail, l.Code = email, nil
	return l
}

// Returned takes the claims of an upstream, in place of everything that was proven or
// chosen before.
func (l Login) Returned(c Claims) Login {
	l = l.withoutNotice()
	l.Claims, l.Code, l.VerifiedEmail, l.LinkTargetID, l.Choice = &c, nil, "", "", ChoiceNone
	l.AccountID, l.Authn, l.SessionID = "", Authn{}, ""
	return l
}

// LinkingTo names the account that the waiting identity shall be linked to. That is no
// proof: the link page asks for all of them.
func (l Login) LinkingTo(account string) Login {
	l = l.withoutNotice()
	l.LinkTargetID, l.Choice, l.Code = account, ChoiceNone, nil
	return l
}

// BoundTo makes an account that was just authenticated the login's own.
func (l Login) BoundTo(account string, n Authn) Login {
	l = l.withoutNotice()
	l.AccountID, l.Authn, l.Code, l.LinkTargetID = account, n, nil, ""
	return l
}

// Continued goes on with a session that the browser has. Nothing new was proven.
func (l Login) Continued(s Session) Login {
	l = l.withoutNotice()
	l.AccountID, l.Authn, l.SessionID = s.AccountID, s.Authn, s.ID
	return l
}

// WithFactor adds a second factor, by its methods (RFC 8176 §2).
func (l Login) WithFactor(amr ...string) Login {
	l = l.withoutNotice()
	l.Authn.Factor, l.Authn.AMR = true, Methods(l.Authn.AMR, amr...)
	return l
}

// Confirmed adds a fresh proof of the same account, by its method. A new proof is
// worth a session of its own.
func (l Login) Confirmed(method string, at time.Time) Login {
	l = l.withoutNotice()
	l.Authn.AMR, l.Authn.AuthTime, l.Code = Methods([]string{method}, l.Authn.AMR...), at, nil
	l.SessionID = ""
	return l
}

// Consumed ends the login with a session. Of what the upstream said nothing is kept.
func (l Login) Consumed(session string, at time.Time) Login {
	l = l.withoutNotice()
	l.ConsumedAt, l.SessionID = at, session
	l.Claims, l.Code = nil, nil
	return l
}

// Abandoned ends the login without a session.
func (l Login) Abandoned(at time.Time) Login {
	l = l.Restarted()
	l.ConsumedAt = at
	return l
}

// Methods lists authentication methods (RFC 8176), each once.
func Methods(first []string, more ...string) []string {
	all := slices.Clone(first)
	for _, m := range more {
		if !slices.Contains(all, m) {
			all = append(all, m)
		}
	}
	return all
}
