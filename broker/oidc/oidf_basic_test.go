package oidc

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

// oidcc-server is an authorization with the checks that are common to every module.
func TestOIDF_oidcc_server(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		got, id := p.signsIn()
		said := p.hears("prompt", "none")
		if len(said) != 3 || len(got.json) != 5 || id["sid"] == nil {
			t.Errorf("%v %s %v", said, got.body, id)
		}
	})
}

func TestOIDF_oidcc_response_type_missing(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) { p.fails("invalid_request", "response_type", "-") })
}

func TestOIDF_oidcc_idtoken_signature(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		set := p.jwksNow()
		for alg, want := range map[string]jose.SignatureAlgorithm{"": jose.RS256, signing.RS256: jose.RS256,
			signing.ES256: jose.ES256,
			signing.EdDSA: jose.EdDSA} {
			p.change("suite", func(c *broker.Client) { c.IDTokenAlg = alg })
			p.code = p.hears().Get("code")
			jws, err := jose.ParseSignedCompact(p.wants(p.exchange(), http.StatusOK, "").text("id_token"),
				[]jose.SignatureAlgorithm{want})
			if err != nil {
				t.Errorf("%q: %v", alg, err)
				continue
			}
			keys := set.Key(jws.Signatures[0].Protected.KeyID)
			if len(keys) != 1 || keys[0].Algorithm != string(want) {
				t.Errorf("%q: the JWKS has %d keys of this id", alg, len(keys))
				continue
			}
			if _, err := jws.Verify(keys[0].Key); err != nil {
				t.Errorf("%q: %v", alg, err)
			}
		}
	})
}

// The suite skips this module, since nothing is advertised; nor can it be registered.
func TestOIDF_oidcc_idtoken_unsigned(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		if algs := texts(p.discovered()["id_token_signing_alg_values_supported"]); len(algs) == 0 || slices.Contains(algs,
			"none") {
			t.Errorf("%v", algs)
		}
		c, err := p.db.Client(p.ctx(), "suite")
		p.must(err)
		if c.IDTokenAlg = "none"; len(clients.Validate(c)) == 0 {
			t.Error("a client may have unsigned ID tokens")
		}
	})
}

func TestOIDF_oidcc_userinfo_get(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		got, id := p.signsIn()
		a := p.wants(p.userinfo(got.text("access_token")), http.StatusOK, "")
		if a.text("sub") != id["sub"] || a.Header.Get("Content-Type") != "application/json" ||
			a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v %s", a.Header, a.body)
		}
		for _, token := range []string{"", "x"} {
			if a := p.userinfo(token); a.StatusCode != http.StatusUnauthorized ||
				!strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%q: %d %v", token, a.StatusCode, a.Header)
			}
		}
	})
}

func TestOIDF_oidcc_userinfo_post_header(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		got, id := p.signsIn()
		r := newRequest(http.MethodPost, pathUserinfo, nil)
		r.Header.Set("Authorization", "Bearer "+got.text("access_token"))
		if a := p.wants(p.send(r), http.StatusOK, ""); a.text("sub") != id["sub"] {
			t.Errorf("%s", a.body)
		}
	})
}

func TestOIDF_oidcc_userinfo_post_body(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		got, id := p.signsIn()
		a := p.wants(p.send(newRequest(http.MethodPost, pathUserinfo,
			url.Values{"access_token": {got.text("access_token")}})), http.StatusOK, "")
		if a.text("sub") != id["sub"] {
			t.Errorf("%s", a.body)
		}
	})
}

func TestUserinfoByPostTakesEveryKindOfToken(t *testing.T) {
	for _, k := range kinds() {
		h := newHarness(t).as(k)
		got := h.signIn()
		r := newRequest(http.MethodPost, pathUserinfo, nil)
		r.Header.Set("Authorization", got.text("token_type")+" "+got.text("access_token"))
		if a := h.wants(h.send(h.prove(r, got.text("access_token"))), http.StatusOK, ""); a.text("sub") != "ana" {
			t.Errorf("%s: %s", k.name, a.body)
		}
		if k.dpop { // what is bound has no place in a body (RFC 9449 §7.1)
			continue
		}
		if a := h.wants(h.send(newRequest(http.MethodPost, pathUserinfo,
			url.Values{"access_token": {got.text("access_token")}})), http.StatusOK, ""); a.text("sub") != "ana" {
			t.Errorf("%s: %s", k.name, a.body)
		}
	}
}

func TestOIDF_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		p.fails("invalid_request", "nonce", "-") // the module sends no PKCE either
		p.change("suite", func(c *broker.Client) { c.PKCE = broker.PKCEOff })
		if _, id := p.signsIn("nonce", "-"); id["nonce"] != nil {
			t.Errorf("nonce %v", id["nonce"])
		}
	})
}

// The claims of the scopes, all that an account has of those in OIDC Core §5.4.
var (
	profileClaims = []string{"name", "given_name", "family_name", "preferred_username", "locale", "updated_at"}
	emailClaims   = []string{"email", "email_verified"}
)

