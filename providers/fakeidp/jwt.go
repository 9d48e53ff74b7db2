package fakeidp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// Mint signs any claims as the provider would sign an ID token, faults included: logout tokens, tokens for other
// clients. typ is the header's typ; empty omits it.
func (s *Server) Mint(typ string, claims map[string]any) (string, error) {
	own := map[string]any{}
	override(own, claims)
	return s.mint(s.fault.Load(), typ, own)
}

// mint signs claims. It builds the compact form itself, because libraries refuse to sign what the faults
// require.
func (s *Server) mint(f *Fault, typ string, claims map[string]any) (string, error) {
	personal := s.opts.Kind == KindMicrosoft && claims["tid"] == MSATenant
	override(claims, f.Claims)
	key, kid, err := s.signer(f.Forge, personal)
	if err != nil {
		return "", err
	}
	alg := key.alg
	if f.Alg != "" {
		alg = f.Alg
	}
	header := map[string]any{"alg": alg, "kid": kid}
	put(header, "typ", typ)
	if err := s.forgeHeader(f.Forge, key, header); err != nil {
		return "", err
	}
	override(header, f.Header)
	first, err := encodePart(header, f.RawHeader)
	if err != nil {
		return "", err
	}
	second, err := encodePart(claims, f.RawPayload)
	if err != nil {
		return "", err
	}
	input := first + "." + second
	signature, err := s.forgeSignature(f.Forge, key, alg, input)
	if err != nil {
		return "", err
	}
	return s.encrypt(f.Forge, input+"."+base64.RawURLEncoding.EncodeToString(signature))
}

func encodePart(members map[string]any, rewrite func([]byte) []byte) (string, error) {
	encoded, err := json.Marshal(members)
	if err != nil {
		return "", fmt.Errorf("encode a token: %w", err)
	}
	if rewrite != nil {
		encoded = rewrite(encoded)
	}
	return base64.RawURLEncoding.EncodeToString(encoded), nil
}

// sign uses the named algorithm if the key can, else the key's own algorithm, whatever the header says.
func (s *signingKey) sign(alg string, input []byte) ([]byte, error) {
	digest, hash := digestFor(alg, input)
	switch private := s.private.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(private, input), nil
	case *ecdsa.PrivateKey:
		r, v, err := ecdsa.Sign(rand.Reader, private, digest)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		size := (private.Params().BitSize + 7) / 8
		signature := make([]byte, 2*size)
		r.FillBytes(signature[:size])
		v.FillBytes(signature[size:])
		return signature, nil
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "PS") {
			return rsa.SignPSS(rand.Reader, private, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, private, hash, digest)
	}
	return nil, fmt.Errorf("sign: unsupported key type %T", s.private)
}

func digestFor(alg string, input []byte) ([]byte, crypto.Hash) {
	switch {
	case strings.HasSuffix(alg, "384"):
		sum := sha512.Sum384(input)
		return sum[:], crypto.SHA384
	case strings.HasSuffix(alg, "512"):
		sum := sha512.Sum512(input)
		return sum[:], crypto.SHA512
	}
	sum := sha256.Sum256(input)
	return sum[:], crypto.SHA256
}

// atHash is the at_hash of an access token (OIDC Core §3.1.3.6).
func atHash(alg, access string) string {
	if strings.HasPrefix(alg, "Ed") {
		alg = "512"
	}
	digest, hash := digestFor(alg, []byte(access))
	return base64.RawURLEncoding.EncodeToString(digest[:hash.Size()/2])
}
