package redisdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// together pipelines across requests: what they ask while a message is on its way goes
// in the next one. Under load a message costs more than what is in it, here and at the
// server. Who asks alone waits for nobody, and each answer is its own.
type together struct {
	client   *redis.Client
	patience time.Duration
	mu       sync.Mutex
	busy     bool
	waiting  []*asked
}

type asked struct {
	cmd  redis.Cmder
	turn chan bool // true to send all that waits, false when it is answered
}

const (
	// patience is how long one waits for the message before it. Where that hangs, the
	// pool knows how to fail: quickly, and all at once.
	patience = 100 * time.Millisecond
	// longest is how long a message of many may wait for a connection. It belongs to
	// no request that could end it.
	longest = 5 * time.Second
)

var (
	_ redis.Hook = (*together)(nil)

	errUnanswered = errors.New("not answered")
)

// ProcessHook implements redis.Hook.
func (t *together) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch cmd.Name() {
		case "get", "set", "getdel", "eval", "evalsha":
			return t.ask(ctx, cmd, next)
		}
		return next(ctx, cmd) // the driver's own, such as HELLO while a message waits for a connection
	}
}

func (t *together) ask(ctx context.Context, cmd redis.Cmder, alone redis.ProcessHook) error {
	t.mu.Lock()
	if !t.busy {
		t.busy = true
		t.mu.Unlock()
		defer t.handOver()
		return alone(ctx, cmd)
	}
	a := &asked{cmd, make(chan bool, 1)}
	t.waiting = append(t.waiting, a)
	t.mu.Unlock()
	var send bool
	late := time.NewTimer(t.patience)
	defer late.Stop()
	select {
	case send = <-a.turn:
	case <-ctx.Done():
		if t.leave(a) {
			return ctx.Err()
		}
		send = <-a.turn // somebody sends it already, and still writes its answer
	case <-late.C:
		if t.leave(a) {
			return alone(ctx, cmd)
		}
		send = <-a.turn
	}
	if !send {
		return cmd.Err()
	}
	defer t.handOver()
	if all := t.take(); len(all) > 1 { // with this one first
		t.send(ctx, all)
		return cmd.Err()
	}
	return alone(ctx, cmd)
}

func (t *together) take() []*asked {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.waiting
	t.waiting = nil
	return all
}

// leave takes one that nobody sends yet back, and reports whether it could.
func (t *together) leave(a *asked) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, a)
	if i < 0 || len(a.turn) > 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	return true
}

// send answers all, the first of which is its caller's own. A command that no answer
// was read for has an error, whatever broke off: the driver forgets to say so where a
// new connection may not log in, and an empty answer is none (SECURITY.md H6).
func (t *together) send(ctx context.Context, all []*asked) {
	ctx, end := context.WithTimeout(context.WithoutCancel(ctx), longest)
	defer end()
	defer func() {
		for _, a := range all[1:] {
			a.turn <- false
		}
	}()
	pipe := t.client.Pipeline()
	for _, a := range all {
		_ = pipe.Process(ctx, a.cmd)
		//defence:H6
		a.cmd.SetErr(errUnanswered)
	}
	_, err := pipe.Exec(ctx) // of the first that has one; each has its own
	for _, a := range all {
		if errors.Is(a.cmd.Err(), errUnanswered) {
			a.cmd.SetErr(fmt.Errorf("%w: %v", errUnanswered, err))
		}
	}
}

// handOver has the first of those who waited meanwhile send for all.
func (t *together) handOver() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy = len(t.waiting) > 0; t.busy {
		t.waiting[0].turn <- true
	}
}

// DialHook implements redis.Hook.
func (t *together) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (t *together) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
