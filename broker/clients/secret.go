package clients

import (
	"slices"

	"gatehouse/broker"
	"gatehouse/broker/seal"
)

// purposeSecret is the purpose of the hashes of client secrets.
const purposeSecret = "client_secret"

// NewSecret generates a client secret of 260 bits and its keyed hash. The secret is shown once and not stored.
func NewSecret(keyring *seal.Keyring, clientID string) (secret broker.Secret, hash string) {
	secret = broker.Secret(broker.NewToken())
	return secret, HashSecret(keyring, clientID, secret.Reveal())
}

// HashSecret returns what Client.SecretHashes stores. It includes the client id, so that a hash copied to
// another client is useless.
func HashSecret(keyring *seal.Keyring, clientID, secret string) string {
	return keyring.Hash(purposeSecret, []byte(clientID+"\x00"+secret))
}

// SameSecret reports whether the hash is HashSecret of this secret, under any key in the ring.
func SameSecret(keyring *seal.Keyring, clientID, secret, hash string) bool {
	return keyring.Same(hash, purposeSecret, []byte(clientID+"\x00"+secret))
}

// WithSecret returns a client's hashes after it gets a secret: those of the new secret and of the previous one.
// A secret that the client already has is hashed again under the primary key.
func WithSecret(keyring *seal.Keyring, c broker.Client, secret string) []string {
	kept := slices.DeleteFunc(slices.Clone(c.SecretHashes), func(hash string) bool {
		return SameSecret(keyring, c.ID, secret, hash)
	})
	kept = slices.Insert(kept, 0, HashSecret(keyring, c.ID, secret))
	return kept[:min(maxSecrets, len(kept))]
}
