package oidc

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/egress"
	"gatehouse/broker/signing"
)

// artifacts is everything that a deployment hands out or is handed, one of each.
type artifacts struct {
	*harness
	browser *browser
	key     heldKey // of the client "signer"
	self    string  // the id of an app that registered itself
	all     map[string]string
}

func newArtifacts(t *testing.T, p ports) *artifacts {
	t.Helper()
	p.register = true
	h := newHarnessWith(t, p)
	a := &artifacts{harness: h, key: newHeldKey(t, "k", signing.ES256), all: map[string]string{}}
	h.client(broker.Client{ID: "signer", Name: "Signer", AuthMethods: []string{clients.MethodKey},
		SecretHashes: []string{}, Keys: keySetOf(t, a.key), FirstParty: true})
	h.change("app", func(c *broker.Client) { c.GrantTypes = append(c.GrantTypes, clients.GrantDevice) })
	a.browser = h.browser()
	got := h.wants(h.redeem(a.browser.code(ask())), http.StatusOK, "")
	a.all["access token"], a.all["refresh token"], a.all["ID token"] = got.text("access_token"), got.text("refresh_token"),
		got.text("id_token")
	h.change("app", func(c *broker.Client) { c.JWTAccess = true })
	a.all["JWT access token"] = h.signIn().text("access_token")
	h.change("app", func(c *broker.Client) { c.JWTAccess = false })
	bound := newProver(t, signing.ES256)
	h.prover = bound
	a.all["bound access token"] = h.signIn().text("access_token")
	h.prover = nil
	a.all["proof"] = bound.proof(h, http.MethodPost, "/token", "", nil)
	a.all["code"] = a.browser.code(ask())
	device := h.wants(h.call(pathDeviceAuthorization, "scope", "openid offline_access"), http.StatusOK, "")
	a.browser.allows(calling{h, "app", device})
	a.all["device code"] = device.text("device_code")
	a.all["user code"] = h.wants(h.call(pathDeviceAuthorization, "scope", "openid"), http.StatusOK, "").text("user_code")
	a.all["request"] = h.push(ask()).text("request_uri")
	a.all["initial token"] = h.initial(3)
	self := h.registers(nil)
	a.self, a.all["registration token"] = self.text("client_id"), self.text("registration_access_token")
	a.all["assertion"] = a.key.signed(t, h.proof("signer"), nil)
	signer, err := h.handler.keys.Signer(signing.RS256)
	h.must(err)
	now := h.clock.Now().Unix()
	a.all["logout token"], err = signer.SignAs(typLogout, map[string]any{"iss": issuer, "aud": "app", "sub": "ana",
		"iat": now, "exp": now + 120, "jti": broker.NewID(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})
	h.must(err)
	a.all["client secret"], a.all["session"] = h.secret, a.browser.cookies["__Host-gh_session"]
	for name, v := range a.all {
		if v == "" {
			t.Fatalf("no %s", name)
		}
	}
	return a
}

// places is everywhere that one of them can be shown; each reports whether it was worth
// anything there.
func (a *artifacts) places() map[string]func(string) bool {
	h, b := a.harness, a.browser
	paid := func(r answer) bool { return r.json["access_token"] != nil }
	bearer := func(method, path, token string, body any) bool {
		return h.sends(method, path, token, body).StatusCode < 300
	}
	return map[string]func(string) bool{
		"userinfo": func(v string) bool { return h.shows(schemeBearer, v).StatusCode == http.StatusOK },
		"userinfo posted": func(v string) bool {
			return h.send(newRequest(http.MethodPost, "/userinfo", url.Values{"access_token": {v}})).StatusCode == http.StatusOK
		},
		"introspect": h.active,
		"code":       func(v string) bool { return paid(h.redeem(v)) },
		"refresh":    func(v string) bool { return paid(h.refresh(v)) },
		"device":     func(v string) bool { return paid(h.token("grant_type", clients.GrantDevice, "device_code", v)) },
		"user code": func(v string) bool {
			r := b.post(pathDevice, url.Values{"user_code": {v}})
			return r.StatusCode < 400
		},
		"request_uri": func(v string) bool {
			return h.logged(b.get("/authorize?"+url.Values{"client_id": {"app"}, "request_uri": {v}}.Encode())).Get("code") != ""
		},
		"request_uri, bare": func(v string) bool {
			return h.logged(b.get("/authorize?"+url.Values{"client_id": {"app"},
				"request_uri": {pushedPrefix + v}}.Encode())).Get("code") != ""
		},
		"login":    func(v string) bool { return b.get("/authorize?login="+url.QueryEscape(v)).StatusCode < 400 },
		"consent":  func(v string) bool { return b.get("/authorize?consent="+url.QueryEscape(v)).StatusCode < 400 },
		"post":     func(v string) bool { return b.get("/authorize?post="+url.QueryEscape(v)).StatusCode < 400 },
		"register": func(v string) bool { return bearer(http.MethodPost, pathRegister, v, metadataOf(nil)) },
		"registration": func(v string) bool {
			return bearer(http.MethodGet, pathRegister+"/"+a.self, v, nil) || bearer(http.MethodGet, pathRegister+"/app", v, nil)
		},
		"assertion": func(v string) bool { return h.asserts(v).StatusCode != http.StatusUnauthorized },
		"secret": func(v string) bool {
			r := newRequest(http.MethodPost, "/token", url.Values{"grant_type": {clients.GrantClient}})
			r.SetBasicAuth("app", url.QueryEscape(v))
			return paid(h.send(r))
		},
		"proof": func(v string) bool {
			return paid(h.tokenWith([]string{v},
				url.Values{"grant_type": {clients.GrantClient}}))
		},
		"hint":    func(v string) bool { _, err := h.handler.readHint(v); return err == nil },
		"session": func(v string) bool { return (&browser{h, map[string]string{"__Host-gh_session": v}}).alive() },
	}
}

func rightPlaces() map[string][]string {
	return map[string][]string{
		"userinfo": {"access token", "JWT access token"}, "userinfo posted": {"access token", "JWT access token"},
		"introspect": {"access token", "JWT access token", "bound access token", "refresh token"},
		"code":       {"code"}, "refresh": {"refresh token"}, "device": {"device code"}, "user code": {"user code"},
		"request_uri": {"request"}, "register": {"initial token"},
		"registration": {"registration token"}, "assertion": {"assertion"}, "secret": {"client secret"}, "proof": {"proof"},
		"hint": {"ID token"}, "session": {"session"},
	}
}

// Wrong cells come first: what is right somewhere may be consumed there.
func TestA11_NothingThatWeGivePassesForAnother(t *testing.T) {
	a := newArtifacts(t, ports{})
	places, right := a.places(), rightPlaces()
	for _, fits := range []bool{false, true} {
		for _, at := range slices.Sorted(maps.Keys(places)) {
			for _, kind := range slices.Sorted(maps.Keys(a.all)) {
				if slices.Contains(right[at], kind) != fits {
					continue
				}
				if worth := places[at](a.all[kind]); worth != fits {
					t.Errorf("%s at %s: worth %t", kind, at, worth)
				}
			}
		}
	}
}

// Another deployment's are worth nothing here, each in its own place.
func TestA10_NothingOfAnotherDeploymentPassesHere(t *testing.T) {
	there, here := newArtifacts(t, ports{bare: true}), newArtifacts(t, ports{})
	for at, kinds := range rightPlaces() {
		for _, kind := range kinds {
			if kind == "proof" {
				continue // a proof is its client's own, and bound to no deployment but by its htu
			}
			if here.places()[at](there.all[kind]) {
				t.Errorf("another deployment's %s at %s is worth something", kind, at)
			}
		}
	}
	for at, kinds := range rightPlaces() { // nor was its own worth spoilt
		if !here.places()[at](here.all[kinds[0]]) {
			t.Errorf("%s at %s is worth nothing", kinds[0], at)
		}
	}
}

// What one app was given is nothing to another, which has a right to everything that
// it does itself.
func TestA10_NothingOfOneAppPassesForAnothers(t *testing.T) {
	a := newArtifacts(t, ports{})
	h := a.harness
	secret := h.client(broker.Client{ID: "eve", Name: "Eve", AuthMethods: []string{"client_secret_post"}, FirstParty: true,
		GrantTypes: []string{clients.GrantCode, clients.GrantRefresh, clients.GrantDevice, clients.GrantClient}})
	as := []string{"client_id", "eve", "client_secret", secret}
	// So that a consent is no hindrance.
	a.browser.allows(calling{h, "eve",
		h.wants(h.call(pathDeviceAuthorization, append([]string{"scope", "openid profile email offline_access"}, as...)...),
			http.StatusOK, "")})
	with := func(pairs ...string) []string { return append(append([]string{}, as...), pairs...) }
	for name, r := range map[string]answer{
		"code":          h.redeem(a.all["code"], as...),
		"refresh token": h.refresh(a.all["refresh token"], as...),
		"device code":   h.token(with("grant_type", clients.GrantDevice, "device_code", a.all["device code"])...),
		"assertion": h.token("grant_type", clients.GrantClient, "client_id", "eve", "client_assertion_type", assertionType,
			"client_assertion", a.all["assertion"]),
	} {
		if r.StatusCode < 400 || r.json["access_token"] != nil {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
	for _, kind := range []string{"access token", "JWT access token", "bound access token", "refresh token"} {
		if r := h.call("/introspect", with("token", a.all[kind])...); strings.TrimSpace(r.body) != `{"active":false}` {
			t.Errorf("eve learns of the %s: %s", kind, r.body)
		}
		h.wants(h.call("/revoke", with("token", a.all[kind])...), http.StatusBadRequest, "unauthorized_client")
		if !h.active(a.all[kind]) {
			t.Errorf("eve ended the %s", kind)
		}
	}
	if said := h.logged(a.browser.get("/authorize?" + url.Values{"client_id": {"eve"},
		"request_uri": {a.all["request"]}}.Encode())); said.Has("code") {
		t.Error("eve's request is the app's")
	}
	r := httptest.NewRequest(http.MethodPut, issuer+pathRegister+"/"+a.self,
		strings.NewReader(mustJSON(metadataOf(doc{"client_id": a.self}))))
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth("eve", secret)
	if got := h.send(r); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("eve changes another app: %d", got.StatusCode)
	}
	for at, kind := range map[string]string{"code": "code", "refresh": "refresh token", "device": "device code",
		"request_uri": "request", "assertion": "assertion"} {
		if !a.places()[at](a.all[kind]) {
			t.Errorf("eve cost the %s its worth", kind)
		}
	}
}

// A URI that we would never call is refused at registration, by operators and apps.
func TestA17_A20_NoURIIsRegisteredThatIsNeverCalled(t *testing.T) {
	out, err := egress.New(egress.Options{})
	if err != nil {
		t.Fatal(err)
	}
	strict := newHarnessWith(t, ports{register: true, egress: out})
	for _, uri := range []string{"https://127.0.0.1/x", "https://127.1/x", "https://0x7f000001/x", "https://2130706433/x",
		"https://[::1]/x", "https://[::ffff:127.0.0.1]/x", "https://169.254.169.254/latest",
		"https://10.0.0.1/x", "https://192.168.1.1/x", "https://[fd00::1]/x", "https://0.0.0.0/x",
		"https://198.51.100.7:8443/x", "https://user@app.example.com/x", "http://app.example.com/x"} {
		for _, field := range []string{"backchannel_logout_uri", "jwks_uri"} {
			a := strict.sends(http.MethodPost, pathRegister, strict.initial(1), metadataOf(doc{field: uri}))
			if a.StatusCode != http.StatusBadRequest || a.text("error") != "invalid_client_metadata" ||
				!strings.Contains(a.text("error_description"), field) {
				t.Errorf("%s %s: %d %s", field, uri, a.StatusCode, a.body)
			}
		}
	}
	got := strict.registers(doc{"backchannel_logout_uri": "https://app.example.com/x"})
	path, access := pathRegister+"/"+got.text("client_id"), got.text("registration_access_token")
	a := strict.sends(http.MethodPut, path, access, metadataOf(doc{"client_id": got.text("client_id"),
		"backchannel_logout_uri": "https://10.0.0.1/x"}))
	strict.wants(a, http.StatusBadRequest, "invalid_client_metadata")
	var c map[string]any
	strict.must(json.Unmarshal([]byte(strict.sends(http.MethodGet, path, access, nil).body), &c))
	if c["backchannel_logout_uri"] != "https://app.example.com/x" {
		t.Errorf("%v", c)
	}
}
