package broker

import (
	"net/url"
	"time"
)

// LoginLife is how long a parked request waits: "Start again" keeps it.
const LoginLife = time.Hour

// UpstreamRequestLife is how long the answer of an upstream is good.
const UpstreamRequestLife = 5 * time.Minute

// Choice is what a person chose on a page that offers a choice.
type Choice string

// The wishes.
const (
	ChoiceNone     Choice = ""
	ChoiceExisting Choice = "own" // "I already have an account": link to it by its password
	ChoiceNew      Choice = "new" // "I'm new here": make an account
)

// Purpose is what a login is for, beside signing in.
type Purpose string

// The purposes.
const (
	PurposeSignIn         Purpose = ""
	PurposeLink           Purpose = "link"  // the signed-in account adds a sign-in method
	PurposeReauthenticate Purpose = "prove" // it proves itself again, to change its sign-in methods
)

// The paths of the account pages, where logins without an app end.
const (
	AccountPath = "/account"
	MethodsPath = "/account/methods"
)

// Ends is where a finished login without an app leads: its purpose says, never a
// URL that somebody could choose (SECURITY.md A4).
func (p Purpose) Ends() string {
	if p == PurposeSignIn {
		return AccountPath
	}
	return MethodsPath
}

// Login is one browser's unfinished attempt to say who it is. It never holds a
// password, and no proof of a link: a proof is used in the request that gave it.
type Login struct {
	ID      string
	Browser string // keyed hash of the browser key that it is bound to
	// Request is the app's parked authorization request; nil for a login without an app.
	Request  url.Values
	ClientID string
	// Locale was chosen in this login or asked for with ui_locales; empty: negotiate.
	Locale string
	// Hint pre-fills the identifier (login_hint).
	Hint string
	// Connection was asked for by the app; empty for none.
	Connection string
	// Fresh and MaxAge (seconds) are what the app asked about freshness.
	Fresh  bool
	MaxAge *int
	// Pick asks for the account chooser (prompt=select_account).
	Pick bool
	// Purpose and, where it has one, the account that asked. They are set when the
	// login begins: a login for signing in never turns into one that links from
	// inside (SECURITY.md C5).
	Purpose Purpose
	For     string

	// Email is the canonical address typed at the identifier step.
	Email string
	// UsePassword passes the organisation page by ("Use your password instead").
	UsePassword bool
	// Choice is the branch taken on E-1 ("Create an account") or on E-5 and the neutral page.
	Choice Choice
	// LinkTargetID is the account that the person named on E-5 and whose password was right,
	// where the link takes more than that. It is no proof: all of it is asked again.
	LinkTargetID string
	// Claims is what the upstream said, once it did.
	Claims *Claims
	// Code is the mailed code that is out, and Proven the address that one has proven.
	Code          *MailedCode
	VerifiedEmail string

	// AccountID and Authn are set once somebody is authenticated.
	AccountID string
	Authn     Authn

	// Notice is a Code to show as a banner on the next page, once.
	Notice Code
	// NoticeFor is the connection the notice is about, NoticeRef the reference of its Event.
	NoticeFor string
	NoticeRef string

	CreatedAt time.Time
	ExpiresAt time.Time
	// SessionID is set when the login is consumed.
	SessionID  string
	ConsumedAt time.Time
}

// MailedCode is a 6-digit code that went to an address; only its keyed hash is kept.
type MailedCode struct {
	ID        string // names its try counter
	Email     string
	Hash      string
	SentAt    time.Time
	ExpiresAt time.Time
}

// The limits of mailed codes.
const (
	CodeDigits    = 6
	MailedLife    = 10 * time.Minute
	MailedTries   = 5
	MailedPerHour = 3
	MailedPause   = 30 * time.Second
)

// HasProof reports whether anything was proven in this login. One with a proof is
// never handed to another browser.
func (l Login) HasProof() bool { return l.Claims != nil || l.AccountID != "" || l.VerifiedEmail != "" }

// IsConsumed reports whether the login was finished.
func (l Login) IsConsumed() bool { return !l.ConsumedAt.IsZero() }
