package oidc

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// registry is an app where apps register themselves.
func registry(t *testing.T) *harness { return newHarnessWith(t, ports{register: true}) }

// initial is a fresh initial access token.
func (h *harness) initial(uses int) string {
	h.t.Helper()
	token, err := clients.NewInitialToken(h.keyring, h.clock.Now().Add(time.Hour), uses)
	h.must(err)
	return token.Reveal()
}

// sends sends a JSON document; nil removes a default.
func (h *harness) sends(method, path, bearer string, body any) answer {
	h.t.Helper()
	b, err := json.Marshal(body)
	h.must(err)
	r := httptest.NewRequest(method, issuer+path, strings.NewReader(string(b)))
	r.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return h.send(r)
}

type doc = map[string]any

// metadataOf returns a valid registration, changed by more; nil removes a member.
func metadataOf(more doc) doc {
	m := doc{"redirect_uris": []string{callback}, "client_name": "Self Made", "grant_types": []string{clients.GrantCode,
		clients.GrantRefresh}, "token_endpoint_auth_method": "client_secret_post"}
	for name, v := range more {
		if m[name] = v; v == nil {
			delete(m, name)
		}
	}
	return m
}

func (h *harness) registers(more doc) answer {
	h.t.Helper()
	return h.wants(h.sends(http.MethodPost, pathRegister, h.initial(1), metadataOf(more)), http.StatusCreated, "")
}

