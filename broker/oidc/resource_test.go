package oidc

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

const (
	photosAPI = "https://photos.example/api"
	filesAPI  = "https://files.example/api"
)

// resources is an app whose "app" has two APIs, of which "api" is one by its client id.
func resources(t *testing.T, k kind) (h *harness, api []string) {
	t.Helper()
	h = newHarness(t).as(k)
	h.change("app", func(c *broker.Client) { c.Audience = []string{photosAPI, filesAPI, "api"} })
	secret := h.client(broker.Client{ID: "api", Name: "API", AuthMethods: []string{"client_secret_post"}})
	return h, []string{"client_id", "api", "client_secret", secret}
}

// asks sends a token request with resources, of which there may be several.
func (h *harness) asks(resource []string, pairs ...string) answer {
	h.t.Helper()
	f := form(pairs...)
	f["resource"] = resource
	r := newRequest(http.MethodPost, "/token", f)
	r.SetBasicAuth("app", h.secret)
	return h.send(h.prove(r, ""))
}

func TestAResourceNarrowsOneTokenAndNotTheGrant(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			h, api := resources(t, k)
			code := []string{"grant_type", clients.GrantCode, "code", h.browser().code(ask()), "redirect_uri", callback,
				"code_verifier",
				verifier}
			for _, foreign := range [][]string{{"https://other.example"}, {photosAPI, "https://other.example"},
				{photosAPI + "/"}, {strings.ToUpper(photosAPI)}, {issuer}} {
				h.wants(h.asks(foreign, code...), http.StatusBadRequest, "invalid_target")
			}
			got := h.wants(h.asks([]string{photosAPI, photosAPI}, code...), http.StatusOK, "")
			h.audience(got, photosAPI)
			refresh := func(token string) []string {
				return []string{"grant_type", clients.GrantRefresh, "refresh_token",
					token}
			}
			h.wants(h.asks([]string{"https://other.example"}, refresh(got.text("refresh_token"))...), http.StatusBadRequest,
				"invalid_target")
			two := h.wants(h.asks([]string{filesAPI, "api"}, refresh(got.text("refresh_token"))...), http.StatusOK, "")
			h.audience(two, filesAPI, "api")
			if a := h.call("/introspect", append(api, "token", two.text("access_token"))...); a.json["active"] != true {
				t.Errorf("its audience learns %s", a.body)
			}
			if a := h.call("/introspect", append(api, "token", got.text("access_token"))...); a.json["active"] != false ||
				len(a.json) != 1 {
				t.Errorf("another API learns %s", a.body)
			}
			all := h.wants(h.refresh(two.text("refresh_token")), http.StatusOK, "")
			if said := list(h.call("/introspect", "token", all.text("access_token")).json["aud"]); !slices.Contains(said,
				photosAPI) || !slices.Contains(said, filesAPI) || !slices.Contains(said, "api") {
				t.Errorf("the family lost something: %v", said)
			}
			h.wants(h.userinfo(all.text("access_token")), http.StatusOK, "")
			h.wants(h.userinfo(two.text("access_token")), http.StatusUnauthorized, "invalid_token")
		})
	}
}

// audience checks that a token is for these and nobody else, in itself where it can be
// read, and by introspection.
func (h *harness) audience(got answer, want ...string) {
	h.t.Helper()
	token := got.text("access_token")
	if said := list(h.call("/introspect", "token", token).json["aud"]); !slices.Equal(said, want) {
		h.t.Errorf("introspection: aud %v, want %v", said, want)
	}
	if strings.Contains(token, ".") {
		if _, claims := h.claims(token); !slices.Equal(list(claims["aud"]), want) {
			h.t.Errorf("aud %v, want %v", claims["aud"], want)
		}
	}
}

