package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// The modules of the OpenID Foundation's Basic and Form Post plans that are about
// requests. Each runs as either plan would, in its own house.
func bothModes(t *testing.T, module func(t *testing.T, h *house, b *browser, ask func(pairs ...string) url.Values)) {
	for _, mode := range responseModes() {
		t.Run(mode, func(t *testing.T) {
			h := newHouse(t)
			module(t, h, h.browser(), func(pairs ...string) url.Values {
				return ask(append([]string{"response_mode", mode, "state", strings.Repeat("s-._~", 25) + "abc"}, pairs...)...)
			})
		})
	}
}

// hears is authorize for a request that is answered, and the answer.
func (b *browser) hears(q url.Values) url.Values {
	b.h.t.Helper()
	a := b.authorize(q)
	said := b.h.heard(a)
	if said == nil || said.Get("state") != q.Get("state") || said.Get("iss") != issuer {
		b.h.t.Fatalf("%d to %q: %v", a.StatusCode, a.Header.Get("Location"), said)
	}
	return said
}

// idToken is hears to the claims of an ID token.
func (b *browser) idToken(q url.Values) (claims map[string]any, token string) {
	b.h.t.Helper()
	said := b.hears(q)
	got := b.h.wants(b.h.redeem(said.Get("code")), http.StatusOK, "")
	_, claims = b.h.claims(got.text("id_token"))
	return claims, got.text("id_token")
}

type asker = func(pairs ...string) url.Values

func TestOIDF_oidcc_prompt_login(t *testing.T) {
	bothModes(t, func(t *testing.T, h *house, b *browser, ask asker) {
		first, _ := b.idToken(ask())
		h.clock.add(2 * time.Second)
		if second, _ := b.idToken(ask("prompt", "login")); second["auth_time"].(float64) <= first["auth_time"].(float64) || second["sub"] != first["sub"] {
			t.Errorf("%v, then %v", first["auth_time"], second["auth_time"])
		}
	})
}

func TestOIDF_oidcc_prompt_none_logged_in(t *testing.T) {
	bothModes(t, func(t *testing.T, h *house, b *browser, ask asker) {
		first, _ := b.idToken(ask())
		h.clock.add(time.Second)
		if second, _ := b.idToken(ask("prompt", "none")); second["sub"] != first["sub"] || second["auth_time"] != first["auth_time"] {
			t.Errorf("%v, then %v", first, second)
		}
	})
}

func TestOIDF_oidcc_max_age_1(t *testing.T) {
	bothModes(t, func(t *testing.T, h *house, b *browser, ask asker) {
		first, _ := b.idToken(ask())
		h.clock.add(2 * time.Second)
		if second, _ := b.idToken(ask("max_age", "1")); second["auth_time"].(float64) <= first["auth_time"].(float64) {
			t.Errorf("%v, then %v", first, second)
		}
	})
}

func TestOIDF_oidcc_max_age_10000(t *testing.T) {
	bothModes(t, func(t *testing.T, h *house, b *browser, ask asker) {
		first, _ := b.idToken(ask())
		h.clock.add(time.Second)
		if second, _ := b.idToken(ask("max_age", "10000", "prompt", "none")); second["auth_time"] != first["auth_time"] || second["auth_time"] == nil {
			t.Errorf("%v, then %v", first, second)
		}
	})
}

func TestOIDF_oidcc_id_token_hint(t *testing.T) {
	bothModes(t, func(t *testing.T, h *house, b *browser, ask asker) {
		first, hint := b.idToken(ask())
		if second, _ := b.idToken(ask("prompt", "none", "id_token_hint", hint)); second["sub"] != first["sub"] || second["auth_time"] != first["auth_time"] {
			t.Errorf("%v, then %v", first, second)
		}
		keys, err := h.db.SigningKeys(h.ctx())
		h.must(err)
		for _, k := range keys { // the key that signed the hint is retired by now
			if k.Alg == algRS256 {
				k.State, k.RetireAt = broker.KeyRetired, h.clock.Now().Add(time.Hour)
				h.must(h.db.ChangeSigningKey(h.ctx(), k, broker.KeyActive))
			}
		}
		h.must(h.door.keys.Tick(h.ctx()))
		if said := b.hears(ask("prompt", "none", "id_token_hint", hint)); said.Get("code") == "" {
			t.Errorf("by a retired key: %v", said)
		}
	})
}

