package providers

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

const (
	maxKeys = 100
	maxKid  = 256
	// staleKeys is how long keys may be used past their expiry while the upstream is unreachable.
	staleKeys = 24 * time.Hour
)

// key is one public key of an upstream. All keys come from its jwks_uri: a key in a token's header is never
// used.
type key struct {
	id     string
	alg    string // as announced; empty: any that fits the key type
	issuer string // Microsoft: whose tokens the key may sign
	public any
}

// keySet is an upstream's keys.
type keySet struct{ all []key }

// fits reports whether the key can verify the algorithm.
func (k key) fits(alg string) bool {
	if k.alg != "" && !signing.SameAlg(k.alg, alg) {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return alg == curves[public.Curve.Params().Name]
	case ed25519.PublicKey:
		return signing.IsEdDSA(alg)
	}
	return false
}

// curves maps a curve to its only algorithm (RFC 7518 §3.4).
var curves = map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}

// candidates returns the keys that may have signed a token. Without a kid there must be exactly one.
func (s *keySet) candidates(kid, alg string) []key {
	var found []key
	for _, k := range s.all {
		if k.fits(alg) && (kid == "" || k.id == kid) {
			found = append(found, k)
		}
	}
	if kid == "" && len(found) != 1 {
		return nil
	}
	return found
}

// parseKeys reads a JWK Set (RFC 7517 §5). It skips keys that we cannot or must not use, and returns an error if
// none is left.
func parseKeys(body []byte) (*keySet, error) {
	d, err := parseDocument(body)
	if err != nil {
		return nil, err
	}
	list, _ := d["keys"].([]any)
	if len(list) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	set := &keySet{}
	for _, v := range list {
		if k, ok := parseKey(v); ok {
			set.all = append(set.all, k)
		}
	}
	if len(set.all) == 0 {
		return nil, errors.New("no usable key")
	}
	return set, nil
}

func parseKey(v any) (key, bool) {
	d, ok := v.(document)
	if !ok || d["use"] != nil && d["use"] != "sig" || d["kty"] == "oct" || d["d"] != nil {
		return key{}, false
	}
	// Certificates are ignored: nothing depends on them, and a malformed one would make the key unusable.
	plain := map[string]any{}
	for _, member := range []string{"kty", "crv", "n", "e", "x", "y"} {
		if value, there := d[member]; there {
			plain[member] = value
		}
	}
	encoded, err := json.Marshal(plain)
	if err != nil {
		return key{}, false
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(encoded); err != nil || !jwk.Valid() || !jwk.IsPublic() {
		return key{}, false
	}
	if r, isRSA := jwk.Key.(*rsa.PublicKey); isRSA && (r.N.BitLen() < 2048 || r.N.BitLen() > 4096) {
		return key{}, false
	}
	k := key{id: d.text("kid"), alg: d.text("alg"), issuer: d.text("issuer"), public: jwk.Key}
	return k, len(k.id) <= maxKid
}

// keysOf returns the cache of an upstream's keys, which are loaded from the metadata's jwks_uri.
func keysOf(env Env, meta *cache[metadata]) *cache[keySet] {
	return &cache[keySet]{now: env.Now, maxStale: staleKeys,
		load: func(ctx context.Context, _ *keySet) (keySet, time.Duration, error) {
			m, err := meta.get(ctx)
			if err != nil {
				return keySet{}, 0, err
			}
			body, header, err := env.fetch(ctx, "keys "+m.jwks, m.jwks, "", maxMetadata)
			if err != nil {
				return keySet{}, 0, outageOf(err)
			}
			set, err := parseKeys(body)
			if err != nil {
				return keySet{}, 0, broker.UpstreamRejected.Because(fmt.Errorf("keys: %w", err))
			}
			return *set, lifeOf(header), nil
		}}
}