func TestAClientNarrowsItsOwnTokenToAResourceOfItsOwn(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			h, _ := resources(t, k)
			h.audience(h.wants(h.asks([]string{filesAPI}, "grant_type", clients.GrantClient), http.StatusOK, ""), filesAPI)
			h.wants(h.asks([]string{filesAPI, "https://other.example"}, "grant_type", clients.GrantClient),
				http.StatusBadRequest,
				"invalid_target")
			h.wants(h.asks([]string{"app"}, "grant_type", clients.GrantClient), http.StatusBadRequest, "invalid_target")
			h.wants(h.asks([]string{filesAPI, "x\x00"}, "grant_type", clients.GrantClient), http.StatusBadRequest,
				"invalid_request")
			h.wants(h.asks([]string{filesAPI, strings.Repeat("x", maxValue+1)}, "grant_type", clients.GrantClient),
				http.StatusBadRequest, "invalid_request")
		})
	}
}

func TestA13_NeitherScopeNorResourceGrowsAtARefresh(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			h, _ := resources(t, k)
			got := h.signIn("scope", "openid photos offline_access")
			less := h.wants(h.refresh(got.text("refresh_token"), "scope", "photos photos"), http.StatusOK, "")
			said := h.call("/introspect", "token", less.text("access_token"))
			if less.text("scope") != "photos" || said.text("scope") != "photos" || less.json["id_token"] != nil {
				t.Errorf("%s %s", less.body, said.body)
			}
			if k.jwt {
				if _, claims := h.claims(less.text("access_token")); claims["scope"] != "photos" {
					t.Errorf("%v", claims)
				}
			}
			h.wants(h.userinfo(less.text("access_token")), http.StatusForbidden, "insufficient_scope")
			for _, more := range []string{"openid photos offline_access email", "email", "Photos", "photos OPENID", "admin"} {
				h.wants(h.refresh(less.text("refresh_token"), "scope", more), http.StatusBadRequest, "invalid_scope")
			}
			f, _, err := h.db.Grant(h.ctx(), h.grant(less.text("refresh_token")))
			h.must(err)
			if !slices.Equal(f.Scopes, []string{"openid", "photos", "offline_access"}) || len(f.Audience) != 3 {
				t.Errorf("the family's grant changed: %v %v", f.Scopes, f.Audience)
			}
			all := h.wants(h.refresh(less.text("refresh_token"), "scope", ""), http.StatusOK, "")
			if all.text("scope") != "openid photos offline_access" || all.json["id_token"] == nil {
				t.Errorf("%s", all.body)
			}
			h.change("app", func(c *broker.Client) {
				c.Audience = []string{photosAPI}
				c.Scopes = []string{"openid", "offline_access"}
			})
			if a := h.refresh(all.text("refresh_token")); a.StatusCode != http.StatusBadRequest ||
				a.json["access_token"] != nil {
				t.Errorf("more than is registered: %s", a.body)
			}
		})
	}
}

// grant is the grant of a refresh token.
func (h *harness) grant(refresh string) string {
	h.t.Helper()
	said, err := h.handler.strategy.openRefresh(refresh)
	h.must(err)
	return said.grant
}

func TestNoRefreshTokenWithoutOfflineAccessThatWasAllowed(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			h := newHarness(t).as(k)
			if got := h.signIn("scope", "openid photos"); got.json["refresh_token"] != nil {
				t.Errorf("%s", got.body)
			}
			if got := h.signIn(); got.text("refresh_token") == "" {
				t.Errorf("a first party without prompt=consent: %s", got.body)
			}
			if got := h.wants(h.token("grant_type", clients.GrantClient), http.StatusOK, ""); got.json["refresh_token"] != nil {
				t.Errorf("for no person: %s", got.body)
			}
			h.wants(h.token("grant_type", clients.GrantClient, "scope", "offline_access"), http.StatusBadRequest,
				"invalid_scope")
			// A refresh token that is narrowed keeps its own scope (RFC 6749 §6).
			got := h.wants(h.refresh(h.signIn().text("refresh_token"), "scope", "openid"), http.StatusOK, "")
			h.wants(h.refresh(got.text("refresh_token"), "scope", "email"), http.StatusOK, "")
		})
	}
}

