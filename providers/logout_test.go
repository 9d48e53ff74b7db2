package providers

import (
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

// postLogoutToken posts a logout token of the upstream; a nil claim is left out.
func (r *fixture) postLogoutToken(typ string, edit map[string]any) (broker.Notice, error) {
	r.Helper()
	now := r.clock.now()
	claims := map[string]any{"iss": r.conn.Issuer, "aud": r.conn.ClientID, "iat": now.Unix(),
		"exp": now.Add(2 * time.Minute).Unix(), "jti": "j1",
		"sub": "vera-sub", "sid": "s1", "events": map[string]any{eventLogout: map[string]any{}}}
	maps.Copy(claims, edit)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	token, err := r.idp.Mint(typ, claims)
	if err != nil {
		r.Fatal(err)
	}
	return r.postNotice(url.Values{"logout_token": {token}})
}

func (r *fixture) postNotice(form url.Values) (broker.Notice, error) {
	r.Helper()
	n, ok := r.open().(broker.Notifier)
	if !ok {
		r.Fatal("it hears no notices")
	}
	return n.Notice(r.Context(), broker.NoticeLogout, form)
}

func TestA18_OnlyALogoutTokenOfTheUpstreamIsBelieved(t *testing.T) {
	r := oidcFixture(t)
	good, err := r.postLogoutToken(typLogout, nil)
	if err != nil || good.Subject != "vera-sub" || good.SID != "s1" || good.ID != "j1" || good.Issuer != r.conn.Issuer ||
		!good.Expires.After(r.clock.now().Add(2*time.Minute)) {
		t.Fatalf("%+v, %v", good, err)
	}
	for name, edit := range map[string]map[string]any{"no sid": {"sid": nil}, "no sub": {"sub": nil}} {
		if _, err := r.postLogoutToken(typLogout, edit); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	now := r.clock.now()
	refused := func(t *testing.T, n broker.Notice, err error) {
		t.Helper()
		if broker.CodeOf(err) != broker.RequestInvalid || n != (broker.Notice{}) {
			t.Errorf("%+v, %v", n, err)
		}
	}
	for name, edit := range map[string]map[string]any{
		"another issuer": {"iss": "https://evil.example"}, "another audience": {"aud": "another"},
		"no audience": {"aud": nil},
		"expired":     {"exp": now.Add(-2 * time.Minute).Unix()}, "no exp": {"exp": nil},
		"old": {"iat": now.Add(-time.Hour).Unix()}, "from the future": {"iat": now.Add(time.Hour).Unix()},
		"no iat":  {"iat": nil},
		"a nonce": {"nonce": "n"}, "no events": {"events": nil},
		"events of another kind":     {"events": map[string]any{"https://example.com/other": map[string]any{}}},
		"an event that is no object": {"events": map[string]any{eventLogout: true}},
		"events as a list":           {"events": []string{eventLogout}},
		"no jti":                     {"jti": nil}, "a jti without end": {"jti": strings.Repeat("j", 300)},
		"a jti that is a number": {"jti": 7},
		"neither sub nor sid":    {"sub": nil, "sid": nil}, "a sub that is a list": {"sub": []string{"vera-sub"}},
		"a sid that is a number": {"sid": 7}, "a sid without end": {"sid": strings.Repeat("s", 300)},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := r.postLogoutToken(typLogout, edit)
			refused(t, n, err)
		})
	}
	for _, typ := range []string{"at+jwt", "logout+jwt2", "dpop+jwt"} {
		t.Run("type "+typ, func(t *testing.T) {
			n, err := r.postLogoutToken(typ, nil)
			refused(t, n, err)
		})
	}
	for _, typ := range []string{"", "JWT", "LOGOUT+JWT"} { // the specification only recommends logout+jwt
		t.Run("type "+typ, func(t *testing.T) {
			if n, err := r.postLogoutToken(typ, nil); err != nil || n.Subject != "vera-sub" {
				t.Errorf("%+v, %v", n, err)
			}
			for name, edit := range map[string]map[string]any{"a nonce": {"nonce": "n"}, "no events": {"events": nil}} {
				n, err := r.postLogoutToken(typ, edit)
				if refused(t, n, err); err == nil {
					t.Errorf("an ID token with %s passes for a logout token", name)
				}
			}
		})
	}
	t.Run("expires far away", func(t *testing.T) {
		n, err := r.postLogoutToken(typLogout, map[string]any{"exp": now.AddDate(10, 0, 0).Unix()})
		if err != nil || n.Expires.After(now.Add(time.Hour)) {
			t.Errorf("its mark is kept until %s, %v", n.Expires, err)
		}
	})
	for _, forge := range []fakeidp.Forgery{fakeidp.ForgeUnsigned, fakeidp.ForgeNoSig, fakeidp.ForgeHMACPEM,
		fakeidp.ForgeHMACSecret, fakeidp.ForgeWrongKey, fakeidp.ForgeCorrupt,
		fakeidp.ForgeUnknownKid, fakeidp.ForgeJWK, fakeidp.ForgeJKU, fakeidp.ForgeEncrypted} {
		r.faulty(string(forge), func(f *fakeidp.Fault) { f.Forge = forge }, func(r *fixture) {
			n, err := r.postLogoutToken(typLogout, nil)
			refused(r.T, n, err)
		})
	}
	for name, form := range map[string]url.Values{"nothing": {}, "two": {"logout_token": {"a", "b"}},
		"no token": {"logout_token": {"x"}}} {
		t.Run(name, func(t *testing.T) {
			n, err := r.postNotice(form)
			refused(t, n, err)
		})
	}
}

