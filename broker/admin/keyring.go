package admin

import (
	"context"
	"os"
	"slices"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/seal"
)

// Keys are the signing keys and the keys of the keyring.
type Keys struct {
	Signing []broker.SigningKey
	Keyring []KeyringKey
}

// KeyringKey is one key of the keyring.
type KeyringKey struct {
	ID      string
	Primary bool
	Created time.Time
	Uses    int // stored values and sessions that need it
}

// Keys lists the keys.
func (s *Service) Keys(ctx context.Context, _ Actor) (k Keys, err error) {
	if k.Signing, err = s.Store.SigningKeys(ctx); err != nil {
		return k, err
	}
	used, err := s.Store.SealedWith(ctx)
	if err != nil {
		return k, err
	}
	for _, id := range s.Keyring.IDs() {
		k.Keyring = append(k.Keyring, KeyringKey{id, id == s.Keyring.Primary(), s.Keyring.Created(id), used[id]})
	}
	return k, nil
}

// RotateKeyring is the input of Service.RotateKeyring.
type RotateKeyring struct {
	// Wait is how long running servers get to load the keyring, twice.
	Wait time.Duration
	// Waiting is called before each wait with its reason; nil for none.
	Waiting func(d time.Duration, reason string)
	DryRun  bool
}

// Check validates the input without the store.
func (in RotateKeyring) Check() error {
	if in.Wait < 0 {
		return invalid("wait", "must be a duration such as 10s")
	}
	return nil
}

// RotatedKeyring is the outcome of Service.RotateKeyring.
type RotatedKeyring struct {
	Primary  string // empty in a dry run: the new key does not exist
	Resealed int
}

// RotateKeyring adds a key, waits until every running server has loaded it, makes it the
// primary, waits again, and seals the stored values with it. After an interruption at any
// point the keyring works, and the next call starts over with another key.
func (s *Service) RotateKeyring(ctx context.Context, actor Actor,
	in RotateKeyring) (r Result[RotatedKeyring], err error) {
	if err := in.Check(); err != nil {
		return r, err
	}
	if s.KeyringFile == "" {
		return r, Problem{broker.RequestInvalid, "", "the keyring comes from the environment; rotate it where it is kept: " +
			"add a key at the end, then move it to the front"}
	}
	if in.DryRun {
		used, err := s.Store.SealedWith(ctx)
		for _, n := range used {
			r.Value.Resealed += n
		}
		return r, err
	}
	id, err := s.Keyring.Add(s.Now())
	if err != nil {
		return r, err
	}
	var e broker.Event
	for _, step := range []func() error{
		func() error { return s.Keyring.Save(s.KeyringFile) },
		func() error { return s.wait(ctx, in.Wait, "running servers load the new key", in.Waiting) },
		func() error { return s.Keyring.Promote(id) },
		func() error { e, err = s.saveKeyring(ctx, actor, map[string]string{"keyring": id}); return err },
		func() error { return s.wait(ctx, in.Wait, "running servers use the new key", in.Waiting) },
	} {
		if err := step(); err != nil {
			return r, err
		}
	}
	n, err := s.Store.Reseal(ctx)
	return changed(RotatedKeyring{Primary: id, Resealed: n}, e, err)
}

// saveKeyring writes the keyring file inside the transaction of its Event, after that.
func (s *Service) saveKeyring(ctx context.Context, actor Actor, what map[string]string) (e broker.Event, _ error) {
	return e, s.Store.Atomic(ctx, func(ctx context.Context) (err error) {
		e, err = s.change(ctx, act{actor: actor}, broker.Event{Verb: broker.EventKeyChanged, Detail: what},
			func(context.Context) error { return nil })
		if err != nil {
			return err
		}
		return s.Keyring.Save(s.KeyringFile)
	})
}

// RetireKey is the input of Service.RetireKey.
type RetireKey struct {
	Key    string // id
	DryRun bool
}

// RetireKey removes a key from the keyring once nothing needs it: no client secret, no
// sealed value, no session, and no refresh token that it made.
func (s *Service) RetireKey(ctx context.Context, actor Actor, in RetireKey) (r Result[string], err error) {
	if s.KeyringFile == "" {
		return r, Problem{broker.RequestInvalid, "", "the keyring comes from the environment; edit it there"}
	}
	if err := s.retirable(ctx, in.Key); err != nil || in.DryRun {
		return Result[string]{Value: in.Key}, err
	}
	if err := s.Keyring.Retire(in.Key); err != nil {
		return r, err
	}
	e, err := s.saveKeyring(ctx, actor, map[string]string{"retired": in.Key})
	return changed(in.Key, e, err)
}

// retirable returns why a key is still needed, or nil.
func (s *Service) retirable(ctx context.Context, id string) error {
	switch {
	case !slices.Contains(s.Keyring.IDs(), id):
		return missing("key", "the keyring has no key %q", id)
	case id == s.Keyring.Primary():
		return conflict("key", "%s is the primary key; rotate the keyring first", id)
	}
	clients, err := s.Store.Clients(ctx)
	if err != nil {
		return err
	}
	for _, c := range clients {
		if slices.ContainsFunc(c.SecretHashes, func(hash string) bool { return seal.KeyOfHash(hash) == id }) {
			return conflict("key", "a secret of the client %s is hashed with %s; make a new secret for the client, or two "+
				"to end the old one", c.ID, id)
		}
	}
	used, err := s.Store.SealedWith(ctx)
	if err != nil {
		return err
	}
	if used[id] > 0 {
		return conflict("key", "%d stored values and sessions still need %s; a rotation seals values with the new key, "+
			"and sessions end within %v", used[id], id, broker.SessionLife)
	}
	if since := s.Keyring.Created(s.Keyring.Primary()).Add(broker.RefreshLife); s.Now().Before(since) {
		return conflict("key", "refresh tokens from the time of %s may live until %s UTC; retire it after that", id,
			since.UTC().Format(time.DateTime))
	}
	return nil
}

// CreateKeyring creates a keyring file and returns the id of its primary key. It never
// replaces a file.
func CreateKeyring(path string, now time.Time) (primary string, _ error) {
	if _, err := os.Lstat(path); err == nil {
		return "", conflict("file", "%s exists already; an overwritten keyring can't be recreated", path)
	}
	keyring, err := seal.LoadOrCreate(path, now)
	if err != nil {
		return "", err
	}
	return keyring.Primary(), nil
}
