package fakeidp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Forgery is a way to make an ID token that a relying party must not accept.
type Forgery string

// The forgeries, with their rows of SECURITY.md.
const (
	ForgeUnsigned   Forgery = "unsigned"     // alg none, no signature [B5]
	ForgeNoSig      Forgery = "no signature" // alg kept, signature empty [B5]
	ForgeHMACPEM    Forgery = "hmac pem"     // HS256 keyed with the public key, as PEM [B5]
	ForgeHMACDER    Forgery = "hmac der"     // … as DER [B5]
	ForgeHMACJWK    Forgery = "hmac jwk"     // … as JWK [B5]
	ForgeHMACSecret Forgery = "hmac secret"  // HS256 keyed with the client secret [B5]
	ForgeWrongKey   Forgery = "wrong key"    // the published kid, another key [B5]
	ForgeCorrupt    Forgery = "corrupt"      // the published kid, a signature with one bit flipped [B8]
	// the real key under a kid that is not published, a different one each time [B7]
	ForgeUnknownKid Forgery = "unknown kid"
	ForgeJWK        Forgery = "jwk" // another key, offered in the header itself [B6]
	ForgeX5C        Forgery = "x5c" // … as a certificate in the header [B6]
	ForgeJKU        Forgery = "jku" // … at an address in the header; AtRogueKeys counts the requests [B6]
	ForgeX5U        Forgery = "x5u" // … likewise [B6]

	// ForgeConsumerKey signs a work account's token with the key for personal accounts, at Microsoft [B11].
	ForgeConsumerKey Forgery = "consumer key"

	ForgeEncrypted      Forgery = "encrypted"       // a JWE that the client secret decrypts [B21]
	ForgeEncryptedZip   Forgery = "encrypted zip"   // … of 16 MiB in a few kilobytes [B21]
	ForgeEncryptedPBES2 Forgery = "encrypted pbes2" // … that demands two billion rounds of PBKDF2 [B21]
)

// roguePath is where the forged headers jku and x5u point.
const roguePath = "/fakeidp/rogue-keys"

// signer returns the key that signs under a forgery, and the kid that the header names.
func (s *Server) signer(forge Forgery, personal bool) (key *signingKey, kid string, err error) {
	slot := &s.keys.current
	if personal || forge == ForgeConsumerKey {
		slot = &s.keys.consumer
	}
	if key, err = s.keys.key(slot); err != nil {
		return nil, "", err
	}
	kid = key.id
	switch forge {
	case ForgeUnknownKid:
		kid = rand.Text()
	case ForgeWrongKey, ForgeJWK, ForgeX5C, ForgeJKU, ForgeX5U:
		if key, err = s.keys.key(&s.keys.rogue); err != nil {
			return nil, "", err
		}
		if forge != ForgeWrongKey {
			kid = key.id
		}
	}
	return key, kid, nil
}

// forgeHeader changes the header as the forgery requires.
func (s *Server) forgeHeader(forge Forgery, key *signingKey, header map[string]any) error {
	switch forge {
	case ForgeUnsigned:
		header["alg"] = "none"
		delete(header, "kid")
	case ForgeHMACPEM, ForgeHMACDER, ForgeHMACJWK, ForgeHMACSecret:
		header["alg"] = "HS256"
	case ForgeJWK:
		members, err := key.jwk(false)
		if err != nil {
			return err
		}
		header["jwk"] = members
	case ForgeX5C:
		header["x5c"] = []string{base64.StdEncoding.EncodeToString(key.chain[0].Raw)}
	case ForgeJKU:
		header["jku"] = s.opts.BaseURL + roguePath
	case ForgeX5U:
		header["x5u"] = s.opts.BaseURL + roguePath
	}
	return nil
}

// forgeSignature signs as the forgery requires.
func (s *Server) forgeSignature(forge Forgery, key *signingKey, alg, input string) ([]byte, error) {
	switch forge {
	case ForgeUnsigned, ForgeNoSig:
		return nil, nil
	case ForgeHMACPEM, ForgeHMACDER, ForgeHMACJWK, ForgeHMACSecret:
		secret, err := s.hmacSecret(forge, key)
		if err != nil {
			return nil, err
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return mac.Sum(nil), nil
	}
	signature, err := key.sign(alg, []byte(input))
	if err == nil && forge == ForgeCorrupt {
		signature[len(signature)/2] ^= 1
	}
	return signature, err
}

// hmacSecret is what a careless verifier would use as the shared secret.
func (s *Server) hmacSecret(forge Forgery, key *signingKey) ([]byte, error) {
	switch forge {
	case ForgeHMACSecret:
		return []byte(s.opts.ClientSecret), nil
	case ForgeHMACJWK:
		members, err := key.jwk(false)
		if err != nil {
			return nil, err
		}
		return json.Marshal(members)
	}
	der, err := x509.MarshalPKIXPublicKey(key.private.Public())
	if err != nil {
		return nil, fmt.Errorf("encode the public key: %w", err)
	}
	if forge == ForgeHMACPEM {
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
	}
	return der, nil
}

// encrypt wraps a signed token as the forgery requires; other forgeries leave it unchanged.
func (s *Server) encrypt(forge Forgery, token string) (string, error) {
	opts := (&jose.EncrypterOptions{}).WithContentType("JWT").WithType("JWT")
	payload := []byte(token)
	switch forge {
	case ForgeEncrypted:
	case ForgeEncryptedZip:
		opts.Compression = jose.DEFLATE
		payload = make([]byte, 16<<20)
	case ForgeEncryptedPBES2:
		// Only the header matters: a verifier that derives a key from it hangs before it reads the rest.
		part := base64.RawURLEncoding.EncodeToString
		header := `{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"c2FsdHNhbHRzYWx0c2FsdA","cty":"JWT"}`
		return part([]byte(header)) + "." + part(make([]byte, 24)) + "." + part(make([]byte, 12)) + "." + part(payload) +
			"." + part(make([]byte, 16)), nil
	default:
		return token, nil
	}
	key := sha256.Sum256([]byte(s.opts.ClientSecret)) // OIDC Core §10.2
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: key[:]}, opts)
	if err != nil {
		return "", fmt.Errorf("encrypt the token: %w", err)
	}
	object, err := encrypter.Encrypt(payload)
	if err != nil {
		return "", fmt.Errorf("encrypt the token: %w", err)
	}
	return object.CompactSerialize()
}
