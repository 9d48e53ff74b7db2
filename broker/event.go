package broker

import "time"

// Verb is what happened, in the audit log.
type Verb string

// The verbs.
const (
	EventSignedIn            Verb = "login.succeeded"
	EventRefused             Verb = "login.refused"
	EventSignedOut           Verb = "session.ended"
	EventPasswordFailed      Verb = "password.failed"
	EventPasswordBlocked     Verb = "password.blocked_by_policy" // it was right, and a rule wants another way
	EventPasswordChanged     Verb = "password.changed"
	EventAccountCreated      Verb = "account.created"
	EventAccountChanged      Verb = "account.changed"
	EventAccountRestricted   Verb = "account.restricted"
	EventAccountUnrestricted Verb = "account.unrestricted"
	EventIdentityLinked      Verb = "identity.linked"
	EventIdentityUnlinked    Verb = "identity.unlinked"
	EventCodeSent            Verb = "code.sent"
	EventLogoutTold          Verb = "logout.delivered" // an app answered that it knows
	EventLogoutLost          Verb = "logout.undelivered"
	EventUpstreamLogout      Verb = "session.ended_by_upstream"
	EventConsentGranted      Verb = "consent.granted"
	EventConsentDenied       Verb = "consent.denied"
	EventConsentRemoved      Verb = "consent.removed"
	EventTokenIssued         Verb = "token.issued"
	EventTokenRefused        Verb = "token.refused"
	EventGrantRevoked        Verb = "grant.revoked"
	EventClientChanged       Verb = "client.changed"
	EventConnChanged         Verb = "connection.changed"
	EventKeyChanged          Verb = "key.changed"
	EventRequestRefused      Verb = "request.refused"
)

// Event is one decision, written in the transaction that carried it out.
type Event struct {
	ID         string
	At         time.Time
	Verb       Verb
	Code       Code   // why, where the answer was no
	Account    string // whom it is about
	Actor      string // who did it: an account id, "operator", or empty for a stranger
	Client     string
	Connection string
	Session    string
	Reference  string // what the person was shown, see Reference
	Address    string
	UserAgent  string
	Detail     map[string]string // never a secret, never a token
}

// EventFilter selects events, newest first; empty fields are ignored.
type EventFilter struct {
	Account, Client, Reference string
	Verb                       Verb
	Since, Before              time.Time
	Limit                      int
}

// Mail is one message in the outbox, rendered. It is written in the transaction
// of its Event and sent afterwards.
type Mail struct {
	ID        string
	To        string
	Subject   string
	Text      string
	HTML      string
	CreatedAt time.Time
	ExpiresAt time.Time // not sent after this
	Attempts  int
	NextAt    time.Time
	LastError string
}
