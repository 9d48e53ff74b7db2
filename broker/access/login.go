package access

import (
	"context"
	"errors"
	"slices"

	"gatehouse/broker"
)

// Decision is what the rules currently say about a login, with the facts that it depends on.
type Decision struct {
	Facts    broker.Facts
	Identity *broker.Identity // with Facts.Linked
	Session  *broker.Session  // with Facts.Acting
	broker.Verdict
	Step broker.Step
	No   error // what Next returned instead of a step: a Code
	// Rule is the rule that refuses the person, nil if none does.
	Rule *broker.Restriction
}

// Login loads the facts of a login and asks broker.Next. sessions are the keyed hashes
// of the browser's session cookie.
func (g *Gate) Login(ctx context.Context, l broker.Login, sessions []string) (Decision, error) {
	if l.AccountID != "" {
		a, err := broker.Found(g.store.Account(ctx, l.AccountID))
		if err != nil {
			return Decision{}, err
		}
		return g.Bound(ctx, l, a)
	}
	var d Decision
	var err error
	if l.Claims != nil {
		err = g.upstreamFacts(ctx, l, sessions, &d)
	} else {
		err = g.localFacts(ctx, l, sessions, &d)
	}
	if err == nil {
		d.decide(l)
	}
	return d, err
}

// Bound is Login for a login that is bound to an account which was just read; nil if the account is gone. It reads
// whether a factor is enrolled only when authority is created.
func (g *Gate) Bound(ctx context.Context, l broker.Login, a *broker.Account) (d Decision, err error) {
	d.Facts, err = g.facts(ctx, a, l.Authn, l.ClientID, l.Authn.Connection)
	if err == nil && g.factors != nil && !l.Authn.Factor && l.SessionID == "" {
		d.Facts.Enrolled, err = g.factors.Enrolled(ctx, l.AccountID)
	}
	if err == nil {
		d.decide(l)
	}
	return d, err
}

// Explain is Login without a browser: acting is the account that would request a link, nil for a sign-in.
func (g *Gate) Explain(ctx context.Context, l broker.Login, acting *broker.Account) (Decision, error) {
	var d Decision
	err := g.upstreamFacts(ctx, l, nil, &d)
	if err == nil && acting != nil {
		err = g.actAs(ctx, &d, *acting, broker.Authn{AuthTime: g.now()})
	}
	if err != nil {
		return d, err
	}
	if d.decide(l); d.Step != broker.StepBind {
		return d, nil
	}
	a := d.Facts.Linked
	then, err := g.Bound(ctx, l.BoundTo(a.ID, broker.Authn{Method: broker.ByUpstream, Connection: l.Claims.Connection,
		UserType: l.Claims.UserType, Epoch: a.AuthEpoch}), a)
	d.No, d.Rule = then.No, then.Rule
	return d, err
}

func (d *Decision) decide(l broker.Login) {
	if d.Step, d.Verdict, d.No = broker.Next(l, d.Facts); d.No != nil {
		d.Rule = d.ruleOf()
	}
}

// ruleOf returns the rule that refuses the account of the login or, for a link, the account that the identity
// would belong to.
func (d *Decision) ruleOf() *broker.Restriction {
	if l := broker.Refusing(d.Facts); l != nil {
		return l
	}
	for _, a := range []*broker.Account{d.Facts.Owner, d.Facts.Acting} {
		if a != nil && a.Restriction != nil {
			return a.Restriction
		}
	}
	return nil
}

func (g *Gate) upstreamFacts(ctx context.Context, l broker.Login, sessions []string, d *Decision) (err error) {
	c := l.Claims
	if d.Facts, err = g.facts(ctx, nil, broker.Authn{}, l.ClientID, c.Connection); err != nil {
		return err
	}
	f := &d.Facts
	if l.Purpose == broker.PurposeLink {
		if err = g.actingFacts(ctx, l, sessions, d); err != nil {
			return err
		}
	}
	i, a, err := g.store.Identity(ctx, c.Connection, c.Issuer, c.Subject)
	if err == nil {
		d.Identity, f.Linked = &i, &a
		return nil
	}
	if !errors.Is(err, broker.NotFound) {
		return err
	}
	switch err = nil; {
	case l.Purpose == broker.PurposeLink:
		return nil // the identity is for Acting, whatever its address
	case l.LinkTargetID != "":
		f.Owner, err = broker.Found(g.store.Account(ctx, l.LinkTargetID))
	case l.VerifiedAddress() != "":
		f.Owner, err = broker.Found(g.store.AccountByEmail(ctx, l.VerifiedAddress()))
	}
	if err != nil || f.Owner == nil {
		return err
	}
	return g.ownerFacts(ctx, f, l.ClientID, c.Connection)
}

