package broker

import (
	"context"
	"net/url"
	"time"
)

// Atomic runs do in one transaction and commits if it returns nil. A call inside do joins the transaction. do
// may run again if the database asks for a retry, so it must have no effect except through ctx.
type Atomic interface {
	Atomic(ctx context.Context, do func(ctx context.Context) error) error
}

// Accounts stores accounts.
type Accounts interface {
	// Account returns NotFound for an unknown id.
	Account(ctx context.Context, id string) (Account, error)
	// AccountByEmail finds a verified account by its canonical address, or returns NotFound.
	AccountByEmail(ctx context.Context, email string) (Account, error)
	// Accounts lists accounts by e-mail address, after the given one, at most limit.
	Accounts(ctx context.Context, after string, limit int) ([]Account, error)
	// CreateAccount returns Conflict if the address is taken. A verified account replaces unverified ones with
	// its address: they are deleted with all their data.
	CreateAccount(ctx context.Context, a Account) error
	// ChangeAccount writes every field except ID and CreatedAt if the stored epoch is still seen, else Conflict.
	// A raised epoch ends the sessions before it.
	ChangeAccount(ctx context.Context, a Account, seen int64) error
}

// Identities stores the upstream identities of accounts.
type Identities interface {
	// Identity finds an identity and its account, or returns NotFound.
	Identity(ctx context.Context, connection, issuer, subject string) (Identity, Account, error)
	IdentitiesOf(ctx context.Context, account string) ([]Identity, error)
	// Link inserts, or returns Conflict if the identity is linked already.
	Link(ctx context.Context, i Identity) error
	// Unlink deletes by id and ends the sessions and grants created with it, or returns NotFound.
	Unlink(ctx context.Context, id string, at time.Time) error
	// SeeIdentity records the address and time of a sign-in. It does nothing if the identity has been deleted.
	// A sign-in calls it only if Identity.Outdated.
	SeeIdentity(ctx context.Context, id, email string, at time.Time) error
}

// Factors are the second factors of accounts.
type Factors interface {
	// Enrolled reports whether the account has one.
	Enrolled(ctx context.Context, account string) (bool, error)
	// Check consumes a code of the account's factor; CodeWrong, Retry with RateLimited. Call it outside a
	// transaction.
	Check(ctx context.Context, account, typed string) error
}

// Sessions stores browsers' sessions, by the keyed hash of their cookie.
type Sessions interface {
	// CreateSession inserts if the account is enabled and its epoch is s.Authn.Epoch, in one statement; else
	// StartAgain. It records the events in the same transaction, only if it inserted.
	CreateSession(ctx context.Context, hash string, s Session, events ...Event) error
	// Session finds a session and its account by any of the hashes, or returns NotFound. It also returns ended and
	// expired ones: the caller decides.
	Session(ctx context.Context, hashes []string) (Session, Account, error)
	SessionsOf(ctx context.Context, account string) ([]Session, error)
	// EndSession is idempotent. It queues a Logout for each client that must be notified.
	EndSession(ctx context.Context, id string, at time.Time) error
}

// UpstreamSessions ends sessions by an upstream's logout.
type UpstreamSessions interface {
	// EndUpstreamSessions ends the sessions that u selects, with their grants, and returns them.
	EndUpstreamSessions(ctx context.Context, u UpstreamSession, at time.Time) ([]Session, error)
}

// Logouts stores the pending sign-out notices. Everything that ends sessions queues them in its transaction:
// EndSession, EndUpstreamSessions, Unlink, and a ChangeAccount that raises the epoch.
type Logouts interface {
	// DueLogouts leases up to n whose NextAt has come, including expired ones: it sets their NextAt to until, so
	// that no other replica sends them.
	DueLogouts(ctx context.Context, now, until time.Time, n int) ([]Logout, error)
	// LogoutDone removes one that needs no more attempts; it is idempotent.
	LogoutDone(ctx context.Context, id string) error
	// LogoutFailed counts the attempt and records the reason and the next attempt.
	LogoutFailed(ctx context.Context, id, why string, next time.Time) error
	// Logouts lists the pending ones of a session, or all if it is empty, the oldest first, at most limit.
	Logouts(ctx context.Context, session string, limit int) ([]Logout, error)
	// ClientsOf lists the clients that got tokens under a session, by name.
	ClientsOf(ctx context.Context, session string) ([]Client, error)
}

// Grants stores authorizations.
type Grants interface {
	// CreateGrant inserts if the account is enabled, its epoch is f.Authn.Epoch, the identity of the sign-in, if
	// any, is linked to it, and the session of f, if any, is active at f.CreatedAt. With unlocked, the account
	// must also have no Restriction. It returns Conflict for a taken id (the code was used), else StartAgain.
	// It records the events in the same transaction, only if it inserted.
	CreateGrant(ctx context.Context, f Grant, unlocked bool, events ...Event) error
	// Grant finds a grant and its account, even if it has ended, or returns NotFound.
	Grant(ctx context.Context, id string) (Grant, Account, error)
	// Rotate changes the refresh counter, in one statement, if the grant is active, its counter is from, and its
	// account is enabled and at the grant's epoch; else Conflict.
	Rotate(ctx context.Context, id string, from, to int64, at time.Time) error
	// RevokeGrant is idempotent; the first reason stays.
	RevokeGrant(ctx context.Context, id string, why Code, at time.Time) error
	RevokeGrants(ctx context.Context, f GrantFilter, why Code, at time.Time) error
}

