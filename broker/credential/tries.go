package credential

import (
	"context"
	"errors"
	"strconv"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/limit"
	"gatehouse/broker/seal"
)

// Limits of wrong tries per target in any Window, passwords and mailed codes together. A code also has its own
// limit. Codes are allowed up to MostTries, so that a new code still works after the passwords are used up.
const (
	Window        = 15 * time.Minute
	PasswordTries = 5
	MostTries     = 10
)

// NetworkFailures is how many wrong passwords from one network block it for a Window. Only browsers that have not
// signed in to the account count, so that a company behind one network stays below it.
const NetworkFailures = 50

// Target is the account or address whose secret is tried. Every route to one account uses the same target.
type Target struct {
	Address string          // canonical
	Account *broker.Account // nil if the address has no account
	// Known: the browser has signed in to the account before. Such browsers have a budget of their own, so that
	// strangers cannot lock an owner out.
	Known bool
	// Network is where the try comes from, see limit.Network.
	Network string
}

// line is the line of the target's tries in the queue: a flood of strangers delays no known browser of its network.
func (t Target) line() string {
	if t.Known {
		return "known " + t.Network
	}
	return t.Network
}

// tries counts the tries of every route and replica. A try takes one of a target's slots for a whole Window, so
// no Window contains more tries than slots.
type tries struct {
	keyring *seal.Keyring
	now     func() time.Time
	slots   broker.EphemeralStore[time.Time] // when a slot is free again
}

func newTries(ephemeral broker.Ephemeral, keyring *seal.Keyring, now func() time.Time) tries {
	return tries{keyring: keyring, now: now,
		slots: broker.EphemeralStore[time.Time]{Name: "tries", Life: Window, In: ephemeral, Now: now}}
}

// consume takes one of the first most slots before anything is compared, so that parallel tries cannot share one.
// It returns Retry with RateLimited if none is free. Call it outside a transaction, because a rollback would
// undo it.
func (t tries) consume(ctx context.Context, at Target, most int) (slot string, err error) {
	who, now := t.name(at), t.now()
	free := now.Add(Window)
	//defence:E2
	expires := now.Add(Window)
	for i := range most {
		slot = who + "." + strconv.Itoa(i)
		until, err := t.slots.Get(ctx, slot)
		if errors.Is(err, broker.NotFound) {
			if err = t.slots.Put(ctx, slot, expires); err == nil {
				return slot, nil
			}
			until = now.Add(Window)
		}
		if err != nil && !errors.Is(err, broker.Conflict) {
			return "", err
		}
		//defence:E2
		if until.Before(free) {
			free = until
		}
	}
	return "", broker.Retry{Code: broker.RateLimited,
		//defence:E2 = 60
		After: limit.Seconds(free.Sub(now))}
}

// release frees the slot of a try that revealed nothing: a success, or one that compared nothing. It frees only
// this slot: freeing all would give a guesser a new budget at each sign-in of the owner.
func (t tries) release(ctx context.Context, slot string) error {
	_, err := t.slots.Take(context.WithoutCancel(ctx), slot)
	if errors.Is(err, broker.NotFound) {
		return nil
	}
	return err
}

// network is the keyed hash of the network of a target.
func (t tries) network(at Target) string {
	return t.keyring.Hash("tries", []byte("network "+at.Network))
}

// name is the account's id if there is one, so that neither spelling nor key rotation gives a second budget. An
// address without an account is stored as a keyed hash.
func (t tries) name(at Target) string {
	who := t.keyring.Hash("tries", []byte(at.Address)) // always, so that both cases cost the same
	switch {
	//defence:E2 = true
	case at.Account == nil:
		return who
	//defence:E2
	case at.Known:
		return "known " + at.Account.ID
	}
	return "account " + at.Account.ID
}
