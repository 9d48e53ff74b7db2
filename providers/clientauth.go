package providers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

// The methods of client authentication at an upstream's token endpoint (OIDC Core §9).
const (
	authBasic      = "client_secret_basic"
	authPost       = "client_secret_post"
	authPrivateKey = "private_key_jwt"
)

// assertionLife is how long a client assertion is valid.
const assertionLife = time.Minute

// credential is how the client authenticates in one request.
type credential struct {
	style  oauth2.AuthStyle
	secret string // empty: none
	// form is added to the request.
	form map[string]string
}

// clientKey is a private key that authenticates the client. It is stored as a client secret, in PEM form.
type clientKey struct {
	signer crypto.Signer
	id     string // RFC 7638
}

// isKey reports whether a client secret is a private key.
func isKey(secret broker.Secret) bool { return strings.Contains(secret.Reveal(), "PRIVATE KEY-----") }

// parseClientKey reads a private key in PEM form: PKCS #8, PKCS #1 or SEC 1.
func parseClientKey(secret broker.Secret) (clientKey, error) {
	block, _ := pem.Decode([]byte(strings.TrimSpace(secret.Reveal())))
	if block == nil {
		return clientKey{}, errors.New("it is not a private key in PEM form")
	}
	var parsed any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	signer, ok := parsed.(crypto.Signer)
	if err != nil || !ok { // never quote err: it may hold a part of the key
		return clientKey{}, errors.New("it is not a private key in PKCS #8, PKCS #1 or SEC 1 form")
	}
	sum, err := (&jose.JSONWebKey{Key: signer.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return clientKey{}, errors.New("it is a private key of an unknown type")
	}
	k := clientKey{signer, base64.RawURLEncoding.EncodeToString(sum)}
	if r, isRSA := signer.(*rsa.PrivateKey); isRSA && r.N.BitLen() < 2048 || len(k.algorithms()) == 0 {
		return clientKey{}, errors.New("use an RSA key of 2048 bits or more, P-256, P-384, P-521 or Ed25519")
	}
	return k, nil
}

// algorithms lists what the key can sign with, the best known first.
func (k clientKey) algorithms() []string {
	switch public := k.signer.Public().(type) {
	case *rsa.PublicKey:
		return []string{"RS256", "PS256", "RS384", "PS384", "RS512", "PS512"}
	case *ecdsa.PublicKey:
		if alg := curves[public.Params().Name]; alg != "" {
			return []string{alg}
		}
	case ed25519.PublicKey:
		return []string{signing.EdDSA}
	}
	return nil
}

// sign returns a JWT by the key, with the first of its algorithms that the upstream announces, if it announces any.
func (k clientKey) sign(claims map[string]any, announced []string) (string, error) {
	algs := k.algorithms()
	n := slices.IndexFunc(algs, func(a string) bool { return slices.Contains(announced, a) })
	if n < 0 && len(announced) > 0 {
		return "", fmt.Errorf("the upstream verifies %s, and the key signs %s: use a key of another type",
			oneLine(strings.Join(announced, ", ")), strings.Join(algs, ", "))
	}
	key := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algs[max(n, 0)]),
		Key: jose.JSONWebKey{Key: k.signer, KeyID: k.id}}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// assertion returns the form members that authenticate a client with its key (RFC 7523 §2.2).
func (k clientKey) assertion(client, audience string, announced []string, now time.Time) (map[string]string, error) {
	jwt, err := k.sign(map[string]any{"iss": client, "sub": client, "aud": audience, "jti": broker.NewToken(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix()}, announced)
	return map[string]string{"client_assertion": jwt,
		"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, err
}

// NewClientKey returns a new private key for private_key_jwt. It is RSA, because every upstream verifies that.
func NewClientKey() (broker.Secret, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return broker.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// ClientKeys returns the JWK Set of a connection's live private keys, to register at the provider; nil if it has
// none.
func ClientKeys(c broker.Connection) json.RawMessage {
	var set jose.JSONWebKeySet
	for _, secret := range c.Secrets {
		if k, err := parseClientKey(secret); err == nil && isKey(secret) {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.signer.Public(), KeyID: k.id, Use: "sig"})
		}
	}
	if len(set.Keys) == 0 {
		return nil
	}
	encoded, err := json.Marshal(set)
	if err != nil {
		return nil
	}
	return encoded
}

// method returns how the client authenticates: as configured, else with what it has and the upstream announces.
// The default is client_secret_basic (OIDC Core §9).
func (u *openID) method(m *metadata, secret broker.Secret) (string, error) {
	announced := func(method string) bool { return m.authMethods == nil || slices.Contains(m.authMethods, method) }
	switch {
	case secret == "":
		return "none", nil
	case u.auth != "":
		return u.auth, nil
	case isKey(secret):
		return authPrivateKey, nil
	case announced(authBasic):
		return authBasic, nil
	case announced(authPost):
		return authPost, nil
	}
	return "", fmt.Errorf("the upstream accepts only %s, and the connection has a client secret: "+
		"generate a key for it", oneLine(strings.Join(m.authMethods, ", ")))
}

// authenticate returns the credential for a request to an endpoint; audience is who may accept an assertion.
func (u *openID) authenticate(m *metadata, audience string, secret broker.Secret) (c credential, err error) {
	if u.mintSecret != nil {
		c.style = oauth2.AuthStyleInParams
		c.secret, err = u.mintSecret(secret, u.env.Now())
		return c, err
	}
	method, err := u.method(m, secret)
	if err != nil {
		return c, err
	}
	switch method {
	case authPrivateKey:
		key, err := parseClientKey(secret)
		if err != nil {
			return c, err
		}
		if u.audience == keyIssuer {
			audience = m.issuer
		}
		c.form, err = key.assertion(u.clientID, audience, m.authAlgs, u.env.Now())
		return c, err
	case authBasic:
		return credential{style: oauth2.AuthStyleInHeader, secret: secret.Reveal()}, nil
	}
	return credential{style: oauth2.AuthStyleInParams, secret: secret.Reveal()}, nil
}
