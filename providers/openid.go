package providers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"gatehouse/broker"
)

// shape holds what differs between kinds that speak OpenID Connect. A nil function means the standard behaviour.
type shape struct {
	issuer string // discovery is at issuer + wellKnown
	// accept returns an error for an issuer that the metadata must not name; nil: exactly issuer.
	accept func(issuer string) error
	// template is the issuer in metadata that stands for many issuers; empty: one issuer.
	template string
	scopes   []string
	// auth is how the client authenticates; empty: as the metadata announce.
	auth string
	// audience is "issuer" if client assertions name the issuer; else they name the token endpoint.
	audience string
	// mintSecret makes the client secret from the configured one; nil: it is the configured one.
	mintSecret func(configured broker.Secret, now time.Time) (string, error)
	par        bool       // pushes authorization requests, even if the metadata do not require it
	extra      url.Values // further parameters of an authorization request
	// noNonce: its ID tokens repeat no nonce. noVerifier: its token endpoint rejects a PKCE verifier.
	noNonce, noVerifier bool
	mapping             mapping
	// named takes the name from the response, if the kind sends it there; nil: none.
	named func(answer url.Values, c *broker.Claims)
	acr   bool // the connection trusts its acr
	// requestParams returns the parameters of an authorization request, under this kind's names.
	requestParams func(t broker.UpstreamRequest) url.Values
	// hasChooser: it supports prompt=select_account, whatever its metadata announce.
	hasChooser bool
	// ownsIssuer reports whether the iss of an authorization response (RFC 9207) is this upstream's; nil: it must
	// equal the metadata's issuer.
	ownsIssuer func(m *metadata, iss string) bool
	// issued checks who issued a token and returns the issuer as we store it; nil: the metadata's issuer.
	issued func(m *metadata, t idToken) (string, error)
	// claims completes the claims. The fields that every kind fills the same way are already set.
	claims func(t idToken, c *broker.Claims) error
	// sendsLogout: it sends logout tokens, whose sub is the subject as we store it.
	sendsLogout bool
	// frontLogout: it opens our logout address in a frame, with the session's id (OIDC Front-Channel Logout).
	frontLogout bool
	// approval returns where an administrator approves this app for an organisation; nil: nowhere.
	approval func(callback string) string
	maxPost  int // of broker.Redirect
	// userinfo: an address missing from the ID token may be at the userinfo endpoint.
	userinfo bool
	explain  func(code, description string, answer url.Values) broker.Code
}

// openID is an upstream that speaks OpenID Connect, whatever its brand.
type openID struct {
	shape
	env        Env
	connection string
	clientID   string
	meta       *cache[metadata]
	verifier   verifier
	exchanger  *exchanger
}

func newOpenID(env Env, c broker.Connection, s shape) *openID {
	if s.accept == nil {
		s.accept = exactly(s.issuer)
	}
	if s.requestParams == nil {
		s.requestParams = standardParams
	}
	if s.ownsIssuer == nil {
		s.ownsIssuer = func(m *metadata, iss string) bool { return iss == m.issuer }
	}
	if s.issued == nil {
		s.issued = issuedBy
	}
	if s.explain == nil {
		s.explain = standardCode
	}
	s.acr = c.Settings[fieldACR.Key] == "true"
	u := &openID{shape: s, env: env, connection: c.ID, clientID: c.ClientID}
	u.meta = discover(env, s.issuer+wellKnownAfter(s.issuer), s.accept)
	u.verifier = verifier{keys: keysOf(env, u.meta), clientID: c.ClientID, now: env.Now, issued: s.issued,
		noNonce: s.noNonce}
	u.exchanger = &exchanger{client: env.HTTP, id: c.ClientID, secrets: c.Secrets, explain: s.explain,
		badSecret: clientRefused, noVerifier: s.noVerifier}
	return u
}

// wellKnownAfter returns the discovery path: "any terminating / must be removed" before it (OIDC Discovery
// §4.1).
func wellKnownAfter(issuer string) string {
	if strings.HasSuffix(issuer, "/") {
		return wellKnown[1:]
	}
	return wellKnown
}

var errIssuer = errors.New("another issuer")

