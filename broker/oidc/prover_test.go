package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

// kind is one kind of access token.
type kind struct {
	name      string
	jwt, dpop bool
}

func kinds() []kind {
	return []kind{{"opaque", false, false}, {"JWT", true, false}, {"opaque, DPoP", false, true}, {"JWT, DPoP", true, true}}
}

// as makes the client "app" one of access tokens of this kind.
func (h *harness) as(k kind) *harness {
	h.t.Helper()
	c, err := h.db.Client(h.ctx(), "app")
	h.must(err)
	if c.JWTAccess = k.jwt; k.jwt || k.dpop {
		h.must(h.db.PutClient(h.ctx(), c))
	}
	if k.dpop {
		h.prover = newProver(h.t, signing.ES256)
	}
	return h
}

// prover is a client's DPoP key.
type prover struct {
	t   *testing.T
	alg string
	key crypto.Signer
}

func newProver(t *testing.T, alg string) *prover {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case signing.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case signing.EdDSA, signing.Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &prover{t, alg, key}
}

// draft is a proof that can still be spoilt.
type draft struct {
	header map[jose.HeaderKey]any
	claims map[string]any
	jwk    any
}

func (p *prover) thumbprint() string {
	p.t.Helper()
	jwk := jose.JSONWebKey{Key: p.key.Public()}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		p.t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// proof makes a good proof for a request, changed by edit; token is the access token
// that is shown with it.
func (p *prover) proof(h *harness, method, path, token string, edit func(*draft)) string {
	p.t.Helper()
	d := draft{header: map[jose.HeaderKey]any{"typ": typProof}, jwk: jose.JSONWebKey{Key: p.key.Public()},
		claims: map[string]any{"jti": broker.NewToken(), "htm": method, "htu": issuer + path, "iat": h.clock.Now().Unix()}}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		d.claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if edit != nil {
		edit(&d)
	}
	return p.sign(d)
}

func (p *prover) sign(d draft) string {
	p.t.Helper()
	options := &jose.SignerOptions{ExtraHeaders: d.header}
	if d.jwk != nil {
		options.WithHeader("jwk", d.jwk)
	}
	signer, err := jose.NewSigner(signingKey(p.alg, p.key), options)
	if err != nil {
		p.t.Fatal(err)
	}
	return compact(p.t, signer, d.claims)
}

// prove adds a fresh proof where the app has a key.
func (h *harness) prove(r *http.Request, token string) *http.Request {
	h.t.Helper()
	if h.prover != nil {
		r.Header.Set(headerDPoP, h.prover.proof(h, r.Method, r.URL.Path, token, nil))
	}
	return r
}

// shows is a request to userinfo with a token under a scheme, and with proofs.
func (h *harness) shows(scheme, token string, proofs ...string) answer {
	h.t.Helper()
	r := newRequest(http.MethodGet, "/userinfo", nil)
	r.Header.Set("Authorization", scheme+" "+token)
	for _, p := range proofs {
		r.Header.Add(headerDPoP, p)
	}
	return h.send(r)
}

// tokenWith posts to the token endpoint as "app", with these proofs.
func (h *harness) tokenWith(proofs []string, form url.Values) answer {
	h.t.Helper()
	r := newRequest(http.MethodPost, "/token", form)
	if !form.Has("client_id") {
		r.SetBasicAuth("app", h.secret)
	}
	for _, p := range proofs {
		r.Header.Add(headerDPoP, p)
	}
	return h.send(r)
}

// form makes a form of pairs; a name may come more than once.
func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}
