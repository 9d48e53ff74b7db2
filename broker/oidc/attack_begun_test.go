package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

// begun is one kind of authorization request.
type begun struct {
	name         string
	pushed, post bool
	mode         string
}

func begins() []begun {
	return []begun{{"a link", false, false, ""}, {"a form", false, true, ""}, {"pushed", true, false, ""},
		{"form_post", false, false, modePost}, {"pushed, form_post", true, false, modePost}}
}

// begin sends a request of one kind, in a browser that is signed in. The
// error of a request that is refused when it is pushed counts as what the app hears.
func (b *browser) begin(way begun, q url.Values) (a answer, said url.Values) {
	b.h.t.Helper()
	if way.mode != "" && !q.Has("response_mode") {
		q.Set("response_mode", way.mode)
	}
	switch {
	case way.pushed:
		a = b.h.push(q)
		if a.StatusCode != http.StatusCreated {
			return a, url.Values{"error": {a.text("error")}, "iss": {issuer}}
		}
		a = b.get("/authorize?" + url.Values{"client_id": {q.Get("client_id")},
			"request_uri": {a.text("request_uri")}}.Encode())
	case way.post:
		if a = b.post("/authorize", q); a.location().Path == "/authorize" {
			a = b.get(a.location().RequestURI())
		}
	default:
		a = b.get("/authorize?" + q.Encode())
	}
	return a, b.h.logged(a)
}

// eachBegin runs a test for every kind, and for an app that has a secret and one that
// has none; auth is what the client adds at the token endpoint.
func eachBegin(t *testing.T, test func(t *testing.T, h *harness, b *browser, way begun, client string, auth []string)) {
	for _, way := range begins() {
		for _, client := range []string{"app", "spa"} {
			t.Run(way.name+", "+client, func(t *testing.T) {
				h := newHarness(t)
				h.client(broker.Client{ID: "spa", Name: "SPA", AuthMethods: []string{"none"}, FirstParty: true})
				b := h.browser()
				b.code(ask())
				var auth []string
				if client == "spa" {
					auth = []string{"client_id", client}
				}
				test(t, h, b, way, client, auth)
			})
		}
	}
}

func TestA1_ACodeIsBoundHoweverItWasAskedFor(t *testing.T) {
	eachBegin(t, func(t *testing.T, h *harness, b *browser, way begun, client string, auth []string) {
		other := h.client(broker.Client{ID: "other", Name: "Other", AuthMethods: []string{"client_secret_post"},
			FirstParty: true})
		_, said := b.begin(way, ask("client_id", client))
		code := said.Get("code")
		if code == "" {
			t.Fatal("no code")
		}
		as := func(pairs ...string) []string { return append(append([]string{}, auth...), pairs...) }
		for name, a := range map[string]answer{
			"no verifier":    h.token(as("grant_type", clients.GrantCode, "code", code, "redirect_uri", callback)...),
			"wrong verifier": h.redeem(code, as("code_verifier", verifier+"x")...),
			"the challenge":  h.redeem(code, as("code_verifier", challengeOf(verifier))...),
			"other client":   h.redeem(code, "client_id", "other", "client_secret", other),
			"other redirect": h.redeem(code, as("redirect_uri", callback+"/")...),
			"as a device": h.token("grant_type", clients.GrantDevice, "client_id", "other", "client_secret", other,
				"device_code",
				code),
		} {
			if a.StatusCode != http.StatusBadRequest || a.text("error") != "invalid_grant" &&
				a.text("error") != "unauthorized_client" || a.json["access_token"] != nil {
				t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
			}
		}
		h.wants(h.redeem(code, auth...), http.StatusOK, "")
	})
}

