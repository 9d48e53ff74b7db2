package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Shelf is a typed place in Fleeting. Its values expire by the process's clock.
type Shelf[T any] struct {
	Name string
	Life time.Duration
	In   Fleeting
	Now  func() time.Time
}

type shelved[T any] struct {
	Expires time.Time `json:"x"`
	Value   T         `json:"v"`
}

// Put creates; Conflict where the key stands.
func (s Shelf[T]) Put(ctx context.Context, key string, v T) error {
	expires := s.Now().Add(s.Life)
	b, err := json.Marshal(shelved[T]{expires, v})
	if err != nil {
		return fmt.Errorf("shelf %s: %w", s.Name, err)
	}
	return s.In.Put(ctx, s.Name, key, b, expires)
}

// Get answers NotFound for an unknown or expired key. What a Change of ctx has just
// written is not read again (WithSight).
func (s Shelf[T]) Get(ctx context.Context, key string) (T, error) {
	seen := sightsOf(ctx)
	b, err := seen.take(s.Name, key, true), error(nil)
	if b == nil {
		b, err = s.In.Get(ctx, s.Name, key)
	}
	v, err := s.open(b, err)
	if err == nil {
		seen.keep(s.Name, key, sight{b, false})
	}
	return v.Value, err
}

// Take reads and removes: a second Take answers NotFound, so what was stolen
// opens nothing.
func (s Shelf[T]) Take(ctx context.Context, key string) (T, error) {
	sightsOf(ctx).take(s.Name, key, false)
	b, err := s.In.Take(ctx, s.Name, key)
	v, err := s.open(b, err)
	return v.Value, err
}

// Change edits one value in place by compare-and-swap and returns the new one.
// On Conflict it reads again and edits again, up to three times: edit must have
// no effect of its own. The first try takes what ctx has seen (WithSight) for the
// value: where that was overtaken, edit says no or the swap fails, and it is read.
func (s Shelf[T]) Change(ctx context.Context, key string, edit func(*T) error) (T, error) {
	var zero T
	seen := sightsOf(ctx).take(s.Name, key, false)
	for try := 0; ; try++ {
		old, err := seen, error(nil)
		if seen == nil {
			old, err = s.In.Get(ctx, s.Name, key)
		}
		v, err := s.open(old, err)
		if err == nil {
			err = edit(&v.Value)
		}
		switch {
		case err != nil && seen != nil:
			seen = nil
			continue
		case err != nil:
			return zero, err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return zero, fmt.Errorf("shelf %s: %w", s.Name, err)
		}
		err = s.In.Swap(ctx, s.Name, key, old, b)
		if err == nil {
			sightsOf(ctx).keep(s.Name, key, sight{b, true})
			return v.Value, nil
		}
		if !errors.Is(err, Conflict) || try == 3 {
			return zero, err
		}
		seen = nil
	}
}

func (s Shelf[T]) open(b []byte, err error) (v shelved[T], _ error) {
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("shelf %s: %w", s.Name, err)
	}
	if !s.Now().Before(v.Expires) {
		return shelved[T]{}, NotFound
	}
	return v, nil
}

// sight is a value as it was stored when one request read or wrote it.
type sight struct {
	b     []byte
	wrote bool
}

// sights are what one request has seen.
type sights struct {
	mu sync.Mutex
	of map[[2]string]sight
}

type sightsKey struct{}

// WithSight lets a Change spare its read where a Get or a Change of the same context
// came before it, and one Get after a Change. A context of it is for one request: what
// it has seen grows old.
func WithSight(ctx context.Context) context.Context {
	return context.WithValue(ctx, sightsKey{}, &sights{})
}

// sightsOf is nil where ctx keeps none, which keeps and gives nothing.
func sightsOf(ctx context.Context) *sights {
	s, _ := ctx.Value(sightsKey{}).(*sights)
	return s
}

func (s *sights) keep(shelf, key string, v sight) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil { // few requests read anything
		s.of = map[[2]string]sight{}
	}
	s.of[[2]string{shelf, key}] = v
}

// take gives away what was seen, or only what this request wrote and has not read
// since: whoever reads twice learns what others did.
func (s *sights) take(shelf, key string, wrote bool) []byte {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := [2]string{shelf, key}
	v := s.of[at]
	if wrote && !v.wrote {
		return nil
	}
	delete(s.of, at)
	return v.b
}
