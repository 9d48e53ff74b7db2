package providers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

// newKey returns a private key of P-256, which is quick to make.
func newKey(t *testing.T) broker.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return broker.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestAClientAuthenticatesWithItsPrivateKey(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindOIDC, ClientAuth: authPrivateKey}, nil)
	made, err := NewClientKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]broker.Secret{"generated": made, "P-256": newKey(t)} {
		for _, audience := range []string{"", keyIssuer} {
			t.Run(name+" "+audience, func(t *testing.T) {
				r.conn.Secrets, r.conn.Settings["assertion_audience"] = []broker.Secret{key}, audience
				r.reset()
				set := ClientKeys(r.conn)
				if strings.Contains(string(set), `"d":`) {
					t.Fatal("the private key is shown")
				}
				r.idp.SetClientKeys(set)
				r.signsIn("vera")
				r.signsIn("vera") // with an assertion of its own
			})
		}
	}
	t.Run("rotation", func(t *testing.T) {
		r.conn.Secrets = []broker.Secret{newKey(t), r.conn.Secrets[0]} // the new one is not registered yet
		r.reset()
		r.signsIn("vera")
	})
	t.Run("not registered", func(t *testing.T) {
		r.conn.Secrets = []broker.Secret{newKey(t)}
		r.reset()
		r.refused("vera", broker.UpstreamRejected)
	})
	t.Run("a key of a type that the upstream does not verify", func(t *testing.T) {
		r.idp.Misbehave(func(f *fakeidp.Fault) {
			f.Set(fakeidp.AtDiscovery, "token_endpoint_auth_signing_alg_values_supported", []string{"RS256"})
		})
		r.reset()
		r.refused("vera", broker.UpstreamMisconfigured)
	})
}

func TestAClientAuthenticatesAsTheSettingSays(t *testing.T) {
	r := oidcFixture(t)
	for _, method := range []string{authBasic, authPost} {
		r.conn.Settings["token_endpoint_auth"] = method
		r.reset()
		r.signsIn("vera")
		_, _, basic := (&http.Request{Header: r.idp.Last(fakeidp.AtToken).Header}).BasicAuth()
		if posted := r.idp.Last(fakeidp.AtToken).Form.Has("client_secret"); basic != (method == authBasic) ||
			posted == basic {
			t.Errorf("%s: basic %t, posted %t", method, basic, posted)
		}
	}
	for name, c := range map[string]struct {
		method string
		secret broker.Secret
	}{"a plain secret as a key": {authPrivateKey, "plain"}, "a key as a plain secret": {authPost, newKey(t)},
		"a broken key": {"", "-----BEGIN PRIVATE KEY-----\nMAo=\n-----END PRIVATE KEY-----"}} {
		conn := r.conn
		conn.Settings, conn.Secrets = map[string]string{"token_endpoint_auth": c.method}, []broker.Secret{c.secret}
		if found := strings.Join(Problems(conn), "; "); !strings.Contains(found, "private key") ||
			strings.Contains(found, "MAo") {
			t.Errorf("%s: %q", name, found)
		}
	}
}

func TestAPushedRequestIsUsedWhereRequiredOrConfigured(t *testing.T) {
	for name, c := range map[string]struct {
		opts     fakeidp.Options
		settings map[string]string
		key      bool
	}{
		"required":              {fakeidp.Options{RequirePAR: true}, nil, false},
		"configured":            {fakeidp.Options{}, map[string]string{"pushed_authorization": "true"}, false},
		"with a key":            {fakeidp.Options{RequirePAR: true, ClientAuth: authPrivateKey}, nil, true},
		"with a secret by post": {fakeidp.Options{RequirePAR: true, ClientAuth: authPost}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.opts.Kind = fakeidp.KindOIDC
			r := newFixture(t, c.opts, c.settings)
			if c.key {
				r.conn.Secrets = []broker.Secret{newKey(t)}
				r.idp.SetClientKeys(ClientKeys(r.conn))
			}
			r.redirect = func(to *url.URL, q url.Values) {
				if len(q) != 2 || q.Get("client_id") != r.conn.ClientID || q.Get("request_uri") == "" {
					t.Errorf("the browser carries %v", q)
				}
			}
			r.signsIn("vera")
			r.signsIn("vera")
			if n := r.idp.Calls(fakeidp.AtPAR); n != 2 {
				t.Errorf("%d pushed requests", n)
			}
			r.conn.Secrets = append([]broker.Secret{}, r.conn.Secrets...)
			r.idp.Misbehave(func(f *fakeidp.Fault) { f.Down(fakeidp.AtPAR) })
			if _, err := r.open().Begin(t.Context(), r.newRequest()); broker.CodeOf(err) != broker.ConnectionUnavailable {
				t.Errorf("err %v", err)
			}
		})
	}
}

