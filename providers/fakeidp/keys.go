package fakeidp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // x5t is a SHA-1 thumbprint by definition, RFC 7517 §4.8
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// signingKey is one key of the provider, of the type that alg needs.
type signingKey struct {
	id, alg  string
	private  crypto.Signer
	consumer bool // Microsoft: may sign for personal accounts only
	chain    []*x509.Certificate
}

// KeyPool shares RSA keys between the providers of a test binary, because RSA keys are slow to generate. A provider
// never gets the same key twice.
type KeyPool struct {
	mu   sync.Mutex
	keys []*rsa.PrivateKey
}

// next returns a key that is not in used, and adds it there. A nil pool always generates one.
func (p *KeyPool) next(used map[*rsa.PrivateKey]bool) (*rsa.PrivateKey, error) {
	if p == nil {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range p.keys {
		if !used[key] {
			used[key] = true
			return key, nil
		}
	}
	made, err := rsa.GenerateKey(rand.Reader, 2048)
	if err == nil {
		p.keys, used[made] = append(p.keys, made), true
	}
	return made, err
}

// keyring creates keys on first use, because RSA keys are slow to generate.
type keyring struct {
	mu        sync.Mutex
	alg       string
	certified bool // publish keys with a certificate, as Microsoft does
	now       func() time.Time
	pool      *KeyPool                 // of RSA keys; nil: every key is new
	used      map[*rsa.PrivateKey]bool // from the pool

	current, consumer, rogue *signingKey
	retired                  []*signingKey
}

// RotateKeys replaces the signing key. The old keys stay published only if keepOld is set.
func (s *Server) RotateKeys(keepOld bool) error {
	k := &s.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	next, err := k.make()
	if err != nil {
		return err
	}
	switch {
	case !keepOld:
		k.retired = nil
	case k.current != nil:
		k.retired = append(k.retired, k.current)
	}
	k.current = next
	return nil
}

// key returns the key of a slot, creating it on first use.
func (k *keyring) key(slot **signingKey) (*signingKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ensure(slot)
}

// ensure is key for callers that hold mu.
func (k *keyring) ensure(slot **signingKey) (*signingKey, error) {
	if *slot != nil {
		return *slot, nil
	}
	made, err := k.make()
	if err != nil {
		return nil, err
	}
	made.consumer = slot == &k.consumer
	*slot = made
	return made, nil
}

// published returns every key of the jwks_uri document, newest first.
func (k *keyring) published() ([]*signingKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	current, err := k.ensure(&k.current)
	if err != nil {
		return nil, err
	}
	return append([]*signingKey{current}, k.retired...), nil
}

func (k *keyring) make() (*signingKey, error) {
	made := &signingKey{id: rand.Text(), alg: k.alg}
	var err error
	switch k.alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		made.private, err = k.pool.next(k.used)
	case "ES256":
		made.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		made.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		made.private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA", "Ed25519":
		_, made.private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("make a %s key: %w", k.alg, err)
	}
	return made, made.certify(k.now())
}

// certify gives the key a self-signed certificate, for x5c.
func (s *signingKey) certify(now time.Time) error {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "simulated signing key"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(5, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.private.Public(), s.private)
	if err != nil {
		return fmt.Errorf("certify a %s key: %w", s.alg, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("certify a %s key: %w", s.alg, err)
	}
	s.chain = []*x509.Certificate{certificate}
	return nil
}

// jwk returns the public key as members, to which a provider may add.
func (s *signingKey) jwk(certified bool) (map[string]any, error) {
	public := jose.JSONWebKey{Key: s.private.Public(), KeyID: s.id, Algorithm: s.alg, Use: "sig"}
	if certified {
		thumbprint := sha1.Sum(s.chain[0].Raw)
		public.Certificates, public.CertificateThumbprintSHA1 = s.chain, thumbprint[:]
	}
	encoded, err := public.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("publish a %s key: %w", s.alg, err)
	}
	members := map[string]any{}
	return members, json.Unmarshal(encoded, &members)
}

// jwks sends the provider's published keys.
func (s *Server) jwks(c *call) {
	keys, err := s.keys.published()
	if err != nil {
		c.serverError(err)
		return
	}
	list := make([]any, 0, len(keys))
	for _, key := range keys {
		members, err := key.jwk(s.keys.certified)
		if err != nil {
			c.serverError(err)
			return
		}
		list = append(list, members)
	}
	c.w.Header().Set("Cache-Control", "public, max-age=3600")
	c.json(200, map[string]any{"keys": list})
}

// rogueKeys sends the key that forged headers point to, under the kid that they name.
func (s *Server) rogueKeys(c *call) {
	rogue, err := s.keys.key(&s.keys.rogue)
	if err != nil {
		c.serverError(err)
		return
	}
	members, err := rogue.jwk(true)
	if err != nil {
		c.serverError(err)
		return
	}
	c.json(200, map[string]any{"keys": []any{members}})
}
