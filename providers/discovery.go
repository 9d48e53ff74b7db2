package providers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

// metadata is the part of a provider's configuration that we use (OIDC Discovery §3).
type metadata struct {
	issuer      string
	authorize   string
	token       string
	jwks        string
	userinfo    string   // empty for none
	endSession  string   // likewise
	algs        []string // of ID tokens, those that we accept; may be empty
	signsWith   []string // as announced
	types       []string // response types; nil if not announced
	authMethods []string // of the token endpoint; nil if not announced
	authAlgs    []string // of client assertions; empty if not announced
	prompts     []string // values of prompt, as announced
	par         string   // of pushed authorization requests (RFC 9126); empty for none
	requiresPAR bool
	// sendsIss: every authorization response names its issuer (RFC 9207 §3).
	sendsIss bool
}

// parseMetadata reads a discovery document. accept checks the issuer that it names, because a document with
// another issuer is not this provider's (OIDC Discovery §4.3, SECURITY.md B9).
func parseMetadata(body []byte, accept func(issuer string) error) (metadata, error) {
	d, err := parseDocument(body)
	if err != nil {
		return metadata{}, err
	}
	m := metadata{
		issuer: d.text("issuer"), authorize: d.text("authorization_endpoint"), token: d.text("token_endpoint"),
		jwks: d.text("jwks_uri"), userinfo: d.text("userinfo_endpoint"), endSession: d.text("end_session_endpoint"),
		algs:        announced(d.texts("id_token_signing_alg_values_supported")),
		signsWith:   d.texts("id_token_signing_alg_values_supported"),
		types:       d.texts("response_types_supported"),
		authMethods: d.texts("token_endpoint_auth_methods_supported"),
		authAlgs:    d.texts("token_endpoint_auth_signing_alg_values_supported"),
		prompts:     d.texts("prompt_values_supported"),
		par:         d.text("pushed_authorization_request_endpoint"),
		requiresPAR: d["require_pushed_authorization_requests"] == true,
		sendsIss:    d["authorization_response_iss_parameter_supported"] == true,
	}
	//defence:B9
	if err := accept(m.issuer); err != nil {
		return metadata{}, err
	}
	for _, e := range []struct{ name, value string }{
		{"authorization_endpoint", m.authorize}, {"token_endpoint", m.token}, {"jwks_uri", m.jwks},
		{"userinfo_endpoint", m.userinfo},
		{"end_session_endpoint", m.endSession}, {"pushed_authorization_request_endpoint", m.par},
	} {
		required := e.name == "authorization_endpoint" || e.name == "token_endpoint" || e.name == "jwks_uri"
		if !required && e.value == "" {
			continue
		}
		why := endpointProblem(m.issuer, e.value)
		if why == "" && (e.name == "authorization_endpoint" || e.name == "end_session_endpoint") {
			why = browserProblem(m.issuer, e.value)
		}
		if why != "" {
			return metadata{}, fmt.Errorf("%s %s", e.name, why)
		}
	}
	return m, nil
}

// announced returns the algorithms that both sides accept; RS256 if the upstream names none (OIDC Discovery §3).
func announced(theirs []string) []string {
	if len(theirs) == 0 {
		return []string{"RS256"}
	}
	var both []string
	for _, alg := range algorithms {
		//defence:B5 = true
		if slices.ContainsFunc(theirs, func(a string) bool { return signing.SameAlg(a, alg) }) {
			both = append(both, alg)
		}
	}
	return both
}

// endpointProblem requires https. Plain http is accepted only if the issuer is plain http too, which egress
// allows in configured networks only.
func endpointProblem(issuer, endpoint string) string {
	if endpoint == "" {
		return "is missing"
	}
	if why := checkURL(endpoint); why != "" {
		return why
	}
	if !strings.HasPrefix(endpoint, "https://") && !strings.HasPrefix(issuer, "http://") {
		return "must be https"
	}
	return ""
}

// browserProblem accepts plain http for an address that only the browser calls, so that egress never sees it: on
// the issuer's host, which egress has reached in a configured network, and on private and loopback addresses.
func browserProblem(issuer, endpoint string) string {
	from, err1 := url.Parse(issuer)
	to, err2 := url.Parse(endpoint)
	if err1 != nil || err2 != nil {
		return "must be an absolute URL"
	}
	host := strings.ToLower(to.Hostname())
	addr, err := netip.ParseAddr(host)
	local := host == "localhost" || err == nil && (addr.IsLoopback() || addr.IsPrivate())
	//defence:B9 B16
	if to.Scheme == "http" && !local && !strings.EqualFold(host, from.Hostname()) {
		return "must be https, because its host is not the issuer's"
	}
	return ""
}

// OtherIssuer is a discovery document for another issuer than the configured one.
type OtherIssuer struct{ Announced, Configured string }

func (o OtherIssuer) Error() string {
	return fmt.Sprintf("the discovery document is for the issuer %q, and the connection has %q: add the connection with "+
		"--issuer as the document spells it, if that is your provider", oneLine(o.Announced), o.Configured)
}

// exactly accepts one issuer, byte for byte.
func exactly(issuer string) func(string) error {
	return func(got string) error {
		if got != issuer || got == "" {
			return OtherIssuer{Announced: got, Configured: issuer}
		}
		return nil
	}
}

var errMoved = errors.New("the issuer changed, or the token or key endpoint moved to another host: " +
	"save the connection again to accept it")

// discover returns the cache of an issuer's metadata.
func discover(env Env, address string, accept func(issuer string) error) *cache[metadata] {
	return &cache[metadata]{now: env.Now, load: func(ctx context.Context, old *metadata) (metadata, time.Duration, error) {
		body, header, err := env.fetch(ctx, "discovery document "+address, address, "", maxMetadata)
		if err != nil {
			return metadata{}, 0, outageOf(err)
		}
		m, err := parseMetadata(body, accept)
		// An attacker who controls this one page must not redirect codes and secrets (B9).
		//defence:B9
		if err == nil && old != nil && (old.issuer != m.issuer || hostOf(old.token) != hostOf(m.token) ||
			hostOf(old.jwks) != hostOf(m.jwks) || old.par != "" && hostOf(old.par) != hostOf(m.par)) {
			err = errMoved
		}
		if err != nil {
			env.Log.ErrorContext(ctx, "discovery document refused", "address", address, "error", err.Error())
			return metadata{}, 0, broker.UpstreamMisconfigured.Because(fmt.Errorf("discovery document %s: %w", address, err))
		}
		return m, lifeOf(header), nil
	}}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