func TestOIDF_oidcc_ensure_request_with_acr_values_succeeds(t *testing.T) {
	bothModes(t, func(t *testing.T, h *house, b *browser, ask asker) {
		offered := h.send(newRequest(http.MethodGet, "/.well-known/openid-configuration", nil)).json["acr_values_supported"].([]any)
		for _, class := range offered {
			if id, _ := b.idToken(ask("acr_values", class.(string)+" urn:x")); id["acr"] != class {
				t.Errorf("%v: %v", class, id["acr"])
			}
		}
	})
}

func TestOIDF_oidcc_claims_essential(t *testing.T) {
	bothModes(t, func(t *testing.T, h *house, b *browser, ask asker) {
		said := b.hears(ask("scope", "openid", "claims", `{"userinfo":{"name":{"essential":true}}}`))
		got := h.wants(h.redeem(said.Get("code")), http.StatusOK, "")
		_, id := h.claims(got.text("id_token"))
		if info := h.userinfo(got.text("access_token")).json; info["name"] == nil || id["name"] != nil {
			t.Errorf("%v %v", info, id)
		}
	})
}

// What an app may say beside: it is honoured or passed over, and never an error.
func passes(t *testing.T, pairs ...string) {
	bothModes(t, func(t *testing.T, _ *house, b *browser, ask asker) { b.idToken(ask(pairs...)) })
}

func TestOIDF_oidcc_display_page(t *testing.T)   { passes(t, "display", "page") }
func TestOIDF_oidcc_display_popup(t *testing.T)  { passes(t, "display", "popup") }
func TestOIDF_oidcc_ui_locales(t *testing.T)     { passes(t, "ui_locales", "se") }
func TestOIDF_oidcc_claims_locales(t *testing.T) { passes(t, "claims_locales", "se") }
func TestOIDF_oidcc_login_hint(t *testing.T)     { passes(t, "login_hint", "buffy@example.com") }

func TestOIDF_oidcc_ensure_request_with_unknown_parameter_succeeds(t *testing.T) {
	passes(t, "extra", "foobar")
}

func wantsError(t *testing.T, name string, pairs ...string) {
	bothModes(t, func(t *testing.T, _ *house, b *browser, ask asker) {
		if said := b.hears(ask(pairs...)); said.Get("error") != name {
			t.Errorf("%v", said)
		}
	})
}

func TestOIDF_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(t *testing.T) {
	wantsError(t, "request_uri_not_supported", "request_uri", "https://app.example.com/request.jwt")
}

func TestOIDF_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(t *testing.T) {
	wantsError(t, "request_not_supported", "request", "eyJhbGciOiJub25lIn0.e30.")
}

func TestOIDF_oidcc_ensure_request_object_with_redirect_uri(t *testing.T) {
	wantsError(t, "request_not_supported", "request", "eyJhbGciOiJub25lIn0.eyJyZWRpcmVjdF91cmkiOiJodHRwczovL2V2aWwuZXhhbXBsZSJ9.")
}

