package providers

import (
	"context"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

// The limits of an ID token (SECURITY.md B5, B13, B20). Its size is the only bound on what it lists: a directory
// may put thousands of groups into it. It is used once, so its expiry may be far away.
const (
	maxToken = 256 << 10        // bytes
	skew     = 60 * time.Second // between our clock and the upstream's
	maxAge   = 10 * time.Minute // since it was issued
	maxAuds  = 16
)

// algorithms are the accepted signature algorithms: every asymmetric one of the JOSE registry that Go verifies.
// Symmetric ones are never accepted: the key would be public, or the client's secret.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
	signing.EdDSA, signing.Ed25519}

// idToken is a verified ID token. Only verify and read create one.
type idToken struct {
	document
	issuer   string
	subject  string
	alg      string
	key      key
	parsed   *oidc.IDToken
	authTime time.Time
}

// sid returns the upstream's session id, "" for none.
func (t idToken) sid() string {
	if sid := t.text("sid"); len(sid) <= maxLogoutID {
		return sid
	}
	return ""
}

// verifyAccessToken compares at_hash, if the token has one, with the access token that came with it.
func (t idToken) verifyAccessToken(access string) error {
	switch {
	case t.parsed.AccessTokenHash == "":
		return nil
	case t.alg != signing.Ed25519: // the library knows it by the name EdDSA only
		return t.parsed.VerifyAccessToken(access)
	}
	sum := sha512.Sum512([]byte(access))
	if base64.RawURLEncoding.EncodeToString(sum[:sha512.Size/2]) != t.parsed.AccessTokenHash {
		return errors.New("at_hash is not the access token's")
	}
	return nil
}

// verifier checks the ID tokens of one connection.
type verifier struct {
	keys     *cache[keySet]
	clientID string
	now      func() time.Time
	// issued checks that the issuer may have signed this token with this key, and returns the issuer as we store
	// it.
	issued  func(m *metadata, t idToken) (string, error)
	noNonce bool // the upstream repeats no nonce
}

// verify checks an ID token as OIDC Core §3.1.3.7 requires, and more strictly. The error is a Code:
// UpstreamRejected, or why the keys could not be loaded.
func (v verifier) verify(ctx context.Context, m *metadata, nonce, raw string) (idToken, error) {
	t, err := v.read(ctx, m, typID, raw, func(t idToken) error {
		if v.noNonce && t.document["nonce"] == nil && t.document["events"] == nil {
			if t.subject == "" {
				return errSubject
			}
			return nil
		}
		return binding(t.document, t.subject, nonce)
	})
	if _, coded := errors.AsType[broker.Code](err); err != nil && !coded {
		err = broker.UpstreamRejected.Because(fmt.Errorf("id token: %w", err))
	}
	return t, err
}

// read checks a token of the given type: signature, audience, lifetime, the caller's rule and the issuer.
func (v verifier) read(ctx context.Context, m *metadata, typ, raw string, problem func(idToken) error) (idToken,
	error) {
	if len(m.algs) == 0 {
		return idToken{}, broker.UpstreamMisconfigured.Because(errors.New("the upstream announces no acceptable signature " +
			"algorithm"))
	}
	kid, alg, err := parseHeader(raw, typ, m.algs)
	if err != nil {
		return idToken{}, err
	}
	signer := &signer{keys: v.keys, kid: kid, alg: alg}
	parsed, err := oidc.NewVerifier("", signer, &oidc.Config{
		ClientID: v.clientID, SupportedSigningAlgs: []string{alg}, Now: v.now,
		// Both are checked below, more strictly than the library does.
		SkipIssuerCheck: true, SkipExpiryCheck: true,
	}).Verify(ctx, raw)
	if signer.err != nil {
		return idToken{}, signer.err
	}
	if err != nil {
		return idToken{}, err
	}
	d, err := parseDocument(signer.payload)
	if err != nil {
		return idToken{}, err
	}
	t := idToken{document: d, issuer: d.text("iss"), subject: d.subject("sub"), alg: alg, key: signer.used,
		parsed: parsed}
	t.authTime, _ = d.date("auth_time")
	if err := errors.Join(problem(t),
		//defence:B12
		v.audience(d),
		//defence:B13
		v.lifetime(d)); err != nil {
		return idToken{}, err
	}
	if t.issuer, err = v.issued(m, t); err != nil {
		return idToken{}, err
	}
	return t, nil
}

