package admin

import (
	"context"
	"errors"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

// signingPause is a little longer than a server keeps the lease of the signing keys.
const signingPause = 11 * time.Second

// RotateSigning is the input of Service.RotateSigning.
type RotateSigning struct {
	// Emergency withdraws the old keys immediately: tokens that they signed fail.
	Emergency bool
	// Waiting is called before a wait with its reason; nil for none.
	Waiting func(d time.Duration, reason string)
	DryRun  bool
}

// RotateSigning publishes new signing keys, which take over in 24 hours. In an emergency
// they take over immediately and every old key is withdrawn.
func (s *Service) RotateSigning(ctx context.Context, actor Actor, in RotateSigning) (r Result[struct{}], _ error) {
	what := map[bool]string{false: "rotated", true: "emergency"}[in.Emergency]
	e := broker.Event{Verb: broker.EventKeyChanged, Detail: map[string]string{"signing": what}}
	if in.DryRun { // a key that was rolled back must never be in memory
		e.At, e.Actor = s.Now(), actor.ID
		return changed(struct{}{}, e, nil)
	}
	if err := s.Signing.Start(ctx); err != nil {
		return r, err
	}
	rotate := func() (err error) {
		e, err = s.change(ctx, act{actor: actor}, e,
			func(ctx context.Context) error { return s.Signing.RotateNow(ctx, in.Emergency) })
		return err
	}
	err := rotate()
	if errors.Is(err, signing.ErrBusy) { // a server that has just started changed them
		if err = s.wait(ctx, signingPause, "another process is done with the signing keys", in.Waiting); err == nil {
			err = rotate()
		}
	}
	return changed(struct{}{}, e, err)
}

// wait waits for d, and says why before.
func (s *Service) wait(ctx context.Context, d time.Duration, reason string,
	waiting func(d time.Duration, reason string)) error {
	if waiting != nil {
		waiting(d, reason)
	}
	if s.Pause != nil {
		return s.Pause(ctx, d)
	}
	return broker.Pause(ctx, d)
}
