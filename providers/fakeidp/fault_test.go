package fakeidp

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// faulty starts an OpenID Provider with one fault.
func faulty(t *testing.T, change func(*Fault)) *Server {
	t.Helper()
	s := stage(t, Options{Kind: KindOIDC, Alg: "ES256"})
	s.Misbehave(change)
	return s
}

func TestB4_B12_B13_EvilIDPChangesAnyClaim(t *testing.T) {
	s := faulty(t, func(f *Fault) {
		f.SetClaim("nonce", nil)
		f.SetClaim("aud", []string{"gatehouse", "other"})
		f.SetClaim("azp", "other")
		f.SetClaim("iss", "https://evil.test")
		f.SetClaim("exp", clock.AddDate(10, 0, 0).Unix())
		f.SetClaim("iat", nil)
	})
	claims, err := verify(t, s, "/jwks", "ES256", text(signIn(t, s, "vera"), "id_token"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, claims, map[string]any{
		"nonce": nil, "azp": "other", "iss": "https://evil.test", "iat": nil, "exp": float64(clock.AddDate(10, 0, 0).Unix()),
	})
	if audience, _ := claims["aud"].([]any); len(audience) != 2 {
		t.Errorf("aud %v", claims["aud"])
	}
	s.Behave()
	_, claims = parts(t, text(signIn(t, s, "vera"), "id_token"))
	expect(t, claims, map[string]any{"nonce": "a-nonce", "aud": "gatehouse", "azp": nil})
}

func TestB9_EvilIDPChangesDiscovery(t *testing.T) {
	s := faulty(t, func(f *Fault) {
		f.Set(AtDiscovery, "issuer", "https://accounts.google.com")
		f.Set(AtDiscovery, "token_endpoint", "https://evil.test/token")
		f.Remove(AtDiscovery, "jwks_uri")
	})
	metadata := get(t, s.BaseURL()+"/.well-known/openid-configuration", nil).json(t)
	expect(t, metadata, map[string]any{
		"issuer": "https://accounts.google.com", "token_endpoint": "https://evil.test/token", "jwks_uri": nil,
		"userinfo_endpoint": s.BaseURL() + "/userinfo",
	})
}

func TestB14_B15_EvilIDPSplitsIdentityOverTwoDocuments(t *testing.T) {
	s := faulty(t, func(f *Fault) {
		f.SetClaim("email", nil)
		f.SetClaim("email_verified", false)
		f.Set(AtUserInfo, "sub", "another")
		f.Remove(AtUserInfo, "email_verified")
	})
	answer := signIn(t, s, "vera")
	_, claims := parts(t, text(answer, "id_token"))
	expect(t, claims, map[string]any{"email": nil, "email_verified": false, "sub": s.Personas()[0].Subject})
	profile := get(t, s.BaseURL()+"/userinfo", bearer(text(answer, "access_token"))).json(t)
	expect(t, profile, map[string]any{"email": "vera@example.test", "email_verified": nil, "sub": "another"})
}

func TestB3_EvilIDPOmitsOrFakesTheIssuerOfItsAnswer(t *testing.T) {
	s := faulty(t, func(f *Fault) { f.Remove(AtAuthorize, "iss") })
	if answer := authorize(t, s, asking(s, "login_hint", "vera")); answer.Has("iss") {
		t.Errorf("%v", answer)
	}
	s.Misbehave(func(f *Fault) { f.Set(AtAuthorize, "iss", "https://evil.test") })
	if answer := authorize(t, s, asking(s, "login_hint", "vera")); answer.Get("iss") != "https://evil.test" {
		t.Errorf("%v", answer)
	}
}

func TestErrorResponsesAreAsChosen(t *testing.T) {
	s := faulty(t, func(f *Fault) {
		f.AuthorizeError = OAuthError{"temporarily_unavailable", "<b>later</b>"}
		f.TokenError = OAuthError{"slow_down", "no"}
	})
	answer := authorize(t, s, asking(s))
	if answer.Get("error") != "temporarily_unavailable" || answer.Get("error_description") != "<b>later</b>" ||
		answer.Get("state") != "a-state" {
		t.Errorf("%v", answer)
	}
	if r := redeem(t, s, redeeming(s, "any")); r.StatusCode != 400 || text(r.json(t), "error") != "slow_down" {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

func TestTheTokenEndpointMayRefuseTheSecret(t *testing.T) {
	for kind, want := range map[string]string{
		KindOIDC: "invalid_client", KindGoogle: "Unauthorized", KindMicrosoft: "AADSTS7000215",
		KindFacebook: "Error validating client secret",
		KindGitHub:   "incorrect_client_credentials", KindADFS: "invalid_client",
	} {
		s := stage(t, Options{Kind: kind})
		s.Misbehave(func(f *Fault) { f.RefuseSecret = true })
		login := s.Personas()[0].Login
		code := authorize(t, s, asking(s, "login_hint", login, "login", login)).Get("code")
		if r := redeem(t, s, redeeming(s, code)); !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s", kind, r.StatusCode, r.body)
		}
	}
}

func TestB2_EvilIDPIgnoresPKCEAndTakesCodesTwice(t *testing.T) {
	s := faulty(t, func(f *Fault) { f.IgnorePKCE, f.ReplayCodes = true, true })
	code := authorize(t, s, asking(s, "login_hint", "vera")).Get("code")
	for _, sent := range []string{"", "wrong"} {
		if r := redeem(t, s, redeeming(s, code, "code_verifier", sent)); r.StatusCode != http.StatusOK {
			t.Errorf("verifier %q: %d %s", sent, r.StatusCode, r.body)
		}
	}
}

func TestB22_EvilIDPIsDownSlowRedirectingOrHuge(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC, Alg: "ES256"})
	endpoints := map[Endpoint]string{AtDiscovery: "/.well-known/openid-configuration", AtJWKS: "/jwks",
		AtUserInfo: "/userinfo"}
	all := []Endpoint{AtDiscovery, AtJWKS, AtToken, AtUserInfo}
	s.Misbehave(func(f *Fault) { f.Down(all...) })
	for at, path := range endpoints {
		if r := get(t, s.BaseURL()+path, nil); r.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("down %s: %d", at, r.StatusCode)
		}
	}
	if r := redeem(t, s, redeeming(s, "any")); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("down token: %d", r.StatusCode)
	}
	s.Misbehave(func(f *Fault) { f.Break(Break{Redirect: "http://169.254.169.254/latest"}, all...) })
	for at, path := range endpoints {
		if r := get(t, s.BaseURL()+path, nil); r.StatusCode != http.StatusFound ||
			r.Header.Get("Location") != "http://169.254.169.254/latest" {
			t.Errorf("redirect %s: %d", at, r.StatusCode)
		}
	}
	s.Misbehave(func(f *Fault) { f.Break(Break{Pad: 2 << 20}, all...) })
	if r := get(t, s.BaseURL()+"/jwks", nil); len(r.body) < 2<<20 || r.json(t)["keys"] == nil {
		t.Errorf("%d bytes", len(r.body))
	}
	s.Misbehave(func(f *Fault) { f.Break(Break{Hang: 50 * time.Millisecond}, all...) })
	began := time.Now()
	if r := get(t, s.BaseURL()+"/jwks", nil); r.StatusCode != http.StatusOK || time.Since(began) < 50*time.Millisecond {
		t.Errorf("%d after %v", r.StatusCode, time.Since(began))
	}
}

