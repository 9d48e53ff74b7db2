package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// EphemeralStore is a typed view of one store of Ephemeral. Its values expire by the process's clock.
type EphemeralStore[T any] struct {
	Name string
	Life time.Duration
	In   Ephemeral
	Now  func() time.Time
}

type ephemeralValue[T any] struct {
	Expires time.Time `json:"x"`
	Value   T         `json:"v"`
}

// Put creates a value, or returns Conflict if the key exists.
func (s EphemeralStore[T]) Put(ctx context.Context, key string, v T) error {
	expires := s.Now().Add(s.Life)
	b, err := json.Marshal(ephemeralValue[T]{expires, v})
	if err != nil {
		return fmt.Errorf("ephemeral store %s: %w", s.Name, err)
	}
	return s.In.Put(ctx, s.Name, key, b, expires)
}

// Get returns NotFound for an unknown or expired key.
func (s EphemeralStore[T]) Get(ctx context.Context, key string) (T, error) {
	b, err := s.In.Get(ctx, s.Name, key)
	v, err := s.open(b, err)
	return v.Value, err
}

// Take reads and removes. A second Take returns NotFound, so that a stolen key is useless.
func (s EphemeralStore[T]) Take(ctx context.Context, key string) (T, error) {
	b, err := s.In.Take(ctx, s.Name, key)
	v, err := s.open(b, err)
	return v.Value, err
}

// maxTries bounds the attempts of Change.
const maxTries = 3

// Change edits one value by compare-and-swap and returns the new one. After a conflict it reads and edits again,
// up to maxTries times, so edit must have no other effect.
func (s EphemeralStore[T]) Change(ctx context.Context, key string, edit func(*T) error) (T, error) {
	return s.ChangeSeen(ctx, key, nil, edit)
}

// Seen is a stored value as it was read, for ChangeSeen.
type Seen []byte

// GetSeen is Get that also returns the stored form.
func (s EphemeralStore[T]) GetSeen(ctx context.Context, key string) (T, Seen, error) {
	b, err := s.In.Get(ctx, s.Name, key)
	v, err := s.open(b, err)
	return v.Value, b, err
}

// ChangeSeen is Change that edits seen first, if it is not nil, instead of reading the value again.
func (s EphemeralStore[T]) ChangeSeen(ctx context.Context, key string, seen Seen, edit func(*T) error) (T, error) {
	var zero T
	for try := 0; ; try++ {
		old, err := []byte(seen), error(nil)
		if try > 0 || seen == nil {
			old, err = s.In.Get(ctx, s.Name, key)
		}
		v, err := s.open(old, err)
		if err == nil {
			err = edit(&v.Value)
		}
		if err != nil {
			return zero, err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return zero, fmt.Errorf("ephemeral store %s: %w", s.Name, err)
		}
		err = s.In.Swap(ctx, s.Name, key, old, b)
		if err == nil {
			return v.Value, nil
		}
		if !errors.Is(err, Conflict) || try == maxTries {
			return zero, err
		}
	}
}

func (s EphemeralStore[T]) open(b []byte, err error) (v ephemeralValue[T], _ error) {
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("ephemeral store %s: %w", s.Name, err)
	}
	if !s.Now().Before(v.Expires) {
		return ephemeralValue[T]{}, NotFound
	}
	return v, nil
}
