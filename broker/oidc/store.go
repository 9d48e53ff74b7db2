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

// store is fosite's storage. It only collects writes: Handler.persistGrant makes them in
// one transaction, with their Events, before the response.
type store struct {
	codes   broker.EphemeralStore[codeRecord]
	gate    *access.Gate
	desk    *deviceDesk
	open    func(token string) (shown, error)
	keyring *seal.Keyring
	now     func() time.Time
}

var (
	_ fosite.Storage                     = (*store)(nil)
	_ oauth2.CoreStorage                 = (*store)(nil)
	_ oauth2.TokenRevocationStorage      = (*store)(nil)
	_ openid.OpenIDConnectRequestStorage = (*store)(nil)
	_ pkce.PKCERequestStorage            = (*store)(nil)
	// Without this interface fosite would run every grant without a transaction, and not
	// report it.
	_ storage.Transactional = (*store)(nil)
)

// unit is one request at the token endpoint: a cache of what was read, and the pending
// writes.
type unit struct {
	client broker.Client
	code   *fosite.Request // the authorization of the code
	stored broker.Grant    // the grant of the refresh token
	next   int64           // the refresh counter that the request leads to
	rotate bool            // next is new; false for a repeated response
	device bool            // a device grant; code is what the person allowed
	why    broker.Code     // the reason of a refusal that fosite cannot express

	key      string   // the thumbprint of the DPoP key of the request
	audience []string // the requested resources; empty for all that were granted

	pending *changes // inside fosite's transaction
	agreed  changes  // after its commit
}

// changes are the writes of a grant.
type changes struct {
	begin    *broker.Grant // a code is consumed
	unlocked bool          // as session.Unlocked
	rotate   bool          // the refresh counter moves to unit.next
}

type unitKey struct{}

func withUnit(ctx context.Context) (context.Context, *unit) {
	u := &unit{next: 1}
	return context.WithValue(ctx, unitKey{}, u), u
}

func unitOf(ctx context.Context) (*unit, error) {
	u, ok := ctx.Value(unitKey{}).(*unit)
	if !ok {
		return nil, errors.New("oidc: no request in the context")
	}
	return u, nil
}

// BeginTX starts the list of writes.
func (s *store) BeginTX(ctx context.Context) (context.Context, error) {
	u, err := unitOf(ctx)
	if err != nil {
		return nil, err
	}
	u.pending = &changes{}
	return ctx, nil
}

// Commit passes the list to Handler.persistGrant.
func (s *store) Commit(ctx context.Context) error {
	u, p, err := pendingOf(ctx)
	if err != nil {
		return err
	}
	u.agreed, u.pending = *p, nil
	return nil
}

// Rollback drops the list.
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
		return nil, nil, errors.New("oidc: a write outside fosite's transaction")
	}
	return u, u.pending, nil
}

// session carries who signed in, and how, through fosite. Its fields are stored with the
// code.
type session struct {
	Account  string       `json:"account"`
	Unlocked bool         `json:"unlocked,omitempty"` // the account had no Restriction: see Handler.begin
	Session  string       `json:"session"`
	Authn    broker.Authn `json:"authn"`
	Nonce    string       `json:"nonce,omitempty"`  // from the authorization request only
	Key      string       `json:"jkt,omitempty"`    // dpop_jkt, likewise (RFC 9449 §10)
	Claims   string       `json:"claims,omitempty"` // likewise, for Grant.Claims
	Person   *person      `json:"person,omitempty"` // the claims about the person for the ID token

	claims  jwt.IDTokenClaims // only for fosite; our ID tokens use the fields above
	headers jwt.Headers
}

var _ openid.Session = (*session)(nil)

// IDTokenClaims returns the same pointer each time, because fosite writes to it.
func (s *session) IDTokenClaims() *jwt.IDTokenClaims {
	s.claims.Subject = s.Account
	return &s.claims
}

// IDTokenHeaders returns the same pointer each time.
func (s *session) IDTokenHeaders() *jwt.Headers { return &s.headers }

// SetExpiresAt does nothing: our tokens carry times of our own clock.
func (s *session) SetExpiresAt(fosite.TokenType, time.Time) {}

// GetExpiresAt returns zero, so that the configured lifespans apply.
func (s *session) GetExpiresAt(fosite.TokenType) time.Time { return time.Time{} }

// GetUsername is not used.
func (s *session) GetUsername() string { return "" }

// GetSubject returns the account.
func (s *session) GetSubject() string { return s.Account }

