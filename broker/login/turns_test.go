package login_test

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// turns replaces the clock of requests that wait for another one: a waiting request goes on when another request has
// ended, or when all that run are waiting.
type turns struct {
	mu                      sync.Mutex
	changed                 *sync.Cond
	running, waiting, ended int
	waits                   func() // called by each request that begins to wait
}

func newTurns() *turns {
	t := &turns{}
	t.changed = sync.NewCond(&t.mu)
	return t
}

// serve counts the requests of h.
func (t *turns) serve(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.add(&t.running, 1)
		defer func() {
			t.add(&t.running, -1)
			t.add(&t.ended, 1)
		}()
		h.ServeHTTP(w, r)
	})
}

func (t *turns) add(n *int, by int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n += by
	t.changed.Broadcast()
}

// pause is the Pause of the service under test.
func (t *turns) pause(context.Context, time.Duration) error {
	if t.waits != nil {
		t.waits()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting++
	t.changed.Broadcast()
	for before := t.ended; t.ended == before && t.running > t.waiting; {
		t.changed.Wait()
	}
	t.waiting--
	return nil
}
