package limit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrBusy means that the queue is full, or that no slot became free in time.
var ErrBusy = errors.New("limit: too many calls at once")

// Unbounded is a number of callers without a limit.
const Unbounded = -1

// Slots bounds how many calls run at once and how many wait. Callers wait in one line per key, and the lines take
// turns, so that a flood under one key delays another key by one call. Make one with NewSlots. It is safe for
// concurrent use.
type Slots struct {
	atOnce, most int
	wait         time.Duration

	mu      sync.Mutex
	running int
	waiting int
	lines   map[string][]*waiter
	turns   []string // the keys of the lines, in the order of their turns
}

type waiter struct {
	key   string
	ready chan error // nil when it has a slot, ErrBusy when it lost its place
}

// NewSlots lets atOnce calls run. At most most calls run or wait together, or any number
// if it is Unbounded; each waits no longer than wait.
func NewSlots(atOnce, most int, wait time.Duration) *Slots {
	return &Slots{atOnce: atOnce, most: most, wait: wait, lines: map[string][]*waiter{}}
}

// Acquire waits for a slot in the line of the key. The caller must call release once. Acquire returns ErrBusy if
// the queue is full or the wait is over, and the error of ctx if that ends first. In a full queue, the last caller
// of the longest line loses its place to a caller whose line is shorter.
func (s *Slots) Acquire(ctx context.Context, key string) (release func(), err error) {
	w, err := s.enter(key)
	if w == nil {
		return s.release, err
	}
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	select {
	case err := <-w.ready:
		return s.release, err
	case <-timer.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	if s.leave(w) {
		return nil, err
	}
	return s.release, <-w.ready // it was decided at the same moment
}

// enter takes a slot and returns nil, or joins the line of the key.
func (s *Slots) enter(key string) (*waiter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running < s.atOnce && s.waiting == 0 {
		s.running++
		return nil, nil
	}
	//defence:E18
	if s.most != Unbounded && s.running+s.waiting >= s.most && !s.displace(key) {
		return nil, ErrBusy
	}
	w := &waiter{key, make(chan error, 1)}
	if len(s.lines[key]) == 0 {
		s.turns = append(s.turns, key)
	}
	s.lines[key] = append(s.lines[key], w)
	s.waiting++
	s.next()
	return w, nil
}

// displace takes the last place of the longest line away, if that line stays longer than the one of the key.
func (s *Slots) displace(key string) bool {
	longest := key
	for _, k := range s.turns {
		if len(s.lines[k]) > len(s.lines[longest]) {
			longest = k
		}
	}
	line := s.lines[longest]
	//defence:E18
	if len(line) < len(s.lines[key])+2 {
		return false
	}
	last := line[len(line)-1]
	s.remove(last)
	last.ready <- ErrBusy
	return true
}

// leave gives up a place. It returns false if the waiter has lost it already, or has a slot.
func (s *Slots) leave(w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(w)
}

func (s *Slots) remove(w *waiter) bool {
	line := s.lines[w.key]
	i := slices.Index(line, w)
	if i < 0 {
		return false
	}
	s.waiting--
	if line = slices.Delete(line, i, i+1); len(line) > 0 {
		s.lines[w.key] = line
		return true
	}
	delete(s.lines, w.key)
	s.turns = slices.DeleteFunc(s.turns, func(k string) bool { return k == w.key })
	return true
}

// next gives the free slots to the lines in turn.
func (s *Slots) next() {
	for s.running < s.atOnce && s.waiting > 0 {
		first := s.lines[s.turns[0]][0]
		s.turns = append(s.turns[1:], first.key)
		s.remove(first)
		s.running++
		first.ready <- nil
	}
}

func (s *Slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	s.next()
}

// InUse returns how many calls run or wait.
func (s *Slots) InUse() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running + s.waiting
}
