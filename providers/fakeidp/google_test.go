package fakeidp

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestGoogleSignsIn(t *testing.T) {
	s := stage(t, Options{Kind: KindGoogle})
	metadata := get(t, s.BaseURL()+"/.well-known/openid-configuration", nil).json(t)
	expect(t, metadata, map[string]any{
		"issuer": s.BaseURL(), "authorization_endpoint": s.BaseURL() + "/o/oauth2/v2/auth",
		"token_endpoint": s.BaseURL() + "/token",
		"jwks_uri":       s.BaseURL() + "/oauth2/v3/certs", "authorization_response_iss_parameter_supported": nil,
	})
	answer := signIn(t, s, "ana@example.test")
	claims, err := verify(t, s, "/oauth2/v3/certs", "RS256", text(answer, "id_token"))
	if err != nil {
		t.Fatal(err)
	}
	subject := s.Personas()[0].Subject
	expect(t, claims, map[string]any{
		"iss": s.BaseURL(), "aud": "gatehouse", "azp": "gatehouse", "sub": subject, "nonce": "a-nonce",
		"email":          "ana@example.test",
		"email_verified": true, "name": "Ana Silva", "hd": nil, "auth_time": nil,
		"at_hash": atHash("RS256", text(answer, "access_token")),
		"iat":     float64(clock.Unix()), "exp": float64(clock.Unix() + 3600),
	})
	profile := get(t, s.BaseURL()+"/v1/userinfo", bearer(text(answer, "access_token"))).json(t)
	expect(t, profile, map[string]any{"sub": subject, "email": "ana@example.test", "email_verified": true, "iss": nil})
	if r := get(t, s.BaseURL()+"/v1/userinfo", bearer("ya29.other")); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger's token reads a profile: %d", r.StatusCode)
	}
}

func TestGoogleGivesOnlyWhatTheScopesAsk(t *testing.T) {
	s := stage(t, Options{Kind: KindGoogle})
	_, claims := parts(t, text(signIn(t, s, "wim", "scope", "openid"), "id_token"))
	expect(t, claims, map[string]any{"email": nil, "name": nil, "hd": "contoso.test"})
	if answer := signIn(t, s, "wim", "scope", "email"); answer["id_token"] != nil {
		t.Error("an ID token came without the scope openid")
	}
}

func TestGoogleSaysWhenThePersonSignedInOnlyIfEnabledAndAsked(t *testing.T) {
	s := stage(t, Options{Kind: KindGoogle})
	ask := []string{"max_age", "60", "claims", `{"id_token":{"auth_time":{"essential":true}}}`}
	authTime := func(want any, changes ...string) {
		t.Helper()
		_, claims := parts(t, text(signIn(t, s, "ana", changes...), "id_token"))
		expect(t, claims, map[string]any{"auth_time": want})
	}
	authTime(nil, ask...)
	s.Misbehave(func(f *Fault) { f.AuthTime = AuthTimeEnabled })
	authTime(nil, "max_age", "60")
	authTime(float64(clock.Unix()), ask...)
	s.Misbehave(func(f *Fault) { f.AuthAge = time.Hour })
	authTime(float64(clock.Unix()-3600), ask...)
}

func TestGoogleLegacyTokensNameTheIssuerWithoutScheme(t *testing.T) {
	s := stage(t, Options{Kind: KindGoogle, LegacyIssuer: true})
	_, claims := parts(t, text(signIn(t, s, "ana"), "id_token"))
	expect(t, claims, map[string]any{"iss": strings.TrimPrefix(s.BaseURL(), "http://")})
	metadata := get(t, s.BaseURL()+"/.well-known/openid-configuration", nil).json(t)
	expect(t, metadata, map[string]any{"issuer": s.BaseURL()})
}

func TestTheClientMayAuthenticateByBasicToo(t *testing.T) {
	s := stage(t, Options{Kind: KindGoogle, ClientID: "an id", ClientSecret: "s/e:c ret"})
	code := authorize(t, s, asking(s, "login_hint", "ana")).Get("code")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.BaseURL()+"/token",
		strings.NewReader(redeeming(s, code, "client_id", "", "client_secret", "").Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape("an id"), url.QueryEscape("s/e:c ret"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("status %d", response.StatusCode)
	}
}

func TestTheTokenEndpointIsStrict(t *testing.T) {
	s := stage(t, Options{Kind: KindGoogle, RedirectURIs: []string{"http://client.test/other"}})
	for name, row := range map[string]struct {
		changes []string
		status  int
		code    string
	}{
		"wrong secret":        {[]string{"client_secret", "no"}, 401, "invalid_client"},
		"no secret":           {[]string{"client_secret", ""}, 401, "invalid_client"},
		"other client":        {[]string{"client_id", "other"}, 401, "invalid_client"},
		"other redirect_uri":  {[]string{"redirect_uri", "http://client.test/other"}, 400, "invalid_grant"},
		"no redirect_uri":     {[]string{"redirect_uri", ""}, 400, "invalid_grant"},
		"wrong code_verifier": {[]string{"code_verifier", strings.Repeat("x", 43)}, 400, "invalid_grant"},
		"no code_verifier":    {[]string{"code_verifier", ""}, 400, "invalid_grant"},
		"unknown code":        {[]string{"code", "no"}, 400, "invalid_grant"},
		"password grant":      {[]string{"grant_type", "password"}, 400, "unsupported_grant_type"},
		"no grant type":       {[]string{"grant_type", ""}, 400, "unsupported_grant_type"},
	} {
		t.Run(name, func(t *testing.T) {
			code := authorize(t, s, asking(s, "login_hint", "ana")).Get("code")
			r := redeem(t, s, redeeming(s, code, row.changes...))
			if r.StatusCode != row.status || text(r.json(t), "error") != row.code {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
		})
	}
}

func TestACodeIsGoodOnceAndForTenMinutes(t *testing.T) {
	now := clock
	s := stage(t, Options{Kind: KindGoogle, Now: func() time.Time { return now }})
	code := authorize(t, s, asking(s, "login_hint", "ana")).Get("code")
	for i, want := range []int{200, 400} {
		if r := redeem(t, s, redeeming(s, code)); r.StatusCode != want {
			t.Errorf("use %d: %d", i+1, r.StatusCode)
		}
	}
	code = authorize(t, s, asking(s, "login_hint", "ana")).Get("code")
	now = now.Add(codeLife)
	if r := redeem(t, s, redeeming(s, code)); r.StatusCode != 400 {
		t.Errorf("an old code: %d", r.StatusCode)
	}
}

func TestARevokedTokenIsDead(t *testing.T) {
	s := stage(t, Options{Kind: KindGoogle})
	token := text(signIn(t, s, "ana"), "access_token")
	send(t, http.MethodPost, s.BaseURL()+"/revoke", url.Values{"token": {token}}, nil)
	if r := get(t, s.BaseURL()+"/v1/userinfo", bearer(token)); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d", r.StatusCode)
	}
}
