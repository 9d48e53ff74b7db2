package fakeidp

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestOIDCSignsInWithEveryAlgorithm(t *testing.T) {
	for _, alg := range []string{"", "RS256", "PS256", "ES256", "EdDSA"} {
		t.Run("alg "+alg, func(t *testing.T) {
			s := stage(t, Options{Kind: KindOIDC, Alg: alg})
			if alg == "" {
				alg = "RS256"
			}
			metadata := get(t, s.BaseURL()+"/.well-known/openid-configuration", nil).json(t)
			expect(t, metadata, map[string]any{"issuer": s.BaseURL(), "authorization_response_iss_parameter_supported": true})
			if algs, _ := metadata["id_token_signing_alg_values_supported"].([]any); len(algs) != 1 || algs[0] != alg {
				t.Errorf("metadata says %v", algs)
			}
			answer := signIn(t, s, "vera", "max_age", "60")
			claims, err := verify(t, s, "/jwks", alg, text(answer, "id_token"))
			if err != nil {
				t.Fatal(err)
			}
			expect(t, claims, map[string]any{
				"iss": s.BaseURL(), "sub": s.Personas()[0].Subject, "email": "vera@example.test", "email_verified": true,
				"auth_time": float64(clock.Unix()), "at_hash": atHash(alg, text(answer, "access_token")),
			})
			profile := get(t, s.BaseURL()+"/userinfo", bearer(text(answer, "access_token"))).json(t)
			expect(t, profile, map[string]any{"sub": claims["sub"], "email_verified": true})
		})
	}
}

func TestOIDCSaysWhenThePersonSignedInIfAskedWithMaxAge(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	authTime := func(rule AuthTimeRule, want any, changes ...string) {
		t.Helper()
		s.Misbehave(func(f *Fault) { f.AuthTime = rule })
		_, claims := parts(t, text(signIn(t, s, "vera", changes...), "id_token"))
		expect(t, claims, map[string]any{"auth_time": want})
	}
	authTime(AuthTimeDefault, nil, "prompt", "login")
	authTime(AuthTimeDefault, float64(clock.Unix()), "max_age", "60")
	authTime(AuthTimeEnabled, float64(clock.Unix()))
	authTime(AuthTimeNever, nil, "max_age", "60")
}

func TestOIDCNamesItsIssuerInEveryAnswer(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	good := authorize(t, s, asking(s, "login_hint", "vera"))
	bad := authorize(t, s, asking(s, "prompt", "none"))
	if good.Get("iss") != s.Issuer() || bad.Get("iss") != s.Issuer() {
		t.Errorf("%v %v", good, bad)
	}
}

func TestOIDCIssuersMayHaveAPath(t *testing.T) {
	for path, discovery := range map[string]string{
		"/": "/.well-known/openid-configuration", "/realms/demo": "/realms/demo/.well-known/openid-configuration",
	} {
		s := stage(t, Options{Kind: KindOIDC, IssuerPath: path})
		metadata := get(t, s.BaseURL()+discovery, nil).json(t)
		expect(t, metadata, map[string]any{"issuer": s.BaseURL() + path})
		answer := callbackOf(t, get(t, text(metadata, "authorization_endpoint")+"?"+asking(s, "login_hint", "vera").Encode(),
			nil))
		r := send(t, http.MethodPost, text(metadata, "token_endpoint"), redeeming(s, answer.Get("code")), nil)
		_, claims := parts(t, text(r.json(t), "id_token"))
		expect(t, claims, map[string]any{"iss": s.BaseURL() + path})
	}
}

