package admin

import (
	"context"
	"slices"
	"strings"

	"gatehouse/broker"
)

// RestrictAccount is the input of Service.RestrictAccount.
type RestrictAccount struct {
	Account string // e-mail address or id
	// Only is broker.OnlyMicrosoft for every Entra ID and AD FS connection that is live
	// now, or the ids of connections, separated by commas.
	Only string
	// Guests and Personal also let guests of the directory and personal accounts in.
	Guests, Personal bool
	DryRun           bool
}

// Restricted is the outcome of Service.RestrictAccount.
type Restricted struct {
	broker.Account
	// Linked reports whether an identity of an allowed connection is linked already. If
	// not, the next sign-in links one, with the password and a mailed code.
	Linked bool
}

// RestrictAccount lets an account sign in through the given connections only, and ends
// its sessions and tokens. It refuses a restriction that leaves no sign-in method.
func (s *Service) RestrictAccount(ctx context.Context, actor Actor,
	in RestrictAccount) (r Result[Restricted], _ error) {
	a, err := s.account(ctx, in.Account)
	if err != nil {
		return r, err
	}
	restriction := broker.Restriction{Only: in.Only, Guests: in.Guests, Personal: in.Personal, SetBy: actor.ID,
		SetAt: s.Now()}
	if restriction.Connections, err = s.restrictable(ctx, in.Only); err != nil {
		return r, err
	}
	if r.Value.Linked, err = s.linkedUnder(ctx, a, restriction); err != nil {
		return r, err
	}
	a.Restriction = &restriction
	e := broker.Event{Verb: broker.EventAccountRestricted,
		Detail: detail(restriction.Only + " through " + strings.Join(restriction.Connections, " "))}
	done, err := s.renew(ctx, act{actor, in.DryRun}, a, e, nil)
	r.Value.Account, r.Events = done.Value, done.Events
	return r, err
}

// restrictable returns the ids of the live connections that only names. It returns ids,
// so that a name or a kind cannot extend the set later (SECURITY.md D4). A connection
// that is not live would lock the owner out.
func (s *Service) restrictable(ctx context.Context, only string) (ids []string, _ error) {
	all, err := s.Store.Connections(ctx)
	if err != nil {
		return nil, err
	}
	if only == broker.OnlyMicrosoft {
		for _, c := range all {
			if (c.Kind == "microsoft" || c.Kind == "adfs") && c.Usable() == nil {
				ids = append(ids, c.ID)
			}
		}
		if ids == nil {
			return nil, missing("only", "there is no live connection of the kind microsoft or adfs")
		}
		return ids, nil
	}
	for _, id := range strings.Split(only, ",") {
		i := slices.IndexFunc(all, func(c broker.Connection) bool { return c.ID == id })
		switch {
		case i < 0:
			return nil, missing("only", "there is no connection %q", id)
		case all[i].Usable() != nil:
			return nil, Problem{broker.ConnectionDisabled, "only",
				"connection " + id + " is " + string(all[i].State) + ": enable it first"}
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// linkedUnder reports whether an identity that the restriction allows is linked to the
// account. Without one and without a password nothing could link a first one, so that
// restriction is refused (DESIGN.md §6).
func (s *Service) linkedUnder(ctx context.Context, a broker.Account, restriction broker.Restriction) (bool, error) {
	all, err := s.Store.IdentitiesOf(ctx, a.ID)
	if err != nil {
		return false, err
	}
	linked := slices.ContainsFunc(all, func(i broker.Identity) bool { return restriction.Allows(i.Connection) })
	if !linked && !a.HasPassword() {
		return false, Problem{broker.LastMethod, "only",
			"this would leave no sign-in method for " + a.Email +
				": no identity of " + strings.Join(restriction.Connections, ", ") +
				" is linked, and without a password none can be; set a password, or let the person link one first"}
	}
	return linked, nil
}

// UnrestrictAccount is the input of Service.UnrestrictAccount.
type UnrestrictAccount struct {
	Account string // e-mail address or id
	DryRun  bool
}

// UnrestrictAccount removes the restriction of an account. Its sessions go on.
func (s *Service) UnrestrictAccount(ctx context.Context, actor Actor,
	in UnrestrictAccount) (r Result[broker.Account], _ error) {
	a, err := s.account(ctx, in.Account)
	if err != nil || a.Restriction == nil {
		r.Value = a
		return r, err
	}
	was := a.Restriction.Only
	a.Restriction = nil
	e := broker.Event{Verb: broker.EventAccountUnrestricted, Account: a.ID, Detail: detail(was)}
	e, err = s.change(ctx, act{actor, in.DryRun}, e, func(ctx context.Context) error {
		return s.Store.ChangeAccount(ctx, a, a.AuthEpoch)
	})
	return changed(a, e, err)
}