func TestB20_EvilIDPSendsHostileClaims(t *testing.T) {
	s := faulty(t, func(f *Fault) {
		f.Claims = ManyClaims(100)
		f.SetClaim("name", HostileName+LongText(1<<20))
		f.SetClaim("groups", ManyGroups(1000))
		f.SetClaim("deep", DeepJSON(5000))
		f.RawPayload = func(json []byte) []byte { return InvalidUTF8("email")(DuplicateMember("sub", "victim")(json)) }
		f.Rewrite(AtUserInfo, DuplicateMember("email", "victim@example.test"))
	})
	answer := signIn(t, s, "vera")
	_, claims := parts(t, text(answer, "id_token"))
	expect(t, claims, map[string]any{"sub": "victim", "extra_99": 99.0, "email": "\ufffd\ufffdvera@example.test"})
	if name := text(claims, "name"); len(name) < 1<<20 || !strings.ContainsAny(name, "\x00") ||
		!strings.ContainsRune(name, '\u202e') {
		t.Errorf("a name of %d bytes", len(name))
	}
	profile := get(t, s.BaseURL()+"/userinfo", bearer(text(answer, "access_token")))
	if strings.Count(profile.body, `"email":`) != 2 {
		t.Errorf("%s", profile.body)
	}
	s.Misbehave(func(f *Fault) { f.Rewrite(AtJWKS, Truncated) })
	if r := get(t, s.BaseURL()+"/jwks", nil); !strings.HasPrefix(r.body, `{"keys":[`) || strings.HasSuffix(r.body, "}") {
		t.Errorf("%s", r.body)
	}
}

