package oidc

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// bare are the parameters that take PKCE out of a request.
var bare = []string{"code_challenge", "-", "code_challenge_method", "-"}

// withoutVerifier redeems a code of the client "app" as a library without PKCE does.
func (h *harness) withoutVerifier(code string, pairs ...string) answer {
	h.t.Helper()
	return h.token(append([]string{"grant_type", clients.GrantCode, "code", code, "redirect_uri", callback}, pairs...)...)
}

func TestA1_AnInjectedCodeBringsTheNonceThatItWasAskedWith(t *testing.T) {
	h := newHarness(t)
	other := h.client(broker.Client{ID: "other", Name: "Other", AuthMethods: clients.SecretMethods(), FirstParty: true})
	b := h.browser()
	victim := b.code(ask(append(bare, "nonce", "of-the-victim")...))
	h.wants(h.withoutVerifier(victim, "client_id", "other", "client_secret", other), http.StatusBadRequest,
		"invalid_grant")
	h.wants(h.withoutVerifier(victim, "redirect_uri", callback+"/"), http.StatusBadRequest, "invalid_grant")
	// The attacker's own attempt at the app has another nonce, so the app refuses this ID token.
	got := h.wants(h.withoutVerifier(victim, "nonce", "of-the-attacker"), http.StatusOK, "")
	if _, id := h.claims(got.text("id_token")); id["nonce"] != "of-the-victim" {
		t.Errorf("nonce %v", id["nonce"])
	}
	h.wants(h.withoutVerifier(victim), http.StatusBadRequest, "invalid_grant")
}

func TestA1_A2_AConfidentialClientSendsPKCEOrANonce(t *testing.T) {
	h := newHarness(t)
	h.client(broker.Client{ID: "spa", Name: "SPA", AuthMethods: []string{"none"}, FirstParty: true})
	h.client(broker.Client{ID: "desk", Name: "Desk", AuthMethods: clients.SecretMethods(), FirstParty: true, Native: true})
	b := h.browser()
	b.code(ask())
	for name, c := range map[string]struct {
		client, pkce string
		pairs        []string
		says         string // in the description of the refusal; empty if it is accepted
	}{
		"nonce": {"app", "", bare, ""},
		"PKCE":  {"app", "", []string{"nonce", "-"}, ""},
		"neither": {"app", "", append(bare, "nonce", "-"),
			"app sent neither a code_challenge (PKCE with S256) nor a nonce"},
		"the setting":         {"app", "", append(bare, "nonce", "-"), "--pkce off"},
		"an empty nonce":      {"app", "", append(bare, "nonce", ""), "--pkce off"},
		"a nonce, no openid":  {"app", "", append(bare, "scope", "profile"), "with the scope openid"},
		"required: nonce":     {"app", broker.PKCERequired, bare, "app is registered with --pkce required"},
		"required: PKCE":      {"app", broker.PKCERequired, nil, ""},
		"off: neither":        {"app", broker.PKCEOff, append(bare, "nonce", "-"), ""},
		"off: plain":          {"app", broker.PKCEOff, []string{"code_challenge_method", "plain"}, "must be S256"},
		"off: no method":      {"app", broker.PKCEOff, []string{"code_challenge_method", "-"}, "send S256"},
		"a public client":     {"spa", "", bare, "spa is a public or native client"},
		"a native client":     {"desk", "", bare, "desk is a public or native client"},
		"public, off in data": {"spa", broker.PKCEOff, bare, "spa is a public or native client"},
	} {
		h.change(c.client, func(client *broker.Client) { client.PKCE = c.pkce })
		said := b.get("/authorize?" + ask(append([]string{"client_id", c.client}, c.pairs...)...).Encode()).location().Query()
		if c.says == "" && !said.Has("code") || c.says != "" && (said.Get("error") != "invalid_request" ||
			!strings.Contains(said.Get("error_description"), c.says) || strings.Contains(said.Get("error_description"), "?")) {
			t.Errorf("%s: %v", name, said)
		}
	}
}

func TestA2_NothingIsDowngradedEitherWay(t *testing.T) {
	h := newHarness(t)
	for _, pkce := range []string{"", broker.PKCEOff} {
		h.change("app", func(c *broker.Client) { c.PKCE = pkce })
		b := h.browser()
		code := b.code(ask()) // a challenge and a nonce
		h.wants(h.withoutVerifier(code), http.StatusBadRequest, "invalid_grant")
		h.wants(h.withoutVerifier(code, "code_verifier", ""), http.StatusBadRequest, "invalid_grant")
		h.wants(h.redeem(code, "code_verifier", challengeOf(verifier)), http.StatusBadRequest, "invalid_grant") // as plain
		h.wants(h.redeem(code), http.StatusOK, "")
		code = b.code(ask(bare...)) // an attacker took the challenge out
		h.wants(h.redeem(code), http.StatusBadRequest, "invalid_grant")
		h.wants(h.withoutVerifier(code, "code_verifier", ""), http.StatusOK, "") // RFC 6749 §3.2: empty is not sent
	}
}

