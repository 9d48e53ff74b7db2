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

// Keyring holds the deployment's keys. The first one, the primary, seals and hashes; all of them open and
// compare. It is safe for concurrent use, also while it changes. Create one with New, Parse, Load or
// LoadOrCreate.
type Keyring struct {
	current atomic.Pointer[ring]
	change  sync.Mutex // serializes changes; readers never wait
	loaded  stamp      // of the file that current was read from or saved to
}

// New returns a keyring with one new key.
func New(now time.Time) (*Keyring, error) {
	k, err := freshKey(now)
	if err != nil {
		return nil, err
	}
	return newKeyring([]*key{k})
}

// Parse reads a keyring in Save's format, from an environment variable or a secret store.
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

// Rotate adds a new key and makes it the primary; older values still open. If several processes share the
// keyring, call Add, distribute the file, then Promote. Otherwise a process may meet a value sealed with a key
// that it lacks.
func (k *Keyring) Rotate(now time.Time) error {
	return k.edit(func(keys []*key) ([]*key, error) {
		fresh, err := freshKey(now)
		return append([]*key{fresh}, keys...), err
	})
}

// Add adds a new key that opens but does not seal yet, and returns its id.
func (k *Keyring) Add(now time.Time) (id string, err error) {
	fresh, err := freshKey(now)
	if err != nil {
		return "", err
	}
	return fresh.id, k.edit(func(keys []*key) ([]*key, error) { return append(keys, fresh), nil })
}

// Promote makes the named key the primary. It returns ErrUnknownKey if there is none.
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

// Retire deletes the named key: what was sealed or hashed with it is lost. It returns ErrUnknownKey if there is
// none, and refuses the primary.
func (k *Keyring) Retire(id string) error {
	return k.edit(func(keys []*key) ([]*key, error) {
		i := slices.IndexFunc(keys, func(key *key) bool { return key.id == id })
		switch i {
		case -1:
			return nil, ErrUnknownKey
		case 0:
			return nil, errors.New("seal: cannot retire the primary key; rotate first")
		}
		return slices.Delete(keys, i, i+1), nil
	})
}

// IDs returns the ids of the keys, the primary first.
func (k *Keyring) IDs() []string {
	keys := k.now().keys
	ids := make([]string, len(keys))
	for i, key := range keys {
		ids[i] = key.id
	}
	return ids
}

// Primary returns the id of the key that seals and hashes.
func (k *Keyring) Primary() string { return k.now().primary().id }

// Created returns the creation time of the named key, in UTC to the second; the zero time if there is none.
func (k *Keyring) Created(id string) time.Time {
	if key := k.now().byID[id]; key != nil {
		return key.created
	}
	return time.Time{}
}

// String returns the ids only, so that printing a keyring shows no key.
func (k *Keyring) String() string { return "keyring(" + strings.Join(k.IDs(), " ") + ")" }

// GoString is String, for %#v.
func (k *Keyring) GoString() string { return k.String() }

// edit replaces the keys with the result of change, which gets a copy.
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

// freshKey chooses a random id, so that a keyring restored from an old backup never reuses the id of a lost key.
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
