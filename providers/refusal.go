package providers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"gatehouse/broker"
	"gatehouse/broker/egress"
)

// maxSaid is how much of an upstream's own words the operator's log takes, in characters.
const maxSaid = 300

// oneLine makes foreign text fit for a log: one line, no control characters, at most maxSaid characters.
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

// said is an upstream's refusal as the cause of a Code: for the operator, never for a page. What must not be in a log
// is blotted out, because some upstreams quote what they were sent.
func said(code, description string, secrets ...string) error {
	for _, s := range secrets {
		if len(s) >= 8 {
			description = strings.ReplaceAll(description, s, "•••")
		}
	}
	return errors.New(oneLine("the upstream said " + code + ": " + description))
}

// byCode is what the error codes of RFC 6749 §4.1.2.1 and §5.2 and of OIDC Core §3.1.2.6 mean for us.
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

// standard reads a refusal by its code alone. The description is free text and decides nothing.
func standard(code, _ string, _ url.Values) broker.Code {
	if c, ok := byCode[code]; ok {
		return c
	}
	return broker.UpstreamRejected
}

// brought is a refusal that the browser brought. Anybody can write one, so it tells nothing of the upstream's health (SECURITY.md B22).
type brought struct{ error }

func (b brought) Unwrap() error { return b.error }

// network names what went wrong on the way. A rule of our own that stood in the way is the configuration's fault.
func network(what string, err error) error {
	err = fmt.Errorf("%s: %w", what, bare(err))
	switch {
	case errors.Is(err, egress.ErrBlockedAddress), errors.Is(err, egress.ErrBlockedURL), errors.Is(err, egress.ErrRedirect):
		return broker.UpstreamMisconfigured.Because(err)
	case errors.Is(err, egress.ErrTooLarge):
		return broker.UpstreamRejected.Because(err)
	}
	return broker.ConnectionUnavailable.Because(err)
}

// bare drops the URL that net/http puts into its errors: a query is where tokens travel.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// busy is a status that says nothing about the request: come again.
func busy(status int) bool { return status == 408 || status == 429 || status >= 500 }

// left tells that the person went away, which is nobody's failure.
func left(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }
