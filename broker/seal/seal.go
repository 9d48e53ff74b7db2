// Package seal keeps secrets at rest: it seals columns, and turns tokens into keyed hashes that can be looked up but not used.
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
	// ErrUnknownKey means that the value names a key which this keyring does not hold: it was retired too early, or the keyring is another one.
	ErrUnknownKey = errors.New("seal: sealed with a key that this keyring does not hold")
	// ErrOpen means that the value was altered, belongs to another place (its associated data differs), or was sealed by another keyring.
	ErrOpen = errors.New("seal: the sealed value does not open here")
)

// format is the first byte of every sealed value; another one would be another layout.
const format = 1

// Seal encrypts plain with the primary key (AES-256-GCM, RFC 5116). The associated data, usually table, column and row id, is not stored:
// Open must be given the same, so a value that is moved to another row or column does not open there.
// A key must seal fewer than 2^32 values (NIST SP 800-38D, §8.3); rotate long before.
func (k *Keyring) Seal(plain []byte, aad ...string) ([]byte, error) {
	key := k.now().primary()
	body, err := key.aead.Encrypt(plain, associate(key.header, aad))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	out := make([]byte, 0, len(key.header)+len(body))
	return append(append(out, key.header...), body...), nil
}

// Open decrypts what Seal made, with whichever key made it. It answers ErrUnknownKey or ErrOpen.
func (k *Keyring) Open(sealed []byte, aad ...string) ([]byte, error) {
	id, ok := sealedWith(sealed)
	if !ok {
		return nil, ErrOpen
	}
	key := k.now().byID[string(id)]
	if key == nil {
		return nil, ErrUnknownKey
	}
	plain, err := key.aead.Decrypt(sealed[len(key.header):], associate(key.header, aad))
	if err != nil {
		// The cause says nothing more, and an oracle of causes is worth something to an attacker.
		return nil, ErrOpen
	}
	return plain, nil
}

// KeyOfSealed names the key that made a sealed value, or "". A key that no stored value names any more may be retired.
func KeyOfSealed(sealed []byte) string {
	id, _ := sealedWith(sealed)
	return string(id)
}

// KeyOfHash names the key that made a Hash, or "".
func KeyOfHash(hash string) string {
	id, _, found := strings.Cut(hash, ".")
	if !found || !validID(id) {
		return ""
	}
	return id
}

// Hash is the keyed hash of value (HMAC-SHA256 under a key of its own, RFC 2104) for one purpose, as text that starts with the key's id: "k1.…".
// Store it instead of the value. Purposes are constants of the caller; equal values have unrelated hashes for different purposes.
func (k *Keyring) Hash(purpose string, value []byte) string {
	return k.now().primary().hash(purpose, value)
}

// Hashes is Hash under every key, the primary first: what to look for after a rotation.
func (k *Keyring) Hashes(purpose string, value []byte) []string {
	keys := k.now().keys
	out := make([]string, len(keys))
	for i, key := range keys {
		out[i] = key.hash(purpose, value)
	}
	return out
}

// Same reports, in constant time, whether hash is the Hash of value for this purpose under any key that is still held.
func (k *Keyring) Same(hash, purpose string, value []byte) bool {
	key := k.now().byID[KeyOfHash(hash)]
	return key != nil && subtle.ConstantTimeCompare([]byte(hash), []byte(key.hash(purpose, value))) == 1
}

// MAC authenticates data for one purpose with the primary key (HMAC-SHA256). Keep the key id beside it; CheckMAC and MACWith ask for it.
func (k *Keyring) MAC(purpose string, data []byte) (keyID string, mac []byte) {
	key := k.now().primary()
	return key.id, key.mac(purpose, data)
}

// MACWith is MAC under a named key, so that a value derived before a rotation can be derived again. It answers ErrUnknownKey.
func (k *Keyring) MACWith(keyID, purpose string, data []byte) ([]byte, error) {
	key := k.now().byID[keyID]
	if key == nil {
		return nil, ErrUnknownKey
	}
	return key.mac(purpose, data), nil
}

// CheckMAC reports, in constant time, whether mac is what MAC made of data for this purpose under the named key.
func (k *Keyring) CheckMAC(keyID, purpose string, data, mac []byte) bool {
	want, err := k.MACWith(keyID, purpose, data)
	return err == nil && subtle.ConstantTimeCompare(want, mac) == 1
}

// Canary seals a known word. Stored once beside the data, it lets each replica prove at start that it holds the keys the data was sealed with.
func (k *Keyring) Canary() ([]byte, error) {
	return k.Seal([]byte(canary), canary)
}

// CheckCanary answers nil only when this keyring opens what Canary made; else ErrUnknownKey or ErrOpen, and the process must not start.
func (k *Keyring) CheckCanary(sealed []byte) error {
	plain, err := k.Open(sealed, canary)
	if err == nil && string(plain) != canary {
		err = ErrOpen
	}
	if err != nil {
		return fmt.Errorf("the data was sealed with another keyring, give this process the one the others use: %w", err)
	}
	return nil
}

const canary = "gatehouse canary"

// sealedWith reads the key id from format | length | id | nonce | ciphertext | tag.
func sealedWith(sealed []byte) (id []byte, ok bool) {
	if len(sealed) < 2 || sealed[0] != format || len(sealed) < 2+int(sealed[1]) {
		return nil, false
	}
	return sealed[2 : 2+int(sealed[1])], true
}

// associate writes each part behind its length, so that no two lists of parts look alike: ("ab","c") is not ("a","bc").
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
