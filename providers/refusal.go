package providers

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"gatehouse/broker"
	"gatehouse/broker/egress"
)

// maxSaid bounds the upstream's own text in the operator's log, in characters.
const maxSaid = 300

// oneLine makes foreign text safe to log: one line, no control characters, at most maxSaid characters.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxSaid {
		s = string(runes[:maxSaid])
	}
	return s
}

// providerError returns an upstream's refusal as the cause of a Code: for the operator, never for a page. It blanks out
// the secrets given, because some upstreams quote the request.
func providerError(code, description string, secrets ...string) error {
	for _, s := range secrets {
		if len(s) >= 8 {
			description = strings.ReplaceAll(description, s, "•••")
		}
	}
	return errors.New(oneLine("provider error " + code + ": " + description))
}

// byCode maps the error codes of RFC 6749 §4.1.2.1 and §5.2 and OIDC Core §3.1.2.6 to ours.
var byCode = map[string]broker.Code{
	"access_denied":              broker.Cancelled,
	"login_required":             broker.LoginRequired,
	"account_selection_required": broker.LoginRequired,
	"interaction_required":       broker.InteractionRequired,
	"consent_required":           broker.ConsentRequired,
	"temporarily_unavailable":    broker.ConnectionUnavailable,
	"server_error":               broker.ConnectionUnavailable,
	"invalid_client":             broker.UpstreamMisconfigured,
	"unauthorized_client":        broker.UpstreamMisconfigured,
	"invalid_request":            broker.UpstreamMisconfigured,
	"invalid_scope":              broker.UpstreamMisconfigured,
	"unsupported_response_type":  broker.UpstreamMisconfigured,
	"unsupported_grant_type":     broker.UpstreamMisconfigured,
	"redirect_uri_mismatch":      broker.UpstreamMisconfigured,
}

// promptFor returns the prompt that resolves a refusal to sign a person in without asking, "" for none.
func promptFor(refusal string, code broker.Code) string {
	switch {
	case refusal == "account_selection_required":
		return broker.PromptSelect
	case code == broker.ConsentRequired:
		return broker.PromptConsent
	case code == broker.LoginRequired, code == broker.InteractionRequired:
		return broker.PromptLogin
	}
	return ""
}

// standardCode maps a refusal by its code alone. The description is free text and must not decide anything.
func standardCode(code, _ string, _ url.Values) broker.Code {
	if strings.HasPrefix(code, "user_cancelled") { // Apple, LinkedIn
		return broker.Cancelled
	}
	if c, ok := byCode[code]; ok {
		return c
	}
	return broker.UpstreamRejected
}

// browserError is a refusal that came through the browser. Anyone can forge one, so it does not count as an upstream
// failure (SECURITY.md B22).
type browserError struct{ error }

func (b browserError) Unwrap() error { return b.error }

// outage marks a failure that only an outage can cause: no connection, no response in time, no metadata or keys.
// A status of the token endpoint is none: some upstreams answer 500 or 429 to a code that they do not know, and
// anyone can send one (SECURITY.md B22).
type outage struct{ error }

func (o outage) Unwrap() error { return o.error }

func isOutage(err error) bool {
	_, is := errors.AsType[outage](err)
	return is
}

// outageOf marks an upstream that is too busy to send a document for everybody.
func outageOf(err error) error {
	if errors.Is(err, broker.ConnectionUnavailable) {
		return outage{err}
	}
	return err
}

// network classifies a transport error. If a rule of egress blocked the call, the configuration is wrong.
func network(what string, err error) error {
	err = fmt.Errorf("%s: %w", what, withoutURL(err))
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		err = fmt.Errorf("%w; give the certificates of a private CA by --ca-bundle-file, or as the setting ca_bundle", err)
	}
	switch {
	case errors.Is(err, egress.ErrBlockedAddress), errors.Is(err, egress.ErrBlockedURL),
		errors.Is(err, egress.ErrRedirect):
		return broker.UpstreamMisconfigured.Because(err)
	case errors.Is(err, egress.ErrTooLarge):
		return broker.UpstreamRejected.Because(err)
	}
	return outage{broker.ConnectionUnavailable.Because(err)}
}

// withoutURL drops the URL that net/http puts into its errors, because the query may hold tokens.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// busy reports whether the status says nothing about the request, so that a retry may succeed.
func busy(status int) bool { return status == 408 || status == 429 || status >= 500 }
