package broker

import (
	"net/url"
	"slices"
	"time"
)

// LoginLife is how long an app's request is kept; "Start again" reuses it.
const LoginLife = time.Hour

// UpstreamRequestLife is how long the response of an upstream is accepted.
const UpstreamRequestLife = 5 * time.Minute

// Choice is what a person chose on a page with a choice.
type Choice string

// The choices.
const (
	ChoiceNone     Choice = ""
	ChoiceExisting Choice = "own" // "I already have an account": link to it with its password
	ChoiceNew      Choice = "new" // "I'm new here": create an account
	// ChoiceOther skips the account chooser: "Use another account".
	ChoiceOther Choice = "other"
)

// Purpose is what a login is for, other than signing in.
type Purpose string

// The purposes.
const (
	PurposeSignIn         Purpose = ""
	PurposeLink           Purpose = "link"  // the signed-in account adds a sign-in method
	PurposeReauthenticate Purpose = "prove" // the person confirms who they are, to change the sign-in methods
)

// The paths of the account pages, where logins without an app end.
const (
	AccountPath = "/account"
	MethodsPath = "/account/methods"
)

// Ends returns where a finished login without an app leads. It depends on the purpose only, never on a URL in
// the request (SECURITY.md A4).
func (p Purpose) Ends() string {
	if p == PurposeSignIn {
		return AccountPath
	}
	return MethodsPath
}

// Login is one browser's unfinished attempt to sign in. It never contains a password or a link proof, which is used
// only in the request that gives it.
type Login struct {
	ID      string
	Browser string // keyed hash of the browser key that it is bound to
	// Request is the app's stored authorization request; nil for a login without an app.
	Request  url.Values
	ClientID string
	// Locale was chosen in this login or requested with ui_locales; empty: negotiate.
	Locale string
	// Hint pre-fills the identifier (login_hint).
	Hint string
	// Connection was requested by the app; empty for none.
	Connection string
	// Fresh and MaxAge (seconds) are the app's requirements of freshness.
	Fresh  bool
	MaxAge *int
	// Pick requests the account chooser (prompt=select_account).
	Pick bool
	// Purpose, and the account that it is for, if any. They are set when the login begins: a sign-in must never
	// turn into a link for a signed-in account (SECURITY.md C5). A sign-in is for the account that must authenticate
	// again, whose address is Email, see Presets.
	Purpose Purpose
	For     string

	// Email is the canonical address typed at the identifier step.
	Email string
	// UsePassword skips the organisation page ("Use your password instead").
	UsePassword bool
	// Choice is the branch taken on E-1 ("Create an account"), on E-5 or on the neutral page.
	Choice Choice
	// LinkTargetID is the account named on page E-5 with the right password, if the link needs more proofs. It is not
	// a proof: all proofs are asked for again.
	LinkTargetID string
	// Claims is set when the person returned from the upstream.
	Claims *Claims
	// Code is the mailed code that was sent last, and VerifiedEmail the address that a code has verified.
	Code *MailedCode
	// LeftCode is the mailed code whose page the person left for another address or choice.
	LeftCode      *MailedCode
	VerifiedEmail string
	VerifiedAt    time.Time

	// AccountID and Authn are set once the person is authenticated.
	AccountID string
	Authn     Authn

	// Notice is a Code to show once, as a banner on the next page.
	Notice Code
	// NoticeFor is the connection that the notice is about, NoticeRef the reference of its Event.
	NoticeFor string
	NoticeRef string

	CreatedAt time.Time
	ExpiresAt time.Time
	// SessionID is set when the login is consumed.
	SessionID  string
	ConsumedAt time.Time
}

// MailedCode is a 6-digit code sent to an address; only its keyed hash is stored.
type MailedCode struct {
	ID        string // names its try counter
	Email     string
	Hash      string
	SentAt    time.Time
	ExpiresAt time.Time
	Renewed   bool // it replaces a code that its page asked for
}

// The limits of mailed codes.
const (
	CodeDigits    = 6
	MailedLife    = 10 * time.Minute
	MailedTries   = 5
	MailedPerHour = 3
	MailedPause   = 30 * time.Second
)

// HasProof reports whether anything was proven in this login. A login with a proof must not move to another
// browser.
func (l Login) HasProof() bool { return l.Claims != nil || l.AccountID != "" || l.VerifiedEmail != "" }

