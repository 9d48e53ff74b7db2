package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

// heldKey is a private key of an app.
type heldKey struct {
	id, alg string
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
	case signing.EdDSA, signing.Ed25519:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return heldKey{id, alg, private}
}

func (k heldKey) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.id}
}

// keySetOf is a JWK Set of public keys.
func keySetOf(t *testing.T, keys ...heldKey) string {
	t.Helper()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, k.public())
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// proof is what an app's assertion says; a value that is nil is left out.
func (h *harness) proof(client string) map[string]any {
	now := h.clock.Now().Unix()
	return map[string]any{"iss": client, "sub": client, "aud": issuer, "jti": broker.NewID(), "iat": now, "exp": now + 60}
}

// signed makes an assertion. Of head, a value that is nil takes the usual one away.
func (k heldKey) signed(t *testing.T, claims, head map[string]any) string {
	t.Helper()
	o := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"kid": k.id}}
	for name, v := range head {
		if o.ExtraHeaders[jose.HeaderKey(name)] = v; v == nil {
			delete(o.ExtraHeaders, jose.HeaderKey(name))
		}
	}
	signer, err := jose.NewSigner(signingKey(k.alg, k.private), o)
	if err != nil {
		t.Fatal(err)
	}
	claims = maps.Clone(claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// asserts authenticates by an assertion and nothing else; invalid_grant is the answer to who succeeds.
func (h *harness) asserts(token string) answer {
	h.t.Helper()
	return h.send(newRequest(http.MethodPost, "/token", url.Values{"grant_type": {clients.GrantRefresh},
		"refresh_token": {"none"}, "client_assertion_type": {assertionType}, "client_assertion": {token}}))
}

func (h *harness) proven(a answer) { h.t.Helper(); h.wants(a, http.StatusBadRequest, "invalid_grant") }
func (h *harness) unproven(a answer) {
	h.t.Helper()
	h.wants(a, http.StatusUnauthorized, "invalid_client")
}

func TestA9_EveryMethodOfEveryKindOfClientAtEveryEndpoint(t *testing.T) {
	h := newHarness(t)
	key := newHeldKey(t, "k", signing.ES256)
	secrets := map[string]string{}
	kinds := map[string][]string{"basic": {"client_secret_basic"}, "post": {"client_secret_post"},
		"secret": {"client_secret_basic", "client_secret_post"},
		"key":    {clients.MethodKey}, "two": {"client_secret_post", clients.MethodKey}, "all": {"client_secret_basic",
			"client_secret_post", clients.MethodKey}, "public": {"none"}, "nobody": nil}
	for id, methods := range kinds {
		if methods == nil {
			continue
		}
		c := broker.Client{ID: id, Name: id, AuthMethods: methods, Keys: keySetOf(t, key)} // keys alone allow nothing
		if !clients.TakesSecret(c) {
			c.SecretHashes = []string{}
		}
		secrets[id] = h.client(c)
	}
	secrets["public"] = "a secret that it does not have"
	for id, registered := range kinds {
		for _, method := range clients.AuthMethods() {
			for path, want := range map[string]int{"/token": http.StatusBadRequest, "/revoke": http.StatusOK,
				"/introspect": http.StatusOK, pathPush: http.StatusBadRequest, pathDeviceAuthorization: http.StatusBadRequest} {
				form := url.Values{"grant_type": {clients.GrantRefresh}, "refresh_token": {"none"}, "token": {"none"}}
				if path == "/revoke" || path == "/introspect" {
					form.Del("grant_type")
				}
				form.Set("client_id", id)
				switch method {
				case "client_secret_post":
					form.Set("client_secret", secrets[id])
				case clients.MethodKey:
					form.Set("client_assertion_type", assertionType)
					form.Set("client_assertion", key.signed(t, h.proof(id), nil))
				}
				r := newRequest(http.MethodPost, path, form)
				if method == "client_secret_basic" {
					r.SetBasicAuth(id, secrets[id])
				}
				good := slices.Contains(registered, method) && !(path == "/introspect" && method == "none")
				a := h.send(r)
				if good && a.StatusCode != want || !good && (a.StatusCode != http.StatusUnauthorized ||
					a.text("error") != "invalid_client") {
					t.Errorf("%s (%v) by %s at %s: %d %s", id, registered, method, path, a.StatusCode, a.body)
				}
			}
		}
	}
}

func TestA9_AnAssertionExcludesOtherAuthentication(t *testing.T) {
	h := newHarness(t)
	key := newHeldKey(t, "k", signing.ES256)
	secret := h.client(broker.Client{ID: "two", Name: "Two", AuthMethods: []string{"client_secret_basic",
		"client_secret_post", clients.MethodKey}, Keys: keySetOf(t, key)})
	send := func(basic bool, pairs ...string) answer {
		form := url.Values{"grant_type": {clients.GrantRefresh}, "refresh_token": {"none"},
			"client_assertion_type": {assertionType},
			"client_assertion":      {key.signed(t, h.proof("two"), nil)}}
		for i := 0; i < len(pairs); i += 2 {
			if form.Set(pairs[i], pairs[i+1]); pairs[i+1] == "-" {
				form.Del(pairs[i])
			}
		}
		r := newRequest(http.MethodPost, "/token", form)
		if basic {
			r.SetBasicAuth("two", secret)
		}
		return h.send(r)
	}
	h.proven(send(false))
	h.proven(send(false, "client_id", "two"))
	h.wants(send(true), http.StatusBadRequest, "invalid_request")
	h.wants(send(false, "client_secret", secret), http.StatusBadRequest, "invalid_request")
	h.unproven(send(false, "client_id", "app"))
	h.unproven(send(false, "client_assertion_type", "-"))
	h.unproven(send(false, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"))
	h.unproven(send(false, "client_assertion", "-"))
	h.unproven(send(false, "client_assertion", "", "client_id", "two"))
	twice := newRequest(http.MethodPost, "/token", url.Values{"grant_type": {clients.GrantRefresh},
		"client_assertion_type": {assertionType},
		"client_assertion":      {key.signed(t, h.proof("two"), nil), key.signed(t, h.proof("two"), nil)}})
	h.wants(h.send(twice), http.StatusBadRequest, "invalid_request")
}

func TestA9_EveryAlgorithmProvesAndEveryFaultOfAnAssertionIsRefused(t *testing.T) {
	h := newHarness(t)
	keys := map[string]heldKey{}
	for _, alg := range clients.AssertionAlgs() {
		keys[alg] = newHeldKey(t, alg, alg)
		h.client(broker.Client{ID: alg, Name: alg, AuthMethods: []string{clients.MethodKey}, SecretHashes: []string{},
			Keys: keySetOf(t, keys[alg]), AuthAlg: alg})
		h.proven(h.asserts(keys[alg].signed(t, h.proof(alg), nil)))
	}
	// the same key, another algorithm than registered
	for _, swap := range [][2]string{{signing.RS256, clients.PS256}, {clients.PS256, signing.RS256}} {
		h.unproven(h.asserts(heldKey{swap[0], swap[1], rsaOfApps()}.signed(t, h.proof(swap[0]), nil)))
	}
	key := newHeldKey(t, "k", signing.ES256)
	h.client(broker.Client{ID: "machine", Name: "Machine", AuthMethods: []string{clients.MethodKey},
		SecretHashes: []string{}, Keys: keySetOf(t, key)})
	now := h.clock.Now().Unix()
	for name, c := range map[string]struct {
		claims, head map[string]any
		good         bool
	}{
		"as it is":                   {nil, nil, true},
		"nbf 8 s ahead":              {map[string]any{"nbf": now + 8}, nil, true},
		"iat 8 s ahead":              {map[string]any{"iat": now + 8}, nil, true},
		"no iat":                     {map[string]any{"iat": nil}, nil, true},
		"exp in 5 minutes":           {map[string]any{"exp": now + 300}, nil, true},
		"exp with a fraction":        {map[string]any{"exp": float64(now) + 30.5}, nil, true},
		"exp 59 s ago":               {map[string]any{"exp": now - 59}, nil, true},
		"typ JWT":                    {nil, map[string]any{"typ": "JWT"}, true},
		"typ client-authentication":  {nil, map[string]any{"typ": "client-authentication+jwt"}, true},
		"no kid, where there is one": {nil, map[string]any{"kid": nil}, true},
		"nbf 60 s ahead":             {map[string]any{"nbf": now + 60}, nil, false},
		"iat 60 s ahead":             {map[string]any{"iat": now + 60}, nil, false},
		"exp in 6 minutes":           {map[string]any{"exp": now + 360}, nil, false},
		"exp never":                  {map[string]any{"exp": nil}, nil, false},
		"exp a minute ago":           {map[string]any{"exp": now - 60}, nil, false},
		"exp a text":                 {map[string]any{"exp": "9999999999"}, nil, false},
		"no jti":                     {map[string]any{"jti": nil}, nil, false},
		"an empty jti":               {map[string]any{"jti": ""}, nil, false},
		"a long jti":                 {map[string]any{"jti": strings.Repeat("x", maxJTI+1)}, nil, false},
		"no iss":                     {map[string]any{"iss": nil}, nil, false},
		"iss of another":             {map[string]any{"iss": "app"}, nil, false},
		"no sub":                     {map[string]any{"sub": nil}, nil, false},
		"iss and sub of another":     {map[string]any{"iss": "app", "sub": "app"}, nil, false},
		"aud the token endpoint":     {map[string]any{"aud": issuer + pathToken}, nil, true},
		"aud the PAR endpoint":       {map[string]any{"aud": issuer + pathPush}, nil, true}, // RFC 9126 §2
		"aud another endpoint":       {map[string]any{"aud": issuer + pathRevoke}, nil, false},
		"aud of both":                {map[string]any{"aud": []string{issuer, issuer + pathToken}}, nil, false},
		"aud no one":                 {map[string]any{"aud": []string{}}, nil, false},
		"aud with a slash":           {map[string]any{"aud": issuer + "/"}, nil, false},
		"aud a list of us":           {map[string]any{"aud": []string{issuer}}, nil, true},
		// one value, as golang-jwt has it
		"aud a list of us and another": {map[string]any{"aud": []string{issuer, "https://other.example.com"}}, nil, false},
		"aud another":                  {map[string]any{"aud": "https://other.example.com"}, nil, false},
		"aud in another spelling":      {map[string]any{"aud": "https://other.example.com", "AUD": issuer}, nil, false},
		"no aud":                       {map[string]any{"aud": nil}, nil, false},
		"typ of a DPoP proof":          {nil, map[string]any{"typ": "dpop+jwt"}, false},
		"typ of a logout token":        {nil, map[string]any{"typ": "logout+jwt"}, false},
		"typ a number":                 {nil, map[string]any{"typ": 7}, false},
		"another kid":                  {nil, map[string]any{"kid": "other"}, false},
		"a critical header":            {nil, map[string]any{"crit": []string{"x"}, "x": 1}, false},
	} {
		claims := h.proof("machine")
		maps.Copy(claims, c.claims)
		a := h.asserts(key.signed(t, claims, c.head))
		if want := map[bool]string{true: "invalid_grant", false: "invalid_client"}[c.good]; a.text("error") != want {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	other := newHeldKey(t, "k", signing.ES256)
	h.unproven(h.asserts(other.signed(t, h.proof("machine"), nil)))
	// a key that the token brings along
	h.unproven(h.asserts(other.signed(t, h.proof("machine"), map[string]any{"jwk": other.public()})))
	h.unproven(h.asserts(other.signed(t, h.proof("machine"), map[string]any{"jku": "https://keys.example.com"})))
}

func TestA9_APublicKeyIsNoSharedSecret(t *testing.T) {
	h := newHarness(t)
	key := newHeldKey(t, "k", signing.RS256)
	set := keySetOf(t, key)
	h.client(broker.Client{ID: "machine", Name: "Machine", AuthMethods: []string{clients.MethodKey},
		SecretHashes: []string{}, Keys: set})
	der, err := x509.MarshalPKIXPublicKey(key.private.Public())
	h.must(err)
	jwk, err := json.Marshal(key.public())
	h.must(err)
	for _, secret := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		x509.MarshalPKCS1PublicKey(&rsaOfApps().PublicKey),
		jwk, []byte(set), rsaOfApps().N.Bytes(), {}} {
		for _, alg := range []string{"HS256", "none", "RS256", "PS256", ""} {
			body, err := json.Marshal(h.proof("machine"))
			h.must(err)
			input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`","kid":"k"}`)) + "." +
				base64.RawURLEncoding.EncodeToString(body)
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			h.unproven(h.asserts(input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))))
			h.unproven(h.asserts(input + "."))
		}
	}
	h.unproven(h.asserts(""))
	h.unproven(h.asserts(".."))
	h.proven(h.asserts(key.signed(t, h.proof("machine"), nil)))
}

