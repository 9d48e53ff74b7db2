package main

import (
	"context"
	stdcrypto "crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strings"
)

// keySet verifies tokens as an app does.
type keySet map[string]any

func (s *stack) keys(ctx context.Context, b *browser) (keySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.issuer+"/jwks", nil)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Keys []struct{ Kid, Kty, N, E, X, Y string }
	}
	if err := b.call(req, &doc); err != nil {
		return nil, err
	}
	raw := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			return nil
		}
		return b
	}
	set := keySet{}
	for _, k := range doc.Keys {
		switch k.Kty {
		case "RSA":
			set[k.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(raw(k.N)), E: int(new(big.Int).SetBytes(raw(k.E)).Int64())}
		case "EC":
			key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, raw(k.X), raw(k.Y)))
			if err != nil {
				return nil, err
			}
			set[k.Kid] = key
		}
	}
	return set, nil
}

func (set keySet) verify(token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("not a JWT")
	}
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return err
	}
	var header struct{ Kid string }
	if err := json.Unmarshal(head, &header); err != nil {
		return err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	ok := false
	switch key := set[header.Kid].(type) {
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(key, stdcrypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		ok = len(signature) == 64 && ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]),
			new(big.Int).SetBytes(signature[32:]))
	}
	if !ok {
		return errors.New("the token's signature does not verify")
	}
	return nil
}
