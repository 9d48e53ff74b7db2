package signing

import (
	"crypto/ed25519"

	"github.com/go-jose/go-jose/v4"
)

// Ed25519 is the name that RFC 9864 gives to EdDSA with the one curve that we take.
// Apps sign with either; go-jose knows the older one.
const Ed25519 = "Ed25519"

// SameAlg reports whether two names are of one algorithm.
func SameAlg(a, b string) bool {
	return a == b || IsEdDSA(a) && IsEdDSA(b)
}

func IsEdDSA(alg string) bool { return alg == EdDSA || alg == Ed25519 }

// VerificationKey is the public key as go-jose verifies with it, under both names.
func VerificationKey(key any) any {
	if k, ok := key.(ed25519.PublicKey); ok {
		return edwards(k)
	}
	return key
}

type edwards ed25519.PublicKey

var _ jose.OpaqueVerifier = edwards(nil)

// VerifyPayload refuses every other algorithm, so that the header never picks the key.
func (k edwards) VerifyPayload(payload, signature []byte, alg jose.SignatureAlgorithm) error {
	//defence:A9
	if !IsEdDSA(string(alg)) || len(k) != ed25519.PublicKeySize || !ed25519.Verify(ed25519.PublicKey(k), payload, signature) {
		return jose.ErrCryptoFailure
	}
	return nil
}
