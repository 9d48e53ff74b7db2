package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// checkJSON checks a JSON response against RFC 6749 §5.2 and, for a pushed
// request, RFC 9126 §2.3.
func (s *attackHarness) checkJSON(t *testing.T, what string, a *answer) {
	t.Helper()
	var said map[string]any
	if err := json.Unmarshal([]byte(a.body), &said); err != nil || !utf8.ValidString(a.body) {
		t.Errorf("%s: %v in %q", what, err, a.body)
		return
	}
	if a.StatusCode < 400 {
		return
	}
	name, _ := said["error"].(string)
	if !slices.Contains([]string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
		"unsupported_grant_type",
		"invalid_scope", "invalid_token", "insufficient_scope", "temporarily_unavailable", "unsupported_response_type",
		"unsupported_response_mode",
		"request_not_supported", "registration_not_supported", "invalid_target", "invalid_dpop_proof"}, name) {
		t.Errorf("%s: the error is %v", what, said)
	}
	if text, _ := said["error_description"].(string); strings.ContainsAny(text, "<>\"\\") || strings.Contains(text,
		"hostileghx") || len(text) > 1000 {
		t.Errorf("%s: repeats what was sent: %q", what, text)
	}
	if ref, _ := said["reference"].(string); ref != "" {
		code, _ := said["error_description"].(string)
		s.decided(t, what, a, code, ref)
	}
}

// payload is a value that no honest client sends.
type payload struct{ name, value string }

func payloads() []payload {
	return []payload{
		{"markup", `"><script>hostileghx()</script><img src=x onerror=hostileghx()>'`},
		{"attribute", `x" onfocus="hostileghx()" autofocus="`},
		{"script URL", "javascript:hostileghx()//"},
		{"data URL", "data:text/html,<script>hostileghx()</script>"},
		{"template", `{{.V}}{{printf "hostileghx"}}${hostileghx}#{hostileghx}<%=hostileghx%>`},
		{"SQL", `' OR '1'='1'; DROP TABLE accounts;--`},
		{"NUL", "a\x00hostileghx"},
		{"NUL encoded twice", "a%00hostileghx"},
		{"no UTF-8", "a\xff\xfe\xc0\xafhostileghx"},
		{"a lone surrogate", "\xed\xa0\x80hostileghx"},
		{"bidi", "\u202ehostileghx\u2066\ufeff\u2028"},
		{"line breaks", "x\r\nLocation: https://evil.example/\r\nSet-Cookie: hostileghx=1"},
		{"number", "99999999999999999999999999"},
		{"negative", "-1"},
		{"float", "1e309"},
		{"URL", "https://evil.example/?hostileghx"},
		{"other host", "//evil.example"},
		{"backslashes", `/\evil.example`},
		{"path", "../../../../../etc/passwd"},
		{"object", `{"$ne":null}`},
		{"format", "%s%n%d%!(EXTRA)"},
		{"long", strings.Repeat("hostileghx", 1200)},
		{"combining", "e" + strings.Repeat("\u0301", 600)},
		{"empty", ""},
		{"spaces", " \u00a0\u3000 "},
	}
}

// request makes a request of a route: its parameters in the query of a GET, in
// the form of a POST.
func (s *attackHarness) request(t *testing.T, method, path string, form url.Values) *http.Request {
	t.Helper()
	return s.raw(t, method, path, form.Encode())
}

func (s *attackHarness) raw(t *testing.T, method, path, form string) *http.Request {
	t.Helper()
	var body *strings.Reader
	if method == http.MethodPost {
		body = strings.NewReader(form)
	} else {
		body = strings.NewReader("")
		if form != "" {
			path += "?" + form
		}
	}
	req, err := http.NewRequest(method, s.file.Issuer+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", s.file.Issuer)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	return req
}

// as adds what the browser would send with the request.
func (b *browser) as(req *http.Request) *http.Request {
	for _, c := range b.client.Jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	return req
}

func basicOf(id, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id) + ":" + url.QueryEscape(secret)))
}
