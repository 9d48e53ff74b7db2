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
	client     *http.Client
	id         string
	secrets    []broker.Secret
	noVerifier bool // the endpoint rejects a PKCE verifier
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

// each calls do with the live secrets until one is not rejected. Two are live during a rotation. It starts with the
// one that worked last. do reports whether the secret was rejected, so that another one may work.
func (x *exchanger) each(do func(secret broker.Secret) (error, bool)) error {
	secrets := x.secrets
	if len(secrets) == 0 {
		secrets = []broker.Secret{""} // a public client: PKCE alone
	}
	first := int(x.good.Load())
	var last error
	for i := range secrets {
		n := (first + i) % len(secrets)
		var again bool
		if last, again = do(secrets[n]); last == nil {
			x.good.Store(int32(n)) // at most maxSecrets
		}
		if !again {
			break
		}
	}
	return last
}

// redeem exchanges a code (RFC 6749 §4.1.3, RFC 7636 §4.5). with is how the client authenticates with a secret. A
// rejected secret leaves the code unused.
func (x *exchanger) redeem(ctx context.Context, address string, t broker.UpstreamRequest, code string,
	with func(broker.Secret) (credential, error)) (g grant, _ error) {
	err := x.each(func(secret broker.Secret) (error, bool) {
		cred, err := with(secret)
		if err != nil {
			return broker.UpstreamMisconfigured.Because(err), false
		}
		config := oauth2.Config{ClientID: x.id, ClientSecret: cred.secret, RedirectURL: t.Callback,
			Endpoint: oauth2.Endpoint{TokenURL: address, AuthStyle: cred.style}}
		var options []oauth2.AuthCodeOption
		if !x.noVerifier {
			options = append(options, oauth2.VerifierOption(t.Verifier))
		}
		for name, value := range cred.form {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
		token, err := config.Exchange(context.WithValue(ctx, oauth2.HTTPClient, x.client), code, options...)
		if err != nil {
			return x.failed(ctx, err, code, t.Verifier, secret.Reveal(), cred.secret)
		}
		g = grant{token, secret}
		return nil, false
	})
	return g, err
}

// inForm is the credential of a client that sends its secret in the form, whatever the endpoint announces.
func inForm(secret broker.Secret) (credential, error) {
	return credential{style: oauth2.AuthStyleInParams, secret: secret.Reveal()}, nil
}

// failed turns the library's error into a Code, and reports whether another secret may work.
func (x *exchanger) failed(ctx context.Context, err error, sent ...string) (error, bool) {
	r, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		// The library reports a body that was too slow as text only.
		if _, transport := errors.AsType[*url.Error](err); transport || ctx.Err() != nil {
			return network("token endpoint", err), false
		}
		return broker.UpstreamRejected.Because(errors.New("token endpoint: " + oneLine(err.Error()))), false
	}
	code, description := r.ErrorCode, r.ErrorDescription
	if x.refused != nil {
		code, description = x.refused(r)
	}
	return x.refusal("token endpoint: "+r.Response.Status, r.Response.StatusCode, code, description, sent...)
}

// refusal turns an endpoint's refusal into a Code. Apps know a refused exchange as UpstreamRejected, whatever the
// reason; a finer one is its cause.
func (x *exchanger) refusal(what string, status int, code, description string, sent ...string) (error, bool) {
	cause := errors.New(oneLine(what))
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