func TestAClientRegistersItselfAndWorks(t *testing.T) {
	h := registry(t)
	got := h.registers(doc{"colour": "green", "client_uri": "https://app.example.com/",
		"contacts": []string{"ops@app.example.com"}})
	id := got.text("client_id")
	for name, want := range map[string]any{"client_name": "Self Made", "scope": "openid profile email offline_access",
		"application_type": "web", "client_secret_expires_at": 0.0,
		"client_id_issued_at": float64(h.clock.Now().Unix()), "registration_client_uri": issuer + "/register/" + id,
		"client_uri":                   "https://app.example.com/",
		"id_token_signed_response_alg": "RS256", "subject_type": "public", "colour": nil, "first_party": nil} {
		if got.json[name] != want {
			t.Errorf("%s is %v, want %v", name, got.json[name], want)
		}
	}
	if got.Header.Get("Cache-Control") != "no-store" || len(got.text("client_secret")) != 52 ||
		len(got.text("registration_access_token")) != 52 {
		t.Errorf("%s", got.body)
	}
	b := h.browser()
	a := b.authorize(ask("client_id", id))
	if !strings.HasPrefix(a.location().Path, "/consent/") {
		t.Fatalf("nobody is asked: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
	path := a.location().Path
	if page := b.do(english(path)); !strings.Contains(page.body,
		"Self Made registered itself here. Nobody at Gatehouse has checked who runs it.") {
		t.Errorf("%s", page.body)
	}
	b.post(path, url.Values{"decision": {"allow"}})
	code := b.get("/authorize?consent=" + strings.TrimPrefix(path, "/consent/")).location().Query().Get("code")
	h.wants(h.redeem(code, "client_id", id, "client_secret", got.text("client_secret")), http.StatusOK, "")
	if e := h.events(broker.EventFilter{Verb: broker.EventClientChanged}); len(e) != 1 || e[0].Client != id ||
		e[0].Detail["change"] != "registered" {
		t.Errorf("events %+v", e)
	}
}

func TestAClientReadsChangesAndRemovesItself(t *testing.T) {
	h := registry(t)
	got := h.registers(nil)
	id, access, secret := got.text("client_id"), got.text("registration_access_token"), got.text("client_secret")
	path := pathRegister + "/" + id
	read := h.wants(h.sends(http.MethodGet, path, access, nil), http.StatusOK, "")
	if read.json["client_secret"] != nil || read.text("registration_access_token") != access ||
		read.text("client_name") != "Self Made" {
		t.Errorf("%s", read.body)
	}
	changed := h.wants(h.sends(http.MethodPut, path, access, metadataOf(doc{"client_id": id, "client_secret": secret,
		"client_name": "Renamed", "grant_types": nil, "contacts": nil})), http.StatusOK, "")
	if changed.text("client_name") != "Renamed" || changed.text("scope") != "openid profile email" ||
		changed.json["client_secret"] != nil {
		t.Errorf("%s", changed.body)
	}
	public := h.wants(h.sends(http.MethodPut, path, access,
		metadataOf(doc{"client_id": id, "token_endpoint_auth_method": "none"})), http.StatusOK, "")
	if c, err := h.db.Client(h.ctx(), id); err != nil || !c.Public() || len(c.SecretHashes) > 0 ||
		public.json["client_secret"] != nil {
		t.Errorf("%+v, %v", c, err)
	}
	again := h.wants(h.sends(http.MethodPut, path, access,
		metadataOf(doc{"client_id": id, "token_endpoint_auth_method": nil})), http.StatusOK, "")
	if again.text("client_secret") == "" || again.text("client_secret") == secret {
		t.Errorf("no new secret: %s", again.body)
	}
	for name, more := range map[string]doc{"another id": {"client_id": "app"}, "no id": {},
		"another secret": {"client_id": id, "client_secret": "x"}} {
		if a := h.sends(http.MethodPut, path, access, metadataOf(more)); a.StatusCode != http.StatusBadRequest ||
			a.text("error") != "invalid_client_metadata" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if a := h.sends(http.MethodDelete, path, access, nil); a.StatusCode != http.StatusNoContent || a.body != "" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	h.wants(h.sends(http.MethodGet, path, access, nil), http.StatusUnauthorized, "invalid_token")
	h.page(h.browser().get("/authorize?"+ask("client_id", id).Encode()), broker.ClientUnknown)
}

func TestA20_RegistrationNeedsAToken(t *testing.T) {
	off := newHarness(t)
	if a := off.sends(http.MethodPost, pathRegister, off.initial(1),
		metadataOf(nil)); a.StatusCode != http.StatusNotFound {
		t.Errorf("it is not off: %d", a.StatusCode)
	}
	discovery := func(h *harness) any {
		return h.send(newRequest(http.MethodGet, "/.well-known/openid-configuration", nil)).json["registration_endpoint"]
	}
	h := registry(t)
	if discovery(off) != nil || discovery(h) != issuer+"/register" {
		t.Errorf("discovery says %v and %v", discovery(off), discovery(h))
	}
	token := h.initial(1)
	tokens := h.signIn()
	got := h.registers(nil)
	for name, bearer := range map[string]string{"nonsense": "x", "edited": edited(token), "cut": token[:len(token)-1],
		"an access token": tokens.text("access_token"),
		"a refresh token": tokens.text("refresh_token"), "another deployment's": registry(t).initial(1),
		"a registration access token": got.text("registration_access_token")} {
		if a := h.sends(http.MethodPost, pathRegister, bearer, metadataOf(nil)); a.StatusCode != http.StatusUnauthorized ||
			a.text("error") != "invalid_token" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if a := h.sends(http.MethodPost, pathRegister, "", metadataOf(nil)); a.StatusCode != http.StatusUnauthorized ||
		a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("none: %d", a.StatusCode)
	}
	if a := h.sends(http.MethodPost, pathRegister+"?access_token="+token, "",
		metadataOf(nil)); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("in the URL: %d", a.StatusCode)
	}
	h.wants(h.sends(http.MethodPost, pathRegister, token,
		metadataOf(doc{"redirect_uris": []string{"javascript:alert(1)"}})), http.StatusBadRequest, "invalid_redirect_uri")
	// a mistake did not consume it
	h.wants(h.sends(http.MethodPost, pathRegister, token, metadataOf(nil)), http.StatusCreated, "")
	h.wants(h.sends(http.MethodPost, pathRegister, token, metadataOf(nil)), http.StatusUnauthorized, "invalid_token")
	late := h.initial(1)
	h.clock.add(time.Hour)
	h.wants(h.sends(http.MethodPost, pathRegister, late, metadataOf(nil)), http.StatusUnauthorized, "invalid_token")
}

func TestA20_ATokenRegistersAsManyAsItSays(t *testing.T) {
	rounds := []int{1, 3}
	fleet(t, func(t *testing.T, one, two *harness) {
		one, two = one.replica(ports{register: true}), two.replica(ports{register: true})
		for _, uses := range rounds {
			token := one.initial(uses)
			won, said := onBoth(20, one, two, func(at *harness) answer {
				return at.sends(http.MethodPost, pathRegister, token, metadataOf(nil))
			})
			if len(won) != uses || said["201"] != uses || said["401invalid_token"] != 20-uses {
				t.Errorf("%d uses: %v", uses, said)
			}
		}
	})
}

func TestA20_NoURIOfAClientIsFetched(t *testing.T) {
	var hits atomic.Int64
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer canary.Close()
	h := registry(t)
	port := canary.URL[strings.LastIndex(canary.URL, ":"):]
	targets := []string{canary.URL, canary.URL + "/x?y#z", "http://localhost" + port, "https://127.0.0.1" + port,
		"http://[::1]" + port, "http://0177.0.0.1" + port,
		"http://2130706433" + port, "http://169.254.169.254/latest", "https://user@127.0.0.1" + port, "file:///etc/passwd",
		"gopher://127.0.0.1" + port, "//127.0.0.1" + port}
	for _, field := range []string{"logo_uri", "client_uri", "policy_uri", "tos_uri", "jwks_uri", "sector_identifier_uri",
		"initiate_login_uri", "backchannel_logout_uri",
		"frontchannel_logout_uri", "redirect_uris", "post_logout_redirect_uris", "request_uris"} {
		for _, target := range targets {
			var v any = target
			if strings.HasSuffix(field, "s") {
				v = []string{target}
			}
			a := h.sends(http.MethodPost, pathRegister, h.initial(1), metadataOf(doc{field: v}))
			if a.StatusCode != http.StatusCreated && a.StatusCode != http.StatusBadRequest {
				t.Errorf("%s %s: %d %s", field, target, a.StatusCode, a.body)
			}
			if a.StatusCode != http.StatusCreated {
				continue
			}
			b := h.browser()
			b.authorize(ask("client_id", a.text("client_id")))
			path := pathRegister + "/" + a.text("client_id")
			h.sends(http.MethodPut, path, a.text("registration_access_token"), metadataOf(doc{"client_id": a.text("client_id"),
				field: v}))
			h.sends(http.MethodGet, path, a.text("registration_access_token"), nil)
		}
	}
	if n := hits.Load(); n > 0 {
		t.Errorf("the canary was called %d times", n)
	}
}

func TestA14_A20_AClientGivesItselfNothing(t *testing.T) {
	h := registry(t)
	for name, c := range map[string]struct {
		more doc
		want string
	}{
		"client_credentials": {doc{"grant_types": []string{clients.GrantClient}}, "invalid_client_metadata"},
		"an API's scope":     {doc{"scope": "openid offline_access photos"}, "invalid_client_metadata"},
		"implicit":           {doc{"grant_types": []string{"implicit"}}, "invalid_client_metadata"},
		"token":              {doc{"response_types": []string{"token"}}, "invalid_client_metadata"},
		"pairwise":           {doc{"subject_type": "pairwise"}, "invalid_client_metadata"},
		"a desktop":          {doc{"application_type": "desktop"}, "invalid_client_metadata"},
		"a statement":        {doc{"software_statement": "eyJhbGciOiJub25lIn0.e30."}, "unapproved_software_statement"},
		"a number for list":  {doc{"redirect_uris": 5}, "invalid_client_metadata"},
		"none, method":       {doc{"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"},
		"none algorithm":     {doc{"id_token_signed_response_alg": "none"}, "invalid_client_metadata"},
		"a fragment":         {doc{"redirect_uris": []string{callback + "#x"}}, "invalid_redirect_uri"},
		"http":               {doc{"redirect_uris": []string{"http://app.example.com/"}}, "invalid_redirect_uri"},
		"no redirect":        {doc{"redirect_uris": nil}, "invalid_redirect_uri"},
		"a scheme for web":   {doc{"redirect_uris": []string{"com.example.app:/cb"}}, "invalid_redirect_uri"},
	} {
		a := h.sends(http.MethodPost, pathRegister, h.initial(1), metadataOf(c.more))
		if a.StatusCode != http.StatusBadRequest || a.text("error") != c.want || a.text("error_description") == "" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	got := h.registers(doc{"first_party": true, "skip_pkce": true, "FirstParty": true, "audience": []string{"api"},
		"client_id": "app", "client_secret": "mine", "disabled": false,
		"registration_access_token": "mine", "jwt_access_tokens": true})
	c, err := h.db.Client(h.ctx(), got.text("client_id"))
	h.must(err)
	if c.ID == "app" || c.FirstParty || c.PKCE != "" || len(c.Audience) > 0 || c.JWTAccess ||
		got.text("client_secret") == "mine" {
		t.Errorf("%+v", c)
	}
	c.FirstParty = true
	if problems := clients.Validate(c); len(problems) != 1 || problems[0].Field != "first_party" {
		t.Errorf("an operator makes it first-party: %v", problems)
	}
	h.registers(doc{"redirect_uris": []string{"com.example.app:/cb", "http://127.0.0.1/cb"}, "application_type": "native",
		"token_endpoint_auth_method": "none"})
	h.registers(doc{"redirect_uris": nil, "grant_types": []string{clients.GrantDevice},
		"token_endpoint_auth_method": "none"})
}

func TestA20_ARegistrationTokenIsForItsClientAlone(t *testing.T) {
	h := newHarnessWith(t, ports{register: true, memory: true})
	one, two := h.registers(nil), h.registers(nil)
	path := pathRegister + "/" + one.text("client_id")
	for name, bearer := range map[string]string{"another client's": two.text("registration_access_token"),
		"an initial token": h.initial(1), "its secret": one.text("client_secret"),
		"none": "", "edited": edited(one.text("registration_access_token"))} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			if a := h.sends(method, path, bearer,
				metadataOf(doc{"client_id": one.text("client_id")})); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s: %d %s", method, name, a.StatusCode, a.body)
			}
			if a := h.sends(method, pathRegister+"/app", bearer,
				metadataOf(doc{"client_id": "app"})); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s at a client of the operator's: %d", method, name, a.StatusCode)
			}
		}
	}
	// A copy of the hash is worth nothing at another client.
	a, err := h.db.Client(h.ctx(), one.text("client_id"))
	h.must(err)
	a.ID = "copy"
	h.must(h.db.PutClient(h.ctx(), a))
	h.wants(h.sends(http.MethodGet, pathRegister+"/copy", one.text("registration_access_token"), nil),
		http.StatusUnauthorized, "invalid_token")
	// The operator turns it off on another replica: this one still remembers it, and no update turns it on again.
	h.wants(h.sends(http.MethodGet, path, one.text("registration_access_token"), nil), http.StatusOK, "")
	a.ID, a.Disabled = one.text("client_id"), true
	h.must(h.db.PutClient(h.ctx(), a))
	h.wants(h.sends(http.MethodPut, path, one.text("registration_access_token"), metadataOf(doc{"client_id": a.ID})),
		http.StatusUnauthorized, "invalid_token")
	if a, err = h.db.Client(h.ctx(), a.ID); err != nil || !a.Disabled {
		t.Errorf("%+v %v", a, err)
	}
}

