package oidc

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/broker/clients"
)

func TestAnErrorDescriptionIsPlainASCII(t *testing.T) {
	const typed = `“RFC 9126” §2.1 – it’s "a\b"…` + "\n☂"
	if got := printable(typed); got != "'RFC 9126' section 2.1 - it's 'a/b'...??" {
		t.Errorf("%q", got)
	}
}

func TestWhatIsNotSupportedNamesWhatIs(t *testing.T) {
	h := newHarness(t)
	for name, want := range map[string]struct{ key, value, code, says string }{
		"response type": {"response_type", "id_token", "unsupported_response_type", "The only response_type is code."},
		"response mode": {"response_mode", "fragment", "unsupported_response_mode", "query and form_post"},
		"request":       {"request", "x.y.z", "request_not_supported", "Send plain parameters"},
	} {
		q := h.appHears(h.browser().get("/authorize?"+ask(want.key, want.value).Encode()), want.code)
		if !strings.Contains(q.Get("error_description"), want.says) {
			t.Errorf("%s: %s", name, q.Get("error_description"))
		}
	}
	a := h.wants(h.token("grant_type", "password"), http.StatusBadRequest, "unsupported_grant_type")
	if !strings.Contains(a.text("error_description"), clients.GrantCode) {
		t.Error(a.body)
	}
}

func TestTheDebugLogHasTheCauseOfAnOAuthError(t *testing.T) {
	h := newHarness(t)
	var log bytes.Buffer
	h.handler.log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	code := h.browser().code(ask())
	for what, c := range map[string]struct {
		do    func()
		cause string
	}{
		"a wrong verifier": {func() { h.redeem(code, "code_verifier", strings.Repeat("x", 43)) }, "code verifier"},
		"an assertion for another server": {func() {
			h.token("grant_type", clients.GrantCode, "client_id", "app", "client_assertion_type", assertionType,
				"client_assertion", "x")
		}, "not one signed JWT"},
		"a broken proof": {func() {
			r := newRequest(http.MethodPost, "/token", url.Values{"grant_type": {clients.GrantClient}})
			r.SetBasicAuth("app", h.secret)
			r.Header.Set("DPoP", "x")
			h.send(r)
		}, "must have three parts"},
		"a request that is not for the app's scopes": {func() {
			h.browser().get("/authorize?" + ask("scope", "openid films").Encode())
		}, "not registered for this scope"},
	} {
		log.Reset()
		if c.do(); !strings.Contains(log.String(), c.cause) {
			t.Errorf("%s: the log does not say %q: %s", what, c.cause, log.String())
		}
	}
}