func TestA9_AnAssertionIsGoodOnce(t *testing.T) {
	fleet(t, func(t *testing.T, one, two *harness) {
		key := newHeldKey(t, "k", signing.ES256)
		for _, id := range []string{"machine", "other"} {
			one.client(broker.Client{ID: id, Name: id, AuthMethods: []string{clients.MethodKey}, SecretHashes: []string{},
				Keys: keySetOf(t, key)})
		}
		claims := one.proof("machine")
		claims["exp"] = one.clock.Now().Add(assertionLife).Unix()
		token := key.signed(t, claims, nil)
		var good, bad, turn atomic.Int64
		race(20, func() {
			at := []*harness{one, two}[turn.Add(1)%2]
			switch a := at.call("/revoke", "client_id", "machine", "token", "x", "client_assertion_type", assertionType,
				"client_assertion", token); {
			case a.StatusCode == http.StatusOK:
				good.Add(1)
			case a.text("error") == "invalid_client":
				bad.Add(1)
			}
		})
		if good.Load() != 1 || bad.Load() != 19 {
			t.Fatalf("%d times good, %d times refused", good.Load(), bad.Load())
		}
		one.unproven(two.asserts(token))
		claims["iss"], claims["sub"] = "other", "other"
		one.proven(two.asserts(key.signed(t, claims, nil))) // a jti is its client's own
		one.unproven(one.asserts(key.signed(t, claims, nil)))

		// The mark outlives the assertion, whatever is cleared away.
		one.clock.add(assertionLife + assertionLate - time.Second)
		_, _, err := one.db.Purge(one.ctx(), one.clock.Now(), 1000)
		one.must(err)
		one.unproven(one.asserts(token))
	})
}

// tally counts the verifications with a discarded key.
type tally struct{ n atomic.Int64 }

func (v *tally) VerifyPayload([]byte, []byte, jose.SignatureAlgorithm) error { v.n.Add(1); return nil }

// A client that does not exist costs one look at storage and one verification, like one
// that does; and what that verification says is never believed.
func TestA9_ResponsesDoNotRevealWhichClientsExist(t *testing.T) {
	h := newHarness(t)
	key := newHeldKey(t, "k", signing.ES256)
	h.client(broker.Client{ID: "machine", Name: "Machine", AuthMethods: []string{clients.MethodKey},
		SecretHashes: []string{}, Keys: keySetOf(t, key)})
	h.client(broker.Client{ID: "picky", Name: "Picky", AuthMethods: []string{clients.MethodKey}, SecretHashes: []string{},
		Keys: keySetOf(t, key), AuthAlg: signing.ES256})
	h.client(broker.Client{ID: "off", Name: "Off", AuthMethods: []string{clients.MethodKey}, SecretHashes: []string{},
		Keys: keySetOf(t, key), Disabled: true})
	edwards := newHeldKey(t, "k", signing.EdDSA)
	seen := &tally{}
	for alg := range h.handler.strangers {
		h.handler.strangers[alg] = clients.Key{Public: seen}
	}
	said := map[string]bool{}
	for name, c := range map[string]struct {
		client string
		key    heldKey
		other  int64 // verifications with a discarded key
	}{
		"nobody":              {"nobody", key, 1},
		"a disabled client":   {"off", key, 1},
		"a client by secret":  {"app", key, 1},
		"another algorithm":   {"picky", edwards, 1},
		"a key it has not":    {"machine", edwards, 1},
		"a forged signature":  {"machine", newHeldKey(t, "k", signing.ES256), 0}, // with its own key
		"an id that is no id": {"a b\x00", key, 1},
	} {
		seen.n.Store(0)
		a := h.asserts(c.key.signed(t, h.proof(c.client), nil))
		h.unproven(a)
		said[a.body] = true
		if n := seen.n.Load(); n != c.other {
			t.Errorf("%s: %d verifications", name, n)
		}
	}
	if len(said) != 1 {
		t.Errorf("the answers differ: %v", said)
	}
}