func TestEndSessionReturnsToRegisteredAddressesOnly(t *testing.T) {
	const after = "http://client.test/signed-out?x=1"
	s := stage(t, Options{Kind: KindOIDC, PostLogoutRedirectURIs: []string{after}})
	r := get(t,
		s.BaseURL()+"/end_session?state=s+1&post_logout_redirect_uri=http%3A%2F%2Fclient.test%2Fsigned-out%3Fx%3D1", nil)
	if r.StatusCode != http.StatusFound || r.Header.Get("Location") != after+"&state=s+1" {
		t.Errorf("%d %s", r.StatusCode, r.Header.Get("Location"))
	}
	r = get(t, s.BaseURL()+"/end_session?post_logout_redirect_uri=http%3A%2F%2Fevil.test%2F", nil)
	if r.StatusCode != http.StatusOK || !strings.Contains(r.body, "You are signed out") {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

func TestMintSignsAnyClaims(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	given := map[string]any{"iss": s.Issuer(), "sid": "one"}
	token, err := s.Mint("logout+jwt", given)
	if err != nil {
		t.Fatal(err)
	}
	header, _ := parts(t, token)
	claims, err := verify(t, s, "/jwks", "RS256", token)
	if err != nil || header["typ"] != "logout+jwt" || claims["sid"] != "one" || len(given) != 2 {
		t.Errorf("%v %v %v", header, claims, err)
	}
}

func TestADFSSignsIn(t *testing.T) {
	s := stage(t, Options{Kind: KindADFS})
	metadata := get(t, s.BaseURL()+"/adfs/.well-known/openid-configuration", nil).json(t)
	host := strings.TrimPrefix(s.BaseURL(), "http://")
	expect(t, metadata, map[string]any{
		"issuer": s.BaseURL() + "/adfs", "access_token_issuer": "http://" + host + "/adfs/services/trust",
		"jwks_uri": s.BaseURL() + "/adfs/discovery/keys",
	})
	answer := signIn(t, s, "hana")
	claims, err := verify(t, s, "/adfs/discovery/keys", "RS256", text(answer, "id_token"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, claims, map[string]any{
		"iss": s.BaseURL() + "/adfs", "upn": "hana@contoso.test", "unique_name": `CONTOSO\hana`, "email": nil,
		"auth_time": float64(clock.Unix()),
	})
	profile := get(t, s.BaseURL()+"/adfs/userinfo", bearer(text(answer, "access_token"))).json(t)
	if len(profile) != 1 || profile["sub"] != claims["sub"] {
		t.Errorf("userinfo says more than sub: %v", profile)
	}
}

func TestADFSPutsMoreIntoIDTokensOnlyByFormPostOrSetting(t *testing.T) {
	s := stage(t, Options{Kind: KindADFS})
	page := get(t, s.BaseURL()+authorizePath(s)+"?"+asking(s, "login_hint", "hana", "scope", "openid allatclaims",
		"response_mode", "form_post", "resource", "gatehouse").Encode(), nil)
	code := ""
	for _, match := range inputs.FindAllStringSubmatch(page.body, -1) {
		if match[1] == "code" {
			code = match[2]
		}
	}
	_, claims := parts(t, text(redeem(t, s, redeeming(s, code)).json(t), "id_token"))
	expect(t, claims, map[string]any{"email": "hana@contoso.test", "given_name": "Hana"})
	_, claims = parts(t, text(signIn(t, s, "hana", "scope", "openid allatclaims"), "id_token"))
	expect(t, claims, map[string]any{"email": nil})
	set := stage(t, Options{Kind: KindADFS, ClaimsInIDToken: true})
	_, claims = parts(t, text(signIn(t, set, "hana"), "id_token"))
	expect(t, claims, map[string]any{"email": "hana@contoso.test"})
}

func TestTheRealClockIsTheDefault(t *testing.T) {
	s, stop := Start(Options{Kind: KindOIDC, RedirectURIs: []string{redirectURI}})
	defer stop()
	_, claims := parts(t, text(signIn(t, s, "vera"), "id_token"))
	issued, _ := claims["iat"].(float64)
	if age := time.Since(time.Unix(int64(issued), 0)); age < -time.Second || age > time.Minute {
		t.Errorf("issued %v ago", age)
	}
}
