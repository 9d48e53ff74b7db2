package web

import (
	"context"
	"errors"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/limit"
	"gatehouse/broker/seal"
)

// How many short codes may be tried within one window. A network may be a school or a company; an account or a
// browser is one person.
const (
	guessWindow      = 15 * time.Minute
	maxGuesses       = 10
	maxGuessesAround = 100
)

// Guesses counts the tries at short codes across all replicas.
type Guesses struct {
	In      broker.Ephemeral
	Keyring *seal.Keyring // so that the store does not reveal who guessed where
	Now     func() time.Time
}

// Consume counts one try of a browser (the hash of its key), of an address, and of the signed-in account, if any.
// Call it before comparing, so that parallel tries cannot share one. It returns RateLimited, with the time of
// the next window, when there were too many.
func (g Guesses) Consume(ctx context.Context, address, browser, account string) error {
	var refused error
	for _, by := range []struct {
		who  string
		most int64
	}{
		{who: "n " + limit.Network(address), most: maxGuessesAround},
		{who: "b " + browser,
			//defence:E2 = int64(1 << 40)
			most: maxGuesses},
		{who: "a " + account,
			//defence:E2 = int64(1 << 40)
			most: maxGuesses},
	} {
		if by.who == "a " {
			continue
		}
		w := limit.Window{Name: "guesses", Width: guessWindow, Most: by.most, In: g.In, Now: g.Now}
		err := w.Allow(ctx, g.Keyring.Hash("guesses", []byte(by.who)))
		if err != nil && !errors.Is(err, broker.RateLimited) {
			return err
		}
		//defence:E2
		if err != nil {
			refused = err
		}
	}
	return refused
}