// parseHeader returns the kid and alg of the header, the only members that are used. Before a library parses the
// token it refuses encryption, compression, extensions and duplicate names.
func parseHeader(raw, typ string, allowed []string) (kid, alg string, err error) {
	if len(raw) > maxToken {
		return "", "", fmt.Errorf("more than %d bytes", maxToken)
	}
	parts := strings.Split(raw, ".")
	//defence:B21
	if len(parts) != 3 {
		return "", "", errors.New("not a signed token in compact form")
	}
	for _, part := range parts {
		if part == "" || strings.Trim(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", "", errors.New("not base64url")
		}
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(parts[0])
	if err != nil {
		return "", "", errors.New("the header is not base64url")
	}
	h, err := parseDocument(decoded)
	if err != nil {
		return "", "", fmt.Errorf("header: %w", err)
	}
	//defence:B5
	for _, member := range []string{"crit", "b64", "zip", "enc", "p2c", "p2s", "epk"} {
		if _, there := h[member]; there {
			return "", "", fmt.Errorf("the header has the member %s", member)
		}
	}
	// One key signs tokens of several types, and one type must not pass for another (RFC 8725 §3.11). Many upstreams
	// omit typ or send JWT for all of them; then the claims tell the types apart.
	said, there := h["typ"]
	//defence:A18 A11 B5
	if there && !strings.EqualFold(h.text("typ"), typID) && !strings.EqualFold(h.text("typ"), typ) {
		return "", "", fmt.Errorf("the type is %.40q", said)
	}
	alg, kid = h.text("alg"), h.text("kid")
	if !slices.Contains(allowed, alg) {
		return "", "", fmt.Errorf("the algorithm %.40q is not acceptable", alg)
	}
	if v, there := h["kid"]; there && (kid == "" || kid != v || len(kid) > maxKid) {
		return "", "", errors.New("the kid is not a short string")
	}
	return kid, alg, nil
}

// signer is the oidc.KeySet of one verification. It records the key that was used.
type signer struct {
	keys     *cache[keySet]
	kid, alg string
	used     key
	payload  []byte
	err      error // a Code: the keys could not be loaded
}

var errSignature = errors.New("no key of the upstream verifies the signature")

// VerifySignature tries the cached keys. On an unknown key or a bad signature it reloads the keys, at a limited
// rate (see cache.renew): the upstream may have rotated them, but a forger could trigger reloads too.
func (s *signer) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.alg)})
	if err != nil {
		return nil, err
	}
	set, err := s.keys.get(ctx)
	if err != nil {
		s.err = err
		return nil, err
	}
	for range 2 {
		for _, k := range set.candidates(s.kid, s.alg) {
			//defence:B5 B6 = jws.UnsafePayloadWithoutVerification(), nil
			payload, err := jws.Verify(signing.VerificationKey(k.public))
			if err == nil {
				s.used, s.payload = k, payload
				return payload, nil
			}
		}
		if set = s.keys.renew(ctx, set); set == nil {
			break
		}
	}
	return nil, errSignature
}

// audience requires that the token is for this client, and only this one if it names several (OIDC Core §3.1.3.7
// no. 3 to 5).
func (v verifier) audience(d document) error {
	auds, azp := d.texts("aud"), d["azp"]
	switch {
	case len(auds) == 0 || len(auds) > maxAuds || !slices.Contains(auds, v.clientID):
		return errors.New("the audience is not this client")
	case azp == nil && len(auds) > 1:
		return errors.New("several audiences and no authorized party")
	case azp != nil && azp != v.clientID:
		return errors.New("the authorized party is another client")
	}
	return nil
}

// lifetime requires a recently issued token that has not expired.
func (v verifier) lifetime(d document) error {
	now := v.now()
	exp, hasExp := d.date("exp")
	iat, hasIat := d.date("iat")
	nbf, hasNbf := d.date("nbf")
	switch {
	case !hasExp || !hasIat:
		return errors.New("exp or iat is missing or not a date")
	case d["nbf"] != nil && !hasNbf:
		return errors.New("nbf is not a date")
	case now.Sub(exp) > skew:
		return errors.New("expired")
	//defence:B13
	case iat.Sub(now) > skew || hasNbf && nbf.Sub(now) > skew:
		return errors.New("not valid yet")
	//defence:B13
	case now.Sub(iat) > maxAge+skew:
		return errors.New("issued too long ago")
	//defence:B13
	case !exp.After(iat):
		return errors.New("exp is not after iat")
	}
	return nil
}

// userinfo verifies a signed userinfo response (OIDC Core §5.3.2) with the upstream's keys. iss and aud are
// compared where they are there.
func (v verifier) userinfo(ctx context.Context, m *metadata, raw string) (document, error) {
	kid, alg, err := parseHeader(raw, typID, algorithms)
	if err != nil {
		return nil, err
	}
	signer := &signer{keys: v.keys, kid: kid, alg: alg}
	if _, err := signer.VerifySignature(ctx, raw); err != nil {
		return nil, err
	}
	d, err := parseDocument(signer.payload)
	switch {
	case err != nil:
		return nil, err
	//defence:B14
	case d["iss"] != nil && d.text("iss") != m.issuer:
		return nil, errIssuer
	//defence:B14
	case d["aud"] != nil && !slices.Contains(d.texts("aud"), v.clientID):
		return nil, errors.New("the audience is not this client")
	}
	return d, nil
}

var errSubject = errors.New("sub is missing or invalid")

// binding requires this login's nonce and a subject.
func binding(d document, subject, nonce string) error {
	got, _ := d["nonce"].(string)
	switch {
	//defence:B4
	case nonce == "" || subtle.ConstantTimeCompare([]byte(got), []byte(nonce)) != 1:
		return errors.New("the nonce is not this login's")
	case subject == "":
		return errSubject
	}
	return nil
}
