package oidc

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"

	"gatehouse/broker"
	"gatehouse/broker/seal"
	"gatehouse/broker/signing"
)

// The purposes under which this room seals, hashes and authenticates. One token
// never passes for another because its purpose is part of its key.
const (
	purposeAccess  = "access"
	purposeRefresh = "refresh"
	purposeCode    = "code"
)

// strategy makes the tokens; fosite decides when.
type strategy struct {
	issuer string
	ring   *seal.Keyring
	keys   *signing.Keys
	now    func() time.Time
}

var (
	_ oauth2.CoreStrategy               = (*strategy)(nil)
	_ openid.OpenIDConnectTokenStrategy = (*strategy)(nil)
)

// accessContents is what an access token seals. It has no row of its own.
type accessContents struct {
	Family  string `json:"f,omitempty"` // whose row says whether the token lives
	Client  string `json:"c,omitempty"` // of a client_credentials token, which has no grant
	ID      string `json:"j,omitempty"` // its jti, so that it can be revoked
	Issued  int64  `json:"i"`           // seconds since the epoch
	Expires int64  `json:"e"`
	Scope   string `json:"s,omitempty"`
	// Audience restricts the token to resources (RFC 8707); empty for all that was granted.
	Audience []string `json:"a,omitempty"`
	Key      string   `json:"k,omitempty"` // the thumbprint of the DPoP key it is bound to
}

func (a accessContents) scopes() []string { return strings.Fields(a.Scope) }

// errNoToken is the answer for whatever we never issued: cut, edited, another kind's.
var errNoToken = errors.New("oidc: not a token of ours")

// GenerateAccessToken seals what the request was granted, or signs it where the
// client wants JWTs. Like GenerateIDToken it runs before anything is written.
func (s *strategy) GenerateAccessToken(ctx context.Context, r fosite.Requester) (token, signature string, err error) {
	u, err := unitOf(ctx)
	if err != nil {
		return "", "", err
	}
	now := s.now()
	a := accessContents{Issued: now.Unix(), Expires: now.Add(broker.AccessLife).Unix(), Scope: strings.Join(r.GetGrantedScopes(), " "),
		Audience: u.audience, Key: u.key}
	if who, ok := r.GetSession().(*session); ok && who.Account != "" {
		a.Family = r.GetID()
	} else {
		a.Client, a.ID = r.GetClient().GetID(), broker.NewID()
	}
	if u.client.JWTAccess {
		token, err = s.signAccess(a, u.client, r)
		return token, token, err
	}
	token, err = s.ring.SealJSON(a, purposeAccess)
	return token, token, err
}

// openAccess reads an access token of either kind that has not expired; errNoToken
// for anything else.
func (s *strategy) openAccess(token string) (a accessContents, err error) {
	if strings.Contains(token, ".") {
		a, err = s.readAccess(token)
	} else {
		err = s.ring.OpenJSON(token, &a, purposeAccess)
	}
	if err != nil ||
		//defence:A21 ./broker/oidc:TestUserinfo
		s.now().Unix() >= a.Expires {
		return accessContents{}, errNoToken
	}
	return a, nil
}

// shown is what a refresh token says once its MAC is checked.
type shown struct {
	grant          string
	refreshCounter int64
}

// refreshToken derives the token of one generation, so that asking again gives the same one.
func (s *strategy) refreshToken(family string, generation int64) string {
	// The key's id is part of the MAC's input, and known only afterwards: so name the primary first.
	id := s.ring.Primary()
	body := "r1." + id + "." + family + "." + strconv.FormatInt(generation, 36)
	mac, err := s.ring.MACWith(id, purposeRefresh, []byte(body))
	if err != nil {
		return ""
	}
	return body + "." + seal.EncodeToken(mac)
}

