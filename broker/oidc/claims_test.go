package oidc

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// informed is what userinfo and the ID token say after a sign-in.
func (h *harness) informed(pairs ...string) (info, id map[string]any) {
	h.t.Helper()
	got := h.signIn(pairs...)
	_, id = h.claims(got.text("id_token"))
	return h.userinfo(got.text("access_token")).json, id
}

func TestClaimsAreGivenWhereTheyAreAskedFor(t *testing.T) {
	h := newHarness(t)
	info, id := h.informed("scope", "openid", "claims",
		`{"userinfo":{"name":{"essential":true},"nickname":{"essential":true}},"id_token":{"email":null,`+
			`"email_verified":null,"locale":{"value":"xx"}},"other":{}}`)
	if info["name"] != "Ana Lima" || info["email"] != nil || info["given_name"] != nil || info["nickname"] != nil ||
		info["sub"] != "ana" {
		t.Errorf("userinfo %v", info)
	}
	if id["email"] != "ana@example.com" || id["email_verified"] != true || id["locale"] != "es" || id["name"] != nil {
		t.Errorf("ID token %v", id)
	}
	got := h.signIn("scope", "openid offline_access", "claims", `{"userinfo":{"name":null},"id_token":{"name":null}}`)
	again := h.wants(h.refresh(got.text("refresh_token")), http.StatusOK, "")
	_, id = h.claims(again.text("id_token"))
	if info := h.userinfo(again.text("access_token")).json; id["name"] != "Ana Lima" || info["name"] != "Ana Lima" {
		t.Errorf("after a refresh: %v, %v", id, info)
	}
	for _, bad := range []string{"x", "[]", `"x"`, `{"userinfo":[]}`, `{"userinfo":{"name":true}}`,
		`{"id_token":{"name":{"essential":"yes"}}}`, `{`,
		`{"userinfo":{` + strings.Repeat(`"a":null,`, 5) + manyClaims(maxWanted) + `}}`, `{"x":"` + strings.Repeat("x",
			maxClaims) + `"}`} {
		h.appHears(h.browser().get("/authorize?"+ask("claims", bad).Encode()), "invalid_request")
	}
}

func manyClaims(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`"c%d":null`, i)
	}
	return strings.Join(all, ",")
}

func TestA13_NoRequestOverridesAClaimOfTheProtocol(t *testing.T) {
	h := newHarness(t)
	evil := `{"sub":{"values":["ana","eve"]},"iss":{"value":"https://evil.example"},"aud":{"value":"eve"},` +
		`"exp":{"value":9999999999},"iat":{"value":1},"auth_time":{"value":1},` +
		`"nonce":{"value":"x"},"sid":{"value":"x"},"email":{"value":"eve@example.com"},"email_verified":{"value":false},` +
		`"at_hash":{"value":"x"},"amr":{"value":"mfa"},"tenant":{"value":"x"}}`
	info, id := h.informed("scope", "openid", "claims", `{"userinfo":`+evil+`,"id_token":`+evil+`}`)
	if info["sub"] != "ana" || info["email"] != "ana@example.com" || info["email_verified"] != true || len(info) != 3 {
		t.Errorf("userinfo %v", info)
	}
	if id["sub"] != "ana" || id["iss"] != issuer || id["aud"] != "app" || id["nonce"] != "the-nonce" ||
		id["exp"].(float64)-id["iat"].(float64) != 600 || id["email_verified"] != true ||
		id["auth_time"] == 1.0 || id["sid"] == "x" || id["at_hash"] == "x" || id["tenant"] != nil ||
		id["email"] != "ana@example.com" {
		t.Errorf("ID token %v", id)
	}
}

func TestA13_AClientGetsNoClaimOfAScopeItMayNotHave(t *testing.T) {
	h := newHarness(t)
	secret := h.client(broker.Client{ID: "narrow", Name: "Narrow", AuthMethods: []string{"client_secret_post"},
		FirstParty: true, GrantTypes: []string{clients.GrantCode}, Scopes: []string{"openid", "profile"}})
	code := h.browser().code(ask("client_id", "narrow", "scope", "openid", "claims",
		`{"userinfo":{"email":{"essential":true},"name":null},"id_token":{"email":null}}`))
	got := h.wants(h.redeem(code, "client_id", "narrow", "client_secret", secret), http.StatusOK, "")
	_, id := h.claims(got.text("id_token"))
	if info := h.userinfo(got.text("access_token")).json; info["email"] != nil || id["email"] != nil ||
		info["name"] != "Ana Lima" {
		t.Errorf("%v %v", info, id)
	}
}

func TestA13_A14_ThePersonAgreesToTheClaimsToo(t *testing.T) {
	h, b, secret := third(t)
	q := thirdAsks("scope", "openid", "claims", `{"userinfo":{"email":null}}`)
	plain := b.get("/authorize?" + thirdAsks("scope", "openid").Encode()).Header.Get("Location")
	b.post(plain, url.Values{"decision": {"allow"}}) // openid alone does not cover it
	path := b.get("/authorize?" + q.Encode()).Header.Get("Location")
	if page := b.do(english(path)); !strings.HasPrefix(path, "/consent/") || !strings.Contains(page.body,
		"See your email address") {
		t.Fatalf("%s: %s", path, page.body)
	}
	b.post(path, url.Values{"decision": {"allow"}})
	code := b.get("/authorize?consent=" + strings.TrimPrefix(path, "/consent/")).location().Query().Get("code")
	c, err := h.db.Consent(h.ctx(), "ana", "third")
	h.must(err)
	narrower := c
	narrower.Scopes = []string{"openid"}
	h.must(h.db.PutConsent(h.ctx(), narrower)) // the code was given for more
	h.wants(h.redeem(code, "client_id", "third", "client_secret", secret), http.StatusBadRequest, "invalid_grant")
	h.must(h.db.PutConsent(h.ctx(), c))
	code = b.code(q) // remembered
	got := h.wants(h.redeem(code, "client_id", "third", "client_secret", secret), http.StatusOK, "")
	if info := h.userinfo(got.text("access_token")).json; info["email"] != "ana@example.com" ||
		got.text("scope") != "openid" {
		t.Errorf("%v %s", info, got.text("scope"))
	}
}