// VerifiedAddress is the address that a mailed code or the upstream vouches for. It is never an asserted one
// (EmailAsserted), which must neither reveal nor reach an account.
func (l Login) VerifiedAddress() string {
	switch {
	case l.VerifiedEmail != "":
		return l.VerifiedEmail
	case l.Claims != nil && l.Claims.Level >= EmailVerified:
		return l.Claims.Email
	default:
		return ""
	}
}

// IsConsumed reports whether the login is finished.
func (l Login) IsConsumed() bool { return !l.ConsumedAt.IsZero() }

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

// Presets reports whether a sign-in is for the account that this browser is signed in to: the app requires that the
// person authenticates again.
func (l Login) Presets() bool { return l.Purpose == PurposeSignIn && l.For != "" && l.Email != "" }

// Restarted returns the login as it began: the same request, nothing proven. A sign-in is for any account then.
func (l Login) Restarted() Login {
	if l.Purpose == PurposeSignIn {
		l.For = ""
	}
	return Login{ID: l.ID, Browser: l.Browser, Request: l.Request, ClientID: l.ClientID, Locale: l.Locale, Hint: l.Hint,
		Connection: l.Connection, Fresh: l.Fresh, MaxAge: l.MaxAge, Pick: l.Pick, Purpose: l.Purpose, For: l.For,
		CreatedAt: l.CreatedAt, ExpiresAt: l.ExpiresAt}
}

// Identified sets the address of the identifier step (canonical). It drops everything proven for another
// address.
func (l Login) Identified(email string) Login {
	l = l.withoutNotice()
	if l.Purpose == PurposeSignIn {
		l.For = ""
	}
	l = l.CodeDropped()
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
	l.Choice = w
	l = l.CodeDropped()
	if l.Claims == nil {
		l.VerifiedEmail = ""
	}
	return l
}

// CodeSent stores the mailed code that was sent.
func (l Login) CodeSent(c MailedCode) Login {
	l = l.withoutNotice()
	l.Code, l.LeftCode = &c, nil
	return l
}

// CodeDropped leaves the page of the mailed code.
func (l Login) CodeDropped() Login {
	l = l.withoutNotice()
	if l.Code != nil {
		l.Code, l.LeftCode = nil, l.Code
	}
	return l
}

// AddressVerified stores the address that a mailed code has verified, and when.
func (l Login) AddressVerified(email string, at time.Time) Login {
	l = l.withoutNotice()
	l.VerifiedEmail, l.VerifiedAt, l.Code, l.LeftCode = email, at, nil, nil
	return l
}

// Returned sets the claims of an upstream and drops everything proven or chosen before.
func (l Login) Returned(c Claims) Login {
	l = l.withoutNotice()
	l.Claims, l.Code, l.LeftCode, l.VerifiedEmail, l.LinkTargetID, l.Choice = &c, nil, nil, "", "", ChoiceNone
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
	l.AccountID, l.Authn, l.Code, l.LeftCode, l.LinkTargetID = account, n, nil, nil, ""
	return l
}

// Continued continues a session of this browser. It adds no proof.
func (l Login) Continued(s Session) Login {
	l = l.withoutNotice()
	l.AccountID, l.Authn, l.SessionID = s.AccountID, s.Authn, s.ID
	return l
}

// MeantFor is for a sign-in of one account, which must authenticate again, see Presets.
func (l Login) MeantFor(a Account) Login {
	l = l.withoutNotice()
	l.For, l.Email = a.ID, a.Email
	return l
}

// WithFactor adds a second factor, by its methods (RFC 8176 §2).
func (l Login) WithFactor(amr ...string) Login {
	l = l.withoutNotice()
	l.Authn.Factor, l.Authn.AMR = true, Methods(l.Authn.AMR, amr...)
	return l
}

// Confirmed adds a fresh proof of the same account, by its method. A new proof may create a new session. The methods of
// a session that it continues are of another time, so they do not count beside the new one.
func (l Login) Confirmed(method string, at time.Time) Login {
	l = l.withoutNotice()
	//defence:A13
	if l.SessionID != "" {
		l.Authn.AMR, l.Authn.Factor = nil, false
	}
	l.Authn.AMR, l.Authn.AuthTime, l.Code = Methods([]string{method}, l.Authn.AMR...), at, nil
	l.SessionID = ""
	return l
}

// Consumed ends the login with a session and drops the upstream's claims.
func (l Login) Consumed(session string, at time.Time) Login {
	l = l.withoutNotice()
	l.ConsumedAt, l.SessionID = at, session
	l.Claims, l.Code, l.LeftCode = nil, nil, nil
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
