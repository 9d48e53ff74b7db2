package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"
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

// ring is an immutable list of keys, the primary first.
type ring struct {
	keys []*key
	byID map[string]*key
}

func (r *ring) primary() *key { return r.keys[0] }

func newRing(keys []*key) (*ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("seal: the keyring has no key")
	}
	r := &ring{keys: keys, byID: make(map[string]*key, len(keys))}
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
func parse(data []byte) (*ring, error) {
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
	return newRing(keys)
}

func (r *ring) marshal() ([]byte, error) {
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