// Clone copies what is stored, and nothing that fosite wrote.
func (s *session) Clone() fosite.Session {
	return &session{Account: s.Account, Unlocked: s.Unlocked, Session: s.Session, Authn: s.Authn, Nonce: s.Nonce,
		Key: s.Key, Claims: s.Claims, Person: s.Person}
}

// codeRecord is a stored code, together with PKCE and OpenID Connect data. If these could
// be deleted separately, they could be redeemed separately (FOSITE.md P1).
type codeRecord struct {
	ID        string   `json:"id"` // of the grant that the code will create
	Client    string   `json:"client"`
	Redirect  string   `json:"redirect"`
	Challenge string   `json:"challenge,omitempty"` // S256
	Scopes    []string `json:"scopes"`
	Audience  []string `json:"audience,omitempty"`
	Session   session  `json:"session"`
}

// request returns a new request for every reader, so that no two share a session
// (FOSITE.md P7).
func (c codeRecord) request(client broker.Client) *fosite.Request {
	r := fosite.NewRequest()
	//defence:A5
	r.ID = c.ID // one code makes one grant
	r.Client = forFosite(client)
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

// GetClient returns the client that Handler.target found, for fosite's authorize request.
func (s *store) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	if c, ok := ctx.Value(clientKey{}).(*fosite.DefaultClient); ok && c.ID == id {
		return c, nil
	}
	return nil, fosite.ErrNotFound
}

// ClientAssertionJWTValid refuses, because fosite never sees a client assertion.
func (s *store) ClientAssertionJWTValid(context.Context, string) error {
	return fosite.ErrInvalidClient
}

// SetClientAssertionJWT refuses, for the same reason.
func (s *store) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return fosite.ErrInvalidClient
}

// CreateAuthorizeCodeSession stores the code under its keyed hash, so that the store never
// contains a usable code (FOSITE.md P6).
func (s *store) CreateAuthorizeCodeSession(ctx context.Context, code string, r fosite.Requester) error {
	who, ok := r.GetSession().(*session)
	if !ok {
		return errors.New("oidc: a code without a session of ours")
	}
	form := r.GetRequestForm()
	record := codeRecord{
		ID: r.GetID(), Client: r.GetClient().GetID(), Redirect: form.Get("redirect_uri"),
		Challenge: form.Get("code_challenge"),
		Scopes:    r.GetGrantedScopes(), Audience: r.GetGrantedAudience(), Session: *who,
	}
	return s.codes.Put(ctx,
		//defence:G17 ./broker/oidc:TestP6_TheEphemeralStoreHoldsNoUsableCode = code
		s.keyring.Hash(purposeCode, []byte(code)), record)
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
	for _, hash := range s.keyring.Hashes(purposeCode, []byte(code)) {
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
			client = broker.Client{ID: record.Client} // fosite compares the clients and refuses
		}
		u.code = record.request(client)
		return u.code, nil
	}
	return nil, fosite.ErrNotFound
}

// GetAuthorizeCodeSession returns ErrNotFound for an unknown or expired code. It finds a
// consumed one: only CreateGrant reveals reuse.
func (s *store) GetAuthorizeCodeSession(ctx context.Context, code string, _ fosite.Session) (fosite.Requester, error) {
	return orNil(s.authorization(ctx, code))
}

func orNil(r *fosite.Request, err error) (fosite.Requester, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// InvalidateAuthorizeCodeSession notes which grant's insert will consume the code.
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

// GetPKCERequestSession returns the code's record, so that a code and its challenge are
// never separated (FOSITE.md P1).
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

// CreatePKCERequestSession does nothing: the code's record has the challenge.
func (s *store) CreatePKCERequestSession(context.Context, string, fosite.Requester) error { return nil }

// DeletePKCERequestSession does nothing: the challenge lives as long as its code.
func (s *store) DeletePKCERequestSession(context.Context, string) error { return nil }

// CreateOpenIDConnectSession does nothing: the code's record has it.
func (s *store) CreateOpenIDConnectSession(context.Context, string, fosite.Requester) error {
	return nil
}

// DeleteOpenIDConnectSession does nothing.
func (s *store) DeleteOpenIDConnectSession(context.Context, string) error { return nil }

// GetOpenIDConnectSession returns the code's record if openid was granted.
func (s *store) GetOpenIDConnectSession(ctx context.Context, code string,
	_ fosite.Requester) (fosite.Requester, error) {
	r, err := s.authorization(ctx, code)
	if err != nil {
		return nil, err
	}
	if !r.GrantedScope.Has("openid") {
		return nil, openid.ErrNoSessionFound
	}
	return r, nil
}
