// Package seal protects secrets at rest: it seals columns, and turns tokens into keyed hashes that can be looked
// up but not used.
package seal

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrUnknownKey: the value was sealed with a key that this keyring lacks. The key was retired too early, or
	// this is another keyring.
	ErrUnknownKey = errors.New("seal: sealed with a key that this keyring lacks")
	// ErrOpen: the value was altered, belongs to another place (its associated data differs), or was sealed by
	// another keyring.
	ErrOpen = errors.New("seal: cannot open the sealed value here")
)

// format is the first byte of every sealed value and identifies the layout.
const format = 1

// Seal encrypts plain with the primary key (AES-256-GCM, RFC 5116). The associated data, usually table, column
// and row id, is not stored. Open needs the same associated data, so a value moved to another row or column does
// not open there. A key must seal fewer than 2^32 values (NIST SP 800-38D §8.3); rotate long before.
func (k *Keyring) Seal(plain []byte, aad ...string) ([]byte, error) {
	key := k.current.Load().keys[0]
	body, err := key.aead.Encrypt(plain, associate(key.header, aad))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	out := make([]byte, 0, len(key.header)+len(body))
	return append(append(out, key.header...), body...), nil
}

// Open decrypts a sealed value with the key that sealed it. It returns ErrUnknownKey or ErrOpen.
func (k *Keyring) Open(sealed []byte, aad ...string) ([]byte, error) {
	id, ok := sealedWith(sealed)
	if !ok {
		return nil, ErrOpen
	}
	key := k.current.Load().byID[string(id)]
	if key == nil {
		return nil, ErrUnknownKey
	}
	plain, err := key.aead.Decrypt(sealed[len(key.header):], associate(key.header, aad))
	if err != nil {
		// The cause is dropped: it adds nothing, and it could serve an attacker as an oracle.
		return nil, ErrOpen
	}
	return plain, nil
}

// KeyOfSealed returns the id of the key that sealed a value, or "". Retire a key only when no stored value names
// it.
func KeyOfSealed(sealed []byte) string {
	id, _ := sealedWith(sealed)
	return string(id)
}

// KeyOfHash returns the id of the key that made a Hash, or "".
func KeyOfHash(hash string) string {
	id, _, found := strings.Cut(hash, ".")
	if !found || !validID(id) {
		return ""
	}
	return id
}

// Hash returns the keyed hash of value for one purpose (HMAC-SHA256 with a subkey, RFC 2104), as text that
// starts with the key's id: "k1.…". Store it instead of the value. Purposes are constants; equal values have
// unrelated hashes for different purposes.
func (k *Keyring) Hash(purpose string, value []byte) string {
	return k.current.Load().keys[0].hash(purpose, value)
}

// Hashes returns Hash under every key, the primary first, for look-ups after a rotation.
func (k *Keyring) Hashes(purpose string, value []byte) []string {
	keys := k.current.Load().keys
	out := make([]string, len(keys))
	for i, key := range keys {
		out[i] = key.hash(purpose, value)
	}
	return out
}

// Same reports, in constant time, whether hash is the Hash of value for this purpose under any key in the ring.
func (k *Keyring) Same(hash, purpose string, value []byte) bool {
	key := k.current.Load().byID[KeyOfHash(hash)]
	return key != nil && subtle.ConstantTimeCompare([]byte(hash), []byte(key.hash(purpose, value))) == 1
}

// MAC authenticates data for one purpose with the primary key (HMAC-SHA256). Store the key id with it, because
// CheckMAC and MACWith need it.
func (k *Keyring) MAC(purpose string, data []byte) (keyID string, mac []byte) {
	key := k.current.Load().keys[0]
	return key.id, key.mac(purpose, data)
}

// MACWith is MAC under a named key, to derive again a value from before a rotation. It returns ErrUnknownKey if there
// is none.
func (k *Keyring) MACWith(keyID, purpose string, data []byte) ([]byte, error) {
	key := k.current.Load().byID[keyID]
	if key == nil {
		return nil, ErrUnknownKey
	}
	return key.mac(purpose, data), nil
}

// CheckMAC reports, in constant time, whether mac is the MAC of data for this purpose under the named key.
func (k *Keyring) CheckMAC(keyID, purpose string, data, mac []byte) bool {
	want, err := k.MACWith(keyID, purpose, data)
	return err == nil && subtle.ConstantTimeCompare(want, mac) == 1
}

// Canary seals a constant. It is stored once with the data, so that each replica can check at start that it has
// the right keyring.
func (k *Keyring) Canary() ([]byte, error) {
	return k.Seal([]byte(canary), canary)
}

// CheckCanary returns nil if this keyring opens the canary; else ErrUnknownKey or ErrOpen, and the process must
// not start.
func (k *Keyring) CheckCanary(sealed []byte) error {
	plain, err := k.Open(sealed, canary)
	if err == nil && string(plain) != canary {
		err = ErrOpen
	}
	if err != nil {
		return fmt.Errorf("the data was sealed with another keyring; configure the keyring that the other replicas use: %w",
			err)
	}
	return nil
}

const canary = "gatehouse canary"

// sealedWith returns the key id in format | length | id | nonce | ciphertext | tag.
func sealedWith(sealed []byte) (id []byte, ok bool) {
	if len(sealed) < 2 || sealed[0] != format || len(sealed) < 2+int(sealed[1]) {
		return nil, false
	}
	return sealed[2 : 2+int(sealed[1])], true
}

// associate writes each part after its length, so that different lists never have the same encoding: ("ab","c")
// is not ("a","bc").
func associate(header []byte, parts []string) []byte {
	size := len(header)
	for _, part := range parts {
		size += binary.MaxVarintLen32 + len(part)
	}
	out := append(make([]byte, 0, size), header...)
	//defence:G17
	for _, part := range parts {
		out = append(binary.AppendUvarint(out, uint64(len(part))), part...)
	}
	return out
}

func (k *key) hash(purpose string, value []byte) string {
	state := k.hashes.sum(purpose, value)
	defer k.hashes.Put(state)
	state.text = append(append(state.text[:0], k.id...), '.')
	state.text = base64.RawURLEncoding.AppendEncode(state.text, state.out)
	return string(state.text)
}

func (k *key) mac(purpose string, data []byte) []byte {
	state := k.macs.sum(purpose, data)
	defer k.macs.Put(state)
	return append([]byte(nil), state.out...)
}
