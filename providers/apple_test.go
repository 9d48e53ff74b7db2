package providers

import (
	"net/url"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

func TestAppleSendsTheNameOnceAndBesideTheToken(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindApple}, nil)
	first := r.signsIn("avi")
	if first.Name != "Avi Stone" || first.GivenName != "Avi" || first.Email != "avi@example.test" ||
		first.Level != broker.EmailVerified || first.Issuer != r.idp.BaseURL() {
		t.Errorf("%+v", first)
	}
	again := r.signsIn("avi")
	if again.Name != "" || again.Subject != first.Subject {
		t.Errorf("%+v", again)
	}
	if got := r.signsIn("rae"); got.Email != "x7k2m9@privaterelay.appleid.com" || got.Level != broker.EmailVerified {
		t.Errorf("a relay address: %+v", got)
	}
}

func TestC1_WhatApplePostsBesideTheTokenIsOnlyShown(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindApple}, nil)
	for name, user := range map[string]string{
		"another address": `{"email":"ceo@contoso.test","sub":"victim","name":{"firstName":"Eve","lastName":"\u202eX"}}`,
		"no JSON":         `{`, "a list": `[]`, "too long": `{"name":{"firstName":"` + strings.Repeat("x", 5000) + `"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			sub := *r
			sub.T, sub.response = t, func(q url.Values) { q.Set("user", user) }
			got := sub.signsIn("avi")
			if got.Email != "avi@example.test" || got.Subject != r.idp.Personas()[0].Subject || strings.Contains(got.Name,
				"\u202e") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAppleIsOneIssuerUnderEveryName(t *testing.T) {
	a := apple{issuer: appleIssuer}
	for _, issuer := range []string{appleIssuer, "https://account.apple.com"} {
		got, err := a.issued(nil, idToken{issuer: issuer})
		if err != nil || got != appleIssuer || a.accept(issuer) != nil {
			t.Errorf("%s: %q, %v", issuer, got, err)
		}
	}
	for _, issuer := range []string{"", "https://appleid.apple.com/", "https://apple.com", "http://appleid.apple.com"} {
		if _, err := a.issued(nil, idToken{issuer: issuer}); err == nil || a.accept(issuer) == nil {
			t.Errorf("%q is believed", issuer)
		}
	}
}

func TestApplesKeyRotatesWhileBothAreLive(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindApple}, nil)
	old := r.conn.Secrets[0]
	r.conn.Secrets, r.conn.Settings["key_id"] = []broker.Secret{newKey(t), old},
		"KEY2 KEY1" // the new one is not known yet
	r.reset()
	r.signsIn("avi")
	r.conn.Secrets[0], r.conn.Secrets[1] = r.appleKey("KEY2"), old
	r.reset()
	r.signsIn("avi")
	r.conn.Secrets = []broker.Secret{newKey(t)}
	r.reset()
	r.refused("avi", broker.UpstreamRejected)
	r.conn.Secrets = []broker.Secret{"a plain secret"}
	if found := Problems(r.conn); len(found) != 1 || !strings.Contains(found[0], ".p8") {
		t.Errorf("%q", found)
	}
}

func TestLinkedInSendsNoNonceAndTakesNoVerifier(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindLinkedIn}, nil)
	if got := r.signsIn("lia"); got.Email != "lia@example.test" || got.Level != broker.EmailVerified ||
		got.Name != "Lia Fox" {
		t.Errorf("%+v", got)
	}
	if got := r.signsIn("lee"); got.Level != broker.EmailAsserted {
		t.Errorf("%+v", got)
	}
	if last := r.idp.Last(fakeidp.AtToken); last.Form.Has("code_verifier") || last.Form.Get("client_secret") == "" {
		t.Errorf("token request %v", last.Form)
	}
}

func TestB4_ANonceOfAnotherLoginIsRefusedWhereNoneIsUsualToo(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindLinkedIn}, nil)
	for name, claims := range map[string]map[string]any{"another nonce": {"nonce": "another"},
		"an empty one":   {"nonce": ""},
		"a logout token": {"events": map[string]any{eventLogout: map[string]any{}}}, "no subject": {"sub": nil}} {
		r.faulty(name, func(f *fakeidp.Fault) { f.Claims = claims },
			func(r *fixture) { r.refused("lia", broker.UpstreamRejected) })
	}
}