// openRefresh checks the MAC, in constant time, before anything in the token is believed.
func (s *strategy) openRefresh(token string) (shown, error) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 || len(token) > 256 {
		return shown{}, errNoToken
	}
	body := token[:i]
	part := strings.Split(body, ".")
	mac, err := seal.DecodeToken(token[i+1:])
	if err != nil || len(part) != 4 || part[0] != "r1" || !s.ring.CheckMAC(part[1], purposeRefresh, []byte(body), mac) {
		return shown{}, errNoToken
	}
	generation, err := strconv.ParseInt(part[3], 36, 64)
	if err != nil {
		return shown{}, errNoToken
	}
	return shown{part[2], generation}, nil
}

// GenerateRefreshToken derives the refresh counter that this request leads to.
func (s *strategy) GenerateRefreshToken(ctx context.Context, r fosite.Requester) (token, signature string, err error) {
	u, err := unitOf(ctx)
	if err != nil {
		return "", "", err
	}
	token = s.refreshToken(r.GetID(), u.next)
	if token == "" {
		return "", "", errors.New("oidc: the keyring has lost its primary key")
	}
	return token, token, nil
}

// GenerateAuthorizeCode makes a random code.
func (s *strategy) GenerateAuthorizeCode(context.Context, fosite.Requester) (token, signature string, err error) {
	token = broker.NewToken()
	return token, token, nil
}

// What fosite calls a signature is the token itself here: the store hashes a code
// under every key of the ring, and the other two are read, not looked up.

// AccessTokenSignature is the token.
func (s *strategy) AccessTokenSignature(_ context.Context, token string) string { return token }

// RefreshTokenSignature is the token.
func (s *strategy) RefreshTokenSignature(_ context.Context, token string) string { return token }

// AuthorizeCodeSignature is the code.
func (s *strategy) AuthorizeCodeSignature(_ context.Context, token string) string { return token }

// ValidateAccessToken is never asked: bearer reads access tokens.
func (s *strategy) ValidateAccessToken(_ context.Context, _ fosite.Requester, token string) error {
	_, err := s.openAccess(token)
	return err
}

// ValidateRefreshToken has nothing left to do: GetRefreshTokenSession judged it.
func (s *strategy) ValidateRefreshToken(context.Context, fosite.Requester, string) error { return nil }

// ValidateAuthorizeCode has nothing left to do: a code that the ephemeral store still has is good.
func (s *strategy) ValidateAuthorizeCode(context.Context, fosite.Requester, string) error { return nil }

// idToken is what our ID tokens say, and no more: claims about the person are for
// userinfo, but for those that the claims parameter wants here.
type idToken struct {
	*person
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	AuthTime int64    `json:"auth_time,omitempty"` // only a moment that was proven
	Nonce    string   `json:"nonce,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	Session  string   `json:"sid,omitempty"`
	Hash     string   `json:"at_hash,omitempty"`
}

// GenerateIDToken signs with the key of the client's algorithm. It runs before
// anything is written, so no transaction waits for RSA.
func (s *strategy) GenerateIDToken(ctx context.Context, _ time.Duration, r fosite.Requester) (string, error) {
	who, ok := r.GetSession().(*session)
	if !ok {
		return "", errors.New("oidc: an ID token without a session of ours")
	}
	u, err := unitOf(ctx)
	if err != nil {
		return "", err
	}
	key, err := s.keys.Signer(algOf(u.client))
	if err != nil {
		return "", err
	}
	now := s.now()
	claims := idToken{
		person: who.Person, Issuer: s.issuer, Subject: who.Account, Audience: u.client.ID,
		Issued: now.Unix(), Expires: now.Add(broker.IDTokenLife).Unix(),
		Nonce: who.Nonce, AMR: who.Authn.AMR, ACR: who.Authn.ACR, Session: who.Session,
	}
	if !who.Authn.AuthTime.IsZero() {
		claims.AuthTime = who.Authn.AuthTime.Unix()
	}
	if resp, ok := ctx.Value(fosite.AccessResponseContextKey).(fosite.AccessResponder); ok {
		claims.Hash = signing.HalfHash(key.Alg, resp.GetAccessToken())
	}
	return key.Sign(claims)
}

// algOf is the algorithm of a client's ID tokens.
func algOf(c broker.Client) string {
	if c.IDTokenAlg == "" {
		return algRS256
	}
	return c.IDTokenAlg
}
