package broker

import (
	"context"
	"net/url"
	"time"
)

// Atomic runs do in one transaction and commits when it returns nil. A call
// inside do joins the transaction. Where the database asks for a retry, do runs
// again, so it must have no effect but through ctx.
type Atomic interface {
	Atomic(ctx context.Context, do func(ctx context.Context) error) error
}

// Accounts keeps accounts.
type Accounts interface {
	// Account answers NotFound for an unknown id.
	Account(ctx context.Context, id string) (Account, error)
	// AccountByEmail looks up a canonical address among verified accounts; NotFound.
	AccountByEmail(ctx context.Context, email string) (Account, error)
	// Accounts lists by e-mail, after the given address, at most limit.
	Accounts(ctx context.Context, after string, limit int) ([]Account, error)
	// CreateAccount answers Conflict where the address is taken. A verified account
	// takes the place of unverified ones with its address: they are deleted with
	// their identities, and nothing of them passes on.
	CreateAccount(ctx context.Context, a Account) error
	// ChangeAccount writes every field but ID and CreatedAt where the stored epoch
	// is still seen, else Conflict. A raised epoch ends the sessions before it.
	ChangeAccount(ctx context.Context, a Account, seen int64) error
}

// Identities keeps what upstreams vouch for.
type Identities interface {
	// Identity finds an identity and its account; NotFound.
	Identity(ctx context.Context, connection, issuer, subject string) (Identity, Account, error)
	IdentitiesOf(ctx context.Context, account string) ([]Identity, error)
	// Link inserts; Conflict where the identity belongs to somebody already.
	Link(ctx context.Context, i Identity) error
	// Unlink deletes by id and ends the sessions and grants created of it; NotFound.
	Unlink(ctx context.Context, id string, at time.Time) error
	// SeeIdentity records the address and the moment of a sign-in. One that is gone
	// meanwhile stays so.
	SeeIdentity(ctx context.Context, id, email string, at time.Time) error
}

// Factors are the second factors of accounts.
type Factors interface {
	// Enrolled reports whether the account has one.
	Enrolled(ctx context.Context, account string) (bool, error)
	// Check consumes a code of the account's factor; CodeWrong, Retry with RateLimited.
	// Call it outside a transaction.
	Check(ctx context.Context, account, typed string) error
}

// Sessions keeps browsers' sessions, found by the keyed hash of their cookie.
type Sessions interface {
	// CreateSession inserts where the account is enabled and its epoch is
	// s.Authn.Epoch, in one statement; else StartAgain.
	CreateSession(ctx context.Context, hash string, s Session) error
	// Session finds a session and its account by any of the hashes; NotFound. It
	// returns ended and expired ones too: the caller decides.
	Session(ctx context.Context, hashes []string) (Session, Account, error)
	SessionsOf(ctx context.Context, account string) ([]Session, error)
	// EndSession is idempotent. It queues a Logout for each client that has to be told.
	EndSession(ctx context.Context, id string, at time.Time) error
}

// UpstreamSessions ends what an upstream's logout names.
type UpstreamSessions interface {
	// EndUpstreamSessions ends the sessions that u names, with their grants, and
	// answers them.
	EndUpstreamSessions(ctx context.Context, u UpstreamSession, at time.Time) ([]Session, error)
}

// Logouts keeps who is still to be told that a session ended. Whatever ends sessions
// writes them, in its transaction: EndSession, EndUpstreamSessions, Unlink, and a
// ChangeAccount that raises the epoch.
type Logouts interface {
	// DueLogouts leases up to n whose NextAt has come, the expired ones too: it moves
	// their NextAt to until, so that no other replica sends them meanwhile.
	DueLogouts(ctx context.Context, now, until time.Time, n int) ([]Logout, error)
	// LogoutDone removes one that needs no more tries; it is idempotent.
	LogoutDone(ctx context.Context, id string) error
	// LogoutFailed counts the attempt and records why, and when to try again.
	LogoutFailed(ctx context.Context, id, why string, next time.Time) error
	// Logouts lists those of a session that wait, or all where it is empty, the oldest
	// first, at most limit.
	Logouts(ctx context.Context, session string, limit int) ([]Logout, error)
	// ClientsOf are the clients that got tokens under a session, by name.
	ClientsOf(ctx context.Context, session string) ([]Client, error)
}

// Grants keeps authorizations.
type Grants interface {
	// CreateGrant inserts where the account is enabled, its epoch is f.Authn.Epoch, the
	// identity that it came by, if any, is linked to it, and its session, if f has one,
	// goes on at f.CreatedAt; with unlocked, only where the account has no Restriction. Else
	// Conflict for a taken id (the code was used), or StartAgain.
	CreateGrant(ctx context.Context, f Grant, unlocked bool) error
	// Grant finds a grant and its account; NotFound. Ended ones too.
	Grant(ctx context.Context, id string) (Grant, Account, error)
	// Rotate changes the refresh counter, in one statement: where the grant is alive,
	// its counter is from, and its account is enabled and at the grant's epoch; else
	// Conflict.
	Rotate(ctx context.Context, id string, from, to int64, at time.Time) error
	// RevokeGrant is idempotent; the first reason stays.
	RevokeGrant(ctx context.Context, id string, why Code, at time.Time) error
	RevokeGrants(ctx context.Context, f GrantFilter, why Code, at time.Time) error
}

