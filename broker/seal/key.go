package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	aead "github.com/tink-crypto/tink-go/v2/aead/subtle"
)

// secretSize is the length of a key in bytes.
const secretSize = 32

// key is one key of the ring, with the subkeys derived from it.
type key struct {
	id      string
	created time.Time
	secret  []byte
	header  []byte // of a sealed value: format | length | id
	aead    *aead.AESGCM
	hashes  *macs
	macs    *macs
}

func newKey(id string, created time.Time, secret []byte) (*key, error) {
	if !validID(id) {
		return nil, fmt.Errorf("seal: the key id %q must be 1 to 16 lower-case letters and digits", id)
	}
	if len(secret) != secretSize {
		return nil, fmt.Errorf("seal: the secret of key %q must be %d random bytes in base64url", id, secretSize)
	}
	if weak(secret) {
		return nil, fmt.Errorf("seal: the secret of key %q is not random", id)
	}
	// Each subkey has one use: sealing, hashing or MACs.
	var sub [3][]byte
	for i, use := range []string{"seal", "hash", "mac"} {
		var err error
		if sub[i], err = hkdf.Key(sha256.New, secret, nil, "gatehouse/"+use+"/1", secretSize); err != nil {
			return nil, fmt.Errorf("seal: key %q: %w", id, err)
		}
	}
	gcm, err := aead.NewAESGCM(sub[0])
	if err != nil {
		return nil, fmt.Errorf("seal: key %q: %w", id, err)
	}
	return &key{
		id: id, created: created.UTC().Truncate(time.Second), secret: secret,
		header: append([]byte{format, byte(len(id))}, id...),
		aead:   gcm, hashes: newMACs(sub[1]), macs: newMACs(sub[2]),
	}, nil
}

// validID excludes ".", which ends the id in a hash.
func validID(id string) bool {
	return len(id) >= 1 && len(id) <= 16 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// weak finds secrets that were typed or padded: fewer than 16 different bytes, or only printable ASCII. It
// rejects 32 random bytes less than once in 10^13.
func weak(secret []byte) bool {
	seen, printable := map[byte]bool{}, true
	for _, b := range secret {
		seen[b] = true
		printable = printable && b >= ' ' && b <= '~'
	}
	return printable || len(seen) < secretSize/2
}

// macs pools HMAC states, because keying one costs two hash blocks and several allocations.
type macs struct{ sync.Pool }

type macState struct {
	hmac      hash.Hash
	out, text []byte
}

func newMACs(secret []byte) *macs {
	return &macs{sync.Pool{New: func() any { return &macState{hmac: hmac.New(sha256.New, secret)} }}}
}

// sum computes the HMAC of the length of purpose, purpose and data into out. The caller must return the state to
// the pool.
func (m *macs) sum(purpose string, data []byte) *macState {
	state := m.Get().(*macState)
	state.hmac.Reset()
	state.text = append(binary.AppendUvarint(state.text[:0], uint64(len(purpose))), purpose...)
	state.hmac.Write(state.text)
	state.hmac.Write(data)
	state.out = state.hmac.Sum(state.out[:0])
	return state
}

// keySet is an immutable list of keys, the primary first.
type keySet struct {
	keys []*key
	byID map[string]*key
}

func newKeySet(keys []*key) (*keySet, error) {
	if len(keys) == 0 {
		return nil, errors.New("seal: the keyring has no key")
	}
	r := &keySet{keys: keys, byID: make(map[string]*key, len(keys))}
	for i, k := range keys {
		if r.byID[k.id] != nil {
			return nil, fmt.Errorf("seal: the keyring has two keys with the id %q", k.id)
		}
		for _, other := range keys[:i] {
			if bytes.Equal(other.secret, k.secret) {
				return nil, fmt.Errorf("seal: the keys %q and %q have the same secret", other.id, k.id)
			}
		}
		r.byID[k.id] = k
	}
	return r, nil
}

// document is the file format of a keyring: {"keys":[{"id":"k1","created":"…","secret":"…"}]}, the primary
// first.
type document struct {
	Keys []record `json:"keys"`
}

type record struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Secret  string    `json:"secret"` // base64url without padding
}

// parse must not quote the document, because a parser's error could put part of a key into a log.
func parse(data []byte) (*keySet, error) {
	var doc document
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		return nil, errors.New(`seal: not a keyring: expected {"keys":[{"id":…,"created":…,"secret":…}]}`)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("seal: not a keyring: unexpected data after its end")
	}
	keys := make([]*key, 0, len(doc.Keys))
	for _, rec := range doc.Keys {
		secret, err := base64.RawURLEncoding.DecodeString(rec.Secret)
		if err != nil {
			return nil, fmt.Errorf("seal: the secret of key %q is not base64url without padding", rec.ID)
		}
		k, err := newKey(rec.ID, rec.Created, secret)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return newKeySet(keys)
}

func (r *keySet) marshal() ([]byte, error) {
	var doc document
	for _, k := range r.keys {
		doc.Keys = append(doc.Keys, record{k.id, k.created, base64.RawURLEncoding.EncodeToString(k.secret)})
	}
	out, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return append(out, '\n'), nil
}

// Keyring holds the deployment's keys. The first one, the primary, seals and hashes; all of them open and
// compare. It is safe for concurrent use, also while it changes. Create one with New, Parse, Load or
// LoadOrCreate.
type Keyring struct {
	current atomic.Pointer[keySet]
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
	r, err := newKeySet(keys)
	if err != nil {
		return nil, err
	}
	k := &Keyring{}
	k.current.Store(r)
	return k, nil
}

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
	keys := k.current.Load().keys
	ids := make([]string, len(keys))
	for i, key := range keys {
		ids[i] = key.id
	}
	return ids
}

// Primary returns the id of the key that seals and hashes.
func (k *Keyring) Primary() string { return k.current.Load().keys[0].id }

// Created returns the creation time of the named key, in UTC to the second; the zero time if there is none.
func (k *Keyring) Created(id string) time.Time {
	if key := k.current.Load().byID[id]; key != nil {
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
	keys, err := change(slices.Clone(k.current.Load().keys))
	if err != nil {
		return err
	}
	r, err := newKeySet(keys)
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
