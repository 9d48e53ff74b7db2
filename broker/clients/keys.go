package clients

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	stdjson "encoding/json"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"gatehouse/broker/signing"
)

// The limits of a client's keys, from any source.
const (
	MaxKeySet     = 64 << 10 // bytes
	maxClientKeys = 50
	maxKid        = 256
)

// Key is one public key of a client.
type Key struct {
	id     string
	alg    string // as announced; empty: any that fits the key type
	Public any
}

func (k Key) Fits(alg string) bool {
	if k.alg != "" && !signing.SameAlg(k.alg, alg) {
		return false
	}
	switch public := k.Public.(type) {
	case *rsa.PublicKey:
		return alg == signing.RS256 || alg == PS256
	case *ecdsa.PublicKey:
		return alg == signing.ES256 && public.Curve == elliptic.P256()
	case ed25519.PublicKey:
		//defence:A9 = true
		return signing.IsEdDSA(alg)
	}
	return false
}

type Keys []Key

// Find returns the one key that fits. If several do, the assertion must name one.
func (all Keys) Find(kid, alg string) (found Key, ok bool) {
	for _, k := range all {
		if !k.Fits(alg) || kid != "" && k.id != "" && k.id != kid {
			continue
		}
		if ok {
			return Key{}, false
		}
		found, ok = k, true
	}
	return found, ok
}

// ParseKeys reads a JWK Set (RFC 7517 §5) and skips unusable keys.
func ParseKeys(set []byte) (all Keys) {
	list, _ := keyList(set)
	for _, raw := range list {
		if k, problem := parseKey(raw); problem == "" {
			all = append(all, k)
		}
	}
	return all
}

func keyList(set []byte) (list []json.RawMessage, problem string) {
	var d struct {
		Keys []json.RawMessage `json:"keys"`
	}
	switch err := json.Unmarshal(set, &d); {
	//defence:A9
	case len(set) > MaxKeySet:
		return nil, "is larger than 64 KiB"
	case err != nil || d.Keys == nil:
		return nil, `must be a JWK Set, {"keys": […]} (RFC 7517 §5)`
	case len(d.Keys) > maxClientKeys:
		return nil, "has more than 50 keys"
	}
	return d.Keys, ""
}

// parseKey returns why a key is unusable. It ignores certificates in the key.
func parseKey(raw []byte) (k Key, problem string) {
	var d struct {
		Type  string          `json:"kty"`
		Curve string          `json:"crv,omitempty"`
		N     string          `json:"n,omitempty"`
		E     string          `json:"e,omitempty"`
		X     string          `json:"x,omitempty"`
		Y     string          `json:"y,omitempty"`
		ID    string          `json:"kid,omitempty"`
		Alg   string          `json:"alg,omitempty"`
		Use   string          `json:"use,omitempty"`
		D     json.RawMessage `json:"d,omitempty"`
		K     json.RawMessage `json:"k,omitempty"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return k, "is not a JWK (RFC 7517 §4)"
	}
	switch {
	//defence:A9
	case d.D != nil:
		return k, "is a private key: it must stay with the app, and this one is spent"
	case d.K != nil || d.Type == "oct":
		return k, "is a shared secret; only public keys are accepted"
	case d.Use != "" && d.Use != "sig":
		return k, "is not for signatures"
	case len(d.ID) > maxKid || !IsText(d.ID):
		return k, "has a kid of more than 256 characters, or with control characters"
	}
	plain, err := json.Marshal(map[string]string{"kty": d.Type, "crv": d.Curve, "n": d.N, "e": d.E, "x": d.X, "y": d.Y})
	if err != nil {
		return k, err.Error()
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(plain); err != nil || !key.Valid() || !key.IsPublic() {
		return k, "is not an EC or Ed25519 key, or an RSA key of at most 4096 bits"
	}
	if r, is := key.Key.(*rsa.PublicKey); is && (r.N.BitLen() < 2048 || r.N.BitLen() > 4096 || r.E < 3 || r.E&1 == 0) {
		return k, "must have 2048 to 4096 bits"
	}
	k = Key{id: d.ID, alg: d.Alg, Public: key.Key}
	for _, alg := range AssertionAlgs() {
		if k.Fits(alg) {
			return k, ""
		}
	}
	return k, "fits no supported algorithm: RSA for RS256 and PS256, P-256 for ES256, Ed25519 for EdDSA"
}

// CompactKeys returns a JWK Set without white space, as it is stored. Invalid JSON is returned unchanged, and
// Validate refuses it.
func CompactKeys(set string) string {
	if b, err := stdjson.Marshal(stdjson.RawMessage(set)); err == nil {
		return string(b)
	}
	return set
}
