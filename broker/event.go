package broker

import "time"

// Verb names what happened, in the audit log.
type Verb string

// The verbs.
const (
	EventSignedIn       Verb = "login.succeeded"
	EventRefused        Verb = "login.refused"
	EventSignedOut      Verb = "session.ended"
	EventPasswordFailed Verb = "password.failed"
	// the password was right, but a rule requires another method
	EventPasswordBlocked     Verb = "password.blocked_by_policy"
	EventPasswordChanged     Verb = "password.changed"
	EventAccountCreated      Verb = "account.created"
	EventAccountChanged      Verb = "account.changed"
	EventAccountRestricted   Verb = "account.restricted"
	EventAccountUnrestricted Verb = "account.unrestricted"
	EventIdentityLinked      Verb = "identity.linked"
	EventIdentityUnlinked    Verb = "identity.unlinked"
	EventCodeSent            Verb = "code.sent"
	EventLogoutDelivered     Verb = "logout.delivered" // the app confirmed it
	EventLogoutUndelivered   Verb = "logout.undelivered"
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

// Verbs lists the verbs.
func Verbs() []Verb {
	return []Verb{EventSignedIn, EventRefused, EventSignedOut, EventPasswordFailed, EventPasswordBlocked,
		EventPasswordChanged, EventAccountCreated, EventAccountChanged, EventAccountRestricted, EventAccountUnrestricted,
		EventIdentityLinked, EventIdentityUnlinked, EventCodeSent, EventLogoutDelivered, EventLogoutUndelivered,
		EventUpstreamLogout, EventConsentGranted, EventConsentDenied, EventConsentRemoved, EventTokenIssued,
		EventTokenRefused, EventGrantRevoked, EventClientChanged, EventConnChanged, EventKeyChanged, EventRequestRefused}
}

// Event is one decision, recorded in the transaction that carries it out.
type Event struct {
	ID         string
	At         time.Time
	Verb       Verb
	Code       Code   // the reason of a refusal
	Account    string // the account it is about
	Actor      string // who did it: an account id, "operator", or empty for a stranger
	Client     string
	Connection string
	Session    string
	Reference  string // the reference that the person saw, see Reference
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

// Mail is one rendered message in the outbox. It is queued in the transaction of its Event and sent afterwards.
type Mail struct {
	ID        string
	To        string
	Subject   string
	Text      string
	HTML      string
	CreatedAt time.Time
	ExpiresAt time.Time // not sent after this time
	Attempts  int
	NextAt    time.Time
	LastError string
}
