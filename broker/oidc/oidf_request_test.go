package oidc

import (
	"net/http"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

// retry compares a second authorization with the first: the same person, and a moment
// that is later where they proved again who they are, and else the same.
func (p *plan) retry(first map[string]any, anew bool, pairs ...string) {
	p.t.Helper()
	_, second := p.signsIn(pairs...)
	before, _ := first["auth_time"].(float64)
	after, _ := second["auth_time"].(float64)
	if second["sub"] != first["sub"] || (after > before) != anew || after < before {
		p.t.Errorf("%v: %v, then %v", pairs, first, second)
	}
	if now := float64(p.clock.Now().Unix()); anew && after != now {
		p.t.Errorf("auth_time %v at %v", after, now)
	}
}

func TestOIDF_oidcc_prompt_login(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		_, first := p.signsIn()
		p.clock.add(50 * time.Millisecond) // the next second, although hardly later
		p.retry(first, true, "prompt", "login")
	})
}

func TestOIDF_oidcc_prompt_none_not_logged_in(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		p.fails("login_required", "prompt", "none")
		if len(p.logins.pending) != 0 {
			t.Error("somebody was asked")
		}
	})
}

func TestOIDF_oidcc_prompt_none_logged_in(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		_, first := p.signsIn()
		p.later()
		p.retry(first, false, "prompt", "none")
	})
}

func TestOIDF_oidcc_max_age_1(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		_, first := p.signsIn("max_age", "1")
		p.clock.add(900 * time.Millisecond)
		p.retry(first, false, "max_age", "1")
		p.clock.add(200 * time.Millisecond)
		p.retry(first, true, "max_age", "1")
	})
}

func TestOIDF_oidcc_max_age_10000(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		_, first := p.signsIn("max_age", "10000")
		p.later()
		p.retry(first, false, "max_age", "10000", "prompt", "none")
	})
}

func TestOIDF_oidcc_id_token_hint(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		got, first := p.signsIn()
		hint := got.text("id_token")
		p.later()
		p.retry(first, false, "prompt", "none", "id_token_hint", hint)
		keys, err := p.db.SigningKeys(p.ctx())
		p.must(err)
		for _, k := range keys { // the key that signed the hint is retired by now
			if k.Alg == signing.RS256 {
				k.State, k.RetireAt = broker.KeyRetired, p.clock.Now().Add(time.Hour)
				p.must(p.db.ChangeSigningKey(p.ctx(), k, broker.KeyActive))
			}
		}
		p.must(p.handler.keys.Tick(p.ctx()))
		p.clock.add(20 * time.Minute) // and the hint has expired
		p.retry(first, false, "prompt", "none", "id_token_hint", hint)
	})
}

func TestOIDF_oidcc_ensure_request_with_acr_values_succeeds(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		offered := texts(p.discovered()["acr_values_supported"])
		if len(offered) == 0 {
			t.Fatal("no class is advertised")
		}
		for _, class := range offered {
			for _, wanted := range []string{class, class + " urn:x", "urn:x " + class} {
				if _, id := p.signsIn("acr_values", wanted); id["acr"] != class { // one of those requested, and never made up
					t.Errorf("%s: %v", wanted, id["acr"])
				}
			}
		}
		p.code = p.hears("acr_values", "1 2").Get("code")
		got := p.wants(p.exchange(), http.StatusOK, "")
		if _, id := p.opened(got.text("id_token")); id["acr"] != nil {
			t.Errorf("acr %v", id["acr"])
		}
	})
}

func TestOIDF_oidcc_claims_essential(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		got, id := p.signsIn("claims", `{"userinfo":{"name":{"essential":true}}}`)
		if info := p.userinfo(got.text("access_token")).json; info["name"] != "Ana Lima" || len(info) != 2 ||
			id["name"] != nil {
			t.Errorf("%v %v", info, id)
		}
	})
}

// What an app may say beside: it is honoured or passed over, and never an error.
func passes(pairs ...string) func(t *testing.T, p *plan) {
	return func(_ *testing.T, p *plan) { p.signsIn(pairs...) }
}

func TestOIDF_oidcc_display_page(t *testing.T) {
	bothPlans(t, passes("display", "page"))
}

func TestOIDF_oidcc_display_popup(t *testing.T) {
	bothPlans(t, passes("display", "popup"))
}

func TestOIDF_oidcc_ui_locales(t *testing.T) {
	bothPlans(t, passes("ui_locales", "se"))
	bothPlans(t, passes("ui_locales", "fr de"))
}

func TestOIDF_oidcc_claims_locales(t *testing.T) {
	bothPlans(t, passes("claims_locales", "se"))
}

func TestOIDF_oidcc_login_hint(t *testing.T) {
	bothPlans(t, passes("login_hint", "buffy@example.com"))
}

func TestOIDF_oidcc_ensure_request_with_unknown_parameter_succeeds(t *testing.T) {
	bothPlans(t, passes("extra", "foobar"))
}

// unsupported wants the one error of something that is advertised as not there.
func unsupported(flag, name string, pairs ...string) func(t *testing.T, p *plan) {
	return func(t *testing.T, p *plan) {
		meta := p.discovered()
		if meta[flag] != false || meta["request_object_signing_alg_values_supported"] != nil {
			t.Errorf("%v %v", meta[flag], meta["request_object_signing_alg_values_supported"])
		}
		p.fails(name, pairs...)
	}
}

func TestOIDF_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(t *testing.T) {
	bothPlans(t, unsupported("request_uri_parameter_supported", "request_uri_not_supported", "request_uri",
		"https://app.example.com/request.jwt"))
}

func TestOIDF_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(t *testing.T) {
	bothPlans(t, unsupported("request_parameter_supported", "request_not_supported", "request",
		"eyJhbGciOiJub25lIn0.e30."))
}

func TestOIDF_oidcc_ensure_request_object_with_redirect_uri(t *testing.T) {
	bothPlans(t, unsupported("request_parameter_supported", "request_not_supported", "request",
		"eyJhbGciOiJub25lIn0.eyJyZWRpcmVjdF91cmkiOiJodHRwczovL2V2aWwuZXhhbXBsZSJ9."))
}
