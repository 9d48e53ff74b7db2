// Package access decides who may come in. It is the only place that loads the facts of
// broker.Admit and the only one that asks it, so that a rule reaches every route.
package access

import (
	"context"
	"errors"
	"time"

	"gatehouse/broker"
)

// Store is what the facts are read from.
type Store interface {
	broker.Accounts
	broker.Identities
	broker.Connections
	broker.Sessions
	broker.Grants
}

// Tenancies says which rules of organisations hold for a question.
type Tenancies interface {
	Tenancy(ctx context.Context, q Question) (broker.Tenancy, error)
}

// Question names what a Tenancy is about, by ids. Each may be empty.
type Question struct {
	Account    string
	Client     string // the app that somebody signs in for
	Connection string
}

// Options are what a Gate is made of. All but Factors and Tenancies are needed.
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

// Session finds the session of any of the keyed hashes, and its account, as far as they
// may go on in an app; client is empty for our own pages. It returns NotFound where no
// session lives, and the Code of the gate.
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

// HeldSession finds a session that lives, whether or not the gate admits it; NotFound.
// It is for ending one: a session that may not be used now, because its connection is
// off, would be usable again with the connection.
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

// Grant finds a grant and its account. The error says why it gives nothing any more: it
// is unknown (NotFound), it ended (Revoked), or its person may not come in. A grant that
// is refused is returned beside the error, because its client decides who is told why.
func (g *Gate) Grant(ctx context.Context, id string) (broker.Grant, broker.Account, error) {
	f, a, err := g.store.Grant(ctx, id)
	if err != nil {
		return broker.Grant{}, broker.Account{}, err
	}
	//defence:A7
	if !f.EndedAt.IsZero() || !g.now().Before(f.ExpiresAt) {
		return f, a, broker.Revoked
	}
	//defence:D1 D5 A7
	return f, a, g.admit(ctx, a, f.Authn, f.ClientID)
}

// NewGrant asks the gate about a grant that CreateGrant has just inserted, in its
// transaction. The insert holds that the account is enabled, at the epoch of the proof
// and, with unrestricted, without a restriction. Such an account is not read again while
// there are no tenants, whose rules would ask for more of it.
func (g *Gate) NewGrant(ctx context.Context, f broker.Grant, unrestricted bool) error {
	if unrestricted && g.tenancies == nil {
		return g.admit(ctx, broker.Account{ID: f.AccountID, AuthEpoch: f.Authn.Epoch}, f.Authn, f.ClientID)
	}
	_, _, err := g.Grant(ctx, f.ID)
	return err
}

// Rule is what would keep an account out that signs in like this; nil for no rule.
func (g *Gate) Rule(ctx context.Context, a broker.Account, n broker.Authn, client string) (*broker.Restriction, error) {
	f, err := g.facts(ctx, &a, n, client)
	if err != nil {
		return nil, err
	}
	return broker.Refusing(f), nil
}

// admit asks the gate about an account that was just read, and how it was authenticated.
func (g *Gate) admit(ctx context.Context, a broker.Account, n broker.Authn, client string) error {
	f, err := g.facts(ctx, &a, n, client)
	if err != nil {
		return err
	}
	return broker.Admit(f)
}

// facts loads what Admit asks of everybody. Account may be nil.
func (g *Gate) facts(ctx context.Context, a *broker.Account, n broker.Authn, client string) (broker.Facts, error) {
	var err error
	f := broker.LoadedFacts(broker.Facts{Now: g.now(), Registration: g.registration, Passwords: g.passwords,
		Account: a, Authn: n})
	if n.Method == broker.ByUpstream {
		if f.Connection, err = found(g.store.Connection(ctx, n.Connection)); err != nil {
			return f, err
		}
	}
	f.Tenancy, err = g.tenancy(ctx, a, client, n.Connection)
	return f, err
}

func (g *Gate) tenancy(ctx context.Context, a *broker.Account, client, connection string) (broker.Tenancy, error) {
	if g.tenancies == nil {
		return broker.Tenancy{}, nil
	}
	q := Question{Client: client, Connection: connection}
	if a != nil {
		q.Account = a.ID
	}
	return g.tenancies.Tenancy(ctx, q)
}

func (g *Gate) enrolled(ctx context.Context, account string) (bool, error) {
	if g.factors == nil {
		return false, nil
	}
	return g.factors.Enrolled(ctx, account)
}

// found turns NotFound into nil: to the rules, an absent account is a fact.
func found[T any](v T, err error) (*T, error) {
	if errors.Is(err, broker.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &v, nil
}