// Clients keeps apps.
type Clients interface {
	Client(ctx context.Context, id string) (Client, error) // NotFound
	Clients(ctx context.Context) ([]Client, error)
	// PutClient creates or replaces.
	PutClient(ctx context.Context, c Client) error
	// DeleteClient removes the client, its consents and its grants; NotFound.
	DeleteClient(ctx context.Context, id string) error
}

// Connections keeps upstreams; their secrets are sealed at rest.
type Connections interface {
	Connection(ctx context.Context, id string) (Connection, error) // NotFound
	// Connections lists by Position, then Name.
	Connections(ctx context.Context) ([]Connection, error)
	// PutConnection creates or replaces; Conflict where issuer, client id, kind or
	// a pinned setting of a live connection would change.
	PutConnection(ctx context.Context, c Connection) error
	// DeleteConnection answers Conflict while identities hang on it, NotFound.
	DeleteConnection(ctx context.Context, id string) error
}

// Consents keeps what accounts allowed clients.
type Consents interface {
	Consent(ctx context.Context, account, client string) (Consent, error) // NotFound
	ConsentsOf(ctx context.Context, account string) ([]Consent, error)
	PutConsent(ctx context.Context, c Consent) error
	// RemoveConsent also ends the pair's grants; NotFound.
	RemoveConsent(ctx context.Context, account, client string, at time.Time) error
}

// AuditLog is the audit log. Call Record in the transaction of the change it describes.
type AuditLog interface {
	Record(ctx context.Context, events ...Event) error
	Events(ctx context.Context, f EventFilter) ([]Event, error)
}

// Outbox keeps mails until they are sent.
type Outbox interface {
	Queue(ctx context.Context, m Mail) error
	// DueMail leases up to n unexpired mails whose NextAt has come: it moves their
	// NextAt to until, so that no other replica sends them meanwhile.
	DueMail(ctx context.Context, now, until time.Time, n int) ([]Mail, error)
	// MailSent removes a mail that was handed over.
	MailSent(ctx context.Context, id string) error
	// MailFailed records why and when to try again.
	MailFailed(ctx context.Context, id, why string, next time.Time) error
}

// SigningKeys keeps the issuer's keys, sealed at rest.
type SigningKeys interface {
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// AddSigningKey answers Conflict where the id is taken.
	AddSigningKey(ctx context.Context, k SigningKey) error
	// ChangeSigningKey writes State, ActiveAt and RetireAt where the stored state
	// is still seen, else Conflict.
	ChangeSigningKey(ctx context.Context, k SigningKey, seen KeyState) error
	DeleteSigningKey(ctx context.Context, id string) error
}

// ReplayCache remembers what must not happen twice, or is no longer valid, until
// expires: a revoked token, a used assertion. Never in memory that may be lost.
type ReplayCache interface {
	// MarkUsed answers Conflict where the mark stands already.
	MarkUsed(ctx context.Context, kind, id string, expires time.Time) error
	IsUsed(ctx context.Context, kind, id string) (bool, error)
}

// Leases lets one replica at a time do a worker.
type Leases interface {
	// Lease takes or prolongs the lease until the given time; false while another
	// holder's lease lasts.
	Lease(ctx context.Context, name, holder string, now, until time.Time) (bool, error)
}

// Ephemeral keeps what may be forgotten. Values carry their own expiry (EphemeralStore);
// expires here only says when the row may be collected. Inside a transaction
// only Put is allowed, before the commit.
type Ephemeral interface {
	// Put creates; Conflict where the key stands.
	Put(ctx context.Context, store, key string, v []byte, expires time.Time) error
	Get(ctx context.Context, store, key string) ([]byte, error) // NotFound
	// Take reads and removes in one step: a second Take answers NotFound.
	Take(ctx context.Context, store, key string) ([]byte, error)
	// Swap writes over exactly old and keeps the expiry; else Conflict, or NotFound.
	Swap(ctx context.Context, store, key string, old, v []byte) error
	// Count adds one to a counter and returns the new value; it is created with expires.
	Count(ctx context.Context, store, key string, expires time.Time) (int64, error)
}

// Upstream is one identity provider, configured.
type Upstream interface {
	// Begin says where to send the browser for this upstream request.
	Begin(ctx context.Context, t UpstreamRequest) (Redirect, error)
	// Finish verifies the answer and says who came back. It answers a Code:
	// Cancelled, UpstreamRejected, ConnectionUnavailable, WrongTenant, ….
	Finish(ctx context.Context, t UpstreamRequest, answer url.Values) (Claims, error)
}

// Notifier is an Upstream that also sends notices of its own accord.
type Notifier interface {
	// Notice verifies a message of the given kind; RequestInvalid where it is forged or stale.
	Notice(ctx context.Context, kind NoticeKind, form url.Values) (Notice, error)
}

// Ender is an Upstream that may end its own session of a person (OIDC RP-Initiated Logout).
type Ender interface {
	// End says where to send the browser for that; it comes back to back with state.
	// Empty where the upstream has no such place.
	End(ctx context.Context, back, state string) (string, error)
}

// Upstreams opens the upstream of a connection. It never waits for another one.
type Upstreams interface {
	Open(ctx context.Context, c Connection) (Upstream, error)
}
