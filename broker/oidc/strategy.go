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

// The purposes of sealed values, hashes and MACs. A token is never accepted as another
// kind, because its purpose is part of its key.
const (
	purposeAccess  = "access"
	purposeRefresh = "refresh"
	purposeCode    = "code"
)

// strategy makes the tokens; fosite decides when.
type strategy struct {
	issuer  string
	keyring *seal.Keyring
	keys    *signing.Keys
	now     func() time.Time
}

var (
	_ oauth2.CoreStrategy               = (*strategy)(nil)
	_ openid.OpenIDConnectTokenStrategy = (*strategy)(nil)
)

// accessContents is the content of a sealed access token, which has no row.
type accessContents struct {
	GrantID string `json:"f,omitempty"` // the id of its grant, whose row says whether the token is valid
	Client  string `json:"c,omitempty"` // for a client_credentials token, which has no grant
	ID      string `json:"j,omitempty"` // jti, so that it can be revoked
	Issued  int64  `json:"i"`           // seconds since the epoch
	Expires int64  `json:"e"`
	Scope   string `json:"s,omitempty"`
	// Audience restricts the token to resources (RFC 8707); empty for all that were granted.
	Audience []string `json:"a,omitempty"`
	Key      string   `json:"k,omitempty"` // the thumbprint of its DPoP key
}

func (a accessContents) scopes() []string { return strings.Fields(a.Scope) }

// errNoToken is returned for every token that we did not issue: cut, edited, or of another
// kind.
var errNoToken = errors.New("oidc: not a token of this server")

// GenerateAccessToken seals what was granted, or signs it if the client wants JWTs. Like
// GenerateIDToken it runs before anything is written.
func (s *strategy) GenerateAccessToken(ctx context.Context, r fosite.Requester) (token, signature string, err error) {
	u, err := unitOf(ctx)
	if err != nil {
		return "", "", err
	}
	now := s.now()
	a := accessContents{Issued: now.Unix(), Expires: now.Add(broker.AccessLife).Unix(),
		Scope:    strings.Join(r.GetGrantedScopes(), " "),
		Audience: u.audience, Key: u.key}
	if who, ok := r.GetSession().(*session); ok && who.Account != "" {
		a.GrantID = r.GetID()
	} else {
		a.Client, a.ID = r.GetClient().GetID(), broker.NewID()
	}
	if u.client.JWTAccess {
		token, err = s.signAccess(a, u.client, r)
		return token, token, err
	}
	token, err = s.keyring.SealJSON(a, purposeAccess)
	return token, token, err
}

// openAccess reads an unexpired access token of either kind. It returns errNoToken for
// anything else.
func (s *strategy) openAccess(token string) (a accessContents, err error) {
	if strings.Contains(token, ".") {
		a, err = s.readAccess(token)
	} else {
		err = s.keyring.OpenJSON(token, &a, purposeAccess)
	}
	if err != nil ||
		//defence:A21 ./broker/oidc:TestUserinfoReturnsWhatTheScopesAllow
		s.now().Unix() >= a.Expires {
		return accessContents{}, errNoToken
	}
	return a, nil
}

// shown is the content of a refresh token whose MAC is valid.
type shown struct {
	grant          string
	refreshCounter int64
}

// refreshToken derives the token of a grant and a refresh counter. It is deterministic, so
// that a repeated request gets the same token.
func (s *strategy) refreshToken(grantID string, counter int64) string {
	// The MAC covers the key's id, so choose the primary key first.
	id := s.keyring.Primary()
	body := "r1." + id + "." + grantID + "." + strconv.FormatInt(counter, 36)
	mac, err := s.keyring.MACWith(id, purposeRefresh, []byte(body))
	if err != nil {
		return ""
	}
	return body + "." + seal.EncodeToken(mac)
}

// openRefresh checks the MAC, in constant time, before it uses anything in the token.
func (s *strategy) openRefresh(token string) (shown, error) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 || len(token) > 256 {
		return shown{}, errNoToken
	}
	body := token[:i]
	part := strings.Split(body, ".")
	mac, err := seal.DecodeToken(token[i+1:])
	if err != nil || len(part) != 4 || part[0] != "r1" || !s.keyring.CheckMAC(part[1], purposeRefresh, []byte(body), mac) {
		return shown{}, errNoToken
	}
	counter, err := strconv.ParseInt(part[3], 36, 64)
	if err != nil {
		return shown{}, errNoToken
	}
	return shown{part[2], counter}, nil
}

// GenerateRefreshToken derives the token for the next refresh counter.
func (s *strategy) GenerateRefreshToken(ctx context.Context, r fosite.Requester) (token, signature string, err error) {
	u, err := unitOf(ctx)
	if err != nil {
		return "", "", err
	}
	token = s.refreshToken(r.GetID(), u.next)
	if token == "" {
		return "", "", errors.New("oidc: the keyring has no primary key")
	}
	return token, token, nil
}

// GenerateAuthorizeCode returns a random code.
func (s *strategy) GenerateAuthorizeCode(context.Context, fosite.Requester) (token, signature string, err error) {
	token = broker.NewToken()
	return token, token, nil
}

// fosite's signature of a token is the token itself here: the store hashes a code under
// every key of the keyring, and the other tokens are opened, not looked up.

// AccessTokenSignature returns the token.
func (s *strategy) AccessTokenSignature(_ context.Context, token string) string { return token }

// RefreshTokenSignature returns the token.
func (s *strategy) RefreshTokenSignature(_ context.Context, token string) string { return token }

// AuthorizeCodeSignature returns the code.
func (s *strategy) AuthorizeCodeSignature(_ context.Context, token string) string { return token }

// ValidateAccessToken opens the token. fosite does not call it: bearer reads access
// tokens.
func (s *strategy) ValidateAccessToken(_ context.Context, _ fosite.Requester, token string) error {
	_, err := s.openAccess(token)
	return err
}

// ValidateRefreshToken does nothing: GetRefreshTokenSession has validated it.
func (s *strategy) ValidateRefreshToken(context.Context, fosite.Requester, string) error { return nil }

// ValidateAuthorizeCode does nothing: a code in the store is valid.
func (s *strategy) ValidateAuthorizeCode(context.Context, fosite.Requester, string) error { return nil }

// idToken are the claims of our ID tokens.
type idToken struct {
	*person
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	AuthTime int64    `json:"auth_time,omitempty"` // only a proven time
	Nonce    string   `json:"nonce,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	Session  string   `json:"sid,omitempty"`
	Hash     string   `json:"at_hash,omitempty"`
}

// GenerateIDToken signs with the key of the client's algorithm. It runs before anything is
// written, so that no transaction waits for RSA.
func (s *strategy) GenerateIDToken(ctx context.Context, _ time.Duration, r fosite.Requester) (string, error) {
	who, ok := r.GetSession().(*session)
	if !ok {
		return "", errors.New("oidc: an ID token without our session")
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
		person: who.Person.only(inIDToken(u.client, r.GetGrantedScopes(), wantedOf(who.Claims))),
		Issuer: s.issuer, Subject: who.Account, Audience: u.client.ID,
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

// algOf returns the algorithm of a client's ID tokens.
func algOf(c broker.Client) string {
	if c.IDTokenAlg == "" {
		return signing.RS256
	}
	return c.IDTokenAlg
}