// The rest of the Basic list with response_mode=form_post: what comes after the
// answer is the same, so each module is its sign-in and the one thing it looks at.
func TestOIDF_oidcc_formpost_basic_certification_test_plan(t *testing.T) {
	h := newHouse(t)
	h.client(broker.Client{ID: "poster", Name: "Poster", AuthMethods: []string{"client_secret_post"}, FirstParty: true})
	sign := func(t *testing.T, pairs ...string) answer {
		t.Helper()
		said := h.browser().hears(ask(append([]string{"response_mode", "form_post"}, pairs...)...))
		return h.wants(h.redeem(said.Get("code")), http.StatusOK, "")
	}
	for module, look := range map[string]func(t *testing.T){
		"oidcc-server": func(t *testing.T) {
			_, id := h.claims(sign(t, "scope", "openid").text("id_token"))
			if id["nonce"] != "the-nonce" || id["aud"] != "app" || id["name"] != nil || id["rat"] != nil {
				t.Errorf("%v", id)
			}
		},
		"oidcc-idtoken-signature": func(t *testing.T) {
			if _, err := h.door.readHint(sign(t).text("id_token")); err != nil {
				t.Error(err)
			}
		},
		"oidcc-userinfo-get": func(t *testing.T) { h.wants(h.userinfo(sign(t).text("access_token")), http.StatusOK, "") },
		"oidcc-userinfo-post-header": func(t *testing.T) {
			r := newRequest(http.MethodPost, "/userinfo", nil)
			r.Header.Set("Authorization", "Bearer "+sign(t).text("access_token"))
			h.wants(h.send(r), http.StatusOK, "")
		},
		"oidcc-userinfo-post-body": func(t *testing.T) {
			h.wants(h.send(newRequest(http.MethodPost, "/userinfo", url.Values{"access_token": {sign(t).text("access_token")}})), http.StatusOK, "")
		},
		"oidcc-ensure-request-without-nonce-succeeds-for-code-flow": func(t *testing.T) {
			if _, id := h.claims(sign(t, "nonce", "-").text("id_token")); id["nonce"] != nil {
				t.Errorf("%v", id)
			}
		},
		"oidcc-scope-profile": func(t *testing.T) {
			if info := h.userinfo(sign(t, "scope", "openid profile").text("access_token")).json; info["name"] != "Ana Lima" || info["email"] != nil {
				t.Errorf("%v", info)
			}
		},
		"oidcc-scope-email": func(t *testing.T) {
			if info := h.userinfo(sign(t, "scope", "openid email").text("access_token")).json; info["email"] != "ana@example.com" || info["name"] != nil {
				t.Errorf("%v", info)
			}
		},
		"oidcc-scope-all":            func(t *testing.T) { sign(t, "scope", "openid profile email") },
		"oidcc-alternate-happy-flow": func(t *testing.T) { sign(t, "scope", "email openid profile") },
		"oidcc-server-client-secret-post": func(t *testing.T) {
			if said := h.browser().hears(ask("response_mode", "form_post", "client_id", "poster")); said.Get("code") == "" {
				t.Errorf("%v", said)
			}
		},
		"oidcc-codereuse": func(t *testing.T) {
			code := h.browser().hears(ask("response_mode", "form_post")).Get("code")
			got := h.wants(h.redeem(code), http.StatusOK, "")
			h.clock.add(30 * time.Second) // oidcc-codereuse-30seconds
			h.wants(h.redeem(code), http.StatusBadRequest, "invalid_grant")
			h.wants(h.userinfo(got.text("access_token")), http.StatusUnauthorized, "invalid_token")
		},
		"oidcc-refresh-token": func(t *testing.T) {
			got := sign(t, "prompt", "consent")
			again := h.wants(h.refresh(got.text("refresh_token")), http.StatusOK, "")
			_, before := h.claims(got.text("id_token"))
			_, after := h.claims(again.text("id_token"))
			for _, name := range []string{"iss", "sub", "aud", "auth_time"} {
				if before[name] != after[name] {
					t.Errorf("%s: %v, then %v", name, before[name], after[name])
				}
			}
		},
		"oidcc-ensure-request-with-valid-pkce-succeeds": func(t *testing.T) { sign(t) },
	} {
		t.Run(module, look)
	}
}
