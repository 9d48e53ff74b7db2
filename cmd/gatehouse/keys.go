package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/seal"
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
		if exists(args[0]) {
			return fmt.Errorf("%s is there already; a keyring that was overwritten could never be made again", args[0])
		}
		ring, err := seal.LoadOrCreate(args[0], time.Now())
		if err != nil {
			return err
		}
		return t.print(map[string]string{"keyring": args[0], "primary": ring.Primary()}, func(w io.Writer) {
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
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		all, err := h.store.SigningKeys(ctx)
		if err != nil {
			return err
		}
		used, err := h.store.SealedWith(ctx)
		if err != nil {
			return err
		}
		var out struct {
			Signing []signing `json:"signing"`
			Keyring []sealing `json:"keyring"`
		}
		out.Signing = []signing{}
		for _, k := range all {
			out.Signing = append(out.Signing, signing{k.ID, k.Alg, string(k.State), k.ActiveAt, k.RetireAt})
		}
		for _, id := range h.ring.IDs() {
			out.Keyring = append(out.Keyring, sealing{id, id == h.ring.Primary(), h.ring.Created(id), used[id]})
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

// rotateRing adds a key, waits until every running server holds it, makes it the
// primary, waits again, and seals what is stored anew. Interrupted anywhere, it
// leaves a keyring that works; run again, it starts over with another key.
func rotateRing(fs *flag.FlagSet) action {
	wait := fs.Duration("wait", 3*ringReload, "how long running servers get to load the keyring, twice; longer where each has a copy of the file that you spread meanwhile")
	return func(ctx context.Context, t *tool, _ []string) error {
		if *wait < 0 {
			return misuse("--wait: want a duration such as 10s")
		}
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		path := h.cfg.Keyring
		if path == "" {
			return errors.New("the keyring comes from the environment; rotate it where it is kept: add a key at the end, then move it to the front")
		}
		id, err := h.ring.Add(h.now())
		if err != nil {
			return err
		}
		for _, step := range []func() error{
			func() error { return h.ring.Save(path) },
			func() error { return t.await(ctx, *wait, "running servers load the new key") },
			func() error { return h.ring.Promote(id) },
			func() error { return h.saveRing(ctx, map[string]string{"keyring": id}) },
			func() error { return t.await(ctx, *wait, "running servers use the new key") },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		n, err := h.store.Reseal(ctx)
		if err != nil {
			return err
		}
		return t.print(map[string]any{"primary": id, "resealed": n}, func(w io.Writer) {
			fmt.Fprintf(w, "%s is the primary key; %d values sealed anew\n", id, n)
		})
	}
}

// saveRing writes the keyring file within the transaction of its Event.
func (h *house) saveRing(ctx context.Context, what map[string]string) error {
	return h.store.Atomic(ctx, func(ctx context.Context) error {
		if err := h.record(ctx, broker.Event{Verb: broker.EventKeyChanged, Detail: what}); err != nil {
			return err
		}
		return h.ring.Save(h.cfg.Keyring)
	})
}

// await says what it waits for, because nothing else moves meanwhile.
func (t *tool) await(ctx context.Context, d time.Duration, what string) error {
	fmt.Fprintf(t.err, "waiting %v until %s\n", d, what)
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

// retireRingKey drops a key only when nothing can need it: no client secret, no
// sealed value, no session, and no refresh token from its time.
func retireRingKey(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		if h.cfg.Keyring == "" {
			return errors.New("the keyring comes from the environment; edit it there")
		}
		if err := h.retirable(ctx, args[0]); err != nil {
			return err
		}
		if err := h.ring.Retire(args[0]); err != nil {
			return err
		}
		if err := h.saveRing(ctx, map[string]string{"retired": args[0]}); err != nil {
			return err
		}
		return t.removed("id", args[0])
	}
}

// retirable says why a key is still needed, or nil.
func (h *house) retirable(ctx context.Context, id string) error {
	switch {
	case !slices.Contains(h.ring.IDs(), id):
		return fmt.Errorf("the keyring has no key %q; keys list names them", id)
	case id == h.ring.Primary():
		return fmt.Errorf("%s is the primary key; run keys rotate first", id)
	}
	clients, err := h.store.Clients(ctx)
	if err != nil {
		return err
	}
	for _, c := range clients {
		for _, s := range c.SecretHashes {
			if seal.KeyOfHash(s) == id {
				return fmt.Errorf("a secret of the client %s is hashed with %s; give the client a new one with clients secret, twice if the old one shall go too", c.ID, id)
			}
		}
	}
	used, err := h.store.SealedWith(ctx)
	if err != nil {
		return err
	}
	if used[id] > 0 {
		return fmt.Errorf("%d stored values and sessions still need %s; keys rotate seals values anew, sessions end within %v", used[id], id, broker.SessionLife)
	}
	if since := h.ring.Created(h.ring.Primary()).Add(broker.RefreshLife); h.now().Before(since) {
		return fmt.Errorf("refresh tokens from the time of %s may live until %s UTC; come again then", id, date(since))
	}
	return nil
}

func rotateSigning(fs *flag.FlagSet) action {
	emergency := fs.Bool("emergency", false, "the old keys are not to be trusted: new ones sign at once, the old ones are withdrawn, and tokens signed with them fail")
	return func(ctx context.Context, t *tool, _ []string) error {
		h, err := t.house(ctx)
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
