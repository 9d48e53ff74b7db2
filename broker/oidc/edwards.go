package oidc

import (
	"crypto/ed25519"

	"github.com/go-jose/go-jose/v4"
)

// algEd25519 is the name that RFC 9864 gives to EdDSA with the one curve that we take.
// Apps sign with either; go-jose knows the older one.
const algEd25519 = "Ed25519"

// sameAlg tells whether two names are of one algorithm.
func sameAlg(a, b string) bool {
	return a == b || isEdwards(a) && isEdwards(b)
}

func isEdwards(alg string) bool { return alg == algEdDSA || alg == algEd25519 }

// verifying is the public key as go-jose verifies with it, under both names.
func verifying(key any) any {
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
	if !isEdwards(string(alg)) || len(k) != ed25519.PublicKeySize || !ed25519.Verify(ed25519.PublicKey(k), payload, signature) {
		return jose.ErrCryptoFailure
	}
	return nil
}
