package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
	"gatehouse/broker/signing"
)

// ringReload is how often a running server looks at its keyring file. Rotation
// waits longer than that between adding a key and using it.
const ringReload = 2 * time.Second

// keysPause is a little longer than a server holds the signing keys.
const keysPause = 11 * time.Second

func keyCommands() []command {
	return []command{
		{"keys create", "FILE", "make the keyring of a new deployment on PostgreSQL; beside SQLite the first start makes it", "/etc/gatehouse/keyring.json", createRing},
		{"keys list", "", "list the signing keys and the keyring's keys", "--json", listKeys},
		{"keys rotate", "", "rotate the keyring while servers run, and re-seal what is stored", "", rotateRing},
		{"keys retire", "ID", "drop an old key of the keyring that nothing uses any more", "k4mzt2xqa", retireRingKey},
		{"keys rotate-signing", "", "publish new signing keys, which sign in a day; the old ones stay published as long as their tokens live", "", rotateSigning},
	}
}

// createRing makes a keyring file that only its owner may read, and no other command does.
func createRing(*flag.FlagSet) action {
	return func(_ context.Context, t *tool, args []string) error {
		primary, err := admin.CreateKeyring(args[0], time.Now())
		if err != nil {
			return err
		}
		return t.print(map[string]string{"keyring": args[0], "primary": primary}, func(w io.Writer) {
			row(w, "made "+args[0]+": name it with `keyring` in the configuration, and keep a copy of it away from the database")
		})
	}
}

func listKeys(*flag.FlagSet) action {
	type signing struct {
		ID       string    `json:"kid"`
		Alg      string    `json:"alg"`
		State    string    `json:"state"`
		ActiveAt time.Time `json:"active_at"`
		RetireAt time.Time `json:"retire_at,omitzero"`
	}
	type sealing struct {
		ID      string    `json:"id"`
		Primary bool      `json:"primary"`
		Created time.Time `json:"created_at"`
		Uses    int       `json:"uses"`
	}
	return func(ctx context.Context, t *tool, _ []string) error {
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		keys, err := s.Keys(ctx, t.actor())
		if err != nil {
			return err
		}
		var out struct {
			Signing []signing `json:"signing"`
			Keyring []sealing `json:"keyring"`
		}
		out.Signing = []signing{}
		for _, k := range keys.Signing {
			out.Signing = append(out.Signing, signing{k.ID, k.Alg, string(k.State), k.ActiveAt, k.RetireAt})
		}
		for _, k := range keys.Ring {
			out.Keyring = append(out.Keyring, sealing(k))
		}
		return t.print(out, func(w io.Writer) {
			row(w, "SIGNING KEY", "ALG", "STATE", "SIGNS FROM", "LEAVES THE JWKS")
			for _, k := range out.Signing {
				row(w, k.ID, k.Alg, k.State, date(k.ActiveAt), date(k.RetireAt))
			}
			fmt.Fprintln(w)
			row(w, "KEYRING KEY", "PRIMARY", "USES", "CREATED")
			for _, k := range out.Keyring {
				row(w, k.ID, yesNo(k.Primary), k.Uses, date(k.Created))
			}
		})
	}
}

func rotateRing(fs *flag.FlagSet) action {
	wait := fs.Duration("wait", 3*ringReload, "how long running servers get to load the keyring, twice; longer where each has a copy of the file that you spread meanwhile")
	return func(ctx context.Context, t *tool, _ []string) error {
		in := admin.RotateKeyring{Wait: *wait, Waiting: t.waiting}
		if err := misused(in.Check()); err != nil {
			return err
		}
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		done, err := s.RotateKeyring(ctx, t.actor(), in)
		if err != nil {
			return err
		}
		v := done.Value
		return t.print(map[string]any{"primary": v.Primary, "resealed": v.Resealed}, func(w io.Writer) {
			fmt.Fprintf(w, "%s is the primary key; %d values sealed anew\n", v.Primary, v.Resealed)
		})
	}
}

// waiting says what a command waits for.
func (t *tool) waiting(d time.Duration, what string) {
	fmt.Fprintf(t.err, "waiting %v until %s\n", d, what)
}

// await says what it waits for, because nothing else moves meanwhile.
func (t *tool) await(ctx context.Context, d time.Duration, what string) error {
	t.waiting(d, what)
	return sleep(ctx, d)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func retireRingKey(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		s, err := t.admin(ctx)
		if err != nil {
			return err
		}
		if _, err := s.RetireKey(ctx, t.actor(), admin.RetireKey{Key: args[0]}); err != nil {
			return err
		}
		return t.removed("id", args[0])
	}
}

func rotateSigning(fs *flag.FlagSet) action {
	emergency := fs.Bool("emergency", false, "the old keys are not to be trusted: new ones sign at once, the old ones are withdrawn, and tokens signed with them fail")
	return func(ctx context.Context, t *tool, _ []string) error {
		h, err := t.open(ctx)
		if err != nil {
			return err
		}
		keys := h.signingKeys()
		if err := keys.Start(ctx); err != nil {
			return err
		}
		what := map[bool]string{false: "rotated", true: "emergency"}[*emergency]
		rotate := func() error {
			return h.store.Atomic(ctx, func(ctx context.Context) error {
				if err := keys.RotateNow(ctx, *emergency); err != nil {
					return err
				}
				return h.record(ctx, broker.Event{Verb: broker.EventKeyChanged, Detail: map[string]string{"signing": what}})
			})
		}
		if err = rotate(); errors.Is(err, signing.ErrBusy) { // a server that has just started made or changed them
			if err = t.await(ctx, keysPause, "another process is done with the signing keys"); err == nil {
				err = rotate()
			}
		}
		if err != nil {
			return err
		}
		return t.print(map[string]bool{"rotated": true, "emergency": *emergency}, func(w io.Writer) {
			if *emergency {
				fmt.Fprintln(w, "The old signing keys are withdrawn; running servers follow within a minute.")
				return
			}
			fmt.Fprintln(w, "New signing keys are published and sign in a day; running servers follow within a minute. keys list shows them.")
		})
	}
}