// A logout token must not pass for an ID token, though the same key signs it (SECURITY.md A11).
func TestA18_A11_ALogoutTokenIsNoIDToken(t *testing.T) {
	r := oidcFixture(t)
	r.signsIn("vera")
	r.faulty("typ", func(f *fakeidp.Fault) { f.SetHeader("typ", typLogout) },
		func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	for _, typ := range []any{"JWT", nil} { // then the missing nonce tells
		r.faulty("its claims", func(f *fakeidp.Fault) {
			f.SetHeader("typ", typ)
			f.SetClaim("events", map[string]any{eventLogout: map[string]any{}})
			f.SetClaim("nonce", nil)
		}, func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	}
}

func TestA18_AFrontChannelLogoutOnlyNamesASessionOfItsOwnUpstream(t *testing.T) {
	for kind, settings := range map[string]map[string]string{
		fakeidp.KindMicrosoft: {"tenant": "organizations", "allowed_tenants": tenantA}, fakeidp.KindADFS: nil,
	} {
		t.Run(kind, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: kind}, settings)
			iss := r.idp.Issuer()
			if kind == fakeidp.KindMicrosoft {
				iss = r.idp.BaseURL() + "/" + tenantA + "/v2.0"
			}
			n := r.open().(broker.Notifier)
			for name, form := range map[string]url.Values{"with iss": {"sid": {"s1"}, "iss": {iss}},
				"without": {"sid": {"s1"}}} {
				got, err := n.Notice(t.Context(), broker.NoticeFrontLogout, form)
				if err != nil || got.SID != "s1" || got.Subject != "" || got.ID != "" {
					t.Errorf("%s: %+v, %v", name, got, err)
				}
			}
			for name, form := range map[string]url.Values{"nothing": {}, "an empty sid": {"sid": {""}},
				"two": {"sid": {"a", "b"}}, "a sid without end": {"sid": {strings.Repeat("s", 300)}},
				"another issuer": {"sid": {"s1"}, "iss": {"https://evil.example"}},
				"a logout token": {"logout_token": {"x"}}} {
				got, err := n.Notice(t.Context(), broker.NoticeFrontLogout, form)
				if broker.CodeOf(err) != broker.RequestInvalid || got != (broker.Notice{}) {
					t.Errorf("%s: %+v, %v", name, got, err)
				}
			}
		})
	}
	r := oidcFixture(t)
	if n, err := r.open().(broker.Notifier).Notice(t.Context(), broker.NoticeFrontLogout,
		url.Values{"sid": {"s1"}}); broker.CodeOf(err) != broker.RequestInvalid {
		t.Errorf("a kind that signs its logouts is believed without: %+v, %v", n, err)
	}
}

func TestMicrosoftsAdministratorsAreLedToTheirApproval(t *testing.T) {
	for tenant, want := range map[string]string{"organizations": "/organizations/", tenantA: "/" + tenantA + "/",
		"consumers": ""} {
		settings := map[string]string{"tenant": tenant}
		if tenant == "organizations" {
			settings["allowed_tenants"] = tenantA
		}
		r := entraFixture(t, settings)
		got := r.open().(interface{ Approval() string }).Approval()
		if want == "" && got != "" || want != "" && !strings.HasPrefix(got, r.idp.BaseURL()+want+"v2.0/adminconsent?") {
			t.Errorf("%s: %q", tenant, got)
		}
	}
}