func issuedBy(m *metadata, t idToken) (string, error) {
	if t.issuer == "" || t.issuer != m.issuer {
		return "", errIssuer
	}
	return t.issuer, nil
}

// ready reports whether Begin needs no network.
func (u *openID) ready() bool {
	if u.par || !u.meta.fresh() {
		return false
	}
	m, err := u.meta.get(context.Background()) // at hand
	return err == nil && !u.pushes(m)
}

// Begin redirects the browser to the authorization endpoint (OIDC Core §3.1.2.1). It always uses PKCE, whether
// or not the metadata announce it.
func (u *openID) Begin(ctx context.Context, t broker.UpstreamRequest) (broker.Redirect, error) {
	m, err := u.meta.get(ctx)
	if err != nil {
		return broker.Redirect{}, err
	}
	config := oauth2.Config{ClientID: u.clientID, RedirectURL: t.Callback, Scopes: u.scopes,
		Endpoint: oauth2.Endpoint{AuthURL: m.authorize}}
	words := u.requestParams(t)
	if words.Get("prompt") == broker.PromptSelect && !u.hasChooser && !slices.Contains(m.prompts, broker.PromptSelect) {
		// An upstream that does not announce select_account may reject it; login also asks for the account.
		words.Set("prompt", broker.PromptLogin)
	}
	for name := range u.extra {
		if words.Get(name) == "" {
			words.Set(name, u.extra.Get(name))
		}
	}
	options := append(params(words), oidc.Nonce(t.Nonce))
	if !u.noVerifier {
		options = append(options,
			//defence:B2 = oauth2.AccessTypeOnline
			oauth2.S256ChallengeOption(t.Verifier))
	}
	address := config.AuthCodeURL(t.State, options...)
	if u.pushes(m) {
		address, err = u.push(ctx, m, address)
	}
	return broker.Redirect{URL: address, MaxPost: u.shape.maxPost}, err
}

func params(words url.Values) []oauth2.AuthCodeOption {
	var options []oauth2.AuthCodeOption
	for name := range words {
		if v := words.Get(name); v != "" {
			options = append(options, oauth2.SetAuthURLParam(name, v))
		}
	}
	return options
}

// standardParams returns the parameters of OIDC Core §3.1.2.1. A request with max_age obliges the upstream to
// return auth_time.
func standardParams(t broker.UpstreamRequest) url.Values {
	words := url.Values{"login_hint": {t.LoginHint}, "ui_locales": {t.Locale}}
	switch {
	case t.Prompt != "":
		words.Set("prompt", t.Prompt)
	case t.Fresh:
		words.Set("prompt", broker.PromptLogin)
	case t.Choose:
		words.Set("prompt", broker.PromptSelect)
	}
	words.Set("max_age", age(t))
	return words
}

// age returns the max_age of an upstream request, "" for none.
func age(t broker.UpstreamRequest) string {
	switch {
	case t.Fresh:
		return "0"
	case t.MaxAge != nil:
		return strconv.Itoa(max(*t.MaxAge, 0))
	}
	return ""
}

// maxCode is the longest authorization code in bytes; AD FS sends the longest ones.
const maxCode = 8 << 10

// Finish redeems the code and returns the verified claims.
func (u *openID) Finish(ctx context.Context, t broker.UpstreamRequest, answer url.Values) (broker.Claims, error) {
	m, err := u.meta.get(ctx)
	if err != nil {
		return broker.Claims{}, err
	}
	// Check before the code is sent anywhere: another issuer's response is a mix-up attack (RFC 9207 §2.4).
	iss := answer.Get("iss")
	//defence:B3
	if iss == "" && m.sendsIss || iss != "" && !u.ownsIssuer(m, iss) {
		return broker.Claims{}, broker.UpstreamRejected.Because(errors.New("the response is from another issuer"))
	}
	code, err := codeIn(answer, u.explain)
	if err != nil {
		return broker.Claims{}, err
	}
	g, err := u.exchanger.redeem(ctx, m.token, t, code,
		func(secret broker.Secret) (credential, error) { return u.authenticate(m, m.token, secret) })
	if err != nil {
		return broker.Claims{}, err
	}
	raw, _ := g.Extra("id_token").(string)
	id, err := u.verifier.verify(ctx, m, t.Nonce, raw)
	if err != nil {
		return broker.Claims{}, err
	}
	if err := u.coherent(id, iss, g.AccessToken); err != nil {
		return broker.Claims{}, err
	}
	c, err := u.person(ctx, m, id, g.AccessToken)
	if err == nil && u.named != nil {
		u.named(answer, &c)
	}
	if m.endSession != "" && len(raw) <= maxLogoutHint {
		c.LogoutHint = raw
	}
	return c, err
}

