package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/seal"
)

// ringReload is how often a running server looks at its keyring file. Rotation
// waits longer than that between adding a key and using it.
const ringReload = 2 * time.Second

func keyCommands() []command {
	return []command{
		{"keys list", "", "list the signing keys and the keyring's keys", listKeys},
		{"keys rotate", "", "rotate the keyring while servers run, and re-seal what is stored", rotateRing},
		{"keys retire", "ID", "drop an old key of the keyring that nothing uses any more", retireRingKey},
		{"keys rotate-signing", "", "sign with new keys; the old ones stay published as long as their tokens live", rotateSigning},
	}
}

func listKeys(*flag.FlagSet) action {
	type signing struct {
		ID       string    `json:"kid"`
		Alg      string    `json:"alg"`
		State    string    `json:"state"`
		ActiveAt time.Time `json:"active_at"`
		RetireAt time.Time `json:"retire_at"`
	}
	type sealing struct {
		ID      string    `json:"id"`
		Primary bool      `json:"primary"`
		Created time.Time `json:"created_at"`
		Rows    int       `json:"sealed_rows"`
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
		for _, k := range all {
			out.Signing = append(out.Signing, signing{k.ID, k.Alg, string(k.State), k.ActiveAt, k.RetireAt})
		}
		for _, id := range h.ring.IDs() {
			out.Keyring = append(out.Keyring, sealing{id, id == h.ring.Primary(), h.ring.Created(id), used[id]})
		}
		return t.print(out, func(w io.Writer) {
			fmt.Fprintln(w, "SIGNING KEY\tALG\tSTATE\tACTIVE\tLEAVES THE JWKS")
			for _, k := range out.Signing {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Alg, k.State, date(k.ActiveAt), date(k.RetireAt))
			}
			fmt.Fprintln(w, "\nKEYRING KEY\tPRIMARY\tSEALED ROWS\tCREATED")
			for _, k := range out.Keyring {
				fmt.Fprintf(w, "%s\t%v\t%d\t%s\n", k.ID, k.Primary, k.Rows, date(k.Created))
			}
		})
	}
}

// rotateRing adds a key, waits until every running server holds it, makes it the
// primary, waits again, and seals what is stored anew.
func rotateRing(fs *flag.FlagSet) action {
	wait := fs.Duration("wait", 3*ringReload, "how long running servers get to load the keyring")
	return func(ctx context.Context, t *tool, args []string) error {
		if len(args) != 0 {
			return errUsage
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
			func() error { return sleep(ctx, *wait) },
			func() error { return h.ring.Promote(id) },
			func() error { return h.ring.Save(path) },
			func() error { return sleep(ctx, *wait) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		n, err := h.store.Reseal(ctx)
		if err != nil {
			return err
		}
		if err := h.record(ctx, broker.Event{Verb: broker.EventKeyChanged, Detail: map[string]string{"keyring": id}}); err != nil {
			return err
		}
		return t.print(map[string]any{"primary": id, "resealed": n}, func(w io.Writer) {
			fmt.Fprintf(w, "%s is the primary key; %d values sealed anew\n", id, n)
		})
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// retireRingKey drops a key only when nothing can need it: no sealed row, no
// client secret, and no session or refresh token from its time.
func retireRingKey(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		id, err := one(args)
		if err != nil {
			return err
		}
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		path := h.cfg.Keyring
		if path == "" {
			return errors.New("the keyring comes from the environment; edit it there")
		}
		used, err := h.store.SealedWith(ctx)
		if err != nil {
			return err
		}
		if used[id] > 0 {
			return fmt.Errorf("%d stored values are still sealed with %s; run keys rotate first", used[id], id)
		}
		clients, err := h.store.Clients(ctx)
		if err != nil {
			return err
		}
		for _, c := range clients {
			for _, s := range c.SecretHashes {
				if seal.KeyOfHash(s) == id {
					return fmt.Errorf("the secret of client %s is hashed with %s; give it a new one first", c.ID, id)
				}
			}
		}
		if since := h.ring.Created(h.ring.Primary()).Add(broker.RefreshLife); h.now().Before(since) {
			return fmt.Errorf("refresh tokens from its time may live until %s; come again then", date(since))
		}
		if err := h.ring.Retire(id); err != nil {
			return err
		}
		if err := h.ring.Save(path); err != nil {
			return err
		}
		return h.record(ctx, broker.Event{Verb: broker.EventKeyChanged, Detail: map[string]string{"retired": id}})
	}
}

func rotateSigning(fs *flag.FlagSet) action {
	emergency := fs.Bool("emergency", false, "the old keys are not to be trusted: withdraw them at once; tokens signed with them fail")
	return func(ctx context.Context, t *tool, args []string) error {
		if len(args) != 0 {
			return errUsage
		}
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		keys := h.signingKeys()
		if err := keys.Start(ctx); err != nil {
			return err
		}
		if err := keys.RotateNow(ctx, *emergency); err != nil {
			return err
		}
		if err := h.record(ctx, broker.Event{Verb: broker.EventKeyChanged, Detail: map[string]string{"signing": "rotated"}}); err != nil {
			return err
		}
		return t.print(map[string]bool{"rotated": true, "emergency": *emergency}, func(w io.Writer) {
			fmt.Fprintln(w, "rotated; running servers follow within a minute")
		})
	}
}
