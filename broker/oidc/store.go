package oidc

import (
	"context"
	"errors"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"
	"github.com/ory/fosite/storage"
	"github.com/ory/fosite/token/jwt"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/seal"
)

// store is what fosite keeps its things in. It reads storage, but it only notes
// what is to be written: Handler.settle writes all of it in one transaction, with
// its Events, before the answer goes out.
type store struct {
	codes broker.EphemeralStore[codeRecord]
	gate  *access.Gate
	desk  *deviceDesk
	open  func(token string) (shown, error)
	ring  *seal.Keyring
	now   func() time.Time
}

var (
	_ fosite.Storage                     = (*store)(nil)
	_ oauth2.CoreStorage                 = (*store)(nil)
	_ oauth2.TokenRevocationStorage      = (*store)(nil)
	_ openid.OpenIDConnectRequestStorage = (*store)(nil)
	_ pkce.PKCERequestStorage            = (*store)(nil)
	// A store without it would run every grant without a transaction, and fosite
	// would not say a word.
	_ storage.Transactional = (*store)(nil)
)

// unit is one request at the token endpoint: what was read, so that it is read
// once, and what is to be written, so that it is written at once.
type unit struct {
	client broker.Client
	code   *fosite.Request // the authorization that the code stands for
	stored broker.Grant    // that a refresh token belongs to
	next   int64           // the refresh counter that the request leads to
	rotate bool            // whether next is new, or is answered again
	device bool            // the person allowed a device; code is what it gets
	why    broker.Code     // the reason of a refusal that fosite has no word for

	key      string   // the thumbprint of the DPoP key that the request proved
	audience []string // the resources it asked for, empty for all that was granted

	pending *changes // inside of fosite's transaction
	agreed  changes  // after its commit
}

// changes are what a grant writes.
type changes struct {
	begin    *broker.Grant // the code is consumed
	unlocked bool          // as session.Unlocked
	rotate   bool          // the grant goes on to the next generation
}

type unitKey struct{}

func withUnit(ctx context.Context) (context.Context, *unit) {
	u := &unit{next: 1}
	return context.WithValue(ctx, unitKey{}, u), u
}

func unitOf(ctx context.Context) (*unit, error) {
	u, ok := ctx.Value(unitKey{}).(*unit)
	if !ok {
		return nil, errors.New("oidc: outside of a request")
	}
	return u, nil
}

// BeginTX opens the list of what is to be written.
func (s *store) BeginTX(ctx context.Context) (context.Context, error) {
	u, err := unitOf(ctx)
	if err != nil {
		return nil, err
	}
	u.pending = &changes{}
	return ctx, nil
}

// Commit hands the list to Handler.settle.
func (s *store) Commit(ctx context.Context) error {
	u, p, err := pendingOf(ctx)
	if err != nil {
		return err
	}
	u.agreed, u.pending = *p, nil
	return nil
}

// Rollback forgets the list.
func (s *store) Rollback(ctx context.Context) error {
	u, err := unitOf(ctx)
	if err != nil {
		return err
	}
	u.pending = nil
	return nil
}

func pendingOf(ctx context.Context) (*unit, *changes, error) {
	u, err := unitOf(ctx)
	if err != nil {
		return nil, nil, err
	}
	if u.pending == nil {
		return nil, nil, errors.New("oidc: a write outside of fosite's transaction")
	}
	return u, u.pending, nil
}

// session is how fosite carries who signed in, and how. Its fields are the code's record.
type session struct {
	Account  string       `json:"account"`
	Unlocked bool         `json:"unlocked,omitempty"` // the account had no Restriction: see Handler.begin
	Session  string       `json:"session"`
	Authn    broker.Authn `json:"authn"`
	Nonce    string       `json:"nonce,omitempty"`  // from the authorization request only
	Key      string       `json:"jkt,omitempty"`    // dpop_jkt, likewise (RFC 9449 §10)
	Claims   string       `json:"claims,omitempty"` // likewise: for Grant.Claims
	Person   *person      `json:"person,omitempty"` // what Claims wants in the ID token

	claims  jwt.IDTokenClaims // for fosite's eyes; our ID tokens are made from the fields above
	headers jwt.Headers
}

