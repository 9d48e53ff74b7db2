package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // names are case-sensitive and unique
	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// usedAssertion is the kind of used assertions in the replay cache.
	usedAssertion = "assertion"

	maxJTI = 256

	assertionLife  = 5 * time.Minute  // at most, until exp
	assertionEarly = 30 * time.Second // how far nbf and iat may be in the future
	assertionLate  = 60 * time.Second // tolerance after exp
)

// assertion proves that a client holds a private key (RFC 7523 §3).
type assertion struct {
	jws     *jose.JSONWebSignature
	alg     string
	kid     string
	client  string
	jti     string
	expires time.Time
	strict  bool // its audience is the issuer, as one string (FAPI 2.0 Security Profile §5.3.2.1)
}

var errAssertion = errors.New("oidc: not a client assertion for this server")

// readAssertion checks everything that does not depend on the client. Nothing in it is
// proven before verify.
func readAssertion(token, issuer string, now time.Time) (a assertion, _ error) {
	algs := make([]jose.SignatureAlgorithm, 0, len(clients.AssertionAlgs()))
	for _, alg := range clients.AssertionAlgs() {
		algs = append(algs, jose.SignatureAlgorithm(alg))
	}
	jws, err := jose.ParseSignedCompact(token, algs)
	if err != nil || len(jws.Signatures) != 1 {
		return a, fmt.Errorf("%w: it is not one signed JWT by a supported algorithm", errAssertion)
	}
	head := jws.Signatures[0].Protected
	typ, _ := head.ExtraHeaders[jose.HeaderType].(string)
	// Another kind of JWT of the same client, such as a DPoP proof, is not an assertion.
	//defence:A9
	if head.ExtraHeaders[jose.HeaderType] != nil && !strings.EqualFold(typ, "JWT") &&
		!strings.EqualFold(typ, "client-authentication+jwt") {
		return a, fmt.Errorf("%w: its type is of another kind of JWT", errAssertion)
	}
	var said struct {
		Issuer   string          `json:"iss"`
		Subject  string          `json:"sub"`
		Audience json.RawMessage `json:"aud"`
		Expires  *float64        `json:"exp"`
		From     *float64        `json:"nbf"`
		Issued   *float64        `json:"iat"`
		ID       string          `json:"jti"`
	}
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &said); err != nil {
		return a, fmt.Errorf("%w: its payload is not the JSON of claims", errAssertion)
	}
	audience, one := audienceOf(said.Audience)
	// If it named other servers too, a server that received the assertion could use it here.
	//defence:A9
	if !slices.Contains([]string{issuer, issuer + pathToken, issuer + pathPush}, audience) {
		return a, fmt.Errorf("%w: its aud is not one value, the issuer or the token endpoint", errAssertion)
	}
	at := float64(now.UnixMilli()) / 1000
	//defence:H5
	tolerance := assertionEarly.Seconds()
	early := func(v *float64) bool { return v != nil && *v > at+tolerance }
	switch {
	case said.Subject == "" ||
		//defence:A9
		said.Issuer != said.Subject,
		said.ID == "" || len(said.ID) > maxJTI,
		//defence:A9
		said.Expires == nil || *said.Expires <= at-assertionLate.Seconds() ||
			*said.Expires > at+(assertionLife+assertionEarly).Seconds(),
		//defence:A9
		early(said.From), early(said.Issued):
		return a, fmt.Errorf("%w: its iss, sub, jti, exp, nbf or iat is missing or out of range", errAssertion)
	}
	return assertion{strict: one && audience == issuer, jws: jws, alg: head.Algorithm, kid: head.KeyID,
		client: said.Subject, jti: said.ID,
		//defence:A9
		expires: time.Unix(int64(*said.Expires)+1, 0).Add(assertionLate)}, nil
}

// audienceOf returns the only value of an audience, which may be in a list; empty if there are several. one reports
// whether it is a string.
func audienceOf(raw json.RawMessage) (audience string, one bool) {
	if json.Unmarshal(raw, &audience) == nil {
		return audience, true
	}
	var list []string
	if json.Unmarshal(raw, &list) != nil || len(list) != 1 {
		return "", false
	}
	return list[0], false
}

// verify reports whether the key made the signature.
func (a assertion) verify(k clients.Key) bool {
	//defence:A9
	_, err := a.jws.Verify(signing.VerificationKey(k.Public))
	return err == nil
}

// signedByClient reports whether a key of the client signed the assertion. If the client
// or the key does not exist, a discarded key is tried, so that both cases take one
// verification.
func (d *Handler) signedByClient(ctx context.Context, c broker.Client, a assertion) bool {
	//defence:A9 = true
	may := slices.Contains(c.AuthMethods, clients.MethodKey)
	//defence:A9
	may = may && (c.AuthAlg == "" || signing.SameAlg(c.AuthAlg, a.alg))
	may = may && clients.AcceptableAlg(c, a.alg) &&
		//defence:A9 ./broker/oidc:TestFAPI2_TheAudienceOfAnAssertionIsTheIssuerAsOneStringAndItsTimesHold
		(a.strict || !c.FAPI2)
	key, found := clients.Key{}, false
	if may {
		key, found = d.clientKey(ctx, c, a)
	}
	//defence:A9
	if !found {
		key = d.strangers[a.alg]
	}
	return a.verify(key) &&
		//defence:A9
		found
}

// clientKey returns the one key that may have signed the assertion.
func (d *Handler) clientKey(ctx context.Context, c broker.Client, a assertion) (clients.Key, bool) {
	if c.KeysURI == "" {
		return clients.ParseKeys([]byte(c.Keys)).Find(a.kid, a.alg)
	}
	key, found, err := d.fetched.Find(ctx, c.KeysURI, a.kid, a.alg)
	if err != nil {
		d.log.WarnContext(ctx, "a client's keys could not be fetched", "client", c.ID, "err", err)
	}
	return key, found
}

// consumeAssertion marks the assertion as used, even if the request fails later. Only one
// of several parallel requests can insert the mark.
func (d *Handler) consumeAssertion(ctx context.Context, a assertion) error {
	//defence:A9
	owner := a.client // another client may have the same jti
	id := sha256.Sum256([]byte(owner + "\x00" + a.jti))
	err := d.store.MarkUsed(ctx, usedAssertion, base64.RawURLEncoding.EncodeToString(id[:]), a.expires)
	if errors.Is(err, broker.Conflict) {
		//defence:A9
		return fosite.ErrInvalidClient.WithHint("The client assertion was used before.")
	}
	return err
}

// strangers returns public keys whose private keys were discarded.
func strangers() (map[string]clients.Key, error) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	twisted, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	n := make([]byte, 256)
	_, _ = rand.Read(n) // it never fails
	n[0], n[255] = n[0]|0x80, n[255]|1
	modulus := clients.Key{Public: &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}}
	return map[string]clients.Key{signing.RS256: modulus, clients.PS256: modulus,
		signing.ES256: {Public: &curve.PublicKey},
		signing.EdDSA: {Public: twisted}, signing.Ed25519: {Public: twisted}}, nil
}
