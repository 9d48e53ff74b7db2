package oidc

import (
	"crypto"
	"crypto/rand"

	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/seal"
	"gatehouse/broker/signing"
)

// signingKey has go-jose sign under a name that it does not know.
func signingKey(alg string, key crypto.Signer) jose.SigningKey {
	if alg == signing.Ed25519 {
		return jose.SigningKey{Algorithm: signing.Ed25519, Key: renamed{key, alg}}
	}
	return jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}
}

// renamed signs as its key does and calls it alg.
type renamed struct {
	key crypto.Signer
	alg string
}

func (renamed) Public() *jose.JSONWebKey { return nil }
func (k renamed) Algs() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.SignatureAlgorithm(k.alg)}
}
func (k renamed) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	return k.key.Sign(rand.Reader, payload, crypto.Hash(0))
}

func TestEd25519IsEdDSAByANewerName(t *testing.T) {
	h := newHarness(t)
	old, young := newHeldKey(t, "k", signing.EdDSA), newHeldKey(t, "k", signing.Ed25519)
	young.private = old.private
	named := func(alg string) string { return strings.Replace(keySetOf(t, old), `"kty"`, `"alg":"`+alg+`","kty"`, 1) }
	for name, c := range map[string]broker.Client{
		"any algorithm":             {Keys: keySetOf(t, old)},
		"held to the older name":    {Keys: keySetOf(t, old), AuthAlg: signing.EdDSA},
		"held to the newer name":    {Keys: keySetOf(t, old), AuthAlg: signing.Ed25519},
		"a key with the older name": {Keys: named(signing.EdDSA)},
		"a key with the newer name": {Keys: named(signing.Ed25519), AuthAlg: signing.EdDSA},
	} {
		c.ID, c.Name, c.AuthMethods, c.SecretHashes = strings.ReplaceAll(name, " ", "-"), name, []string{clients.MethodKey},
			[]string{}
		h.client(c)
		for _, k := range []heldKey{old, young} {
			h.proven(h.asserts(k.signed(t, h.proof(c.ID), nil)))
		}
		another := newHeldKey(t, "k", signing.Ed25519)
		h.unproven(h.asserts(another.signed(t, h.proof(c.ID), nil)))
	}
	h.client(broker.Client{ID: "curve", Name: "Curve", AuthMethods: []string{clients.MethodKey}, SecretHashes: []string{},
		Keys: keySetOf(t, old, newHeldKey(t, "c", signing.ES256)), AuthAlg: signing.ES256})
	h.unproven(h.asserts(young.signed(t, h.proof("curve"), nil)))
}

func TestA9_TheNewerNameIsForItsOwnKindOfKeyAlone(t *testing.T) {
	h := newHarness(t)
	for _, alg := range []string{signing.ES256, signing.RS256} {
		k := newHeldKey(t, "k", alg)
		h.client(broker.Client{ID: alg, Name: alg, AuthMethods: []string{clients.MethodKey}, SecretHashes: []string{},
			Keys: keySetOf(t, k)})
		// Signed well by the client's own key, under a name that is not its.
		token := k.signed(t, h.proof(alg), nil)
		head, rest, _ := strings.Cut(token, ".")
		plain, err := seal.DecodeToken(head)
		h.must(err)
		h.unproven(h.asserts(seal.EncodeToken([]byte(strings.Replace(string(plain), alg, signing.Ed25519, 1))) + "." + rest))
	}
	// One that verifies, as something else than it says.
	twisted := newHeldKey(t, "k", signing.EdDSA)
	for _, alg := range clients.AssertionAlgs() {
		if k := (clients.Key{Public: twisted.private.Public()}); k.Fits(alg) != strings.HasPrefix(alg, "Ed") {
			t.Errorf("an Ed25519 key and %s: %v", alg, k.Fits(alg))
		}
	}
	payload := []byte("payload")
	signature, err := twisted.private.Sign(rand.Reader, payload, crypto.Hash(0))
	h.must(err)
	for alg, good := range map[jose.SignatureAlgorithm]bool{jose.EdDSA: true, signing.Ed25519: true, jose.ES256: false,
		jose.HS256: false, "none": false, "": false, "ED25519": false} {
		v, ok := signing.VerificationKey(twisted.private.Public()).(jose.OpaqueVerifier)
		if err := v.VerifyPayload(payload, signature, alg); !ok || (err == nil) != good {
			t.Errorf("%q: %v", alg, err)
		}
		if v.VerifyPayload(append(payload, '.'), signature, alg) == nil {
			t.Errorf("%q: another payload", alg)
		}
	}
}
