package oidc

import (
	"context"
	"errors"

	"gatehouse/broker"
)

// admitted asks the one gate about an account and how it signed in. Whatever it comes to ask
// of an account beside its epoch and its restriction, begin must hold too, or read.
func (d *Handler) admitted(ctx context.Context, a broker.Account, how broker.Authn) error {
	facts := broker.Facts{Now: d.now(), Account: &a, Authn: how}
	if how.Method == broker.ByUpstream {
		c, err := d.toolkit.Connections.Connection(ctx, how.Connection)
		switch {
		case err == nil:
			facts.Connection = &c
		case !errors.Is(err, broker.NotFound):
			return err
		}
	}
	return broker.Admit(facts)
}

// live answers why a grant gives nothing any more: it ended, it is over, or its
// person may not come in.
func (d *Handler) live(ctx context.Context, f broker.Grant, a broker.Account) error {
	//defence:A7
	if !f.EndedAt.IsZero() || !d.now().Before(f.ExpiresAt) {
		return broker.Revoked
	}
	//defence:A7
	return d.admitted(ctx, a, f.Authn)
}

// judge decides about a refresh token whose MAC was good. The live one rotates;
// the one before it gets the same successor again for broker.RefreshGrace. Any
// older one was used before, so either a thief or the owner holds a newer one:
// TokenReused (RFC 9700 §4.14.2).
//
// A token one step ahead of the database counts as the live one. Only this server can
// make it, and only after the database acknowledged the write: a power cut or a
// fail-over has undone it (deploy/adr/0002).
func (d *Handler) judge(ctx context.Context, f broker.Grant, a broker.Account, said shown, client string) (rotate bool, err error) {
	//defence:A10
	if f.ClientID != client {
		return false, broker.Revoked
	}
	//defence:D1 D5 A7
	if err := d.live(ctx, f, a); err != nil {
		return false, err
	}
	switch {
	case current(said, f):
		return true, nil
	//defence:A6
	case said.refreshCounter == f.RefreshCounter-1 && d.now().Before(f.RotatedAt.Add(broker.RefreshGrace)):
		return false, nil
	default:
		//defence:A6
		return false, broker.TokenReused
	}
}

// current reports whether a refresh token is the live one of its grant, or one step ahead.
func current(said shown, g broker.Grant) bool {
	//defence:A6
	return said.refreshCounter == g.RefreshCounter || said.refreshCounter == g.RefreshCounter+1
}

// settle writes what the request led to before anybody hears of it: a consumed code
// with its grant and its event in one transaction, or the next refresh counter in one
// statement. A token that belongs to no grant needs no row. It answers a Code
// where the grant is refused after all.
func (d *Handler) persistGrant(ctx context.Context, u *unit, issued broker.Event) error {
	switch {
	case u.agreed.begin != nil:
		if u.client.Public() {
			// A confidential client's refresh tokens are bound to its authentication.
			//defence:A6
			u.agreed.begin.KeyThumbprint = u.key
		}
		//defence:H6
		err := d.atomic.Atomic(ctx, func(ctx context.Context) error {
			if err := d.begin(ctx, u); err != nil {
				return err
			}
			return d.auditLog.Record(ctx, issued)
		})
		if errors.Is(err, broker.Conflict) {
			//defence:A5
			return broker.CodeReused
		}
		return err
	case u.agreed.rotate:
		err := d.grants.Rotate(ctx, u.stored.ID, u.stored.RefreshCounter, u.next, d.now())
		if errors.Is(err, broker.Conflict) {
			return d.retryRefresh(ctx, u)
		}
		return err
	}
	return nil
}

// begin consumes a code. The insert is exact about the account: that it is enabled, at
// the epoch of the proof and, of one that had no restriction, still without one; so the gate
// is asked about just that account, and nobody waits for its row. Of any other, and
// where the gate says no, it is read: of a used code only an answer tells, and that
// counts before all else, since it ends the grant (SECURITY.md A5). A session that has
// ended or a consent that was taken back meanwhile gives nothing (A7). A device belongs
// to its person and to no session: it goes on where the browser that allowed it signs
// out. What it may do rests on the consent alone, so that is asked of every client.
func (d *Handler) begin(ctx context.Context, u *unit) error {
	f, unlocked := *u.agreed.begin, u.agreed.unlocked
	if err := d.grants.CreateGrant(ctx, f, unlocked); err != nil {
		return err
	}
	no := d.admitted(ctx, broker.Account{ID: f.AccountID, AuthEpoch: f.Authn.Epoch}, f.Authn)
	//defence:A5 D1 D5 A7
	if !unlocked || no != nil {
		_, a, err := d.grants.Grant(ctx, f.ID)
		if err == nil {
			//defence:D1 D5 A7
			err = d.admitted(ctx, a, f.Authn)
		}
		if err != nil {
			return err
		}
	}
	//defence:A7
	if u.client.FirstParty && !u.device {
		return nil
	}
	given, v, err := d.given(ctx, u.client, f.AccountID)
	//defence:A7 A13 A14
	if err == nil && !given.Covers(v, wantedOf(f.Claims).needs(f.Scopes)) {
		err = broker.Revoked
	}
	return err
}

// again is for the loser of two refreshes at once: the winner has rotated, so the
// loser is a retry and gets the same successor, unless there is another reason.
func (d *Handler) retryRefresh(ctx context.Context, u *unit) error {
	f, a, err := d.grants.Grant(ctx, u.stored.ID)
	if errors.Is(err, broker.NotFound) {
		return broker.Revoked
	}
	if err != nil {
		return err
	}
	rotate, err := d.judge(ctx, f, a, shown{f.ID, u.next - 1}, u.client.ID)
	if err == nil && rotate {
		return broker.Revoked // the database saw a reason that is gone by now
	}
	return err
}

// end ends a grant of an app for good and says so; where a refresh token was
// reused, to the person too (SECURITY.md A6).
func (d *Handler) end(ctx context.Context, app broker.Client, id string, why broker.Code, events ...broker.Event) error {
	return d.atomic.Atomic(ctx, func(ctx context.Context) error {
		//defence:A6
		if why == broker.TokenReused {
			_, a, err := d.grants.Grant(ctx, id)
			if err == nil {
				err = d.warn(ctx, a, app)
			}
			if err != nil {
				return err
			}
		}
		if err := d.grants.RevokeGrant(ctx, id, why, d.now()); err != nil {
			return err
		}
		return d.auditLog.Record(ctx, events...)
	})
}