// ownerFacts loads the facts of a link about Facts.Owner, who would get the identity.
func (g *Gate) ownerFacts(ctx context.Context, f *broker.Facts, client, connection string) (err error) {
	if g.factors != nil {
		if f.Enrolled, err = g.factors.Enrolled(ctx, f.Owner.ID); err != nil {
			return err
		}
	}
	return g.linkFacts(ctx, f, *f.Owner, client, connection)
}

// linkFacts loads the facts of MayLink: the account's memberships and, if a restriction may count them, its
// identities.
func (g *Gate) linkFacts(ctx context.Context, f *broker.Facts, a broker.Account, client, connection string) error {
	var err error
	if g.tenancies != nil {
		q := Question{Account: a.ID, Client: client, Connection: connection}
		if f.Tenancy, err = g.tenancies.Tenancy(ctx, q); err != nil {
			return err
		}
	}
	if a.Restriction != nil || len(f.Tenancy.Members) > 0 {
		f.Bound, err = g.store.IdentitiesOf(ctx, a.ID)
	}
	return err
}

// actingFacts loads the account that this browser is signed in to, for a link from the account page.
func (g *Gate) actingFacts(ctx context.Context, l broker.Login, sessions []string, d *Decision) error {
	s, a, err := g.Session(ctx, sessions, l.ClientID)
	if broker.Refused(err) {
		return nil
	}
	if err != nil {
		return err
	}
	d.Session = &s
	return g.actAs(ctx, d, a, s.Authn)
}

func (g *Gate) actAs(ctx context.Context, d *Decision, a broker.Account, n broker.Authn) error {
	d.Facts.Acting, d.Facts.ActingAs = &a, n
	connection := ""
	if d.Facts.Connection != nil {
		connection = d.Facts.Connection.ID
	}
	return g.linkFacts(ctx, &d.Facts, a, "", connection)
}

// localFacts never looks up the typed address, because the identifier step must respond the same for all
// addresses (SECURITY.md E1).
func (g *Gate) localFacts(ctx context.Context, l broker.Login, sessions []string, d *Decision) (err error) {
	if d.Facts, err = g.facts(ctx, nil, broker.Authn{}, l.ClientID, ""); err != nil {
		return err
	}
	f := &d.Facts
	switch {
	case l.Purpose == broker.PurposeLink:
		err = g.actingFacts(ctx, l, sessions, d)
	case l.Choice == broker.ChoiceNew && l.VerifiedEmail != "":
		f.Owner, err = broker.Found(g.store.AccountByEmail(ctx, l.VerifiedEmail))
	case l.Choice == broker.ChoiceNew:
	case l.Email != "":
		if f.Org, err = g.organisation(ctx, l.Email); err == nil && l.Presets() {
			f.Acting, err = g.preset(ctx, l, sessions)
		}
	case l.Pick && l.Choice != broker.ChoiceOther:
		if _, _, err = g.Session(ctx, sessions, l.ClientID); err == nil {
			f.Sessions = 1
		} else if broker.Refused(err) {
			err = nil
		}
	}
	return err
}

// preset returns the account that a sign-in is for, nil if this browser is no longer signed in to it.
func (g *Gate) preset(ctx context.Context, l broker.Login, sessions []string) (*broker.Account, error) {
	_, a, err := g.Session(ctx, sessions, l.ClientID)
	//defence:E1
	if broker.Refused(err) || err == nil && a.ID != l.For {
		return nil, nil
	}
	return &a, err
}

// organisation returns the live connection for the domain of a typed address.
func (g *Gate) organisation(ctx context.Context, email string) (*broker.Connection, error) {
	all, err := g.store.Connections(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Usable() == nil && all[i].Routes(email) {
			return &all[i], nil
		}
	}
	return nil, nil
}

// LinkProofs decides about linking the pending identity to this owner. Proof is what the link requires; No is a
// Code if the rules refuse it.
func (g *Gate) LinkProofs(ctx context.Context, l broker.Login, d Decision, owner broker.Account) (Decision, error) {
	l, d.Facts.Owner = l.LinkingTo(owner.ID), &owner
	if err := g.ownerFacts(ctx, &d.Facts, l.ClientID, l.Claims.Connection); err != nil {
		return d, err
	}
	if d.Verdict, d.No = broker.Resolve(l, d.Facts); d.No != nil {
		d.Rule = d.ruleOf()
	}
	return d, nil
}

// MayLink returns nil if the identity of the claims may be linked to the account, else a Code. It is asked again
// in the transaction of a link.
func (g *Gate) MayLink(ctx context.Context, c broker.Claims, a broker.Account, client string) error {
	f, err := g.facts(ctx, nil, broker.Authn{}, client, c.Connection)
	if err == nil {
		err = g.linkFacts(ctx, &f, a, client, c.Connection)
	}
	if err != nil {
		return err
	}
	f.Bound = slices.DeleteFunc(f.Bound, func(i broker.Identity) bool {
		return i.Connection == c.Connection && i.Issuer == c.Issuer && i.Subject == c.Subject
	})
	return broker.MayLink(c, f, a)
}
