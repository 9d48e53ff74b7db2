package oidc

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
	algRS256 = "RS256"
	algES256 = "ES256"
	algEdDSA = "EdDSA"
)

// algs lists them, the default first (OIDC Core §15.1).
func algs() []string { return []string{algRS256, algES256, algEdDSA} }

// algOf is the algorithm of a client's ID tokens.
func algOf(c broker.Client) string {
	if c.IDTokenAlg == "" {
		return algRS256
	}
	return c.IDTokenAlg
}

// signer is one parsed signing key.
type signer struct {
	broker.SigningKey
	alg     string
	private crypto.Signer
	header  string // of every ID token it signs, encoded once
}

func parseKey(k broker.SigningKey) (*signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, fmt.Errorf("oidc: signing key %s: %w", k.ID, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("oidc: signing key %s cannot sign", k.ID)
	}
	// A key of an algorithm that only a newer version knows is published and not used.
	//defence:A22
	if have := algFor(private); have != k.Alg && slices.Contains(algs(), k.Alg) {
		return nil, fmt.Errorf("oidc: signing key %s is for %q, not for %q", k.ID, have, k.Alg)
	}
	header, err := headerOf(k, typJWT)
	if err != nil {
		return nil, err
	}
	return &signer{SigningKey: k, alg: k.Alg, private: private, header: header}, nil
}

func headerOf(k broker.SigningKey, typ string) (string, error) {
	header, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}{k.Alg, k.ID, typ})
	if err != nil {
		return "", fmt.Errorf("oidc: signing key %s: %w", k.ID, err)
	}
	return base64.RawURLEncoding.EncodeToString(header), nil
}

func algFor(k crypto.Signer) string {
	switch k := k.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() >= 2048 {
			return algRS256
		}
	case *ecdsa.PrivateKey:
		if k.Params().BitSize == 256 {
			return algES256
		}
	case ed25519.PrivateKey:
		return algEdDSA
	}
	return ""
}

// sign makes a compact JWS (RFC 7515 §3.1) of the claims.
func (k *signer) sign(claims any) (string, error) { return k.compact(k.header, claims) }

// signAs signs a JWT of another type than an ID token's.
func (k *signer) signAs(typ string, claims any) (string, error) {
	header, err := headerOf(k.SigningKey, typ)
	if err != nil {
		return "", err
	}
	return k.compact(header, claims)
}

func (k *signer) compact(header string, claims any) (string, error) {
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("oidc: claims: %w", err)
	}
	input := header + "." + base64.RawURLEncoding.EncodeToString(body)
	sig, err := k.signature([]byte(input))
	if err != nil {
		return "", fmt.Errorf("oidc: sign with %s: %w", k.ID, err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

func (k *signer) signature(input []byte) ([]byte, error) {
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
		return nil, errors.New("no such kind of key")
	}
}

// public is the key as the JWKS shows it (RFC 7517 §4).
func (k *signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.ID, Algorithm: k.alg, Use: "sig"}
}

// halfHash is at_hash (OIDC Core §3.1.3.6): the left half of the token's hash
// under the hash of the signature, which for Ed25519 is SHA-512.
func halfHash(alg, token string) string {
	if alg == algEdDSA {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// hint is what we read of an ID token that comes back as id_token_hint.
type hint struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Session  string `json:"sid"`
}

// errHint is the answer for a hint that we did not sign, or no longer stand by.
var errHint = errors.New("oidc: id_token_hint is not an ID token of ours")

// readHint verifies an ID token of ours by whichever key signed it. An expired
// one is good (OIDC RP-Initiated Logout §2): it names a person, it opens nothing.
func (d *Door) readHint(token string) (hint, error) {
	var h hint
	_, body, err := d.keys.verify(token, typJWT)
	if err != nil {
		return h, errHint
	}
	//defence:A11
	if err := json.Unmarshal(body, &h); err != nil || h.Issuer != d.issuer || h.Subject == "" || h.Audience == "" {
		return hint{}, errHint
	}
	return h, nil
}

// errSignature is the answer for a JWT that no key of ours signed, or not as this type.
var errSignature = errors.New("oidc: not a JWT of ours")

// verify checks a JWT of ours by whichever key signed it, and answers key and claims.
func (k *Keys) verify(token, typ string) (*signer, []byte, error) {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{algRS256, algES256, algEdDSA})
	if err != nil || len(jws.Signatures) != 1 {
		return nil, nil, errSignature
	}
	// go-jose reads other spellings of the same bytes; a token has one (SECURITY.md A21).
	//defence:A21
	if spelled, err := jws.CompactSerialize(); err != nil || spelled != token {
		return nil, nil, errSignature
	}
	head := jws.Signatures[0].Protected
	key := k.byID(head.KeyID)
	//defence:A11 A10
	if key == nil || key.alg != head.Algorithm || head.ExtraHeaders[jose.HeaderType] != typ {
		return nil, nil, errSignature
	}
	body, err := jws.Verify(key.private.Public())
	if err != nil {
		return nil, nil, errSignature
	}
	return key, body, nil
}