func TestARequestMayNameWhoMustAnswer(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	hint := h.redeem(b.code(ask())).text("id_token")
	b.code(ask("prompt", "none", "claims", `{"id_token":{"sub":{"value":"ana"}}}`))
	b.code(ask("prompt", "none", "id_token_hint", hint, "claims", `{"userinfo":{"sub":{"values":["bob","ana"]}}}`))
	h.appHears(b.get("/authorize?"+ask("prompt", "none", "claims", `{"id_token":{"sub":{"value":"bob"}}}`).Encode()),
		"login_required")
	h.appHears(b.authorize(ask("claims", `{"id_token":{"sub":{"value":"bob"}}}`)), "login_required")
	h.appHears(b.get("/authorize?"+ask("id_token_hint", hint, "claims", `{"id_token":{"sub":{"value":"bob"}}}`).Encode()),
		"invalid_request")
}

func TestTheClassOfAnAuthenticationIsNeverMadeUp(t *testing.T) {
	h := newHarness(t)
	h.logins.authn = broker.Authn{Method: broker.ByPassword, ACR: "gold", AuthTime: h.clock.Now()}
	for want, pairs := range map[string][]string{
		"gold":         {},
		"gold ":        {"acr_values", "platinum gold " + acrKnown},
		"gold  ":       {"acr_values", "platinum"},
		acrKnown:       {"acr_values", "platinum " + acrKnown + " gold"},
		acrKnown + " ": {"claims", `{"id_token":{"acr":{"essential":true,"values":["platinum","` + acrKnown + `"]}}}`},
	} {
		if _, id := h.informed(pairs...); id["acr"] != strings.TrimSpace(want) {
			t.Errorf("%v: %v", pairs, id["acr"])
		}
	}
	b := h.browser()
	b.code(ask())
	must := ask("claims", `{"id_token":{"acr":{"essential":true,"value":"platinum"}}}`)
	h.appHears(b.authorize(must), "unmet_authentication_requirements")
	must.Set("prompt", "none")
	h.appHears(b.get("/authorize?"+must.Encode()), "login_required")
}

func TestAClientsOwnMaxAgeHoldsWhereARequestHasNone(t *testing.T) {
	h := newHarness(t)
	hour, none := 3600, 0
	h.client(broker.Client{ID: "bank", Name: "Bank", AuthMethods: []string{"none"}, FirstParty: true,
		DefaultMaxAge: &hour})
	h.client(broker.Client{ID: "vault", Name: "Vault", AuthMethods: []string{"none"}, FirstParty: true,
		DefaultMaxAge: &none})
	b := h.browser()
	b.code(ask())
	b.code(ask("client_id", "bank", "prompt", "none"))
	h.appHears(b.get("/authorize?"+ask("client_id", "vault", "prompt", "none").Encode()), "login_required")
	h.clock.add(time.Hour + time.Second)
	h.appHears(b.get("/authorize?"+ask("client_id", "bank", "prompt", "none").Encode()), "login_required")
	b.code(ask("client_id", "bank", "prompt", "none", "max_age", "7200"))
	id := strings.TrimPrefix(b.get("/authorize?"+ask("client_id", "bank").Encode()).location().Path, "/login/")
	if l := h.logins.pending[id]; l.MaxAge == nil || *l.MaxAge != hour {
		t.Errorf("%+v", l)
	}
}

func TestTokensAreForTheResourcesThatWereNamed(t *testing.T) {
	h := newHarness(t)
	c, err := h.db.Client(h.ctx(), "app")
	h.must(err)
	c.Audience = []string{"https://a.example/", "https://b.example/", "plain", "https://c.example/#f"}
	h.must(h.db.PutClient(h.ctx(), c))
	b := h.browser()
	b.code(ask())
	for named, want := range map[string]int{"": 4, "https://a.example/": 1, "https://a.example/ https://b.example/": 2,
		"https://b.example/ https://b.example/": 1} {
		q := ask()
		q["resource"] = strings.Fields(named)
		got := h.wants(h.redeem(b.code(q)), http.StatusOK, "")
		said, err := h.handler.strategy.openAccess(got.text("access_token"))
		h.must(err)
		f, _, err := h.db.Grant(h.ctx(), said.GrantID)
		h.must(err)
		if len(f.Audience) != want {
			t.Errorf("%q: %q", named, f.Audience)
		}
	}
	for _, bad := range []string{"https://evil.example/", "https://a.example", "plain", "https://c.example/#f", "/a"} {
		h.appHears(b.get("/authorize?"+ask("resource", bad).Encode()), "invalid_target")
	}
	q := ask()
	q["resource"] = []string{"https://a.example/", strings.Repeat("x", maxValue+1)}
	h.appHears(b.get("/authorize?"+q.Encode()), "invalid_request")
}
