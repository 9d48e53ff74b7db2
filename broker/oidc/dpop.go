package oidc

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/seal"
	"gatehouse/broker/signing"
)

// DPoP (RFC 9449): a token that is bound to a key is worthless to a thief without the key.
const (
	headerDPoP   = "DPoP"
	typProof     = "dpop+jwt"
	schemeBearer = "Bearer"
	schemeDPoP   = "DPoP"
	// proofLife is how far the clock of a client may be off, in both directions.
	proofLife = time.Minute
	// usedProof is the kind of used proofs in the replay cache. They are not in Ephemeral,
	// because a forgotten proof can be replayed.
	usedProof = "dpop"
	maxProof  = 8192
)

// proofAlgs returns the algorithms of proofs. All are asymmetric.
func proofAlgs() []string {
	return []string{signing.ES256, signing.EdDSA, signing.Ed25519, clients.PS256, signing.RS256}
}

// proof is a valid DPoP proof; zero if there was none.
type proof struct {
	key     string // the thumbprint of the key that signed it (RFC 7638)
	alg     string
	id      string // in the replay cache
	expires time.Time
	ath     string
}

// errProof returns the error of RFC 9449 §5.
func errProof(why string) *fosite.RFC6749Error {
	return &fosite.RFC6749Error{ErrorField: "invalid_dpop_proof", CodeField: http.StatusBadRequest, DescriptionField: why}
}

// proof checks the DPoP header of a request for one of our paths (RFC 9449 §4.3). It does
// not check for replay: consumeProof does, after the client is known.
func (d *Handler) proof(r *http.Request, path string) (p proof, err error) {
	shown := r.Header.Values(headerDPoP)
	if len(shown) == 0 {
		return p, nil
	}
	//defence:A9 ./broker/oidc:TestASpoiltProofIsRefusedAtTheTokenEndpoint
	if len(shown) > 1 || len(shown[0]) > maxProof {
		return p, errProof("There must be one DPoP header.")
	}
	key, alg, body, err := openProof(shown[0])
	if err != nil {
		return p, errProof("The DPoP proof is not a JWT of type dpop+jwt that its own public key verifies.").WithWrap(err)
	}
	var said struct {
		ID     string   `json:"jti"`
		Method string   `json:"htm"`
		URI    string   `json:"htu"`
		Issued *float64 `json:"iat"`
		Hash   string   `json:"ath"`
	}
	if err := json.Unmarshal(body, &said); err != nil || said.ID == "" || len(said.ID) > maxJTI || said.Issued == nil {
		return p, errProof("The DPoP proof needs jti, htm, htu and iat.")
	}
	// The address is the configured one, because the sender chooses the Host header.
	//defence:A9 ./broker/oidc:TestASpoiltProofIsRefusedAtTheTokenEndpoint
	if said.Method != r.Method ||
		//defence:A9 ./broker/oidc:TestASpoiltProofIsRefusedAtTheTokenEndpoint
		!sameAddress(said.URI, d.issuer+path) {
		return p, errProof("The DPoP proof is for another request.")
	}
	//defence:A9 ./broker/oidc:TestASpoiltProofIsRefusedAtTheTokenEndpoint
	if math.Abs(float64(d.now().Unix())-*said.Issued) >
		//defence:H5 A9 = 1
		proofLife.Seconds() {
		return p, errProof("The DPoP proof is too old, or from the future.")
	}
	sum := sha256.Sum256([]byte(said.ID))
	//defence:A9
	owner := key // another key may have used the same jti
	return proof{key: key, alg: alg, id: owner + "." + seal.EncodeToken(sum[:]), ath: said.Hash,
		// Twice, because the clock of another replica may be behind ours.
		//defence:A9
		expires: time.Unix(int64(*said.Issued), 0).Add(2 * proofLife)}, nil
}

// openProof verifies a proof with the key in its header and returns the key's thumbprint.
func openProof(token string) (key, alg string, body []byte, err error) {
	bad := errors.New("oidc: not a DPoP proof")
	var allowed []jose.SignatureAlgorithm
	for _, alg := range proofAlgs() {
		allowed = append(allowed, jose.SignatureAlgorithm(alg))
	}
	// The parser refuses private and symmetric keys in the header.
	jws, err := jose.ParseSignedCompact(token, allowed)
	if err != nil || len(jws.Signatures) != 1 {
		return "", "", nil, errors.Join(bad, err)
	}
	head := jws.Signatures[0].Protected
	_, critical := head.ExtraHeaders["crit"]
	if head.JSONWebKey == nil || critical ||
		//defence:A11 ./broker/oidc:TestASpoiltProofIsRefusedAtTheTokenEndpoint
		head.ExtraHeaders[jose.HeaderType] != typProof || !strong(head.JSONWebKey.Key) {
		return "", "", nil, bad
	}
	if body, err = jws.Verify(signing.VerificationKey(head.JSONWebKey.Key)); err != nil {
		return "", "", nil, bad
	}
	sum, err := head.JSONWebKey.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", "", nil, bad
	}
	return seal.EncodeToken(sum), head.Algorithm, body, nil
}