// codeIn reads an authorization response (RFC 6749 §4.1.2).
func codeIn(answer url.Values, explain func(code, description string, answer url.Values) broker.Code) (string, error) {
	refusal, description := answer.Get("error"), answer.Get("error_description")
	if refusal == "" { // Facebook's other form
		refusal, description = answer.Get("error_code"), answer.Get("error_message")
	}
	if refusal != "" {
		err := explain(refusal, description, answer).Because(providerError(refusal, description))
		if prompt := promptFor(refusal, broker.CodeOf(err)); prompt != "" {
			err = broker.NeedsPrompt(prompt, err)
		}
		return "", browserError{err}
	}
	code := answer.Get("code")
	if code == "" || len(code) > maxCode {
		return "", broker.UpstreamRejected.Because(errors.New("the response has neither a code nor an error"))
	}
	return code, nil
}

// coherent compares the ID token with the response it came in. An old auth_time is not refused: broker.Next compares
// it with the request, and asks for a factor of ours instead.
func (u *openID) coherent(id idToken, iss, access string) error {
	if iss != "" && iss != id.issuer {
		return broker.UpstreamRejected.Because(errors.New("the response and the ID token name different issuers"))
	}
	if err := id.verifyAccessToken(access); err != nil {
		return broker.UpstreamRejected.Because(err)
	}
	if id.authTime.Sub(u.env.Now()) > skew {
		return broker.UpstreamRejected.Because(errors.New("auth_time is in the future"))
	}
	return nil
}

// person builds claims from a verified token, and reads the userinfo endpoint if the kind uses it.
func (u *openID) person(ctx context.Context, m *metadata, id idToken, access string) (broker.Claims, error) {
	c := broker.Claims{Connection: u.connection, Issuer: id.issuer, Subject: id.subject, AuthTime: id.authTime,
		AMR: id.amr(), SID: id.sid()}
	if u.acr {
		c.ACR = id.name("acr")
	}
	about, email := id.document, u.mapping.asserted(id.document)
	if u.userinfo && m.userinfo != "" && (email.address == "" || email.verified == unset) {
		info, err := u.ask(ctx, m, id.subject, access)
		if err != nil {
			return broker.Claims{}, err
		}
		email = email.merge(u.mapping.asserted(info))
		if u.mapping.nameIn(about) == "" {
			about = info
		}
	}
	c.Email, c.Level = email.address, email.level()
	c.Name, c.GivenName, c.FamilyName = u.mapping.nameIn(about), about.name("given_name"), about.name("family_name")
	c.Locale = cmp.Or(id.locale("locale"), about.locale("locale"))
	if u.claims != nil {
		if err := u.claims(id, &c); err != nil {
			return broker.Claims{}, err
		}
	}
	return c, nil
}

// ask reads the userinfo endpoint. A document about another subject refuses the login (OIDC Core §5.3.2).
func (u *openID) ask(ctx context.Context, m *metadata, subject, access string) (document, error) {
	body, header, err := u.env.fetch(ctx, "userinfo", m.userinfo, access, maxProfile)
	if err != nil {
		return nil, err
	}
	var info document
	if media, _, _ := mime.ParseMediaType(header.Get("Content-Type")); media == "application/jwt" {
		info, err = u.verifier.userinfo(ctx, m, strings.TrimSpace(string(body)))
	} else {
		info, err = parseDocument(body)
	}
	//defence:B14
	if err == nil && info.subject("sub") != subject {
		err = errors.New("it is about another subject")
	}
	if err != nil {
		return nil, broker.UpstreamRejected.Because(fmt.Errorf("userinfo: %w", err))
	}
	return info, nil
}