func TestA2_NoKindOfRequestBypassesPKCE(t *testing.T) {
	eachBegin(t, func(t *testing.T, h *harness, b *browser, way begun, client string, auth []string) {
		for name, pairs := range map[string][]string{
			"none":        {"code_challenge", "-", "code_challenge_method", "-", "nonce", "-"},
			"empty nonce": {"code_challenge", "-", "code_challenge_method", "-", "nonce", ""},
			"no openid":   {"code_challenge", "-", "code_challenge_method", "-", "scope", "profile"},
			"plain":       {"code_challenge", verifier, "code_challenge_method", "plain"},
			"no method":   {"code_challenge_method", "-"},
			"s256":        {"code_challenge_method", "s256"},
			"short":       {"code_challenge", "abc"},
			"no base64":   {"code_challenge", strings.Repeat("!", 43)},
			"method only": {"code_challenge", "-"},
			"empty":       {"code_challenge", ""}, // the method is alone
		} {
			a, said := b.begin(way, ask(append([]string{"client_id", client}, pairs...)...))
			if said.Get("error") != "invalid_request" || said.Has("code") || said.Get("iss") != issuer {
				t.Errorf("%s: %d %v", name, a.StatusCode, said)
			}
		}
		_, said := b.begin(way, ask("client_id", client))
		for _, v := range []string{verifier[:42], strings.Repeat("v", 129), strings.Repeat("ü", 30), "", verifier + "\n"} {
			if a := h.redeem(said.Get("code"), append(auth, "code_verifier", v)...); a.StatusCode != http.StatusBadRequest {
				t.Errorf("verifier %q: %d", v, a.StatusCode)
			}
		}
		h.wants(h.redeem(said.Get("code"), auth...), http.StatusOK, "")
	})
}

func TestA8_A12_A13_NoKindOfRequestGetsMoreAndEveryResponseHasIss(t *testing.T) {
	eachBegin(t, func(t *testing.T, h *harness, b *browser, way begun, client string, _ []string) {
		wants := func(name string, pairs ...string) {
			t.Helper()
			a, said := b.begin(way, ask(append([]string{"client_id", client}, pairs...)...))
			if said.Get("error") != name || said.Get("iss") != issuer || said.Has("code") || said.Has("access_token") ||
				said.Has("id_token") {
				t.Errorf("%q: %d %v, want %s", pairs, a.StatusCode, said, name)
			}
		}
		for _, kind := range []string{"token", "id_token", "code token", "code id_token", "id_token token",
			"code id_token token", "none", "password"} {
			wants("unsupported_response_type", "response_type", kind)
		}
		wants("invalid_request", "response_type", "-")
		wants("unsupported_response_mode", "response_mode", "fragment")
		wants("invalid_scope", "scope", "openid admin")
		wants("invalid_target", "resource", "https://evil.example")
		wants("request_not_supported", "request", "eyJhbGciOiJub25lIn0.e30.")
		_, said := b.begin(way, ask("client_id", client))
		if said.Get("code") == "" || said.Get("iss") != issuer || said.Get("state") != "the-state" {
			t.Errorf("%v", said)
		}
	})
}

// strayURIs are what must never pass for callback.
func strayURIs() []string {
	const host = "https://app.example.com"
	return []string{"", host, host + "/", host + "/callback/", host + "/Callback", host + "/callback?",
		host + "/callback#", host + "/callback?x=1",
		host + "/callback/..", host + "/x/../callback", host + "/callback%2f", host + "/%63allback", host + ":443/callback",
		host + "./callback", host + "/callback;x",
		host + "/callback..;/x", host + "\\callback", host + "//callback", host + "/callback\x00", host + "/callback\n",
		host + "/callback ", " " + callback, host + "/callback%00",
		"HTTPS://app.example.com/callback", "https://APP.example.com/callback", "http://app.example.com/callback",
		"https://eve@app.example.com/callback",
		"https://app.example.com@evil.example/callback", "https://app.example.com@@evil.example/callback",
		"https://app.example.com.evil.example/callback",
		"https://evil.example/callback", "https://evil.example/?" + callback, "//app.example.com/callback", "/callback",
		"javascript:alert(1)", "JaVaScRiPt:alert(1)",
		"data:text/html,x", "com.example.app:/callback", "https://app.example.com\u2044callback",
		"https://ａpp.example.com/callback", callback + "," + callback, callback + " " + callback,
		strings.Repeat("https://app.example.com/", 100)}
}