// informs wants exactly these claims from userinfo and in the ID token. For a client that is registered so, there
// are none in the ID token, about which the suite would warn.
func (p *plan) informs(scope string, want ...string) {
	p.t.Helper()
	got, id := p.signsIn("scope", scope)
	for _, name := range want {
		if id[name] == nil {
			p.t.Errorf("%s: the ID token lacks %s", scope, name)
		}
	}
	p.change("suite", func(c *broker.Client) { c.IDTokenClaims = broker.ClaimsMinimal })
	p.signsIn("scope", scope)
	p.change("suite", func(c *broker.Client) { c.IDTokenClaims = "" })
	info := p.userinfo(got.text("access_token"))
	for _, name := range want {
		if info.json[name] == nil {
			p.t.Errorf("%s: userinfo lacks %s", scope, name)
		}
	}
	if len(info.json) != len(want)+1 {
		p.t.Errorf("%s: %s", scope, info.body)
	}
}

func TestOIDF_oidcc_scope_profile(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) { p.informs("openid profile", profileClaims...) })
}

func TestOIDF_oidcc_scope_email(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) { p.informs("openid email", emailClaims...) })
}

// unnotified wants a scope that is not advertised, for which the suite skips the module,
// and that no client can be given and no request ask for.
func unnotified(scope string, claims ...string) func(t *testing.T, p *plan) {
	return func(t *testing.T, p *plan) {
		meta := p.discovered()
		if slices.Contains(texts(meta["scopes_supported"]), scope) {
			t.Errorf("%s is advertised", scope)
		}
		for _, name := range claims {
			if slices.Contains(texts(meta["claims_supported"]), name) {
				t.Errorf("%s is advertised", name)
			}
		}
		p.fails("invalid_scope", "scope", "openid "+scope)
	}
}

func TestOIDF_oidcc_scope_address(t *testing.T) {
	bothPlans(t, unnotified("address", "address"))
}

func TestOIDF_oidcc_scope_phone(t *testing.T) {
	bothPlans(t, unnotified("phone", "phone_number", "phone_number_verified"))
}

func TestOIDF_oidcc_scope_all(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		p.informs("openid profile email", slices.Concat(profileClaims, emailClaims)...)
	})
}

func TestOIDF_oidcc_ensure_other_scope_order_succeeds(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		p.informs("email openid", emailClaims...)
		p.informs("profile email openid", slices.Concat(profileClaims, emailClaims)...)
	})
}

func TestOIDF_oidcc_alternate_happy_flow(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		p.signsIn("scope", "openid  email")
		p.mode = modeQuery // said aloud
		p.signsIn()
	})
}

// A form on the suite's page posts the request, so that no Lax cookie comes with it.
func TestOIDF_oidcc_ensure_post_request_succeeds(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		for range 2 { // the second time there is a session
			post := newRequest(http.MethodPost, pathAuthorize, p.ask())
			post.Header.Set("Sec-Fetch-Site", "cross-site")
			a := p.b.get(p.send(post).Header.Get("Location"))
			if id, ok := strings.CutPrefix(a.location().Path, "/login/"); ok {
				a = p.b.get("/authorize?login=" + id)
			}
			p.code = p.answered(a).Get("code")
			p.proper(p.ask(), p.wants(p.exchange(), http.StatusOK, ""))
		}
	})
}

func TestOIDF_oidcc_ensure_registered_redirect_uri(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		for _, uri := range []string{callback + "/x", "https://other.example.com/callback", "-"} {
			a := p.b.get("/authorize?" + p.ask("redirect_uri", uri).Encode())
			p.page(a, broker.RedirectURIMismatch)
			if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || !strings.Contains(a.body, "<h1>") {
				t.Errorf("%v", a.Header)
			}
		}
	})
}

func TestOIDF_oidcc_ensure_request_with_valid_pkce_succeeds(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		q := []string{"code_challenge", challengeOf(verifier), "code_challenge_method", "S256"}
		p.code = p.hears(q...).Get("code")
		p.wants(p.exchange("code_verifier", verifier+"x"), http.StatusBadRequest, "invalid_grant")
		p.code = p.hears(q...).Get("code")
		p.proper(p.ask(), p.wants(p.exchange("code_verifier", verifier), http.StatusOK, ""))
	})
}

// The other way to send the same secret.
func TestOIDF_oidcc_server_client_secret_post(t *testing.T) {
	bothPlans(t, func(t *testing.T, p *plan) {
		p.code = p.hears().Get("code")
		posted := func(secret string) answer {
			return p.send(newRequest(http.MethodPost, pathToken, form("grant_type", clients.GrantCode, "code", p.code,
				"redirect_uri",
				callback, "client_id", "suite", "client_secret", secret)))
		}
		a := p.wants(posted("x"), http.StatusUnauthorized, "invalid_client")
		if got := a.Header.Get("WWW-Authenticate"); got != "" {
			t.Errorf("the body was refused, and the header asked for: %q", got)
		}
		p.proper(p.ask(), p.wants(posted(p.secret), http.StatusOK, ""))
	})
}
