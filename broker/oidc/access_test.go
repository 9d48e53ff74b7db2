package oidc

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

// compact signs claims as a compact JWS.
func compact(t *testing.T, signer jose.Signer, claims any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// jwts is an app whose "app" gets JWT access tokens for two APIs.
func jwts(t *testing.T) *harness {
	t.Helper()
	h := newHarness(t)
	h.change("app", func(c *broker.Client) { c.JWTAccess, c.Audience = true, []string{"https://api.example", "files"} })
	return h
}

func TestAJWTAccessTokenSaysWhatAnAPINeedsAndNothingElse(t *testing.T) {
	h := jwts(t)
	h.logins.authn = broker.Authn{Method: broker.ByPassword, AMR: []string{"pwd", "otp"}, ACR: "high",
		AuthTime: h.clock.Now().Add(-time.Minute)}
	got := h.signIn("scope", "openid photos")
	header, claims := h.claims(got.text("access_token"))
	if header["typ"] != "at+jwt" || header["alg"] != signing.ES256 || len(header) != 3 {
		t.Errorf("header %v", header)
	}
	now := float64(h.clock.Now().Unix())
	for name, want := range map[string]any{"iss": issuer, "sub": "ana", "client_id": "app", "iat": now, "exp": now + 600,
		"auth_time": now - 60,
		"acr":       "high", "scope": "openid photos"} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	if !slices.Equal(list(claims["aud"]), []string{"https://api.example", "files", issuer}) ||
		!slices.Equal(list(claims["amr"]), []string{"pwd", "otp"}) {
		t.Errorf("aud %v, amr %v", claims["aud"], claims["amr"])
	}
	if id, ok := claims["jti"].(string); !ok || id == "" || len(claims) != 11 {
		t.Errorf("claims %v", claims)
	}
	h.wants(h.userinfo(got.text("access_token")), http.StatusOK, "")

	h.clock.add(time.Minute)
	again := h.signIn("scope", "photos offline_access")
	_, first := h.claims(again.text("access_token"))
	h.clock.add(time.Minute)
	_, second := h.claims(h.refresh(again.text("refresh_token")).text("access_token"))
	if first["jti"] == second["jti"] || second["iat"].(float64) != first["iat"].(float64)+60 {
		t.Errorf("a refreshed token is no new one: %v %v", first, second)
	}
	if slices.Contains(list(first["aud"]), issuer) {
		t.Errorf("for userinfo without openid: %v", first["aud"])
	}
}

// list reads a JSON array of texts.
func list(v any) (out []string) {
	all, _ := v.([]any)
	for _, x := range all {
		s, _ := x.(string)
		out = append(out, s)
	}
	return out
}

func TestAJWTAccessTokenAlwaysHasAnAudience(t *testing.T) {
	h := jwts(t)
	machine := h.wants(h.token("grant_type", clients.GrantClient), http.StatusOK, "")
	_, claims := h.claims(machine.text("access_token"))
	if claims["sub"] != "app" || claims["client_id"] != "app" || claims["scope"] != "photos" ||
		claims["auth_time"] != nil ||
		!slices.Equal(list(claims["aud"]), []string{"https://api.example", "files"}) {
		t.Errorf("%v", claims)
	}
	h.change("app", func(c *broker.Client) { c.Audience = nil })
	for _, token := range []string{h.token("grant_type", clients.GrantClient).text("access_token"),
		h.signIn().text("access_token"), h.signIn("scope", "photos").text("access_token")} {
		if _, claims = h.claims(token); !slices.Equal(list(claims["aud"]), []string{issuer}) {
			t.Errorf("aud %v", claims["aud"])
		}
	}
}

func TestTheAlgorithmThatAClientNamedSignsItsAccessTokensToo(t *testing.T) {
	h := jwts(t)
	for alg, want := range map[string]string{"": signing.ES256, signing.RS256: signing.RS256,
		signing.ES256: signing.ES256, signing.EdDSA: signing.EdDSA} {
		h.change("app", func(c *broker.Client) { c.IDTokenAlg = alg })
		token := h.signIn().text("access_token")
		if header, _ := h.claims(token); header["alg"] != want {
			t.Errorf("%q: %v", alg, header)
		}
		jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(want)})
		h.must(err)
		if _, err := jws.Verify(h.jwksNow()); err != nil {
			t.Errorf("%q: an API that reads the JWKS: %v", alg, err)
		}
		h.wants(h.userinfo(token), http.StatusOK, "")
	}
}

// jwksNow is the JWKS as an API reads it.
func (h *harness) jwksNow() (set jose.JSONWebKeySet) {
	h.t.Helper()
	h.must(json.Unmarshal([]byte(h.send(newRequest(http.MethodGet, pathKeys, nil)).body), &set))
	return set
}

func TestAJWTOfAClientIsRevokedByItself(t *testing.T) {
	h := jwts(t)
	one, two := h.token("grant_type", clients.GrantClient).text("access_token"), h.token("grant_type",
		clients.GrantClient).text(
		"access_token")
	h.wants(h.call("/revoke", "token", one), http.StatusOK, "")
	if h.active(one) || !h.active(two) {
		t.Error("revoked the wrong one, or none")
	}
}