func TestA3_A4_AStrayURIIsNeverFollowedHoweverItComes(t *testing.T) {
	eachBegin(t, func(t *testing.T, h *harness, b *browser, way begun, client string, _ []string) {
		for _, uri := range append(strayURIs(), "-") {
			a, said := b.begin(way, ask("client_id", client, "redirect_uri", uri))
			switch {
			case !way.pushed:
				h.page(a, broker.RedirectURIMismatch)
			case said.Get("error") != "invalid_request" || a.Header.Get("Location") != "" || strings.Contains(a.body, "evil"):
				t.Errorf("%q: %d %s", uri, a.StatusCode, a.body)
			}
		}
	})
}

func TestA3_A20_AnAppRegistersNoAddressThatWouldNotBeCompared(t *testing.T) {
	h := registry(t)
	got := h.registers(nil)
	id, access := got.text("client_id"), got.text("registration_access_token")
	bad := []string{"", "http://app.example.com/callback", "https://app.example.com/callback#", callback + "#x",
		"https://eve@app.example.com/callback", "https://app.example.com@@evil.example/",
		"https://app.example.com/../callback", "https://app.example.com/x/..;/callback", "https://app.example.com/*",
		"https://*.example.com/", "https://app.example.com:*/", "javascript:alert(1)",
		"JaVaScRiPt:alert(1)", "data:text/html,x", "file:///etc/passwd", "vbscript:x", "about:blank",
		"blob:https://app.example.com/x", "intent://x", "myapp:/cb", "HTTPS://app.example.com/",
		"https://APP.example.com/", "https://ａpp.example.com/", "https://app.example.com/\x00", "https://app.example.com/ x",
		"//app.example.com/", "/callback", "https:app.example.com",
		"https://app.example.com\\evil.example/", "http://localhost.evil.example/", "http://127.0.0.1.evil.example/",
		"https://app.example.com/?code=x", "https://app.example.com/?state=x", "https:///callback"}
	for _, field := range []string{"redirect_uris", "post_logout_redirect_uris"} {
		for _, uri := range bad {
			more := doc{field: []string{callback, uri}}
			if a := h.sends(http.MethodPost, pathRegister, h.initial(1),
				metadataOf(more)); a.StatusCode != http.StatusBadRequest {
				t.Errorf("%s %q is registered: %d %s", field, uri, a.StatusCode, a.body)
			}
			more["client_id"] = id
			if a := h.sends(http.MethodPut, pathRegister+"/"+id, access,
				metadataOf(more)); a.StatusCode != http.StatusBadRequest {
				t.Errorf("%s becomes %q: %d %s", field, uri, a.StatusCode, a.body)
			}
		}
	}
	c, err := h.db.Client(h.ctx(), id)
	h.must(err)
	if len(c.RedirectURIs) != 1 || len(c.PostLogoutRedirectURIs) != 0 {
		t.Errorf("%+v", c)
	}
	b := h.browser()
	for _, uri := range strayURIs() {
		h.page(b.get("/authorize?"+ask("client_id", id, "redirect_uri", uri).Encode()), broker.RedirectURIMismatch)
	}
}

// What an app changes about itself, its people are asked about again.
func TestA14_AnAppThatChangesItselfIsAskedAboutAgain(t *testing.T) {
	h := registry(t)
	got := h.registers(nil)
	id, path, access := got.text("client_id"), pathRegister+"/"+got.text("client_id"),
		got.text("registration_access_token")
	b := h.browser()
	b.code(ask())
	asked := func() bool {
		t.Helper()
		return strings.HasPrefix(b.get("/authorize?"+ask("client_id", id).Encode()).location().Path, "/consent/")
	}
	allow := func() {
		t.Helper()
		at := b.get("/authorize?" + ask("client_id", id).Encode()).location().Path
		b.post(at, url.Values{"decision": {"allow"}})
		if asked() {
			t.Fatal("asked twice")
		}
	}
	if !asked() {
		t.Fatal("nobody is asked")
	}
	h.appHears(b.get("/authorize?"+ask("client_id", id, "prompt", "none").Encode()), "consent_required")
	for name, more := range map[string]doc{"another name": {"client_name": "Bank"},
		"another address": {"redirect_uris": []string{callback, "https://other.example.com/cb"}}} {
		allow()
		more["client_id"] = id
		h.wants(h.sends(http.MethodPut, path, access, metadataOf(more)), http.StatusOK, "")
		if !asked() {
			t.Errorf("%s: nobody is asked again", name)
		}
		h.appHears(b.get("/authorize?"+ask("client_id", id, "prompt", "none").Encode()), "consent_required")
		h.wants(h.sends(http.MethodPut, path, access, metadataOf(doc{"client_id": id})), http.StatusOK, "")
	}
}

