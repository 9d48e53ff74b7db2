package clients

import (
	"slices"

	"gatehouse/broker"
	"gatehouse/broker/seal"
)

// purposeSecret is part of the key of every secret's hash.
const purposeSecret = "client_secret"

// NewSecret makes a secret of 260 bits for a client and its keyed hash.
// The secret is shown once and kept nowhere.
func NewSecret(ring *seal.Keyring, clientID string) (secret broker.Secret, hash string) {
	secret = broker.Secret(broker.NewToken())
	return secret, HashSecret(ring, clientID, secret.Reveal())
}

// HashSecret is what Client.SecretHashes holds of a secret. The client id is part
// of it, so a hash that is copied to another client is worth nothing.
func HashSecret(ring *seal.Keyring, clientID, secret string) string {
	return ring.Hash(purposeSecret, []byte(clientID+"\x00"+secret))
}

// SameSecret reports whether HashSecret made the hash of this secret, under any key that is still held.
func SameSecret(ring *seal.Keyring, clientID, secret, hash string) bool {
	return ring.Same(hash, purposeSecret, []byte(clientID+"\x00"+secret))
}

// WithSecret returns the hashes of a client that gets a secret: those of the new secret
// and of the one before it. A secret that the client already has is hashed again, under
// the primary key.
func WithSecret(ring *seal.Keyring, c broker.Client, secret string) []string {
	kept := slices.DeleteFunc(slices.Clone(c.SecretHashes), func(hash string) bool {
		return SameSecret(ring, c.ID, secret, hash)
	})
	kept = slices.Insert(kept, 0, HashSecret(ring, c.ID, secret))
	return kept[:min(maxSecrets, len(kept))]
}