func TestA11_NoJWTPassesForAnother(t *testing.T) {
	h := jwts(t)
	got := h.signIn()
	key, err := h.handler.keys.Signer(signing.ES256)
	h.must(err)
	_, claims := h.claims(got.text("access_token"))
	id, err := key.Sign(claims)
	h.must(err)
	logout, err := key.SignAs("logout+jwt", claims)
	h.must(err)
	bare, err := key.SignAs("", claims)
	h.must(err)
	full, err := key.SignAs("application/at+jwt", claims)
	h.must(err)
	proof := newProver(t, signing.ES256).proof(h, http.MethodPost, "/token", "", nil)
	for name, token := range map[string]string{"the ID token": got.text("id_token"), "its claims as an ID token": id,
		"as a logout token": logout,
		"without a type":    bare, "with another spelling of the type": full, "a DPoP proof": proof} {
		h.wants(h.userinfo(token), http.StatusUnauthorized, "invalid_token")
		if h.active(token) {
			t.Errorf("%s is active", name)
		}
		h.wants(h.call("/revoke", "token", token), http.StatusOK, "")
	}
	access := got.text("access_token")
	if _, err := h.handler.readHint(access); err == nil {
		t.Error("an access token is an id_token_hint")
	}
	h.wants(h.refresh(access), http.StatusBadRequest, "invalid_grant")
	h.wants(h.redeem(access), http.StatusBadRequest, "invalid_grant")
	h.wants(h.tokenWith([]string{access}, form("grant_type", clients.GrantClient)), http.StatusBadRequest,
		"invalid_dpop_proof")
	h.wants(h.tokenWith([]string{got.text("id_token")}, form("grant_type", clients.GrantClient)), http.StatusBadRequest,
		"invalid_dpop_proof")
	if !h.active(access) {
		t.Error("one of them ended the family")
	}
}

func TestA11_AForgedAccessTokenIsNone(t *testing.T) {
	h := jwts(t)
	token := h.signIn().text("access_token")
	part := strings.Split(token, ".")
	encoded := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	key, err := h.handler.keys.Signer(signing.ES256)
	h.must(err)
	_, claims := h.claims(token)
	signed := func(name string, value any) string {
		edited := map[string]any{}
		for k, v := range claims {
			edited[k] = v
		}
		if edited[name] = value; value == nil {
			delete(edited, name)
		}
		forged, err := key.SignAs(typAccess, edited)
		h.must(err)
		return forged
	}
	rsaKey, err := h.handler.keys.Signer(signing.RS256)
	h.must(err)
	for name, forged := range map[string]string{
		"alg none":       encoded(`{"alg":"none","typ":"at+jwt"}`) + "." + part[1] + ".",
		"HS256":          encoded(`{"alg":"HS256","kid":"`+rsaKey.ID+`","typ":"at+jwt"}`) + "." + part[1] + "." + part[2],
		"another key":    encoded(`{"alg":"RS256","kid":"`+key.ID+`","typ":"at+jwt"}`) + "." + part[1] + "." + part[2],
		"unknown key":    encoded(`{"alg":"ES256","kid":"x","typ":"at+jwt"}`) + "." + part[1] + "." + part[2],
		"edited":         part[0] + "." + encoded(strings.Replace(mustJSON(claims), `"ana"`, `"eve"`, 1)) + "." + part[2],
		"another issuer": signed("iss", "https://evil.example"), "no audience": signed("aud", []string{}),
		"no jti":            signed("jti", nil),
		"an unknown family": signed("jti", "x.y"), "no client": signed("client_id", nil),
		"over": signed("exp", h.clock.Now().Unix()), "dots": "..", "a dot": ".",
	} {
		h.wants(h.userinfo(forged), http.StatusUnauthorized, "invalid_token")
		if h.active(forged) {
			t.Errorf("%s is active", name)
		}
	}
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestA22_AnAccessTokenLivesNoLongerThanItsKeyIsPublished(t *testing.T) {
	h := jwts(t)
	key, err := h.handler.keys.Signer(signing.ES256)
	h.must(err)
	token := h.signIn().text("access_token")
	_, claims := h.claims(token)
	claims["exp"] = h.clock.Now().Add(24 * time.Hour).Unix()
	forged, err := key.SignAs(typAccess, claims)
	h.must(err)
	retired := key.SigningKey
	retired.State, retired.RetireAt = broker.KeyRetired, h.clock.Now().Add(signing.KeyTail)
	h.must(h.db.ChangeSigningKey(h.ctx(), retired, broker.KeyActive))
	h.must(h.handler.keys.Tick(h.ctx()))
	if !h.active(token) || !h.active(forged) {
		t.Fatal("a key that is still published vouches for nothing")
	}
	h.clock.add(signing.KeyTail)
	h.must(h.handler.keys.Tick(h.ctx()))
	if h.active(forged) {
		t.Error("a key that left the JWKS still vouches for access tokens")
	}
}

func TestA22_AnEmergencyRotationEndsJWTAccessTokensWithinAMinute(t *testing.T) {
	h := jwts(t)
	other := h.replica(ports{})
	token := h.signIn().text("access_token")
	if !other.active(token) {
		t.Fatal("nothing to lose")
	}
	h.must(h.handler.keys.RotateNow(h.ctx(), true))
	h.clock.add(signing.RefreshInterval)
	h.must(other.handler.keys.Tick(h.ctx()))
	for _, at := range []*harness{h, other} {
		if at.active(token) {
			t.Error("introspection vouches for it")
		}
		at.wants(at.userinfo(token), http.StatusUnauthorized, "invalid_token")
		if fresh := at.signIn().text("access_token"); !at.active(fresh) || at.userinfo(fresh).StatusCode != http.StatusOK {
			t.Error("the new key is not known")
		}
	}
}
