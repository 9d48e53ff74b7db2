package oidc

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

// The types of the JWTs that we sign. A token of one type is never accepted as another
// (RFC 8725 §3.11, RFC 9068 §2.1).
const (
	typJWT    = signing.TypeJWT // ID tokens
	typAccess = "at+jwt"
	typLogout = "logout+jwt" // OIDC Back-Channel Logout §2.4
)

// accessAlg returns the algorithm of a client's JWT access tokens: that of its ID tokens,
// if the client chose one. The default is ES256 instead of OpenID Connect's RS256, which
// is thirty times slower to sign; APIs verify access tokens, not the client.
func accessAlg(c broker.Client) string {
	if c.IDTokenAlg == "" {
		return signing.ES256
	}
	return c.IDTokenAlg
}

// confirmation binds a token to a key (RFC 7800 §3.1, RFC 9449 §6).
type confirmation struct {
	Thumbprint string `json:"jkt"`
}

// confirm returns nil if there is no key.
func confirm(key string) *confirmation {
	if key == "" {
		return nil
	}
	return &confirmation{key}
}

// accessToken are the claims of a JWT access token (RFC 9068 §2.2).
type accessToken struct {
	Issuer   string        `json:"iss"`
	Subject  string        `json:"sub"`
	Audience []string      `json:"aud"`
	Expires  int64         `json:"exp"`
	Issued   int64         `json:"iat"`
	ID       string        `json:"jti"` // starts with the grant's id and a dot if the token has a grant
	ClientID string        `json:"client_id"`
	Scope    string        `json:"scope,omitempty"`
	AuthTime int64         `json:"auth_time,omitempty"`
	ACR      string        `json:"acr,omitempty"`
	AMR      []string      `json:"amr,omitempty"`
	Confirm  *confirmation `json:"cnf,omitempty"`
}

// signAccess returns a JWT access token. Its audience is never empty: without a resource
// it is for us, that is, for userinfo.
func (s *strategy) signAccess(a accessContents, c broker.Client, r fosite.Requester) (string, error) {
	key, err := s.keys.Signer(accessAlg(c))
	if err != nil {
		return "", err
	}
	claims := accessToken{Issuer: s.issuer, Subject: c.ID, Audience: a.Audience, Expires: a.Expires, Issued: a.Issued,
		ID: a.ID, ClientID: c.ID, Scope: a.Scope, Confirm: confirm(a.Key)}
	if len(claims.Audience) == 0 {
		claims.Audience = slices.Clone([]string(r.GetGrantedAudience()))
		if len(claims.Audience) == 0 || slices.Contains(a.scopes(), clients.ScopeOpenID) {
			claims.Audience = append(claims.Audience, s.issuer)
		}
	}
	if who, ok := r.GetSession().(*session); ok && a.GrantID != "" {
		claims.Subject, claims.ID = who.Account, a.GrantID+"."+broker.NewID()
		claims.ACR, claims.AMR = who.Authn.ACR, who.Authn.AMR
		if !who.Authn.AuthTime.IsZero() {
			claims.AuthTime = who.Authn.AuthTime.Unix()
		}
	}
	return key.SignAs(typAccess, claims)
}

// readAccess reads a JWT access token of ours whose key is still published. A key that
// left the JWKS verifies only hints.
func (s *strategy) readAccess(token string) (a accessContents, err error) {
	key, body, err := s.keys.Verify(token, typAccess)
	if err != nil ||
		//defence:A22
		key.State == broker.KeyRetired && !s.now().Before(key.RetireAt) {
		return a, errNoToken
	}
	var said accessToken
	if err := json.Unmarshal(body, &said); err != nil ||
		//defence:A11
		said.Issuer != s.issuer || said.ClientID == "" || said.ID == "" || len(said.Audience) == 0 {
		return a, errNoToken
	}
	a = accessContents{ID: said.ID, Issued: said.Issued, Expires: said.Expires, Scope: said.Scope, Audience: said.Audience}
	if said.Confirm != nil {
		a.Key = said.Confirm.Thumbprint
	}
	//defence:D1 D5 A7
	if grantID, _, ok := strings.Cut(said.ID, "."); ok {
		a.GrantID = grantID
	} else {
		a.Client = said.ClientID
	}
	return a, nil
}

// narrowAudience restricts the token to the requested resources, each of which must have
// been granted (RFC 8707 §2.2). The grant itself is not restricted.
func narrowAudience(u *unit, req *fosite.AccessRequest) error {
	var granted []string
	switch {
	case req.GrantTypes.ExactOne(clients.GrantClient):
		granted = u.client.Audience
		req.GrantedAudience = granted
	case u.code != nil:
		granted = u.code.GrantedAudience
	default:
		granted = u.stored.Audience
	}
	u.audience = once(req.Form["resource"])
	for _, asked := range u.audience {
		//defence:A13 ./broker/oidc:TestAResourceNarrowsOneTokenAndNotTheGrant
		if !slices.Contains(granted, asked) {
			return errTarget
		}
	}
	return nil
}