func TestA9_ASecretComesEitherWayButNotBothWays(t *testing.T) {
	h := newHarness(t)
	secret := h.client(broker.Client{ID: "wiki", Name: "Wiki", AuthMethods: clients.SecretMethods()})
	form := url.Values{"grant_type": {clients.GrantClient}, "client_id": {"wiki"}}
	post := maps.Clone(form)
	post.Set("client_secret", secret)
	h.wants(h.send(newRequest(http.MethodPost, pathToken, post)), http.StatusOK, "")
	for _, c := range []struct {
		form   url.Values
		secret string
		want   int
	}{{form, secret, http.StatusOK}, {form, "", http.StatusUnauthorized}, {post, secret, http.StatusBadRequest},
		{post, "", http.StatusBadRequest}, {post, "wrong", http.StatusBadRequest}} {
		r := newRequest(http.MethodPost, pathToken, c.form)
		r.SetBasicAuth("wiki", c.secret)
		if a := h.send(r); a.StatusCode != c.want {
			t.Errorf("%v %q: %d %s", c.form, c.secret, a.StatusCode, a.body)
		}
	}
	h.wants(h.send(newRequest(http.MethodPost, pathToken, form)), http.StatusUnauthorized, "invalid_client")
}

// about are the claims about the person among others.
func about(all map[string]any) []string {
	var names []string
	for name := range all {
		if scopeOf(name) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestTheIDTokenSaysWhatUserinfoSaysAtTheCodeAndAtEveryRefresh(t *testing.T) {
	h := newHarness(t)
	for _, scope := range []string{"openid", "openid profile", "openid email", "openid profile email"} {
		got := h.signIn("scope", scope+" offline_access")
		again := h.wants(h.refresh(got.text("refresh_token")), http.StatusOK, "")
		narrower := h.wants(h.refresh(again.text("refresh_token"), "scope", "openid"),
			http.StatusOK, "")
		for name, a := range map[string]answer{"code": got, "refresh": again, "narrower": narrower} {
			info := h.userinfo(a.text("access_token")).json
			_, id := h.claims(a.text("id_token"))
			if !slices.Equal(about(info), about(id)) {
				t.Errorf("%s, %s: userinfo has %v, the ID token %v", scope, name, about(info), about(id))
			}
			for _, claim := range about(info) {
				if info[claim] != id[claim] {
					t.Errorf("%s: %v and %v", claim, info[claim], id[claim])
				}
			}
			if want := strings.Contains(scope, "email") && name != "narrower"; (id["email"] != nil) != want ||
				(id["email_verified"] == true) != want {
				t.Errorf("%s, %s: %v", scope, name, id)
			}
		}
	}
	h.change("app", func(c *broker.Client) { c.IDTokenClaims = broker.ClaimsMinimal })
	info, id := h.informed("claims", `{"id_token":{"name":null}}`)
	if !slices.Equal(about(id), []string{"name"}) || len(about(info)) != 8 {
		t.Errorf("minimal: the ID token has %v, userinfo %v", about(id), about(info))
	}
}

func TestADevicesIDTokenSaysWhoSignedIn(t *testing.T) {
	h := newHarness(t)
	h.tv("tv")
	tv := h.deviceCalls("tv", "scope", "openid profile email offline_access")
	h.browser().allows(tv)
	got := h.wants(tv.poll(h), http.StatusOK, "")
	_, id := h.claims(got.text("id_token"))
	again := h.wants(h.refresh(got.text("refresh_token"), "client_id", "tv"), http.StatusOK, "")
	_, later := h.claims(again.text("id_token"))
	if id["email"] != "ana@example.com" || id["name"] != "Ana Lima" || !slices.Equal(about(id), about(later)) {
		t.Errorf("%v, then %v", id, later)
	}
}

func TestThePreferredUsernameIsTheAddressOrWhatTheClientIsRegisteredFor(t *testing.T) {
	h := newHarness(t)
	for kind, want := range map[string]any{"": "ana@example.com", broker.UsernameLocalPart: "ana",
		broker.UsernameNone: nil} {
		h.change("app", func(c *broker.Client) { c.PreferredUsername = kind })
		for _, pairs := range [][]string{{"scope", "openid profile"}, {"scope", "openid", "claims",
			`{"userinfo":{"preferred_username":null},"id_token":{"preferred_username":null}}`}} {
			if info, id := h.informed(pairs...); info["preferred_username"] != want || id["preferred_username"] != want {
				t.Errorf("%q, %v: %v %v", kind, pairs, info, id)
			}
		}
	}
	if info, id := h.informed("scope", "openid email"); info["preferred_username"] != nil ||
		id["preferred_username"] != nil {
		t.Errorf("without profile: %v %v", info, id)
	}
	if !slices.Contains(texts(h.discovered()["claims_supported"]), "preferred_username") {
		t.Error("discovery does not advertise it")
	}
}

func TestA13_A14_AUsernameThatIsAnAddressNeedsTheSameConsent(t *testing.T) {
	h, b, _ := third(t)
	q := thirdAsks("scope", "openid profile")
	path := b.get("/authorize?" + q.Encode()).Header.Get("Location")
	if page := b.do(english(path)); !strings.Contains(page.body, "See your email address") {
		t.Fatalf("%s: %s", path, page.body)
	}
	b.post(path, url.Values{"decision": {"allow"}})
	h.change("third", func(c *broker.Client) { c.PreferredUsername = broker.UsernameNone })
	b.code(q) // it needs less now
	c, err := h.db.Consent(h.ctx(), "ana", "third")
	h.must(err)
	c.Scopes = []string{"openid", "profile"}
	h.must(h.db.PutConsent(h.ctx(), c))
	b.code(q)
	h.change("third", func(c *broker.Client) { c.PreferredUsername = "" })
	if a := b.get("/authorize?" + q.Encode()); !strings.HasPrefix(a.Header.Get("Location"), "/consent/") {
		t.Errorf("%s", a.Header.Get("Location"))
	}
	h.change("app", func(c *broker.Client) { c.Scopes = []string{"openid", "profile", "offline_access"} })
	if info, id := h.informed("scope", "openid profile"); info["preferred_username"] != nil ||
		id["preferred_username"] != nil {
		t.Errorf("a client that may not have the address: %v %v", info, id)
	}
}

func TestA8_AnErrorNamesTheIssuerUnlessTheClientIsRegisteredWithoutIt(t *testing.T) {
	h, b, _ := third(t)
	for _, setting := range []string{"", broker.ErrorIssOff} {
		h.change("third", func(c *broker.Client) { c.ErrorIss = setting })
		path := b.get("/authorize?" + thirdAsks().Encode()).Header.Get("Location")
		cancelled := b.post(path, url.Values{"decision": {"cancel"}})
		refused := b.get("/authorize?" + thirdAsks("prompt", "none").Encode()).location().Query()
		if with := setting == ""; strings.Contains(cancelled.body, "iss=") != with || refused.Has("iss") != with ||
			refused.Get("state") != "the-state" || refused.Get("error") != "consent_required" {
			t.Errorf("%q: %v %s", setting, refused, cancelled.body)
		}
	}
	path := b.get("/authorize?" + thirdAsks().Encode()).Header.Get("Location")
	b.post(path, url.Values{"decision": {"allow"}})
	said := b.get("/authorize?consent=" + strings.TrimPrefix(path, "/consent/")).location().Query()
	if said.Get("iss") != issuer || !said.Has("code") {
		t.Errorf("a code without iss: %v", said)
	}
}

func TestAParameterWithoutAValueIsNotSent(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	b.code(ask())
	// Of every parameter that a request may have and need not.
	for _, name := range []string{"response_mode", "prompt", "max_age", "id_token_hint", "login_hint", "ui_locales",
		"acr_values", "claims", "resource", "request", "request_uri", "registration", "connection", "dpop_jkt", "display",
		"state", "login", "error", "consent", "post"} {
		q := ask()
		q[name] = append(q[name], "")
		b.code(q) // beside a value it is not a second one
		if a := b.get("/authorize?" + q.Encode()); !a.location().Query().Has("code") {
			t.Errorf("%s: %s", name, a.Header.Get("Location"))
		}
	}
	for _, name := range []string{"scope", "client_secret", "client_assertion", "client_assertion_type", "resource",
		"refresh_token", "device_code", "username"} {
		h.wants(h.redeem(b.code(ask()), name, ""), http.StatusOK, "")
	}
	h.wants(h.redeem(b.code(ask()), "code_verifier", ""), http.StatusBadRequest, "invalid_grant") // it was needed
	token := h.signIn().text("refresh_token")
	h.wants(h.refresh(token, "scope", "", "resource", ""), http.StatusOK, "")
	h.wants(h.call(pathRevoke, "token", token, "token_type_hint", ""), http.StatusOK, "")
	pushed := newRequest(http.MethodPost, pathPush, ask("client_id", "", "response_mode", "", "request_uri", ""))
	pushed.SetBasicAuth("app", h.secret)
	h.wants(h.send(pushed), http.StatusCreated, "")
	h.page(b.get("/authorize?client_id=&response_mode="), broker.ClientUnknown)
}

func TestA3_OnlyANativeClientChoosesItsLoopbackPort(t *testing.T) {
	h := newHarness(t)
	const at = "http://127.0.0.1/callback"
	for _, native := range []bool{true, false} {
		h.change("app", func(c *broker.Client) { c.Native, c.RedirectURIs = native, []string{at, "http://127.0.0.1:3000/x"} })
		for uri, good := range map[string]bool{at: true, "http://127.0.0.1:3000/x": true,
			"http://127.0.0.1:49152/callback": native, "http://127.0.0.1:65535/callback": native,
			"http://127.0.0.1:65536/callback": false, "http://127.0.0.1:0/callback": false,
			"http://127.0.0.1:01234/callback": false} {
			a := h.browser().authorize(ask("redirect_uri", uri))
			if !good {
				h.page(a, broker.RedirectURIMismatch)
			} else if !a.location().Query().Has("code") {
				t.Errorf("%s, native %v: %d %s", uri, native, a.StatusCode, a.Header.Get("Location"))
			}
		}
	}
}
