// Package access decides who may sign in. It is the only package that loads the facts for broker.Admit and the
// only one that asks it, so that a rule applies to every route.
package access

import (
	"context"
	"time"

	"gatehouse/broker"
)

// Store is the storage that the facts are read from.
type Store interface {
	broker.Accounts
	broker.Identities
	broker.Connections
	broker.Sessions
	broker.Grants
}

// Tenancies returns the organisations' rules that apply to a question.
type Tenancies interface {
	Tenancy(ctx context.Context, q Question) (broker.Tenancy, error)
}

// Question names the subject of a Tenancy, by ids. Each may be empty.
type Question struct {
	Account    string
	Client     string // the app that the sign-in is for
	Connection string
}

// Options configure a Gate. All are required except Factors and Tenancies.
type Options struct {
	Store Store
	// Factors are the second factors of accounts; nil while the deployment has none.
	Factors broker.Factors
	// Tenancies is nil while the deployment has no tenants.
	Tenancies    Tenancies
	Registration broker.Registration
	// PasswordSignIn reports whether a password opens a session.
	PasswordSignIn bool
	Now            func() time.Time
}

// Gate loads facts and asks broker.Admit. It is safe for concurrent use.
type Gate struct {
	store        Store
	factors      broker.Factors
	tenancies    Tenancies
	registration broker.Registration
	passwords    bool
	now          func() time.Time
}

// New returns a Gate.
func New(o Options) *Gate {
	return &Gate{o.Store, o.Factors, o.Tenancies, o.Registration, o.PasswordSignIn, o.Now}
}

// Session finds the session of any of the keyed hashes, and its account, if the gate admits them to an app;
// client is empty for our own pages. It returns NotFound if no session is active, and the gate's Code if it
// refuses.
func (g *Gate) Session(ctx context.Context, hashes []string, client string) (broker.Session, broker.Account, error) {
	s, a, err := g.HeldSession(ctx, hashes)
	if err == nil {
		err = g.admit(ctx, a, s.Authn, client)
	}
	if err != nil {
		return broker.Session{}, broker.Account{}, err
	}
	return s, a, nil
}

// HeldSession finds an active session without asking the gate, or returns NotFound. Use it to end a session: one that
// is refused while its connection is disabled would work again when the connection is enabled.
func (g *Gate) HeldSession(ctx context.Context, hashes []string) (broker.Session, broker.Account, error) {
	if len(hashes) == 0 {
		return broker.Session{}, broker.Account{}, broker.NotFound
	}
	s, a, err := g.store.Session(ctx, hashes)
	switch {
	case err != nil:
	//defence:E16
	case !s.EndedAt.IsZero():
		err = broker.NotFound
	//defence:E16
	case !g.now().Before(s.ExpiresAt):
		err = broker.NotFound
	}
	return s, a, err
}

// Grant finds a grant and its account. The error says why it is not valid: unknown (NotFound), ended (Revoked), or
// its person is refused. A refused grant is returned with the error, because the reason may be shown to its own
// client only.
func (g *Gate) Grant(ctx context.Context, id string) (broker.Grant, broker.Account, error) {
	f, a, err := g.store.Grant(ctx, id)
	if err != nil {
		return broker.Grant{}, broker.Account{}, err
	}
	//defence:A7
	if !f.EndedAt.IsZero() || !g.now().Before(f.ExpiresAt) {
		return f, a, broker.Revoked
	}
	return f, a,
		//defence:D1 D5 A7
		g.admit(ctx, a, f.Authn, f.ClientID)
}

// NewGrant asks the gate about a grant that CreateGrant has just inserted, in its transaction. The insert
// ensured that the account is enabled, has the proof's epoch and, with unrestricted, has no restriction. Such an
// account is not read again unless there are tenants, whose rules need more of it.
func (g *Gate) NewGrant(ctx context.Context, f broker.Grant, unrestricted bool) error {
	if unrestricted && g.tenancies == nil {
		return g.admit(ctx, broker.Account{ID: f.AccountID, AuthEpoch: f.Authn.Epoch}, f.Authn, f.ClientID)
	}
	_, _, err := g.Grant(ctx, f.ID)
	return err
}

// Settles reports whether the conditions of CreateGrant's insert and the facts known
// before it decide alone. NewGrant has nothing to read then, and the grant needs no
// transaction.
func (g *Gate) Settles(ctx context.Context, f broker.Grant, unrestricted bool) bool {
	return unrestricted && g.tenancies == nil &&
		g.NewGrant(ctx, f, unrestricted) == nil
}

// Rule returns the rule that would refuse such a sign-in of the account; nil for none.
func (g *Gate) Rule(ctx context.Context, a broker.Account, n broker.Authn, client string) (*broker.Restriction, error) {
	f, err := g.facts(ctx, &a, n, client, n.Connection)
	if err != nil {
		return nil, err
	}
	return broker.Refusing(f), nil
}

// admit asks the gate about an account that was just read, and its authentication.
func (g *Gate) admit(ctx context.Context, a broker.Account, n broker.Authn, client string) error {
	f, err := g.facts(ctx, &a, n, client, n.Connection)
	if err != nil {
		return err
	}
	return broker.Admit(f)
}

// facts loads the facts that every question needs. a may be nil, and connection, the upstream that the person
// comes from, empty.
func (g *Gate) facts(ctx context.Context, a *broker.Account, n broker.Authn, client, connection string) (
	f broker.Facts, err error) {
	f = broker.LoadedFacts(broker.Facts{Now: g.now(), Registration: g.registration, Passwords: g.passwords,
		Account: a, Authn: n})
	if connection != "" {
		if f.Connection, err = broker.Found(g.store.Connection(ctx, connection)); err != nil {
			return f, err
		}
	}
	if g.tenancies != nil {
		q := Question{Client: client, Connection: connection}
		if a != nil {
			q.Account = a.ID
		}
		f.Tenancy, err = g.tenancies.Tenancy(ctx, q)
	}
	return f, err
}
