package oidc

import (
	"context"
	"errors"
	"time"

	"gatehouse/broker"
)

// judge decides about a refresh token with a valid MAC. The current token rotates; the
// previous one gets the same successor again for broker.RefreshGrace. An older one was
// used before, so either a thief or the owner has a newer one: TokenReused (RFC 9700
// §4.14.2). no is the error of access.Gate.Grant.
//
// A token one step ahead of the database counts as current. Only this server can make it,
// and only after the database acknowledged the write, so a power cut or a fail-over has
// undone the write (deploy/adr/0002).
func judge(f broker.Grant, no error, said shown, client string, now time.Time) (rotate bool, err error) {
	//defence:A10
	if f.ClientID != client {
		return false, broker.Revoked
	}
	//defence:D1 D5 A7
	if no != nil {
		return false, no
	}
	switch {
	case current(said, f):
		return true, nil
	case said.refreshCounter == f.RefreshCounter-1 &&
		//defence:A6
		now.Before(f.RotatedAt.Add(broker.RefreshGrace)):
		return false, nil
	default:
		//defence:A6
		//defence:A6 ./cmd/gatehouse:TestModel
		return false, broker.TokenReused
	}
}

// current reports whether a refresh token is the newest of its grant, or one step ahead.
func current(said shown, g broker.Grant) bool {
	return said.refreshCounter == g.RefreshCounter ||
		//defence:A6
		said.refreshCounter == g.RefreshCounter+1
}

// persistGrant writes the result of a request before the response: a consumed code with
// its grant and event in one transaction, or the next refresh counter in one statement. A
// token without a grant needs no row. It returns a Code if the grant is refused after all.
func (d *Handler) persistGrant(ctx context.Context, u *unit, issued broker.Event) error {
	switch {
	case u.agreed.begin != nil:
		if u.client.Public() {
			// A confidential client's refresh tokens are bound to its authentication.
			//defence:A6
			u.agreed.begin.KeyThumbprint = u.key
		}
		err := d.begin(ctx, u, issued)
		if errors.Is(err, broker.Conflict) {
			//defence:A5
			//defence:A5 ./cmd/gatehouse:TestModel
			return broker.CodeReused
		}
		return err
	case u.agreed.rotate:
		err := d.store.Rotate(ctx, u.stored.ID, u.stored.RefreshCounter, u.next, d.now())
		if errors.Is(err, broker.Conflict) {
			return d.retryRefresh(ctx, u)
		}
		return err
	}
	return nil
}

// begin consumes a code. Only the insert reveals a reused code. Check that first, because
// it must revoke the grant (SECURITY.md A5). The insert requires an enabled account at
// the proof's epoch and, if the proof had no restriction, still none; the gate is asked
// afterwards, in the same transaction. If the session has ended or the consent was
// withdrawn in the meantime, there is no grant (A7). A device's grant has no session: it
// survives the sign-out of the browser that allowed it. It rests on the consent alone, so
// each client needs one.
func (d *Handler) begin(ctx context.Context, u *unit, issued broker.Event) error {
	f := *u.agreed.begin
	needsConsent := !u.client.FirstParty ||
		//defence:A7
		u.device
	if !needsConsent && d.gate.Settles(ctx, f, u.agreed.unlocked) {
		return d.store.CreateGrant(ctx, f, u.agreed.unlocked, issued) // nothing to ask afterwards
	}
	return d.store.Atomic(ctx, func(ctx context.Context) error {
		if err := d.store.CreateGrant(ctx, f, u.agreed.unlocked, issued); err != nil {
			return err
		}
		//defence:D1 D5 A7
		if err := d.gate.NewGrant(ctx, f, u.agreed.unlocked); err != nil || !needsConsent {
			return err
		}
		given, v, err := d.given(ctx, u.client, f.AccountID)
		//defence:A7 A13 A14
		if err == nil && !given.Covers(v, wantedOf(f.Claims).needs(u.client, f.Scopes)) {
			err = broker.Revoked
		}
		return err
	})
}

// retryRefresh handles the loser of two parallel refreshes. The winner has rotated, so
// the loser is a retry and gets the same successor, unless the token is refused for
// another reason.
func (d *Handler) retryRefresh(ctx context.Context, u *unit) error {
	f, _, err := d.gate.Grant(ctx, u.stored.ID)
	if err != nil && !broker.Refused(err) {
		return err
	}
	if f.ID == "" {
		return broker.Revoked
	}
	used := u.next - 1
	if u.client.FAPI2 {
		used = u.next
	}
	rotate, err := judge(f, err, shown{f.ID, used}, u.client.ID, d.now())
	if err == nil && rotate {
		return broker.Revoked // the reason has disappeared since
	}
	return err
}

// end revokes a grant of an app and records it. If a refresh token was reused, it also
// tells the person (SECURITY.md A6).
func (d *Handler) end(ctx context.Context, app broker.Client, id string, why broker.Code,
	events ...broker.Event) error {
	return d.store.Atomic(ctx, func(ctx context.Context) error {
		//defence:A6
		if why == broker.TokenReused {
			_, a, err := d.store.Grant(ctx, id)
			if err == nil {
				err = d.warn(ctx, a, app)
			}
			if err != nil {
				return err
			}
		}
		if err := d.store.RevokeGrant(ctx, id, why, d.now()); err != nil {
			return err
		}
		return d.store.Record(ctx, events...)
	})
}
