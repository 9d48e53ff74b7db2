package oidc

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/url"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// methodS256 is the only PKCE method (RFC 7636 §4.2).
const methodS256 = "S256"

// newProvider composes only the seven handlers that are needed: without their handlers, implicit and password
// grants do not exist (SECURITY.md A12).
func newProvider(s *store, t *strategy, cfg *fosite.Config) *fosite.Fosite {
	explicit := &oauth2.AuthorizeExplicitGrantHandler{AccessTokenStrategy: t, RefreshTokenStrategy: t,
		AuthorizeCodeStrategy: t,
		CoreStorage:           s, TokenRevocationStorage: s, Config: cfg}
	client := &oauth2.ClientCredentialsGrantHandler{Config: cfg,
		HandleHelper: &oauth2.HandleHelper{AccessTokenStrategy: t, AccessTokenStorage: s, Config: cfg}}
	refresh := &oauth2.RefreshTokenGrantHandler{AccessTokenStrategy: t, RefreshTokenStrategy: t,
		TokenRevocationStorage: s, Config: cfg}
	helper := &openid.IDTokenHandleHelper{IDTokenStrategy: t}
	// The validator needs no signer: request.check has already handled prompt, max_age and id_token_hint, which
	// fosite never sees.
	id := &openid.OpenIDConnectExplicitHandler{OpenIDConnectRequestStorage: s, IDTokenHandleHelper: helper, Config: cfg,
		OpenIDConnectRequestValidator: openid.NewOpenIDConnectRequestValidator(nil, cfg)}
	idRefresh := &openid.OpenIDConnectRefreshHandler{IDTokenHandleHelper: helper, Config: cfg}
	proof := &pkce.Handler{AuthorizeCodeStrategy: t, Storage: s, Config: cfg}

	device := &deviceHandler{store: s, strategy: t, openID: helper}

	// The code handler comes first, because PKCE and OpenID Connect use the code that it creates.
	cfg.AuthorizeEndpointHandlers = fosite.AuthorizeEndpointHandlers{explicit, id, proof}
	cfg.TokenEndpointHandlers = fosite.TokenEndpointHandlers{explicit, client, refresh, id, idRefresh, proof, device}
	return fosite.NewOAuth2Provider(s, cfg)
}

// newConfig sets every field that fosite would otherwise set on first use: its getters write without a lock
// (FOSITE.md C1), and several defaults differ from our policy.
func newConfig(issuer string, authenticate fosite.ClientAuthenticationStrategy) *fosite.Config {
	return &fosite.Config{
		IDTokenIssuer: issuer, AccessTokenIssuer: issuer, TokenURL: issuer + pathToken,
		AuthorizeCodeLifespan: broker.CodeLife, AccessTokenLifespan: broker.AccessLife,
		RefreshTokenLifespan: broker.RefreshLife, IDTokenLifespan: broker.IDTokenLife,
		VerifiableCredentialsNonceLifespan: broker.CodeLife, PushedAuthorizeContextLifespan: broker.CodeLife,
		GrantTypeJWTBearerMaxDuration: broker.CodeLife, PushedAuthorizeRequestURIPrefix: "urn:ietf:params:oauth:request_uri:",

		EnforcePKCE:                    false, // per client, in request.check
		EnforcePKCEForPublicClients:    true,
		EnablePKCEPlainChallengeMethod: false,
		ScopeStrategy:                  fosite.ExactScopeStrategy,
		AudienceMatchingStrategy:       fosite.ExactAudienceMatchingStrategy,
		// broker.MatchRedirect has compared the URI with the registered ones, and the registration has validated
		// those.
		RedirectSecureChecker: func(context.Context, *url.URL) bool { return true },
		RefreshTokenScopes:    []string{clients.ScopeOffline},
		AllowedPromptValues:   []string{broker.PromptNone, broker.PromptLogin, broker.PromptConsent, broker.PromptSelect},
		SanitationWhiteList:   []string{"redirect_uri", "code_challenge", "code_challenge_method"},
		MinParameterEntropy:   1, // the app chooses its state; 0 would mean 8

		OmitRedirectScopeParam:       true,
		SendDebugMessagesToClients:   false,
		ClientAuthenticationStrategy: authenticate,
		ClientSecretsHasher:          noHasher{},
		JWKSFetcherStrategy:          noFetcher{},
		HMACHasher:                   sha256.New,
		FormPostHTMLTemplate:         fosite.DefaultFormPostTemplate,
		HashCost:                     fosite.DefaultBCryptWorkFactor,
		TokenEntropy:                 32,
	}
}

var errNotOurs = errors.New("oidc: this part of fosite is not used")

// noHasher keeps bcrypt off every request: authenticate compares secrets.
type noHasher struct{}

func (noHasher) Compare(context.Context, []byte, []byte) error { return errNotOurs }
func (noHasher) Hash(context.Context, []byte) ([]byte, error)  { return nil, errNotOurs }

// noFetcher prevents requests by fosite.
type noFetcher struct{}

func (noFetcher) Resolve(context.Context, string, bool) (*jose.JSONWebKeySet, error) {
	return nil, errNotOurs
}
