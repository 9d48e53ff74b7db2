package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
)

// The algorithms that ID tokens are signed with (RFC 7518 §3.1, RFC 8037).
const (
	RS256 = "RS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// TypeJWT is the type of an ID token (RFC 7519 §5.1).
const TypeJWT = "JWT"

// Algorithms returns them, the default first (OIDC Core §15.1).
func Algorithms() []string { return []string{RS256, ES256, EdDSA} }

// Key is one parsed signing key.
type Key struct {
	broker.SigningKey
	private crypto.Signer
	header  string // of every ID token it signs, encoded once
}

func ParseKey(k broker.SigningKey) (*Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, fmt.Errorf("signing: signing key %s: %w", k.ID, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("signing: signing key %s cannot sign", k.ID)
	}
	// A key of an algorithm that only a newer version knows is published but not used.
	if have := algFor(private); have != k.Alg &&
		//defence:A22
		slices.Contains(Algorithms(), k.Alg) {
		return nil, fmt.Errorf("signing: signing key %s is for %q, not for %q", k.ID, have, k.Alg)
	}
	header, err := headerOf(k, TypeJWT)
	if err != nil {
		return nil, err
	}
	return &Key{SigningKey: k, private: private, header: header}, nil
}

func headerOf(k broker.SigningKey, typ string) (string, error) {
	header, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}{k.Alg, k.ID, typ})
	if err != nil {
		return "", fmt.Errorf("signing: signing key %s: %w", k.ID, err)
	}
	return base64.RawURLEncoding.EncodeToString(header), nil
}

func algFor(k crypto.Signer) string {
	switch k := k.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() >= 2048 {
			return RS256
		}
	case *ecdsa.PrivateKey:
		if k.Params().BitSize == 256 {
			return ES256
		}
	case ed25519.PrivateKey:
		return EdDSA
	}
	return ""
}

// Sign returns the claims as a compact JWS (RFC 7515 §3.1).
func (k *Key) Sign(claims any) (string, error) { return k.compact(k.header, claims) }

// SignAs signs a JWT with another typ than an ID token's.
func (k *Key) SignAs(typ string, claims any) (string, error) {
	header, err := headerOf(k.SigningKey, typ)
	if err != nil {
		return "", err
	}
	return k.compact(header, claims)
}

func (k *Key) compact(header string, claims any) (string, error) {
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("signing: claims: %w", err)
	}
	input := header + "." + base64.RawURLEncoding.EncodeToString(body)
	sig, err := k.signature([]byte(input))
	if err != nil {
		return "", fmt.Errorf("signing: sign with %s: %w", k.ID, err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

func (k *Key) signature(input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, 64) // R and S at full width (RFC 7518 §3.4)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out, nil
	case ed25519.PrivateKey:
		return ed25519.Sign(private, input), nil
	default:
		return nil, errors.New("unsupported key type")
	}
}

// public returns the key for the JWKS (RFC 7517 §4).
func (k *Key) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.ID, Algorithm: k.Alg, Use: "sig"}
}

// HalfHash returns at_hash (OIDC Core §3.1.3.6): the left half of the token's hash, with the hash function of
// the signature; SHA-512 for Ed25519.
func HalfHash(alg, token string) string {
	if alg == EdDSA {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// errSignature is returned for a JWT that no key of ours signed, or that has another typ.
var errSignature = errors.New("signing: not a JWT of this issuer")

// Verify checks a JWT with the key that its header names, and returns that key and the claims.
func (k *Keys) Verify(token, typ string) (*Key, []byte, error) {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{RS256, ES256, EdDSA})
	if err != nil || len(jws.Signatures) != 1 {
		return nil, nil, errSignature
	}
	// go-jose accepts other spellings of the same bytes; a token must have one (SECURITY.md A21).
	//defence:A21
	if spelled, err := jws.CompactSerialize(); err != nil || spelled != token {
		return nil, nil, errSignature
	}
	head := jws.Signatures[0].Protected
	key := k.Find(head.KeyID)
	if key == nil || key.Alg != head.Algorithm ||
		//defence:A11
		head.ExtraHeaders[jose.HeaderType] != typ {
		return nil, nil, errSignature
	}
	//defence:A11 = jws.UnsafePayloadWithoutVerification(), nil
	body, err := jws.Verify(key.private.Public())
	if err != nil {
		return nil, nil, errSignature
	}
	return key, body, nil
}
