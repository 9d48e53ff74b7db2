package broker

import (
	"slices"
	"time"
)

// The transitions of a Login. Each returns the changed login, without the previous page's notice. The caller
// stores it.

func (l Login) withoutNotice() Login {
	l.Notice, l.NoticeFor, l.NoticeRef = "", "", ""
	return l
}

// Noticed shows a code as a banner on the next page. connection may be empty; ref is the reference of its Event.
func (l Login) Noticed(code Code, connection, ref string) Login {
	l.Notice, l.NoticeFor, l.NoticeRef = code, connection, ref
	return l
}

// Restarted returns the login as it began: the same request, nothing proven.
func (l Login) Restarted() Login {
	return Login{ID: l.ID, Browser: l.Browser, Request: l.Request, ClientID: l.ClientID, Locale: l.Locale, Hint: l.Hint,
		Connection: l.Connection, Fresh: l.Fresh, MaxAge: l.MaxAge, Pick: l.Pick, Purpose: l.Purpose, For: l.For,
		CreatedAt: l.CreatedAt, ExpiresAt: l.ExpiresAt}
}

// Identified sets the address of the identifier step (canonical). It drops everything proven for another
// address.
func (l Login) Identified(email string) Login {
	l = l.withoutNotice()
	l.Email, l.UsePassword, l.Choice, l.VerifiedEmail = email, false, ChoiceNone, ""
	return l
}

// PasswordInstead skips the organisation page.
func (l Login) PasswordInstead() Login {
	l = l.withoutNotice()
	l.UsePassword = true
	return l
}

// WithChoice takes a branch that a page offered. It drops the previous branch's code, and an address verified
// without an upstream.
func (l Login) WithChoice(w Choice) Login {
	l = l.withoutNotice()
	l.Choice, l.Code = w, nil
	if l.Claims == nil {
		l.VerifiedEmail = ""
	}
	return l
}

// CodeSent stores the mailed code that was sent.
func (l Login) CodeSent(c MailedCode) Login {
	l = l.withoutNotice()
	l.Code = &c
	return l
}

// CodeDropped removes it.
func (l Login) CodeDropped() Login {
	l = l.withoutNotice()
	l.Code = nil
	return l
}

// AddressVerified stores the address that a mailed code has verified.
func (l Login) AddressVerified(email string) Login {
	l = l.withoutNotice()
	l.VerifiedEmail, l.Code = email, nil
	return l
}

// Returned sets the claims of an upstream and drops everything proven or chosen before.
func (l Login) Returned(c Claims) Login {
	l = l.withoutNotice()
	l.Claims, l.Code, l.VerifiedEmail, l.LinkTargetID, l.Choice = &c, nil, "", "", ChoiceNone
	l.AccountID, l.Authn, l.SessionID = "", Authn{}, ""
	return l
}

// LinkingTo names the account that the pending identity is to be linked to. It is not a proof: the link page
// asks for all of them.
func (l Login) LinkingTo(account string) Login {
	l = l.withoutNotice()
	l.LinkTargetID, l.Choice, l.Code = account, ChoiceNone, nil
	return l
}

// BoundTo sets the account that was just authenticated.
func (l Login) BoundTo(account string, n Authn) Login {
	l = l.withoutNotice()
	l.AccountID, l.Authn, l.Code, l.LinkTargetID = account, n, nil, ""
	return l
}

// Continued continues a session of this browser. It adds no proof.
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

// Confirmed adds a fresh proof of the same account, by its method. A new proof may create a new session.
func (l Login) Confirmed(method string, at time.Time) Login {
	l = l.withoutNotice()
	l.Authn.AMR, l.Authn.AuthTime, l.Code = Methods([]string{method}, l.Authn.AMR...), at, nil
	l.SessionID = ""
	return l
}

// Consumed ends the login with a session and drops the upstream's claims.
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

// Methods returns authentication methods (RFC 8176) without duplicates.
func Methods(first []string, more ...string) []string {
	all := slices.Clone(first)
	for _, m := range more {
		if !slices.Contains(all, m) {
			all = append(all, m)
		}
	}
	return all
}
