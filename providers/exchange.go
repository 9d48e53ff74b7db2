package providers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"

	"golang.org/x/oauth2"

	"gatehouse/broker"
)

// exchanger redeems codes at one token endpoint with the connection's live secrets.
type exchanger struct {
	client  *http.Client
	id      string
	secrets []broker.Secret
	// refused reads the error in the endpoint's response; nil: the format of RFC 6749 §5.2.
	refused func(*oauth2.RetrieveError) (code, description string)
	explain func(code, description string, answer url.Values) broker.Code
	// badSecret reports whether the endpoint rejected the client secret.
	badSecret func(status int, code, description string) bool
	good      atomic.Int32 // index of the secret that worked last
}

// grant is a redeemed code.
type grant struct {
	*oauth2.Token
	secret broker.Secret // the one that was accepted
}

// redeem exchanges a code (RFC 6749 §4.1.3, RFC 7636 §4.5). Two secrets are live during a rotation. It starts
// with the one that worked last, and tries the other only if the first was rejected, which leaves the code
// unused.
func (x *exchanger) redeem(ctx context.Context, endpoint oauth2.Endpoint, t broker.UpstreamRequest,
	code string) (grant, error) {
	secrets := x.secrets
	if len(secrets) == 0 {
		secrets = []broker.Secret{""} // a public client: PKCE alone
	}
	first := int(x.good.Load())
	var last error
	for i := range secrets {
		n := (first + i) % len(secrets)
		config := oauth2.Config{ClientID: x.id, ClientSecret: secrets[n].Reveal(), Endpoint: endpoint,
			RedirectURL: t.Callback}
		token, err := config.Exchange(context.WithValue(ctx, oauth2.HTTPClient, x.client), code,
			oauth2.VerifierOption(t.Verifier))
		if err == nil {
			x.good.Store(int32(n)) // at most maxSecrets
			return grant{token, secrets[n]}, nil
		}
		var again bool
		if last, again = x.failed(ctx, err, code, t.Verifier, secrets[n].Reveal()); !again {
			break
		}
	}
	return grant{}, last
}

// failed turns the library's error into a Code, and reports whether another secret may work. Apps know a refused
// exchange as UpstreamRejected, whatever the reason; a finer one is its cause.
func (x *exchanger) failed(ctx context.Context, err error, sent ...string) (error, bool) {
	r, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		// The library reports a body that was too slow as text only.
		if _, transport := errors.AsType[*url.Error](err); transport || ctx.Err() != nil {
			return network("token endpoint", err), false
		}
		return broker.UpstreamRejected.Because(errors.New("token endpoint: " + oneLine(err.Error()))), false
	}
	code, description, status := r.ErrorCode, r.ErrorDescription, r.Response.StatusCode
	if x.refused != nil {
		code, description = x.refused(r)
	}
	cause := fmt.Errorf("token endpoint: %s", oneLine(r.Response.Status))
	if code != "" {
		cause = fmt.Errorf("%w: %w", cause, providerError(code, description, sent...))
	}
	bad := x.badSecret(status, code, description)
	named := x.explain(code, description, nil)
	switch {
	case named == broker.UpstreamMisconfigured || bad && (named == broker.UpstreamRejected || named == broker.Cancelled):
		return broker.UpstreamRejected.Because(broker.UpstreamMisconfigured.Because(cause)), bad
	//defence:D19
	case named == broker.UpstreamRejected && busy(status):
		named = broker.ConnectionUnavailable
	}
	return named.Because(cause), bad
}

// clientRefused recognises every spelling of wrong client credentials: invalid_client (RFC 6749 §5.2),
// unauthorized_client as Keycloak says, or only the status 401.
func clientRefused(status int, code, _ string) bool {
	return status == http.StatusUnauthorized || code == "invalid_client" || code == "unauthorized_client"
}
