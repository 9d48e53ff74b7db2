package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"gatehouse/broker/admin"
)

type keysCreate struct {
	File string `arg:"" name:"FILE" help:"Path of the new file."`
}

// Run creates a keyring file that only its owner may read. No other command does.
func (c *keysCreate) Run(t *tool) error {
	primary, err := admin.CreateKeyring(c.File, time.Now())
	if err != nil {
		return err
	}
	return t.print(map[string]string{"keyring": c.File, "primary": primary}, func(w io.Writer) {
		row(w, "created "+c.File+": name it with `keyring` in the configuration, and keep a copy apart from the database's")
	})
}

type keysList struct{}

func (*keysList) Run(ctx context.Context, t *tool, s *admin.Service) error {
	keys, err := s.Keys(ctx, t.actor())
	if err != nil {
		return err
	}
	out := admin.ViewKeys(keys)
	return t.print(out, func(w io.Writer) {
		row(w, "SIGNING KEY", "ALG", "STATE", "SIGNS FROM", "LEAVES THE JWKS")
		for _, k := range out.Signing {
			row(w, k.ID, k.Alg, k.State, admin.Date(k.ActiveAt), admin.Date(k.RetireAt))
		}
		fmt.Fprintln(w)
		row(w, "KEYRING KEY", "PRIMARY", "USES", "CREATED")
		for _, k := range out.Keyring {
			row(w, k.ID, admin.YesNo(k.Primary), k.Uses, admin.Date(k.Created))
		}
	})
}

type keysRotate struct {
	// Three times seal.FollowInterval.
	Wait time.Duration `default:"6s" help:"How long running servers get to load the keyring, twice."`
}

func (c *keysRotate) Validate() error { return misused(admin.RotateKeyring{Wait: c.Wait}.Check()) }

func (c *keysRotate) Run(ctx context.Context, t *tool, s *admin.Service) error {
	done, err := s.RotateKeyring(ctx, t.actor(), admin.RotateKeyring{Wait: c.Wait, Waiting: t.waiting})
	if err != nil {
		return err
	}
	v := done.Value
	return t.print(map[string]any{"primary": v.Primary, "resealed": v.Resealed}, func(w io.Writer) {
		fmt.Fprintf(w, "%s is the primary key; %d values re-sealed\n", v.Primary, v.Resealed)
	})
}

// waiting prints what a command waits for.
func (t *tool) waiting(d time.Duration, what string) {
	fmt.Fprintf(t.err, "waiting %v until %s\n", d, what)
}

type keysRetire struct {
	ID string `arg:"" name:"ID" help:"Id of the key, see keys list."`
	yesFlag
}

func (c *keysRetire) Run(ctx context.Context, t *tool, s *admin.Service) error {
	if err := t.confirm(ctx, c.yesFlag, "Remove the key "+c.ID+"?"); err != nil {
		return err
	}
	if _, err := s.RetireKey(ctx, t.actor(), admin.RetireKey{Key: c.ID}); err != nil {
		return err
	}
	return t.removed("id", c.ID)
}

type keysRotateSigning struct {
	Emergency bool `help:"Withdraw the old keys immediately: tokens signed with them fail, and new keys sign from now on."`
	yesFlag
}

func (c *keysRotateSigning) Run(ctx context.Context, t *tool, s *admin.Service) error {
	if c.Emergency {
		if err := t.confirm(ctx, c.yesFlag, "Withdraw the signing keys? Every token signed until now fails."); err != nil {
			return err
		}
	}
	if _, err := s.RotateSigning(ctx, t.actor(),
		admin.RotateSigning{Emergency: c.Emergency, Waiting: t.waiting}); err != nil {
		return err
	}
	return t.print(map[string]bool{"rotated": true, "emergency": c.Emergency}, func(w io.Writer) {
		if c.Emergency {
			fmt.Fprintln(w, "The old signing keys are withdrawn. Running servers follow within a minute.")
			return
		}
		fmt.Fprintln(w, "New signing keys are published and take over in 24 hours. "+
			"Running servers follow within a minute. keys list shows them.")
	})
}
