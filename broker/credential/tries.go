package credential

import (
	"context"
	"errors"
	"strconv"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/seal"
)

// How many wrong tries one target bears in any Window, passwords and mailed codes
// together. A code has its own limit beside it, and the one that replaces it must
// still be worth typing: codes may go on to MostTries where passwords stop.
const (
	Window        = 15 * time.Minute
	PasswordTries = 5
	MostTries     = 10
)

// Target is whose secret a try is at. Every route to one account names the same target.
type Target struct {
	Address string          // canonical
	Account *broker.Account // nil where nobody has the address
	// Known tells that the browser has signed in to the account before. Such
	// browsers spend a budget of their own, so that strangers cannot keep an owner out.
	Known bool
}

// tries counts the tries of every route and replica. A try takes one of a target's
// slots and leaves it taken for a whole Window: however the tries lie, no Window
// holds more than there are slots.
type tries struct {
	ring  *seal.Keyring
	now   func() time.Time
	slots broker.Shelf[time.Time] // when a slot is free again
}

func newTries(fleeting broker.Fleeting, ring *seal.Keyring, now func() time.Time) tries {
	return tries{ring: ring, now: now, slots: broker.Shelf[time.Time]{Name: "tries", Life: Window, In: fleeting, Now: now}}
}

// spend takes a slot among the first most, before anything is compared: parallel
// tries cannot share one. It answers Retry with RateLimited where none is free.
// Call it outside a transaction, whose end could undo it.
func (t tries) spend(ctx context.Context, at Target, most int) (slot string, err error) {
	who, now := t.name(at), t.now()
	free := now.Add(Window)
	//defence:E2
	for i := range most {
		slot = who + "." + strconv.Itoa(i)
		until, err := t.slots.Get(ctx, slot)
		if errors.Is(err, broker.NotFound) {
			if err = t.slots.Put(ctx, slot, now.Add(Window)); err == nil {
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
	//defence:E2
	return "", broker.Retry{Code: broker.RateLimited, After: max(1, seconds(free.Sub(now)))}
}

// giveBack frees the slot of a try that told nobody anything: of a success, or of
// one that compared nothing. Only this one: to free them all would hand whoever
// guesses between the owner's sign-ins a new budget each time.
func (t tries) giveBack(ctx context.Context, slot string) error {
	_, err := t.slots.Take(context.WithoutCancel(ctx), slot)
	if errors.Is(err, broker.NotFound) {
		return nil
	}
	return err
}

// name is the account where there is one, so that no spelling and no turn of the
// keyring gives a second budget. An address that nobody has is kept as a keyed hash.
func (t tries) name(at Target) string {
	who := t.ring.Hash("tries", []byte(at.Address)) // always, so that both cost the same
	switch {
	//defence:E2
	case at.Account == nil:
		return who
	//defence:E2
	case at.Known:
		return "known " + at.Account.ID
	}
	return "account " + at.Account.ID
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
