package login

import (
	"context"
	"errors"
	"net/url"

	"gatehouse/broker"
)

// maxPost is the largest posted response of an upstream that names no other size. A code, its state and a name
// need less than 4 KiB.
const maxPost = 8 << 10

// keepPosted stores a posted response for the GET that follows. Anyone can post, so it stores nothing unless the
// response names a waiting upstream request, and at most one response for each. A repeated post, or one for a
// request that has been answered or has expired, stores nothing: the GET shows what became of the login.
func (s *service) keepPosted(ctx context.Context, connection, address string, form url.Values) error {
	t, key, err := s.pending(ctx, connection, form)
	if err != nil {
		return err
	}
	encoded := form.Encode()
	//defence:H4
	if most := max(t.MaxPost, maxPost); len(encoded) > most {
		return broker.TooLarge
	}
	//defence:H4
	if s.Now().Sub(t.StartedAt) > broker.UpstreamRequestLife {
		return nil
	}
	_, err = s.consumed.Get(ctx, key)
	if err == nil {
		return nil
	}
	if !errors.Is(err, broker.NotFound) {
		return err
	}
	//defence:H4
	if err := s.posters.Allow(ctx, address, len(encoded)); err != nil {
		return err
	}
	// Sealed, because it contains the upstream's code and ID token.
	sealed, err := s.Keyring.Seal([]byte(encoded), purposePosted, key)
	if err == nil {
		err = s.postedForms.Put(ctx, key, sealed)
	}
	if errors.Is(err, broker.Conflict) {
		return nil
	}
	return err
}

// postedAnswer returns the stored response of a state, or NotFound. It may be read again until it expires: what is
// used once is the state, see consumeState.
func (s *service) postedAnswer(ctx context.Context, state string) (url.Values, error) {
	for _, key := range s.Keyring.Hashes(hashState, []byte(state)) {
		sealed, err := s.postedForms.Get(ctx, key)
		if errors.Is(err, broker.NotFound) {
			continue
		}
		var plain []byte
		if err == nil {
			plain, err = s.Keyring.Open(sealed, purposePosted, key)
		}
		if err != nil {
			return nil, err
		}
		return url.ParseQuery(string(plain))
	}
	return nil, broker.NotFound
}
