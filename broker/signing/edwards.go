package signing

import (
	"crypto/ed25519"

	"github.com/go-jose/go-jose/v4"
)

// Ed25519 is RFC 9864's name for EdDSA with this curve. Apps use either name; go-jose knows only EdDSA.
const Ed25519 = "Ed25519"

// SameAlg reports whether two names mean the same algorithm.
func SameAlg(a, b string) bool {
	return a == b || IsEdDSA(a) && IsEdDSA(b)
}

func IsEdDSA(alg string) bool { return alg == EdDSA || alg == Ed25519 }

// VerificationKey returns the public key in a form that go-jose verifies with under both names.
func VerificationKey(key any) any {
	if k, ok := key.(ed25519.PublicKey); ok {
		return edwards(k)
	}
	return key
}

type edwards ed25519.PublicKey

var _ jose.OpaqueVerifier = edwards(nil)

// VerifyPayload refuses every other algorithm, so that the header cannot choose the algorithm of the key.
func (k edwards) VerifyPayload(payload, signature []byte, alg jose.SignatureAlgorithm) error {
	if len(k) != ed25519.PublicKeySize ||
		//defence:A9
		!IsEdDSA(string(alg)) ||
		//defence:A9
		!ed25519.Verify(ed25519.PublicKey(k), payload, signature) {
		return jose.ErrCryptoFailure
	}
	return nil
}