// strong bounds the size of a stranger's key: a weak key proves nothing, and a huge RSA
// key takes seconds to verify.
func strong(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		//defence:A9 ./broker/oidc:TestASpoiltProofIsRefusedAtTheTokenEndpoint = true
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 4096 && k.E > 2
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return len(k) == ed25519.PublicKeySize
	}
	return false
}

// sameAddress compares an htu with one of our addresses, without query and fragment,
// normalised by RFC 3986 §6.2.2 and §6.2.3.
func sameAddress(htu, ours string) bool {
	plain := func(s string) string {
		u, err := url.Parse(s)
		if err != nil || u.User != nil || u.Opaque != "" || u.Host == "" {
			return ""
		}
		host := strings.ToLower(u.Host)
		switch u.Scheme {
		case "https":
			host = strings.TrimSuffix(host, ":443")
		case "http":
			host = strings.TrimSuffix(host, ":80")
		}
		return u.Scheme + "://" + host + u.EscapedPath()
	}
	got := plain(htu)
	return got != "" && got == plain(ours)
}

// consumeProof marks a proof as used. Across all replicas one insert wins.
func (d *Handler) consumeProof(ctx context.Context, p proof) error {
	if p.key == "" {
		return nil
	}
	err := d.store.MarkUsed(ctx, usedProof, p.id, p.expires)
	if errors.Is(err, broker.Conflict) {
		//defence:A9
		return errProof("The DPoP proof was used before.")
	}
	return err
}

// acceptable refuses a proof by an algorithm that the client's profile excludes.
func (p proof) acceptable(c broker.Client) error {
	if p.key != "" && !clients.AcceptableAlg(c, p.alg) {
		return errProof("The client is registered with --fapi2: sign the DPoP proof by PS256, ES256 or EdDSA, not " +
			p.alg + ".")
	}
	return nil
}

// requireProof refuses a request without the proof, or the key, to which its client or
// code is bound (RFC 9449 §5.2, §10).
func requireProof(u *unit, p proof) error {
	if err := p.acceptable(u.client); err != nil {
		return err
	}
	//defence:A9 ./broker/oidc:TestAClientThatPromisedDPoPGetsNoBearerToken
	if u.client.DPoPBound && u.key == "" {
		return errProof("This client must show a DPoP proof.")
	}
	if u.code != nil {
		//defence:A1 ./broker/oidc:TestACodeIsBoundToTheKeyThatItWasAskedWith
		if who, ok := u.code.Session.(*session); ok && who.Key != "" && who.Key != u.key {
			return fosite.ErrInvalidGrant.WithHint("The code is bound to another DPoP key.")
		}
	}
	return nil
}

// thumbprint reports whether s has the form of a SHA-256 thumbprint.
func thumbprint(s string) bool {
	sum, err := seal.DecodeToken(s)
	return err == nil && len(sum) == sha256.Size
}

// tokenType returns the token_type of an access token (RFC 6749 §7.1, RFC 9449 §5).
func tokenType(key string) string {
	if key == "" {
		return schemeBearer
	}
	return schemeDPoP
}

// holds refuses an access token used in another way than it was issued for: a bound token
// without its key (RFC 9449 §7.1, §7.2), or a Bearer token as DPoP.
func (d *Handler) holds(r *http.Request, path, scheme, token string, g grant) error {
	if scheme == schemeBearer &&
		//defence:A6 ./broker/oidc:TestABoundTokenIsNoBearerTokenAndABearerTokenIsNotBound
		g.Key == "" {
		return nil
	}
	if g.Key == "" || scheme != schemeDPoP {
		return errNoToken
	}
	p, err := d.proof(r, path)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(token))
	switch {
	case p.key == "":
		return errProof("There must be one DPoP header.")
	case p.acceptable(g.client) != nil:
		return p.acceptable(g.client)
	//defence:A6 ./broker/oidc:TestASpoiltProofIsRefusedAtUserinfo
	case p.key != g.Key:
		return errNoToken
	//defence:A6 ./broker/oidc:TestASpoiltProofIsRefusedAtUserinfo
	case p.ath != seal.EncodeToken(sum[:]):
		return errProof("The DPoP proof is for another token.")
	}
	return d.consumeProof(r.Context(), p)
}