// The refresh tokens of a device, and of an app that registered itself, are rotated
// and watched like any other, across a restart too.
func TestA6_EveryKindOfAppLosesTheGrantWhoseTokenComesTwice(t *testing.T) {
	fleet(t, func(t *testing.T, one, two *harness) {
		one.tv("tv")
		tv := one.deviceCalls("tv")
		one.browser().allows(tv)
		self := one.replica(ports{register: true}).registers(nil)
		id, b := self.text("client_id"), one.browser()
		b.code(ask())
		at := b.get("/authorize?" + ask("client_id", id).Encode()).location().Path
		b.post(at, url.Values{"decision": {"allow"}})
		auth := []string{"client_id", id, "client_secret", self.text("client_secret")}
		for name, c := range map[string]struct {
			first answer
			auth  []string
		}{
			"a device":              {tv.poll(two), []string{"client_id", "tv"}},
			"one of its own making": {two.redeem(b.code(ask("client_id", id)), auth...), auth},
		} {
			first := one.wants(c.first, http.StatusOK, "").text("refresh_token")
			second := one.wants(two.refresh(first, c.auth...), http.StatusOK, "")
			if again := one.refresh(first, c.auth...); again.text("refresh_token") != second.text("refresh_token") {
				t.Errorf("%s: a retry gets %s", name, again.body)
			}
			one.clock.add(broker.RefreshGrace + time.Second)
			restarted := one.replica(ports{})
			one.wants(restarted.refresh(first, c.auth...), http.StatusBadRequest, "invalid_grant")
			for _, h := range []*harness{one, two, restarted} {
				h.wants(h.refresh(second.text("refresh_token"), c.auth...), http.StatusBadRequest, "invalid_grant")
				h.wants(h.userinfo(second.text("access_token")), http.StatusUnauthorized, "invalid_token")
			}
			if e := one.events(broker.EventFilter{Verb: broker.EventGrantRevoked}); len(e) == 0 ||
				e[0].Code != broker.TokenReused {
				t.Errorf("%s: %+v", name, e)
			}
		}
	})
}

func TestA9_AnAssertionThatWasUsedAtOneEndpointIsNoneAtAnother(t *testing.T) {
	h := newHarness(t)
	key := newHeldKey(t, "k", signing.ES256)
	h.client(broker.Client{ID: "machine", Name: "Machine", AuthMethods: []string{clients.MethodKey},
		SecretHashes: []string{}, Keys: keySetOf(t, key), FirstParty: true,
		GrantTypes: []string{clients.GrantCode, clients.GrantRefresh, clients.GrantClient, clients.GrantDevice}})
	two := h.replica(ports{})
	ways := map[string]url.Values{"/token": form("grant_type", clients.GrantClient), pathPush: ask("client_id", "machine"),
		pathDeviceAuthorization: form("scope", "openid"),
		"/introspect":           form("token", "x"), "/revoke": form("token", "x")}
	send := func(at *harness, path, assertion string) answer {
		f := url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion}}
		for name, v := range ways[path] {
			f[name] = v
		}
		return at.send(newRequest(http.MethodPost, path, f))
	}
	for first := range ways {
		assertion := key.signed(t, h.proof("machine"), nil)
		if a := send(h, first, assertion); a.StatusCode >= 300 {
			t.Fatalf("%s: %d %s", first, a.StatusCode, a.body)
		}
		for path := range ways {
			two.unproven(send(two, path, assertion))
		}
	}
}
