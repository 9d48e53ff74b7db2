package redisdb

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

// together sends in one message what several requests ask while the message before
// it is on its way: under load a message costs more than what is in it, here and at the
// server. Who asks alone waits for nobody, and each answer is its own.
type together struct {
	client  *redis.Client
	mu      sync.Mutex
	busy    bool
	waiting []*asked
}

type asked struct {
	cmd  redis.Cmder
	turn chan bool // true to send all that waits, false when it is answered
}

var (
	_ redis.Hook = (*together)(nil)

	errUnanswered = errors.New("the message was not sent to its end")
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
	select {
	case send := <-a.turn:
		if !send {
			return cmd.Err()
		}
	case <-ctx.Done():
		if t.leave(a) {
			return ctx.Err()
		}
		if send := <-a.turn; !send { // somebody sends it already, and still writes its answer
			return cmd.Err()
		}
	}
	defer t.handOver()
	t.mu.Lock()
	all := t.waiting // with this one first
	t.waiting = nil
	t.mu.Unlock()
	if len(all) == 1 {
		return alone(ctx, cmd)
	}
	t.send(context.WithoutCancel(ctx), all)
	return cmd.Err()
}

// leave takes one that nobody sends yet back, and tells whether it could.
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

// send answers all, the first of which is its caller's own.
func (t *together) send(ctx context.Context, all []*asked) {
	done := false
	defer func() {
		for _, a := range all[1:] {
			if !done { // a panic: an answer that is missing is no empty one
				a.cmd.SetErr(errUnanswered)
			}
			a.turn <- false
		}
	}()
	pipe := t.client.Pipeline()
	for _, a := range all {
		_ = pipe.Process(ctx, a.cmd)
	}
	_, _ = pipe.Exec(ctx) // each has its own error
	done = true
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
