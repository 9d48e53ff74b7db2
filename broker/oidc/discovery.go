package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

// The routes of this handler.
const (
	pathConfiguration = "/.well-known/openid-configuration"
	pathServer        = "/.well-known/oauth-authorization-server"
	pathKeys          = "/jwks"
	pathAuthorize     = "/authorize"
	pathToken         = "/token"
	pathUserinfo      = "/userinfo"
	pathRevoke        = "/revoke"
	pathIntrospect    = "/introspect"
	pathPush          = "/par"
	pathConsent       = "/consent"
	pathEndSession    = "/end_session"
)

// metadata combines OIDC Discovery §3 and RFC 8414 §2, with what is supported only.
type metadata struct {
	Issuer                string   `json:"issuer"`
	Authorization         string   `json:"authorization_endpoint"`
	Token                 string   `json:"token_endpoint"`
	DeviceAuthorization   string   `json:"device_authorization_endpoint"`
	Registration          string   `json:"registration_endpoint,omitempty"`
	Userinfo              string   `json:"userinfo_endpoint"`
	Keys                  string   `json:"jwks_uri"`
	Revocation            string   `json:"revocation_endpoint"`
	Introspection         string   `json:"introspection_endpoint"`
	EndSession            string   `json:"end_session_endpoint"`
	Push                  string   `json:"pushed_authorization_request_endpoint"`
	Scopes                []string `json:"scopes_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	Grants                []string `json:"grant_types_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	IDTokenAlgs           []string `json:"id_token_signing_alg_values_supported"`
	TokenAuth             []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs         []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuth        []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs    []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuth     []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	Challenges            []string `json:"code_challenge_methods_supported"`
	DPoPAlgs              []string `json:"dpop_signing_alg_values_supported"`
	Claims                []string `json:"claims_supported"`
	Prompts               []string `json:"prompt_values_supported"`
	Classes               []string `json:"acr_values_supported"`
	Locales               []string `json:"ui_locales_supported"`
	ClaimsParameter       bool     `json:"claims_parameter_supported"`
	RequestParameter      bool     `json:"request_parameter_supported"`
	RequestURIParameter   bool     `json:"request_uri_parameter_supported"`
	PushOnly              bool     `json:"require_pushed_authorization_requests"`
	Backchannel           bool     `json:"backchannel_logout_supported"`
	BackchannelSession    bool     `json:"backchannel_logout_session_supported"`
	Frontchannel          bool     `json:"frontchannel_logout_supported"`
	FrontchannelSession   bool     `json:"frontchannel_logout_session_supported"`
	IssuerInAuthorization bool     `json:"authorization_response_iss_parameter_supported"`
}

func (d *Handler) metadata() (document, error) {
	at := func(path string) string { return d.issuer + path }
	body, err := json.Marshal(metadata{
		DeviceAuthorization: at(pathDeviceAuthorization), Registration: d.registrationURI(),
		Issuer: d.issuer, Authorization: at(pathAuthorize), Token: at(pathToken), Userinfo: at(pathUserinfo),
		Keys:       at(pathKeys),
		Revocation: at(pathRevoke), Introspection: at(pathIntrospect), EndSession: at(pathEndSession), Push: at(pathPush),
		Scopes: clients.PersonScopes(), ResponseTypes: []string{"code"}, ResponseModes: responseModes(),
		Grants:       clients.GrantTypes(),
		SubjectTypes: []string{"public"}, IDTokenAlgs: signing.Algorithms(), TokenAuth: clients.AuthMethods(),
		RevocationAuth: clients.AuthMethods(), IntrospectionAuth: clients.ProofMethods(),
		TokenAuthAlgs: clients.AssertionAlgs(), RevocationAuthAlgs: clients.AssertionAlgs(),
		IntrospectionAuthAlgs: clients.AssertionAlgs(),
		Challenges:            []string{methodS256}, DPoPAlgs: proofAlgs(),
		Claims: []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "amr", "acr", "sid", "at_hash",
			"name", "given_name", "family_name", "preferred_username", "locale", "updated_at", "email", "email_verified"},
		Prompts: []string{broker.PromptNone, broker.PromptLogin, broker.PromptConsent, broker.PromptSelect},
		Classes: []string{acrKnown}, ClaimsParameter: true,
		Locales: d.toolkit.Texts.Languages(),
		//defence:A8
		IssuerInAuthorization: true,
		Backchannel:           true, BackchannelSession: true, Frontchannel: true, FrontchannelSession: true,
	})
	if err != nil {
		return document{}, fmt.Errorf("oidc: discovery: %w", err)
	}
	return newDocument(body, "application/json", time.Hour), nil
}

// jwksLife is how long an app may cache the JWKS.
const jwksLife = 15 * time.Minute

// document is a response that is built once. All responses share its header's value slices.
type document struct {
	body   []byte
	etag   string
	header http.Header
}

func newDocument(body []byte, contentType string, life time.Duration) document {
	sum := sha256.Sum256(body)
	doc := document{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, http.Header{}}
	doc.header.Set("Access-Control-Allow-Origin", "*")
	doc.header.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(life/time.Second)))
	doc.header.Set("ETag", doc.etag)
	doc.header.Set("Content-Type", contentType)
	doc.header.Set("Content-Length", strconv.Itoa(len(body)))
	return doc
}

func (doc document) serve(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	maps.Copy(h, doc.header)
	for tag := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == doc.etag || tag == "*" {
			h.Del("Content-Type")
			h.Del("Content-Length")
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	w.WriteHeader(http.StatusOK)
	// An error means that the client has disconnected.
	_, _ = w.Write(doc.body)
	return nil
}

func (d *Handler) configuration(w http.ResponseWriter, r *http.Request) error {
	return d.discovery.serve(w, r)
}

func (d *Handler) jwks(w http.ResponseWriter, r *http.Request) error {
	doc := newDocument(d.keys.JWKS(), "application/jwk-set+json", jwksLife)
	// A shared cache must not serve a withdrawn key.
	//defence:A22
	doc.header.Set("Cache-Control",
		doc.header.Get("Cache-Control")+", s-maxage="+strconv.Itoa(int(signing.RefreshInterval/time.Second)))
	return doc.serve(w, r)
}