var _ openid.Session = (*session)(nil)

// IDTokenClaims answers the same pointer each time, since fosite writes into it.
func (s *session) IDTokenClaims() *jwt.IDTokenClaims {
	s.claims.Subject = s.Account
	return &s.claims
}

// IDTokenHeaders answers the same pointer each time.
func (s *session) IDTokenHeaders() *jwt.Headers { return &s.headers }

// SetExpiresAt is for fosite's clock; our tokens carry what our own clock said.
func (s *session) SetExpiresAt(fosite.TokenType, time.Time) {}

// GetExpiresAt is zero: the configured lifespans hold.
func (s *session) GetExpiresAt(fosite.TokenType) time.Time { return time.Time{} }

// GetUsername is not used.
func (s *session) GetUsername() string { return "" }

// GetSubject is the account.
func (s *session) GetSubject() string { return s.Account }

// Clone copies what is stored and nothing that fosite wrote.
func (s *session) Clone() fosite.Session {
	return &session{Account: s.Account, Unlocked: s.Unlocked, Session: s.Session, Authn: s.Authn, Nonce: s.Nonce, Key: s.Key, Claims: s.Claims, Person: s.Person}
}

// codeRecord is a code on its ephemeral store, with PKCE and OpenID Connect in one: what
// could be deleted apart could be redeemed apart (FOSITE.md P1).
type codeRecord struct {
	ID        string   `json:"id"` // of the grant to be
	Client    string   `json:"client"`
	Redirect  string   `json:"redirect"`
	Challenge string   `json:"challenge,omitempty"` // S256
	Scopes    []string `json:"scopes"`
	Audience  []string `json:"audience,omitempty"`
	Session   session  `json:"session"`
}

func recordOf(r fosite.Requester) (codeRecord, error) {
	who, ok := r.GetSession().(*session)
	if !ok {
		return codeRecord{}, errors.New("oidc: a code without a session of ours")
	}
	form := r.GetRequestForm()
	return codeRecord{
		ID: r.GetID(), Client: r.GetClient().GetID(), Redirect: form.Get("redirect_uri"), Challenge: form.Get("code_challenge"),
		Scopes: r.GetGrantedScopes(), Audience: r.GetGrantedAudience(), Session: *who,
	}, nil
}

// request is fresh for every reader, so that two never share a session (FOSITE.md P7).
func (c codeRecord) request(client broker.Client) *fosite.Request {
	r := fosite.NewRequest()
	r.ID, r.Client = c.ID, &app{Client: client}
	r.RequestedScope, r.GrantedScope = c.Scopes, c.Scopes
	r.RequestedAudience, r.GrantedAudience = c.Audience, c.Audience
	r.Session = c.Session.Clone()
	//defence:A1
	r.Form.Set("redirect_uri", c.Redirect)
	//defence:A1
	if c.Challenge != "" {
		r.Form.Set("code_challenge", c.Challenge)
		r.Form.Set("code_challenge_method", methodS256)
	}
	return r
}

// GetClient is for fosite's authorize request: the client that Handler.target found.
func (s *store) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	if a, ok := ctx.Value(appKey{}).(*app); ok && a.ID == id {
		return a, nil
	}
	return nil, fosite.ErrNotFound
}

// ClientAssertionJWTValid refuses: no client is registered for private_key_jwt.
func (s *store) ClientAssertionJWTValid(context.Context, string) error {
	return fosite.ErrInvalidClient
}

// SetClientAssertionJWT refuses likewise.
func (s *store) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return fosite.ErrInvalidClient
}

