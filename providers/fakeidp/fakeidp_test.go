package fakeidp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	redirectURI = "http://client.test/callback"
	verifier    = "a-verifier-of-at-least-forty-three-characters-1"
)

// clock is the time of every test.
var clock = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// stage starts a simulator with its demo personas and one registered client.
func stage(t *testing.T, opts Options) *Server {
	t.Helper()
	opts.RedirectURIs = append(opts.RedirectURIs, redirectURI)
	if opts.Now == nil {
		opts.Now = func() time.Time { return clock }
	}
	s, stop := Start(opts)
	t.Cleanup(stop)
	return s
}

// reply is a response with its body read.
type reply struct {
	*http.Response
	body string
}

func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	document := map[string]any{}
	if err := json.Unmarshal([]byte(r.body), &document); err != nil {
		t.Fatalf("not JSON (%v): %d %.200s", err, r.StatusCode, r.body)
	}
	return document
}

// send sends one request without following redirects.
func send(t *testing.T, method, target string, form url.Values, header http.Header) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range header {
		request.Header[name] = values
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return reply{response, string(body)}
}

func get(t *testing.T, target string, header http.Header) reply {
	t.Helper()
	return send(t, http.MethodGet, target, nil, header)
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// challenge is the S256 challenge of verifier.
func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// asking returns a valid authorization request with changes; an empty value removes the parameter.
func asking(s *Server, changes ...string) url.Values {
	form := url.Values{
		"client_id": {s.opts.ClientID}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "state": {"a-state"},
		"scope": {"openid profile email"}, "nonce": {"a-nonce"}, "code_challenge": {challenge()},
		"code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			form.Del(changes[i])
		}
	}
	return form
}

// authorizePath returns the authorization path of each kind.
func authorizePath(s *Server) string {
	return map[string]string{
		KindGoogle: "/o/oauth2/v2/auth", KindMicrosoft: "/common/oauth2/v2.0/authorize", KindADFS: "/adfs/oauth2/authorize/",
		KindFacebook: "/v25.0/dialog/oauth", KindOIDC: "/authorize", KindGitHub: "/login/oauth/authorize",
	}[s.opts.Kind]
}

func tokenPath(s *Server) string {
	return map[string]string{
		KindGoogle: "/token", KindMicrosoft: "/common/oauth2/v2.0/token", KindADFS: "/adfs/oauth2/token/",
		KindFacebook: "/v25.0/oauth/access_token", KindOIDC: "/token", KindGitHub: "/login/oauth/access_token",
	}[s.opts.Kind]
}

// arrive follows an authorization request to the response at the client.
func authorize(t *testing.T, s *Server, form url.Values) url.Values {
	t.Helper()
	return callbackOf(t, get(t, s.BaseURL()+authorizePath(s)+"?"+form.Encode(), nil))
}

func callbackOf(t *testing.T, r reply) url.Values {
	t.Helper()
	location := r.Header.Get("Location")
	if !strings.HasPrefix(location, redirectURI) {
		t.Fatalf("no answer to the client: %d %q %.300s", r.StatusCode, location, r.body)
	}
	target, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return target.Query()
}

// redeeming returns a valid token request for a code, with changes.
func redeeming(s *Server, code string, changes ...string) url.Values {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
		"client_id": {s.opts.ClientID}, "client_secret": {s.opts.ClientSecret},
	}
	for i := 0; i+1 < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			form.Del(changes[i])
		}
	}
	return form
}

func redeem(t *testing.T, s *Server, form url.Values) reply {
	t.Helper()
	return send(t, http.MethodPost, s.BaseURL()+tokenPath(s), form, http.Header{"Accept": {"application/json"}})
}

// signIn signs in as the persona of that login and returns the token response.
func signIn(t *testing.T, s *Server, login string, changes ...string) map[string]any {
	t.Helper()
	answer := authorize(t, s, asking(s, append([]string{"login_hint", login, "login", login}, changes...)...))
	if answer.Get("state") != "a-state" || answer.Get("code") == "" {
		t.Fatalf("answer %v", answer)
	}
	r := redeem(t, s, redeeming(s, answer.Get("code")))
	if r.StatusCode != http.StatusOK {
		t.Fatalf("token: %d %s", r.StatusCode, r.body)
	}
	return r.json(t)
}

// parts decodes a compact token without verifying it.
func parts(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	pieces := strings.Split(token, ".")
	if len(pieces) != 3 {
		t.Fatalf("%d parts: %.100s", len(pieces), token)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		decoded, err := base64.RawURLEncoding.DecodeString(pieces[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(decoded, into); err != nil {
			t.Fatalf("%v: %s", err, decoded)
		}
	}
	return header, claims
}

// verify verifies a token with the published keys, as a relying party should, and returns its claims.
func verify(t *testing.T, s *Server, jwksPath, alg, token string) (map[string]any, error) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(get(t, s.BaseURL()+jwksPath, nil).body), &set); err != nil {
		t.Fatalf("keys: %v", err)
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		return nil, err
	}
	keys := set.Key(signed.Signatures[0].Header.KeyID)
	if len(keys) != 1 {
		return nil, jose.ErrJWKSKidNotFound
	}
	payload, err := signed.Verify(keys[0])
	if err != nil {
		return nil, err
	}
	claims := map[string]any{}
	return claims, json.Unmarshal(payload, &claims)
}

func text(document map[string]any, member string) string {
	value, _ := document[member].(string)
	return value
}

// expect compares some members of a document; nil requires that the member is absent.
func expect(t *testing.T, document map[string]any, members map[string]any) {
	t.Helper()
	for member, want := range members {
		got, has := document[member]
		if want == nil && has || want != nil && got != want {
			t.Errorf("%s is %v, want %v", member, got, want)
		}
	}
}

func TestCloseLetsGoOfHangingRequests(t *testing.T) {
	s := New(Options{Kind: KindGoogle, BaseURL: "http://idp.test"})
	s.Misbehave(func(f *Fault) { f.Break(Break{Hang: time.Hour}, AtDiscovery) })
	answer := httptest.NewRecorder()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		s.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil))
	}()
	s.Close()
	select {
	case <-answered:
		if answer.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d", answer.Code)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the request still hangs")
	}
}

func TestStopReleasesThePort(t *testing.T) {
	s, stop := Start(Options{Kind: KindGoogle})
	if r := get(t, s.BaseURL()+"/.well-known/openid-configuration", nil); r.StatusCode != http.StatusOK {
		t.Fatalf("status %d", r.StatusCode)
	}
	stop()
	listener, err := net.Listen("tcp", strings.TrimPrefix(s.BaseURL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
}

func TestNewRefusesUnknownKindsAndAlgorithms(t *testing.T) {
	for name, opts := range map[string]Options{"kind": {Kind: "myspace"}, "algorithm": {Kind: KindOIDC, Alg: "HS256"}} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			New(opts)
		})
	}
}