func TestB2_B3_B4_FurtherParametersCannotReplaceOurs(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindOIDC},
		map[string]string{"authorize_params": "organization=org_1&acr_values=silver+gold&audience=https%3A%2F%2Fapi.example"})
	seen := false
	r.redirect = func(_ *url.URL, q url.Values) {
		seen = q.Get("organization") == "org_1" && q.Get("acr_values") == "silver gold" &&
			q.Get("audience") == "https://api.example"
	}
	r.signsIn("vera")
	if !seen {
		t.Error("the parameters are not sent")
	}
	for _, name := range ownParams() {
		for _, spelled := range []string{name, strings.ToUpper(name)} {
			r.conn.Settings["authorize_params"] = "x=y&" + spelled + "=evil"
			if found := Problems(r.conn); len(found) != 1 {
				t.Errorf("%s: %q", spelled, found)
			}
		}
	}
	for _, bad := range []string{"x", "x=", "=y", "x=1&x=2", "x=%zz", "a;b=c"} {
		r.conn.Settings["authorize_params"] = bad
		if found := Problems(r.conn); len(found) != 1 {
			t.Errorf("%q: %q", bad, found)
		}
	}
}

func TestC1_AMappedAddressIsNeverVerified(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindOIDC},
		map[string]string{"email_claim": "emails[] upn email", "name_claim": "displayName name"})
	for name, c := range map[string]struct {
		claims map[string]any
		email  string
		who    string
	}{
		"the first of a list":  {map[string]any{"emails": []string{"nobody", "Mia@Example.test"}}, "mia@example.test", ""},
		"upn":                  {map[string]any{"upn": "mia@example.test", "displayName": "Mia"}, "mia@example.test", "Mia"},
		"a upn without domain": {map[string]any{"upn": "mia"}, "vera@example.test", ""},
		"email itself":         {map[string]any{}, "vera@example.test", ""},
		"a list where text is": {map[string]any{"upn": []string{"mia@example.test"}}, "vera@example.test", ""},
	} {
		r.faulty(name, func(f *fakeidp.Fault) { f.Claims = c.claims }, func(r *fixture) {
			got := r.signsIn("vera")
			if got.Email != c.email || got.Level != broker.EmailAsserted || c.who != "" && got.Name != c.who {
				r.Errorf("%+v", got)
			}
		})
	}
	r.faulty("nothing of it", func(f *fakeidp.Fault) {
		f.SetClaim("email", nil)
		f.Remove(fakeidp.AtUserInfo, "email")
	}, func(r *fixture) {
		if got := r.signsIn("vera"); got.Email != "" || got.Level != broker.None {
			r.Errorf("%+v", got)
		}
	})
}

func TestAnUpstreamThatAcceptsOnlyAKeySaysSo(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindOIDC, ClientAuth: authPrivateKey}, nil)
	_, err := r.login("vera")
	if !errors.Is(err, broker.UpstreamMisconfigured) || !strings.Contains(err.Error(), "generate a key") {
		t.Errorf("err %v", err)
	}
}

func TestGoogleAdmitsSeveralWorkspaceDomains(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindGoogle},
		map[string]string{"hosted_domain": "example.org contoso.test"})
	r.redirect = func(_ *url.URL, q url.Values) {
		if q.Has("hd") {
			t.Errorf("one of several is asked for: %v", q)
		}
	}
	r.signsIn("wim")
	r.refused("ana", broker.WrongTenant)
	r.conn.Settings["hosted_domain"] = "example.org, Contoso.test"
	if found := Problems(r.conn); len(found) != 1 {
		t.Errorf("%q", found)
	}
}

func TestFacebooksConfigurationReplacesTheScopes(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindFacebook}, map[string]string{"config_id": "314159"})
	d, err := r.open().Begin(t.Context(), r.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	if q := mustParse(t, d.URL).Query(); q.Get("config_id") != "314159" || q.Has("scope") {
		t.Errorf("%v", q)
	}
}

func TestMicrosoftsSecretIDIsRecognised(t *testing.T) {
	r := entraFixture(t, map[string]string{"tenant": tenantA})
	r.conn.Secrets = append(r.conn.Secrets, "72F988BF-86f1-41af-91ab-2d7cd011db47")
	if found := strings.Join(Problems(r.conn), "; "); !strings.Contains(found, "Value") {
		t.Errorf("%q", found)
	}
}

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAPrivateCertificateAuthorityIsNamedWithItsCure(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	r := oidcFixture(t)
	r.conn.Issuer = server.URL
	_, err := r.open().Begin(t.Context(), r.newRequest())
	if err == nil || !strings.Contains(err.Error(), "--ca-bundle-file") ||
		!strings.Contains(err.Error(), server.URL+"/.well-known/openid-configuration") {
		t.Errorf("err %v", err)
	}
}