func TestNoAppRegistersItselfWithANameThatLooksLikeAnother(t *testing.T) {
	h := registry(t)
	for _, name := range []string{"Мicrosoft", "Micro\u200bsoft", "\u202etfosorciM"} {
		a := h.sends(http.MethodPost, pathRegister, h.initial(1), metadataOf(doc{"client_name": name}))
		if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.text("error_description"), "client_name: ") ||
			!strings.Contains(a.text("error_description"), "U+") {
			t.Errorf("%+q: %d %s", name, a.StatusCode, a.body)
		}
	}
}

func TestH1_H10_RegistrationsAreBounded(t *testing.T) {
	h := registry(t)
	for name, c := range map[string]struct {
		kind, body string
		status     int
	}{
		"too large": {"application/json", `{"client_name":"` + strings.Repeat("x", 70<<10) + `"}`,
			http.StatusRequestEntityTooLarge},
		"deep": {"application/json", strings.Repeat("[", 30000), http.StatusBadRequest},
		"deep jwks": {"application/json", `{"jwks":` + strings.Repeat("[", 15000) + strings.Repeat("]", 15000) + `}`,
			http.StatusBadRequest},
		"a form": {"application/x-www-form-urlencoded", "client_name=x", http.StatusBadRequest},
		"a list": {"application/json", `[{}]`, http.StatusBadRequest},
		"empty":  {"application/json", ``, http.StatusBadRequest},
		"many addresses": {"application/json", `{"redirect_uris":[` + strings.Repeat(`"https://a.example/",`, 100) +
			`"https://b.example/"]}`, http.StatusBadRequest},
		"a long name": {"application/json", `{"redirect_uris":["https://b.example/"],"client_name":"` + strings.Repeat(
			"x", 300) + `"}`, http.StatusBadRequest},
		"a name with NUL": {"application/json", `{"redirect_uris":["https://b.example/"],"client_name":"a\u0000b"}`,
			http.StatusBadRequest},
	} {
		r := httptest.NewRequest(http.MethodPost, issuer+pathRegister, strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.kind)
		r.Header.Set("Authorization", "Bearer "+h.initial(1))
		if a := h.send(r); a.StatusCode != c.status {
			t.Errorf("%s: %d %.300s", name, a.StatusCode, a.body)
		}
	}
}
