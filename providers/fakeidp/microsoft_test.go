package fakeidp

import (
	"net/http"
	"strings"
	"testing"
)

// entra sends a request to one authority.
func entra(t *testing.T, s *Server, tenant, login string, changes ...string) reply {
	t.Helper()
	form := asking(s, append([]string{"login_hint", login}, changes...)...)
	return get(t, s.BaseURL()+"/"+tenant+"/oauth2/v2.0/authorize?"+form.Encode(), nil)
}

func TestMicrosoftNamesItsIssuerByAuthority(t *testing.T) {
	s := stage(t, Options{Kind: KindMicrosoft})
	for tenant, issuer := range map[string]string{
		"common": "{tenantid}", "organizations": "{tenantid}", "consumers": MSATenant, DemoTenant: DemoTenant,
		"contoso.test": DemoTenant,
	} {
		metadata := get(t, s.BaseURL()+"/"+tenant+"/v2.0/.well-known/openid-configuration", nil).json(t)
		expect(t, metadata, map[string]any{"issuer": s.BaseURL() + "/" + issuer + "/v2.0",
			"code_challenge_methods_supported": nil})
		if issuer == "{tenantid}" || tenant == "consumers" {
			issuer = tenant
		}
		expect(t, metadata, map[string]any{"jwks_uri": s.BaseURL() + "/" + issuer + "/discovery/v2.0/keys"})
	}
	r := get(t, s.BaseURL()+"/nowhere.test/v2.0/.well-known/openid-configuration", nil)
	if r.StatusCode != 400 || !strings.HasPrefix(text(r.json(t), "error_description"), "AADSTS90002:") {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

func TestMicrosoftSignsInAWorkAccount(t *testing.T) {
	s := stage(t, Options{Kind: KindMicrosoft})
	answer := signIn(t, s, "bruno")
	claims, err := verify(t, s, "/common/discovery/v2.0/keys", "RS256", text(answer, "id_token"))
	if err != nil {
		t.Fatal(err)
	}
	bruno := s.Personas()[0]
	expect(t, claims, map[string]any{
		"iss": s.BaseURL() + "/" + DemoTenant + "/v2.0", "aud": "gatehouse", "tid": DemoTenant, "oid": bruno.Subject,
		"ver":   "2.0",
		"email": "bruno@contoso.test", "xms_edov": true, "preferred_username": "bruno@contoso.test", "acct": 0.0, "idp": nil,
		"nonce": "a-nonce", "at_hash": nil, "auth_time": nil, "email_verified": nil,
	})
	if claims["sub"] == bruno.Subject || claims["sub"] == "" {
		t.Errorf("sub is not pairwise: %v", claims["sub"])
	}
	other := stage(t, Options{Kind: KindMicrosoft, ClientID: "another"})
	_, elsewhere := parts(t, text(signIn(t, other, "bruno"), "id_token"))
	if elsewhere["sub"] == claims["sub"] || elsewhere["oid"] != claims["oid"] {
		t.Error("another client must see another sub and the same oid")
	}
	profile := get(t, s.BaseURL()+"/oidc/userinfo", bearer(text(answer, "access_token"))).json(t)
	expect(t, profile, map[string]any{"sub": claims["sub"], "email": "bruno@contoso.test", "tid": nil, "oid": nil})
}

func TestMicrosoftGivesOidAndEmailByScope(t *testing.T) {
	s := stage(t, Options{Kind: KindMicrosoft})
	_, claims := parts(t, text(signIn(t, s, "bruno", "scope", "openid"), "id_token"))
	expect(t, claims, map[string]any{"oid": nil, "name": nil, "email": nil, "xms_edov": nil, "tid": DemoTenant})
	_, claims = parts(t, text(signIn(t, s, "bruno", "prompt", "login", "max_age", "0"), "id_token"))
	expect(t, claims, map[string]any{"auth_time": nil})
	s.Misbehave(func(f *Fault) { f.AuthTime = AuthTimeEnabled })
	_, claims = parts(t, text(signIn(t, s, "bruno"), "id_token"))
	expect(t, claims, map[string]any{"auth_time": float64(clock.Unix())})
}

func TestMicrosoftGuestsAndPersonalAccounts(t *testing.T) {
	s := stage(t, Options{Kind: KindMicrosoft})
	_, claims := parts(t, text(signIn(t, s, "gus"), "id_token"))
	expect(t, claims, map[string]any{"tid": DemoTenant, "acct": 1.0,
		"idp": "https://sts.windows.net/" + OtherTenant + "/", "xms_edov": nil})
	_, claims = parts(t, text(signIn(t, s, "pia"), "id_token"))
	expect(t, claims, map[string]any{"tid": MSATenant, "iss": s.BaseURL() + "/" + MSATenant + "/v2.0", "xms_edov": true})
}

func TestMicrosoftAuthoritiesTakeTheirOwnAccounts(t *testing.T) {
	s := stage(t, Options{Kind: KindMicrosoft})
	for _, row := range []struct {
		tenant, login string
		in            bool
	}{
		{"common", "bruno", true}, {"common", "pia", true}, {"organizations", "eva", true}, {"organizations", "pia", false},
		{"consumers", "pia", true}, {"consumers", "bruno", false}, {DemoTenant, "bruno", true}, {DemoTenant, "gus", true},
		{DemoTenant, "eva", false}, {DemoTenant, "pia", false}, {"contoso.test", "bruno", true}, {OtherTenant, "eva", true},
	} {
		r := entra(t, s, row.tenant, row.login)
		if in := r.StatusCode == http.StatusFound && callbackOf(t, r).Get("code") != ""; in != row.in {
			t.Errorf("%s at %s: %d", row.login, row.tenant, r.StatusCode)
		}
	}
	if answer := callbackOf(t, entra(t, s, DemoTenant, "eva", "prompt",
		"none")); answer.Get("error") != "interaction_required" {
		t.Errorf("%v", answer)
	}
}

func TestMicrosoftKeysSayWhomTheyMaySignFor(t *testing.T) {
	s := stage(t, Options{Kind: KindMicrosoft})
	templated, consumer := s.BaseURL()+"/{tenantid}/v2.0", s.BaseURL()+"/"+MSATenant+"/v2.0"
	for tenant, want := range map[string][]string{
		"common": {templated, consumer}, "organizations": {templated, consumer}, "consumers": {consumer},
		DemoTenant: {s.BaseURL() + "/" + DemoTenant + "/v2.0", consumer},
	} {
		keys, _ := get(t, s.BaseURL()+"/"+tenant+"/discovery/v2.0/keys", nil).json(t)["keys"].([]any)
		var got []string
		for _, key := range keys {
			members, _ := key.(map[string]any)
			got = append(got, text(members, "issuer"))
			expect(t, members, map[string]any{"kty": "RSA", "use": "sig", "alg": nil})
			if members["x5c"] == nil || members["x5t"] == nil {
				t.Errorf("%s: a key without certificate", tenant)
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %v", tenant, got)
		}
	}
	// The key that signs must be one that may sign for the issuer.
	for login, issuer := range map[string]string{"bruno": templated, "pia": consumer} {
		header, _ := parts(t, text(signIn(t, s, login), "id_token"))
		keys, _ := get(t, s.BaseURL()+"/common/discovery/v2.0/keys", nil).json(t)["keys"].([]any)
		for _, key := range keys {
			if members, _ := key.(map[string]any); members["kid"] == header["kid"] && members["issuer"] != issuer {
				t.Errorf("%s signed by the key of %v", login, members["issuer"])
			}
		}
	}
}

func TestMicrosoftErrorsAreNumbered(t *testing.T) {
	s := stage(t, Options{Kind: KindMicrosoft})
	code := authorize(t, s, asking(s, "login_hint", "bruno")).Get("code")
	r := redeem(t, s, redeeming(s, code, "client_secret", "old"))
	numbers, _ := r.json(t)["error_codes"].([]any)
	if r.StatusCode != 401 || text(r.json(t), "error") != "invalid_client" || len(numbers) != 1 ||
		numbers[0] != 7000215.0 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	redeem(t, s, redeeming(s, code))
	if r := redeem(t, s, redeeming(s, code)); !strings.Contains(r.body, "AADSTS54005") ||
		text(r.json(t), "error") != "invalid_grant" {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	s.Misbehave(func(f *Fault) { f.AuthorizeError = AADSTS(90094) })
	answer := authorize(t, s, asking(s))
	if answer.Get("error") != "access_denied" || !strings.HasPrefix(answer.Get("error_description"), "AADSTS90094:") {
		t.Errorf("%v", answer)
	}
	s.Behave()
	if answer := authorize(t, s, asking(s, "prompt", "none")); !strings.HasPrefix(answer.Get("error_description"),
		"AADSTS50058:") {
		t.Errorf("%v", answer)
	}
	cancelled := callbackOf(t, get(t, s.BaseURL()+"/common/oauth2/v2.0/authorize/cancel?"+asking(s).Encode(), nil))
	if cancelled.Get("error_subcode") != "cancel" ||
		!strings.HasPrefix(cancelled.Get("error_description"), "AADSTS65004:") {
		t.Errorf("%v", cancelled)
	}
}

func TestB10_EntraSimHasV1Tokens(t *testing.T) {
	s := stage(t, Options{Kind: KindMicrosoft})
	s.Misbehave(func(f *Fault) { f.V1Token = true })
	claims, err := verify(t, s, "/common/discovery/v2.0/keys", "RS256", text(signIn(t, s, "bruno"), "id_token"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, claims, map[string]any{
		"iss": "https://sts.windows.net/" + DemoTenant + "/", "ver": "1.0", "upn": "bruno@contoso.test",
		"preferred_username": nil,
	})
}

func TestB10_EntraSimPublishesAKeyOfAnotherIssuer(t *testing.T) {
	s := stage(t, Options{Kind: KindMicrosoft})
	s.Misbehave(func(f *Fault) { f.KeyIssuer = s.BaseURL() + "/" + OtherTenant + "/v2.0" })
	header, _ := parts(t, text(signIn(t, s, "bruno"), "id_token"))
	keys, _ := get(t, s.BaseURL()+"/common/discovery/v2.0/keys", nil).json(t)["keys"].([]any)
	first, _ := keys[0].(map[string]any)
	expect(t, first, map[string]any{"kid": header["kid"], "issuer": s.BaseURL() + "/" + OtherTenant + "/v2.0"})
}

func TestB11_EntraSimSignsAWorkTokenWithTheConsumerKey(t *testing.T) {
	s := stage(t, Options{Kind: KindMicrosoft})
	s.Misbehave(func(f *Fault) { f.Forge = ForgeConsumerKey })
	token := text(signIn(t, s, "bruno"), "id_token")
	header, _ := parts(t, token)
	for _, authority := range []string{"common", "consumers", DemoTenant} {
		claims, err := verify(t, s, "/"+authority+"/discovery/v2.0/keys", "RS256", token)
		if err != nil {
			t.Fatalf("%s: %v", authority, err)
		}
		expect(t, claims, map[string]any{"tid": DemoTenant})
	}
	keys, _ := get(t, s.BaseURL()+"/consumers/discovery/v2.0/keys", nil).json(t)["keys"].([]any)
	only, _ := keys[0].(map[string]any)
	expect(t, only, map[string]any{"kid": header["kid"]})
}

func TestC1_EntraSimHasTheNOAuthPersona(t *testing.T) {
	s := stage(t, Options{Kind: KindMicrosoft})
	yes, no := true, false
	for name, edov := range map[string]*bool{"absent": nil, "true": &yes, "false": &no} {
		s.SetPersonas(Persona{Login: "mallory", Email: "ana@example.test", TenantID: OtherTenant, XmsEdov: edov})
		_, claims := parts(t, text(signIn(t, s, "mallory"), "id_token"))
		expect(t, claims, map[string]any{"tid": OtherTenant, "email": "ana@example.test"})
		if value, has := claims["xms_edov"]; has != (edov != nil) || has && value != *edov {
			t.Errorf("%s: %v", name, value)
		}
	}
}