// Clients stores apps.
type Clients interface {
	Client(ctx context.Context, id string) (Client, error) // NotFound
	Clients(ctx context.Context) ([]Client, error)
	// PutClient creates or replaces.
	PutClient(ctx context.Context, c Client) error
	// DeleteClient removes the client, its consents and its grants, or returns NotFound.
	DeleteClient(ctx context.Context, id string) error
}

// Connections stores upstreams, with their secrets sealed.
type Connections interface {
	Connection(ctx context.Context, id string) (Connection, error) // NotFound
	// Connections lists by Position, then Name.
	Connections(ctx context.Context) ([]Connection, error)
	// PutConnection creates or replaces. It returns Conflict if issuer, client id, kind or a pinned setting of a live
	// connection would change.
	PutConnection(ctx context.Context, c Connection) error
	// DeleteConnection returns Conflict while identities use it, or NotFound.
	DeleteConnection(ctx context.Context, id string) error
}

// Consents stores what accounts allowed clients.
type Consents interface {
	Consent(ctx context.Context, account, client string) (Consent, error) // NotFound
	ConsentsOf(ctx context.Context, account string) ([]Consent, error)
	PutConsent(ctx context.Context, c Consent) error
	// RemoveConsent also revokes the pair's grants, or returns NotFound.
	RemoveConsent(ctx context.Context, account, client string, at time.Time) error
}

// AuditLog is the audit log. Call Record in the transaction of the change it describes.
type AuditLog interface {
	Record(ctx context.Context, events ...Event) error
	Events(ctx context.Context, f EventFilter) ([]Event, error)
}

// Outbox stores mails until they are sent.
type Outbox interface {
	Queue(ctx context.Context, m Mail) error
	// DueMail leases up to n unexpired mails whose NextAt has come: it sets their NextAt to until, so that no
	// other replica sends them.
	DueMail(ctx context.Context, now, until time.Time, n int) ([]Mail, error)
	// MailSent removes a sent mail.
	MailSent(ctx context.Context, id string) error
	// MailFailed records the reason and the next attempt.
	MailFailed(ctx context.Context, id, why string, next time.Time) error
}

// SigningKeys stores the issuer's keys, sealed.
type SigningKeys interface {
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// AddSigningKey returns Conflict if the id is taken.
	AddSigningKey(ctx context.Context, k SigningKey) error
	// ChangeSigningKey writes State, ActiveAt and RetireAt if the stored state is still seen, else Conflict.
	ChangeSigningKey(ctx context.Context, k SigningKey, seen KeyState) error
	DeleteSigningKey(ctx context.Context, id string) error
}

// ReplayCache stores, until they expire, the ids that must not be used again: a revoked token, a used assertion.
// It must be durable.
type ReplayCache interface {
	// MarkUsed returns Conflict if the id is marked already.
	MarkUsed(ctx context.Context, kind, id string, expires time.Time) error
	IsUsed(ctx context.Context, kind, id string) (bool, error)
}

// Leases let one replica at a time run a background worker.
type Leases interface {
	// Lease takes or prolongs the lease until the given time; false while another holder has it.
	Lease(ctx context.Context, name, holder string, now, until time.Time) (bool, error)
}

// Ephemeral stores data that may be lost. Values carry their own expiry (see EphemeralStore); expires only says
// when the row may be deleted. Inside a transaction only Put is allowed, before the commit.
type Ephemeral interface {
	// Put creates a value, or returns Conflict if the key exists.
	Put(ctx context.Context, store, key string, v []byte, expires time.Time) error
	Get(ctx context.Context, store, key string) ([]byte, error) // NotFound
	// Take reads and removes in one step. A second Take returns NotFound.
	Take(ctx context.Context, store, key string) ([]byte, error)
	// Swap replaces exactly old and keeps the expiry; else Conflict, or NotFound.
	Swap(ctx context.Context, store, key string, old, v []byte) error
	// Count adds one to a counter and returns the new value; a new counter is created with expires.
	Count(ctx context.Context, store, key string, expires time.Time) (int64, error)
	// Room returns Busy while the store is nearly full. Refuse newcomers then, so that the sign-ins that have begun
	// can finish.
	Room(ctx context.Context) error
}

// Upstream is one configured identity provider.
type Upstream interface {
	// Begin returns where to send the browser for this request.
	Begin(ctx context.Context, t UpstreamRequest) (Redirect, error)
	// Finish verifies the response and returns the person's claims. Its error is a Code: Cancelled,
	// UpstreamRejected, ConnectionUnavailable, WrongTenant, ….
	Finish(ctx context.Context, t UpstreamRequest, answer url.Values) (Claims, error)
}

// Notifier is an Upstream that also sends messages on its own initiative.
type Notifier interface {
	// Notice verifies a message of the given kind; RequestInvalid if it is forged or stale.
	Notice(ctx context.Context, kind NoticeKind, form url.Values) (Notice, error)
}

// Ender is an Upstream that can end its own session of a person (OIDC RP-Initiated Logout).
type Ender interface {
	// End returns where to send the browser for that. The upstream then redirects to back with state. The hint is
	// Claims.LogoutHint, empty if it is lost. It returns "" if the upstream has no such endpoint.
	End(ctx context.Context, back, state, hint string) (string, error)
}

// Upstreams opens the upstream of a connection. It must not wait for the network.
type Upstreams interface {
	Open(ctx context.Context, c Connection) (Upstream, error)
}