func TestC2_C21_PersonasMayBeReplacedOrChanged(t *testing.T) {
	s := stage(t, Options{Kind: KindGoogle})
	before := text(signIn(t, s, "wim"), "id_token")
	s.SetPersonas(Persona{Login: "wim", Subject: "another", Email: "wim@contoso.test", EmailVerified: true,
		HostedDomain: "contoso.test",
		Claims:       map[string]any{"email_verified": "true", "name": nil, "locale": "nl"}})
	answer := signIn(t, s, "wim")
	_, old := parts(t, before)
	_, claims := parts(t, text(answer, "id_token"))
	expect(t, claims, map[string]any{"email": old["email"], "hd": old["hd"], "sub": "another", "email_verified": "true",
		"name": nil, "locale": "nl"})
	profile := get(t, s.BaseURL()+"/v1/userinfo", bearer(text(answer, "access_token"))).json(t)
	expect(t, profile, map[string]any{"email_verified": "true", "locale": "nl"})
}

func TestKeysRotate(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC, Alg: "ES256"})
	first := text(signIn(t, s, "vera"), "id_token")
	if err := s.RotateKeys(true); err != nil {
		t.Fatal(err)
	}
	second := text(signIn(t, s, "vera"), "id_token")
	for name, token := range map[string]string{"old": first, "new": second} {
		if _, err := verify(t, s, "/jwks", "ES256", token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.RotateKeys(false); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"old": first, "new": second} {
		if _, err := verify(t, s, "/jwks", "ES256", token); err == nil {
			t.Errorf("the %s key is still published", name)
		}
	}
}

func TestTheRecordRemembersRequests(t *testing.T) {
	s := stage(t, Options{Kind: KindGoogle})
	signIn(t, s, "ana", "hd", "contoso.test")
	get(t, s.BaseURL()+"/nowhere", nil)
	if s.Hits("/token") != 1 || s.Hits("/nowhere") != 1 || s.Hits("/v1/userinfo") != 0 || s.Calls(AtAuthorize) != 1 {
		t.Errorf("%d %d %d %d", s.Hits("/token"), s.Hits("/nowhere"), s.Hits("/v1/userinfo"), s.Calls(AtAuthorize))
	}
	if asked := s.Last(AtAuthorize); asked.Form.Get("hd") != "contoso.test" || asked.Path != "/o/oauth2/v2/auth" {
		t.Errorf("%+v", asked)
	}
	if redeemed := s.Last(AtToken); redeemed.Form.Get("code_verifier") != verifier || redeemed.Method != http.MethodPost {
		t.Errorf("%+v", redeemed)
	}
	s.ResetRecord()
	if s.Hits("/token") != 0 || s.Last(AtToken).Method != "" {
		t.Error("the record is not forgotten")
	}
}

func TestFaultsMayChangeWhileRequestsRun(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC, Alg: "ES256"})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 20 {
				s.Misbehave(func(f *Fault) { f.Set(AtDiscovery, "counter", i); f.SetClaim("counter", i) })
			}
		})
		all.Go(func() {
			for range 20 {
				token, err := s.Mint("JWT", map[string]any{"sub": "x"})
				if err != nil || bytes.Count([]byte(token), []byte(".")) != 2 {
					t.Errorf("%q %v", token, err)
				}
				get(t, s.BaseURL()+"/.well-known/openid-configuration", nil)
			}
		})
	}
	all.Wait()
}