// CreateAuthorizeCodeSession puts the code on its ephemeral store under its keyed hash, so
// the ephemeral store never holds a code that could be used (FOSITE.md P6).
func (s *store) CreateAuthorizeCodeSession(ctx context.Context, code string, r fosite.Requester) error {
	record, err := recordOf(r)
	if err != nil {
		return err
	}
	return s.codes.Put(ctx,
		//defence:G17 ./broker/oidc:TestP6_TheEphemeralStoreHoldsNoUsableCode = code
		s.ring.Hash(purposeCode, []byte(code)), record)
}

// authorization reads the code's record, once per request.
func (s *store) authorization(ctx context.Context, code string) (*fosite.Request, error) {
	u, err := unitOf(ctx)
	if err != nil {
		return nil, err
	}
	if u.code != nil {
		return u.code, nil
	}
	if len(code) > 128 {
		return nil, fosite.ErrNotFound
	}
	for _, hash := range s.ring.Hashes(purposeCode, []byte(code)) {
		record, err := s.codes.Get(ctx, hash)
		if errors.Is(err, broker.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		client := u.client
		if client.ID != record.Client {
			//defence:A1
			client = broker.Client{ID: record.Client} // fosite compares, and refuses
		}
		u.code = record.request(client)
		return u.code, nil
	}
	return nil, fosite.ErrNotFound
}

// GetAuthorizeCodeSession answers ErrNotFound for an unknown or expired code. A
// consumed one is found: CreateGrant tells, exactly.
func (s *store) GetAuthorizeCodeSession(ctx context.Context, code string, _ fosite.Session) (fosite.Requester, error) {
	return orNil(s.authorization(ctx, code))
}

func orNil(r *fosite.Request, err error) (fosite.Requester, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// InvalidateAuthorizeCodeSession notes the grant whose row consumes the code.
func (s *store) InvalidateAuthorizeCodeSession(ctx context.Context, code string) error {
	u, p, err := pendingOf(ctx)
	if err != nil {
		return err
	}
	who, ok := u.code.Session.(*session)
	if !ok {
		return errors.New("oidc: a code without a session of ours")
	}
	now := s.now()
	p.unlocked = who.Unlocked
	p.begin = &broker.Grant{
		ID: u.code.ID, ClientID: u.client.ID, AccountID: who.Account, SessionID: who.Session,
		Scopes: u.code.GrantedScope, Audience: u.code.GrantedAudience, Authn: who.Authn, Claims: who.Claims,
		CreatedAt: now, ExpiresAt: now.Add(broker.AccessLife),
	}
	return nil
}

// GetPKCERequestSession is the code's record once more, so no order of requests
// parts a code from its challenge (FOSITE.md P1).
func (s *store) GetPKCERequestSession(ctx context.Context, code string, _ fosite.Session) (fosite.Requester, error) {
	r, err := s.authorization(ctx, code)
	if err != nil {
		return nil, err
	}
	if r.Form.Get("code_challenge") == "" {
		return nil, fosite.ErrNotFound
	}
	return r, nil
}

// CreatePKCERequestSession has nothing to do: the code's record holds the challenge.
func (s *store) CreatePKCERequestSession(context.Context, string, fosite.Requester) error { return nil }

// DeletePKCERequestSession deletes nothing: the challenge lives as long as its code.
func (s *store) DeletePKCERequestSession(context.Context, string) error { return nil }

// CreateOpenIDConnectSession has nothing to do: the code's record holds it.
func (s *store) CreateOpenIDConnectSession(context.Context, string, fosite.Requester) error {
	return nil
}

// DeleteOpenIDConnectSession deletes nothing.
func (s *store) DeleteOpenIDConnectSession(context.Context, string) error { return nil }

// GetOpenIDConnectSession is the code's record, where openid was granted.
func (s *store) GetOpenIDConnectSession(ctx context.Context, code string, _ fosite.Requester) (fosite.Requester, error) {
	r, err := s.authorization(ctx, code)
	if err != nil {
		return nil, err
	}
	if !r.GrantedScope.Has("openid") {
		return nil, openid.ErrNoSessionFound
	}
	return r, nil
}
