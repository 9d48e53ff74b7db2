package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// initial is an initial access token.
func (s *attackHarness) initial(t *testing.T, uses int) string {
	t.Helper()
	token, err := clients.NewInitialToken(s.h.keyring, s.h.now().Add(time.Hour), uses)
	if err != nil {
		t.Fatal(err)
	}
	return token.Reveal()
}

// registers has an app register itself with good metadata, changed by more.
func (s *attackHarness) registers(t *testing.T, what, token string, more map[string]any) (status int,
	said map[string]any) {
	t.Helper()
	m := map[string]any{"client_name": "Self Made", "redirect_uris": []string{thirdCallback},
		"token_endpoint_auth_method": "client_secret_post",
		"grant_types":                []string{"authorization_code", "refresh_token", grantDevice}}
	for name, v := range more {
		m[name] = v
	}
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, s.file.Issuer+"/register", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	// Not through send: the holder of a token gets a precise description of the error.
	s.sent++
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil ||
		res.Header.Get("Content-Type") != "application/json" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("%s: %d %v %v", what, res.StatusCode, res.Header, err)
	}
	return res.StatusCode, said
}

// walkApps has an app register itself, push requests, use the device grant and get responses
// by form post, correctly and incorrectly.
func (s *attackHarness) walkApps(t *testing.T, in insider, p planted) {
	t.Helper()
	text := func(doc map[string]any, name string) string {
		t.Helper()
		v, _ := doc[name].(string)
		if v == "" {
			t.Fatalf("no %s in %v", name, doc)
		}
		return v
	}
	p["an initial access token"] = s.initial(t, 1)
	_, self := s.registers(t, "register", p["an initial access token"], nil)
	id := text(self, "client_id")
	p["a registration access token"], p["the secret of an app that registered itself"] = text(self,
		"registration_access_token"), text(self, "client_secret")
	for _, token := range []string{p["a registration access token"], p["a registration access token"] + "x"} {
		req := s.request(t, http.MethodGet, "/register/"+id, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		s.send(t, "read a registration", req)
	}
	auth := func(pairs ...string) url.Values {
		f := url.Values{"client_id": {id}, "client_secret": {p["the secret of an app that registered itself"]}}
		for i := 0; i+1 < len(pairs); i += 2 {
			f.Set(pairs[i], pairs[i+1])
		}
		return f
	}
	post := func(path string, form url.Values) map[string]any {
		t.Helper()
		a, doc := s.send(t, path, s.request(t, http.MethodPost, path, form)), map[string]any{}
		_ = json.Unmarshal([]byte(a.body), &doc) // of an error page
		return doc
	}
	asked := s.asking("client_id", id, "redirect_uri", thirdCallback, "response_mode", "form_post", "state", "-", "nonce",
		"-")
	for name, v := range auth() {
		asked[name] = v
	}
	uri := text(post("/par", asked), "request_uri")
	p["a pushed request"] = uri[strings.LastIndex(uri, ":")+1:]
	s.allowed(t, in.browser, "/authorize?"+url.Values{"client_id": {id}, "request_uri": {uri}}.Encode(), p,
		"a posted code")
	redeem := auth("grant_type", "authorization_code", "code", p["a posted code"], "redirect_uri", thirdCallback,
		"code_verifier", hostVerifier)
	got := post("/token", redeem)
	p["an access token of a posted code"], p["its refresh token"], p["its ID token"] = text(got, "access_token"),
		text(got, "refresh_token"), text(got, "id_token")
	post("/token", redeem) // again
	s.walk(t, "a pushed request again", in.browser, s.request(t, http.MethodGet, "/authorize",
		url.Values{"client_id": {id}, "request_uri": {uri}}))
	call := post("/device_authorization", auth("scope", "openid offline_access"))
	p["a device code"], p["a user code"] = text(call, "device_code"), text(call, "user_code")
	p["a user code without its dash"] = strings.ReplaceAll(p["a user code"], "-", "")
	in.browser.open(text(call, "verification_uri_complete"))
	in.browser.press("Continue", "user_code", "planted-nonsense")
	in.browser.open(s.file.Issuer + "/device")
	in.browser.press("Continue", "user_code", p["a user code"])
	in.browser.press("Allow device")
	p["what was typed as a user code"] = "planted-nonsense"
	got = post("/token", auth("grant_type", grantDevice, "device_code", p["a device code"]))
	p["a device's access token"], p["a device's refresh token"] = text(got, "access_token"), text(got, "refresh_token")
	p["an app's assertion"], p["an upstream's logout token"], p["a proof"] = "eyJhbGciOiJFUzI1NiJ9.planted-assertion.x",
		"eyJhbGciOiJFUzI1NiJ9.planted-logout.x", "eyJhbGciOiJFUzI1NiJ9.planted-proof.x"
	post("/token", url.Values{"grant_type": {"client_credentials"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {p["an app's assertion"]}})
	post("/callback/club/logout", url.Values{"logout_token": {p["an upstream's logout token"]}})
	req := s.request(t, http.MethodPost, "/token", auth("grant_type", "refresh_token", "refresh_token",
		p["a device's refresh token"]))
	req.Header.Set("DPoP", p["a proof"])
	s.send(t, "a proof", req)
}

var codeField = regexp.MustCompile(`name="code" value="([^"]+)"`)

// allowed follows a request to the page that posts its response, and plants the code in it.
func (s *attackHarness) allowed(t *testing.T, b *browser, path string, p planted, as string) {
	t.Helper()
	at := s.hop(t, b, path)
	if !strings.HasPrefix(at, "/consent/") {
		t.Fatalf("%s leads to %q", path, at)
	}
	a := s.walk(t, "consent", b, s.request(t, http.MethodPost, at, url.Values{"decision": {"allow"}}))
	found := codeField.FindStringSubmatch(a.body)
	if found == nil {
		t.Fatalf("no code is posted: %d %s", a.StatusCode, a.body)
	}
	p[as] = found[1]
}

// An app's own name and texts are shown to people, who must not take them for ours.
func TestA24_A20_NothingThatAnAppSaysOfItselfBecomesMarkup(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	in := s.insider(t)
	registered := 0
	for _, field := range []string{"client_name", "client_uri", "logo_uri", "policy_uri", "tos_uri", "contacts",
		"initiate_login_uri", "scope", "redirect_uris", "post_logout_redirect_uris",
		"backchannel_logout_uri", "frontchannel_logout_uri", "jwks_uri", "client_id", "client_secret", "software_statement",
		"application_type", "id_token_signed_response_alg", "grant_types"} {
		loads := payloads()
		if strings.HasSuffix(field, "_uri") {
			for _, load := range payloads() {
				loads = append(loads, payload{load.name + " in a URI", "https://third.example.test/" + url.PathEscape(load.value) +
					"?" + load.value})
			}
		}
		for _, load := range loads {
			var v any = strings.ToValidUTF8(load.value, "")
			if strings.HasSuffix(field, "s") {
				v = []any{v}
			}
			what := field + ": " + load.name
			status, said := s.registers(t, what, s.initial(t, 1), map[string]any{field: v})
			if status != http.StatusCreated {
				if status != http.StatusBadRequest {
					t.Errorf("%s: %d %v", what, status, said)
				}
				continue
			}
			registered++
			id, _ := said["client_id"].(string)
			secret, _ := said["client_secret"].(string)
			s.walk(t, what+", consent", in.browser, s.request(t, http.MethodGet, "/authorize", s.asking("client_id", id,
				"redirect_uri", thirdCallback)))
			call := s.send(t, what, s.request(t, http.MethodPost, "/device_authorization", url.Values{"client_id": {id},
				"client_secret": {secret}, "scope": {"openid"}}))
			var code struct {
				User string `json:"user_code"`
			}
			if json.Unmarshal([]byte(call.body), &code) == nil && code.User != "" {
				s.walk(t, what+", device", in.browser, s.request(t, http.MethodPost, "/device",
					url.Values{"user_code": {code.User}}))
			}
		}
	}
	if registered < 30 {
		t.Errorf("only %d of them were registered", registered)
	}
	events, err := s.h.store.Events(s.ctx, broker.EventFilter{Verb: broker.EventClientChanged, Limit: 5000})
	if err != nil || len(events) < registered {
		t.Errorf("%d events, %v", len(events), err)
	}
	t.Logf("%d registered, %d requests", registered, s.sent)
}