func TestAThirdPartyGetsOfflineAccessOnlyAfterThePersonAllowedIt(t *testing.T) {
	h, b, secret := third(t)
	as := []string{"client_id", "third", "client_secret", secret}
	h.appHears(b.get("/authorize?"+thirdAsks("scope", "openid offline_access", "prompt", "none").Encode()),
		"consent_required")
	path := b.get("/authorize?" + thirdAsks("scope", "openid").Encode()).Header.Get("Location")
	b.post(path, url.Values{"decision": {"allow"}})
	code := b.get("/authorize?consent=" + path[len("/consent/"):]).location().Query().Get("code")
	if got := h.wants(h.redeem(code, as...), http.StatusOK, ""); got.json["refresh_token"] != nil {
		t.Errorf("%s", got.body)
	}
	// What was allowed does not cover it, so it is asked for.
	h.appHears(b.get("/authorize?"+thirdAsks("scope", "openid offline_access", "prompt", "none").Encode()),
		"consent_required")
	path = b.get("/authorize?" + thirdAsks("scope", "openid offline_access").Encode()).Header.Get("Location")
	if !strings.HasPrefix(path, "/consent/") {
		t.Fatalf("no consent page: %s", path)
	}
	b.post(path, url.Values{"decision": {"allow"}})
	code = b.get("/authorize?consent=" + path[len("/consent/"):]).location().Query().Get("code")
	if got := h.wants(h.redeem(code, as...), http.StatusOK, ""); got.text("refresh_token") == "" {
		t.Errorf("%s", got.body)
	}
}

// A device asks for APIs as an app with a browser does (RFC 8707 §2, RFC 8628 §3.1).
func TestA13_ADeviceNamesTheAPIsItsTokensAreFor(t *testing.T) {
	for _, k := range []kind{{name: "opaque"}, {name: "JWT", jwt: true}} {
		t.Run(k.name, func(t *testing.T) {
			h, api := resources(t, k)
			h.tv("tv", func(c *broker.Client) { c.Audience, c.JWTAccess = []string{photosAPI, filesAPI, "app"}, k.jwt })
			calls := func(resource ...string) answer {
				f := form("client_id", "tv", "scope", "openid offline_access")
				f["resource"] = resource
				return h.send(newRequest(http.MethodPost, pathDeviceAuthorization, f))
			}
			for _, foreign := range [][]string{{"https://other.example"}, {photosAPI, "api"}, {photosAPI + "#x"},
				{"app"}} {
				h.wants(calls(foreign...), http.StatusBadRequest, "invalid_target")
			}
			h.wants(calls(slices.Repeat([]string{photosAPI}, maxResources+1)...), http.StatusBadRequest, "invalid_request")
			tv := calling{h, "tv", h.wants(calls(photosAPI, photosAPI), http.StatusOK, "")}
			h.browser().allows(tv)
			h.wants(h.token("grant_type", clients.GrantDevice, "client_id", "tv", "device_code", tv.text("device_code"),
				"resource",
				filesAPI), http.StatusBadRequest, "invalid_target")
			got := h.wants(tv.poll(h), http.StatusOK, "")
			f, _, err := h.db.Grant(h.ctx(), h.grant(got.text("refresh_token")))
			h.must(err)
			if !slices.Equal(f.Audience, []string{photosAPI}) {
				t.Errorf("the family is for %v", f.Audience)
			}
			h.wants(h.token("grant_type", clients.GrantRefresh, "client_id", "tv", "refresh_token", got.text("refresh_token"),
				"resource", filesAPI), http.StatusBadRequest, "invalid_target")
			if a := h.call("/introspect", append(api, "token", got.text("access_token"))...); a.json["active"] != false {
				t.Errorf("an API that was not named learns %s", a.body)
			}
			all := calling{h, "tv", h.wants(calls(), http.StatusOK, "")}
			h.browser().allows(all)
			if f, _, err = h.db.Grant(h.ctx(),
				h.grant(h.wants(all.poll(h), http.StatusOK, "").text("refresh_token"))); err != nil || len(f.Audience) != 3 {
				t.Errorf("without a resource: %v %v", f.Audience, err)
			}
		})
	}
}
