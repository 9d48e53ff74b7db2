package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Keyring holds the deployment's keys: the first, the primary, seals and hashes; all of them open and compare.
// It is safe for concurrent use, also while it changes. Make one with New, Parse, Load or LoadOrCreate.
type Keyring struct {
	current atomic.Pointer[ring]
	change  sync.Mutex // one change at a time; readers never wait
	loaded  stamp      // of the file that current was read from or saved to
}

// New makes a keyring with one fresh key.
func New(now time.Time) (*Keyring, error) {
	k, err := freshKey(now)
	if err != nil {
		return nil, err
	}
	return newKeyring([]*key{k})
}

// Parse reads a keyring as Save writes it, for one that comes from an environment variable or a secret store.
func Parse(data []byte) (*Keyring, error) {
	r, err := parse(data)
	if err != nil {
		return nil, err
	}
	return newKeyring(r.keys)
}

func newKeyring(keys []*key) (*Keyring, error) {
	r, err := newRing(keys)
	if err != nil {
		return nil, err
	}
	k := &Keyring{}
	k.current.Store(r)
	return k, nil
}

func (k *Keyring) now() *ring { return k.current.Load() }

// Rotate adds a fresh key and makes it the primary; everything made before still opens. Where several processes share the keyring,
// Add, spread the file, then Promote: no process then meets a value whose key it does not hold yet.
func (k *Keyring) Rotate(now time.Time) error {
	return k.edit(func(keys []*key) ([]*key, error) {
		fresh, err := freshKey(now)
		return append([]*key{fresh}, keys...), err
	})
}

// Add adds a fresh key that opens but does not seal yet, and answers its id.
func (k *Keyring) Add(now time.Time) (id string, err error) {
	fresh, err := freshKey(now)
	if err != nil {
		return "", err
	}
	return fresh.id, k.edit(func(keys []*key) ([]*key, error) { return append(keys, fresh), nil })
}

// Promote makes the named key the primary. It answers ErrUnknownKey.
func (k *Keyring) Promote(id string) error {
	return k.edit(func(keys []*key) ([]*key, error) {
		i := slices.IndexFunc(keys, func(key *key) bool { return key.id == id })
		if i < 0 {
			return nil, ErrUnknownKey
		}
		chosen := keys[i]
		return append([]*key{chosen}, slices.Delete(keys, i, i+1)...), nil
	})
}

// Retire drops the named key for good: what was sealed or hashed with it is lost. It answers ErrUnknownKey, and refuses the primary.
func (k *Keyring) Retire(id string) error {
	return k.edit(func(keys []*key) ([]*key, error) {
		i := slices.IndexFunc(keys, func(key *key) bool { return key.id == id })
		switch i {
		case -1:
			return nil, ErrUnknownKey
		case 0:
			return nil, errors.New("seal: the primary key cannot be retired, rotate first")
		}
		return slices.Delete(keys, i, i+1), nil
	})
}

// IDs names the keys, the primary first.
func (k *Keyring) IDs() []string {
	keys := k.now().keys
	ids := make([]string, len(keys))
	for i, key := range keys {
		ids[i] = key.id
	}
	return ids
}

// Primary names the key that seals and hashes.
func (k *Keyring) Primary() string { return k.now().primary().id }

// Created tells when the named key was made, in UTC to the second, or the zero time for a key that is not held.
func (k *Keyring) Created(id string) time.Time {
	if key := k.now().byID[id]; key != nil {
		return key.created
	}
	return time.Time{}
}

// String names the keys and shows none, whatever prints the keyring.
func (k *Keyring) String() string { return "keyring(" + strings.Join(k.IDs(), " ") + ")" }

// GoString is String, for %#v.
func (k *Keyring) GoString() string { return k.String() }

// edit swaps the keys for what change makes of a copy of them.
func (k *Keyring) edit(change func([]*key) ([]*key, error)) error {
	k.change.Lock()
	defer k.change.Unlock()
	keys, err := change(slices.Clone(k.now().keys))
	if err != nil {
		return err
	}
	r, err := newRing(keys)
	if err != nil {
		return err
	}
	k.current.Store(r)
	return nil
}

// freshKey draws the id too, so that a keyring restored from an old backup never gives a lost key's id to another key.
func freshKey(now time.Time) (*key, error) {
	secret := make([]byte, secretSize)
	for {
		if _, err := rand.Read(secret); err != nil {
			return nil, fmt.Errorf("seal: %w", err)
		}
		if !weak(secret) {
			return newKey("k"+strings.ToLower(rand.Text()[:8]), now, secret)
		}
	}
}
