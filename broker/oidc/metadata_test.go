package oidc

import (
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

// each calls try for every value of a list in the metadata.
func each(t *testing.T, list any, try func(t *testing.T, value string)) {
	t.Helper()
	values, ok := list.([]any)
	if !ok || len(values) == 0 {
		t.Fatalf("%v is no list", list)
	}
	for _, v := range values {
		t.Run(v.(string), func(t *testing.T) { try(t, v.(string)) })
	}
}

// Discovery promises what works and nothing else: every member is tried, and one
// that is new and not tried here fails.
func TestAC_DiscoveryAdvertisesWhatWorks(t *testing.T) {
	h := newHarness(t)
	meta := h.send(newRequest(http.MethodGet, "/.well-known/openid-configuration", nil)).json
	tries := triesOf(h)
	for name, promised := range meta {
		try, ok := tries[name]
		if !ok {
			t.Errorf("%s is advertised and nobody tries it", name)
			continue
		}
		t.Run(name, func(t *testing.T) { try(t, promised) })
	}
	for name := range tries {
		if _, ok := meta[name]; !ok {
			t.Errorf("%s is tried and not advertised", name)
		}
	}
}

type try = func(t *testing.T, promised any)

func triesOf(h *harness) map[string]try {
	all := map[string]try{}
	for _, some := range []map[string]try{h.triesOfEndpoints(), h.triesOfRequests(), h.triesOfTokens(), h.triesOfKeys(),
		h.triesOfSignOuts()} {
		for name, f := range some {
			all[name] = f
		}
	}
	return all
}

// mounted checks that an endpoint responds, and is below the issuer.
func (h *harness) mounted(methods ...string) try {
	return func(t *testing.T, promised any) {
		path, ok := strings.CutPrefix(promised.(string), issuer)
		for _, m := range methods {
			if _, pattern := h.mux.Handler(newRequest(m, path, nil)); !ok || pattern != m+" "+path {
				t.Errorf("%s %v: %q", m, promised, pattern)
			}
		}
	}
}

func (h *harness) triesOfEndpoints() map[string]try {
	return map[string]try{
		"issuer": func(t *testing.T, promised any) {
			if promised != issuer {
				t.Error(promised)
			}
		},
		"authorization_endpoint": h.mounted("GET", "POST"), "token_endpoint": h.mounted("POST"),
		"userinfo_endpoint": h.mounted("GET", "POST"),
		"jwks_uri":          h.mounted("GET"), "revocation_endpoint": h.mounted("POST"), "introspection_endpoint": h.mounted(
			"POST"),
		"end_session_endpoint": h.mounted("GET", "POST"), "pushed_authorization_request_endpoint": h.mounted("POST"),
		"device_authorization_endpoint": h.mounted("POST"),
	}
}

func (h *harness) triesOfRequests() map[string]try {
	flag := func(want bool, look func(t *testing.T)) try {
		return func(t *testing.T, promised any) {
			if promised != want {
				t.Errorf("%v", promised)
			}
			look(t)
		}
	}
	return map[string]try{
		"scopes_supported": func(t *testing.T, promised any) {
			each(t, promised, func(t *testing.T, v string) {
				if got := h.signIn("scope", "openid "+strings.TrimPrefix(v, "openid")); !slices.Contains(
					strings.Fields(got.text("scope")), v) {
					t.Error(got.body)
				}
			})
		},
		"response_types_supported": func(t *testing.T, promised any) {
			each(t, promised, func(t *testing.T, v string) { h.browser().code(ask("response_type", v)) })
		},
		"response_modes_supported": func(t *testing.T, promised any) {
			each(t, promised, func(t *testing.T, v string) {
				a := h.browser().authorize(ask("response_mode", v))
				if _, fields := a.form(); h.logged(a).Get("code") == "" || (fields != nil) != (v == modePost) {
					t.Errorf("%d %s", a.StatusCode, a.body)
				}
			})
		},
		"prompt_values_supported": func(t *testing.T, promised any) {
			each(t, promised, func(t *testing.T, v string) {
				b := h.browser()
				b.code(ask())
				b.code(ask("prompt", v))
			})
		},
		"acr_values_supported": func(t *testing.T, promised any) {
			each(t, promised, func(t *testing.T, v string) {
				if _, id := h.claims(h.signIn("acr_values", v).text("id_token")); id["acr"] != v {
					t.Error(id["acr"])
				}
			})
		},
		"ui_locales_supported": func(t *testing.T, promised any) {
			each(t, promised, func(t *testing.T, v string) {
				if a := h.browser().authorize(ask("response_mode", modePost, "ui_locales", v)); !strings.Contains(a.body,
					`<html lang="`+v+`"`) {
					t.Error(a.body)
				}
			})
		},
		"code_challenge_methods_supported": func(t *testing.T, promised any) {
			each(t, promised, func(t *testing.T, v string) {
				h.wants(h.redeem(h.browser().code(ask("code_challenge_method", v))), http.StatusOK, "")
			})
		},
		"claims_parameter_supported": flag(true, func(t *testing.T) {
			if _, id := h.claims(h.signIn("claims", `{"id_token":{"name":null}}`).text("id_token")); id["name"] == nil {
				t.Error(id)
			}
		}),
		"request_parameter_supported": flag(false, func(*testing.T) {
			h.appHears(h.browser().get("/authorize?"+ask("request", "x").Encode()), "request_not_supported")
		}),
		"request_uri_parameter_supported": flag(false, func(*testing.T) {
			h.appHears(h.browser().get("/authorize?"+ask("request_uri", "https://x.example").Encode()),
				"request_uri_not_supported")
		}),
		"require_pushed_authorization_requests": flag(false, func(*testing.T) { h.browser().code(ask()) }),
		"authorization_response_iss_parameter_supported": flag(true, func(t *testing.T) {
			if h.browser().authorize(ask()).location().Query().Get("iss") != issuer {
				t.Error("no iss")
			}
		}),
	}
}

// keyed calls an endpoint with an assertion of this algorithm.
func (h *harness) keyed(path, alg string, form url.Values) answer {
	key := newHeldKey(h.t, "k", alg)
	id := "key-" + alg + strings.ReplaceAll(path, "/", "-")
	h.client(broker.Client{ID: id, Name: "By key", AuthMethods: []string{clients.MethodKey}, SecretHashes: []string{},
		FirstParty: true, Keys: keySetOf(h.t, key)})
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", key.signed(h.t, h.proof(id), nil))
	return h.send(newRequest(http.MethodPost, path, form))
}

// authenticated calls an endpoint with the named authentication method.
func (h *harness) authenticated(path, method string, form url.Values) answer {
	if method == clients.MethodKey {
		return h.keyed(path, signing.ES256, form)
	}
	c := broker.Client{ID: "by-" + method, Name: "By", AuthMethods: []string{method}, FirstParty: true}
	secret := h.client(c)
	form.Set("client_id", c.ID)
	r := newRequest(http.MethodPost, path, form)
	switch method {
	case "client_secret_post":
		form.Set("client_secret", secret)
		r = newRequest(http.MethodPost, path, form)
	case "client_secret_basic":
		r.SetBasicAuth(c.ID, secret)
	}
	return h.send(r)
}

func (h *harness) triesOfTokens() map[string]try {
	authenticates := func(path string) try {
		return func(t *testing.T, promised any) {
			each(t, promised, func(t *testing.T, v string) {
				form := url.Values{"token": {"x"}, "grant_type": {clients.GrantRefresh}, "refresh_token": {"x"}}
				if a := h.authenticated(path, v, form); a.text("error") == "invalid_client" ||
					a.StatusCode == http.StatusUnauthorized {
					t.Errorf("%d %s", a.StatusCode, a.body)
				}
			})
		}
	}
	return map[string]try{
		"token_endpoint_auth_methods_supported":         authenticates("/token"),
		"revocation_endpoint_auth_methods_supported":    authenticates("/revoke"),
		"introspection_endpoint_auth_methods_supported": authenticates("/introspect"),
		"grant_types_supported": func(t *testing.T, promised any) {
			give := map[string]func() answer{
				clients.GrantCode:    func() answer { return h.redeem(h.browser().code(ask())) },
				clients.GrantRefresh: func() answer { return h.refresh(h.signIn().text("refresh_token")) },
				clients.GrantClient:  func() answer { return h.token("grant_type", clients.GrantClient) },
				clients.GrantDevice: func() answer {
					h.tv("tv")
					tv := h.deviceCalls("tv")
					h.browser().allows(tv)
					return tv.poll(h)
				},
			}
			each(t, promised, func(t *testing.T, v string) {
				if give[v] == nil {
					t.Fatal("nobody tries it")
				}
				h.wants(give[v](), http.StatusOK, "")
			})
		},
		"subject_types_supported": func(t *testing.T, promised any) {
			each(t, promised, func(t *testing.T, v string) { // public: the same for every client
				if _, id := h.claims(h.signIn().text("id_token")); v != "public" || id["sub"] != "ana" {
					t.Errorf("%s: %v", v, id["sub"])
				}
			})
		},
		"id_token_signing_alg_values_supported": func(t *testing.T, promised any) {
			each(t, promised, func(t *testing.T, v string) {
				h.client(broker.Client{ID: v, Name: v, AuthMethods: []string{"none"}, FirstParty: true, IDTokenAlg: v})
				head, _ := h.claims(h.redeem(h.browser().code(ask("client_id", v)), "client_id", v).text("id_token"))
				if head["alg"] != v {
					t.Error(head)
				}
			})
		},
		"claims_supported": func(t *testing.T, promised any) {
			h.logins.authn = broker.Authn{Method: broker.ByPassword, AMR: []string{"pwd"}, AuthTime: h.clock.Now()}
			got := h.signIn("acr_values", acrKnown)
			_, id := h.claims(got.text("id_token"))
			info := h.userinfo(got.text("access_token")).json
			each(t, promised, func(t *testing.T, v string) {
				if id[v] == nil && info[v] == nil {
					t.Error("no token and no userinfo has it")
				}
			})
		},
	}
}

func (h *harness) triesOfKeys() map[string]try {
	signs := func(path string) try {
		return func(t *testing.T, promised any) {
			each(t, promised, func(t *testing.T, alg string) {
				form := url.Values{"token": {"x"}, "grant_type": {clients.GrantRefresh}, "refresh_token": {"x"}}
				if a := h.keyed(path, alg, form); a.text("error") == "invalid_client" || a.StatusCode == http.StatusUnauthorized {
					t.Errorf("%d %s", a.StatusCode, a.body)
				}
			})
		}
	}
	return map[string]try{
		"token_endpoint_auth_signing_alg_values_supported":         signs("/token"),
		"revocation_endpoint_auth_signing_alg_values_supported":    signs("/revoke"),
		"introspection_endpoint_auth_signing_alg_values_supported": signs("/introspect"),
		"dpop_signing_alg_values_supported": func(t *testing.T, promised any) {
			each(t, promised, func(t *testing.T, alg string) {
				proof := newProver(t, alg).proof(h, http.MethodPost, "/token", "", nil)
				if got := h.tokenWith([]string{proof}, form("grant_type", clients.GrantClient)); got.text("token_type") != "DPoP" {
					t.Errorf("%d %s", got.StatusCode, got.body)
				}
			})
		},
	}
}

func (h *harness) triesOfSignOuts() map[string]try {
	promised := func(look func(t *testing.T)) try {
		return func(t *testing.T, promised any) {
			if promised != true {
				t.Error(promised)
			}
			look(t)
		}
	}
	back := promised(func(t *testing.T) {
		h.notified() // what other tries left
		l, b, got := h.listening()
		_, id := h.opened(got.text("id_token"))
		b.get(leave("id_token_hint", got.text("id_token")))
		if n := h.notified(); n != 1 || len(l.received()) != 1 {
			t.Fatalf("told %d, heard %d", n, len(l.received()))
		}
		if _, said := h.opened(l.received()[0]); said["sid"] == nil || said["sid"] != id["sid"] {
			t.Errorf("%v", said)
		}
	})
	front := promised(func(t *testing.T) {
		h.change("app", func(c *broker.Client) { c.FrontchannelLogoutURI = "https://app.example/front" })
		b := h.browser()
		got := h.redeem(b.code(ask()))
		_, id := h.claims(got.text("id_token"))
		page := b.get(leave("id_token_hint", got.text("id_token")))
		frame := "https://app.example/front?" + url.Values{"iss": {issuer}, "sid": {id["sid"].(string)}}.Encode()
		if !strings.Contains(page.body, `<iframe src="`+html.EscapeString(frame)+`"`) ||
			!strings.HasSuffix(page.Header.Get("Content-Security-Policy"), "; frame-src https://app.example") {
			t.Errorf("%s %s", page.Header.Get("Content-Security-Policy"), page.body)
		}
	})
	return map[string]try{
		"backchannel_logout_supported": back, "backchannel_logout_session_supported": back,
		"frontchannel_logout_supported": front, "frontchannel_logout_session_supported": front,
	}
}
