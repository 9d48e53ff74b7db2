package clients

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker/signing"
)

// heldKey is a private key of an app.
type heldKey struct {
	id      string
	private crypto.Signer
}

var rsaOfApps = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func newHeldKey(t *testing.T, id, alg string) heldKey {
	t.Helper()
	var private crypto.Signer = rsaOfApps()
	var err error
	switch alg {
	case signing.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case signing.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return heldKey{id, private}
}

// keySetOf is a JWK Set of public keys.
func keySetOf(t *testing.T, keys ...heldKey) string {
	t.Helper()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.id})
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheFetcherRemembersNoMoreThanItMay(t *testing.T) {
	f := &Fetcher{Now: time.Now}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entry("https://busy.example.com").flight = make(chan struct{})
	for i := range 2 * keysMost {
		f.entry("https://app.example.com/" + strings.Repeat("x", i))
	}
	if len(f.all) > keysMost || f.all["https://busy.example.com"] == nil {
		t.Errorf("%d URIs are remembered", len(f.all))
	}
}
