package providers

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

func TestEveryKindIsKnownByNameAndHasAForm(t *testing.T) {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
		if found, ok := Find(k.Name); !ok || found.Name != k.Name || k.Label == "" || k.Icon == "" || k.Open == nil {
			t.Errorf("%s is not whole", k.Name)
		}
		keys := map[string]bool{}
		for _, f := range k.Fields {
			if keys[f.Key] || f.Label == "" || f.Secret != (f.Key == keyClientSecret) {
				t.Errorf("%s: field %q", k.Name, f.Key)
			}
			keys[f.Key] = true
			if f.Default != "" && f.Check != nil && f.Key != "authority" {
				if why := f.Check(f.Default); why != "" && f.Key != "graph_url" && f.Key != "api_url" {
					t.Errorf("%s: the default of %s %s", k.Name, f.Key, why)
				}
			}
		}
		if !keys[keyClientID] || !keys[keyClientSecret] {
			t.Errorf("%s has no client", k.Name)
		}
	}
	if want := []string{"adfs", "apple", "github", "google", "linkedin", "meta", "microsoft",
		"oidc"}; !slices.Equal(names, want) {
		t.Errorf("kinds %v, want %v", names, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("two kinds of one name were taken")
		}
	}()
	register(Kind{Name: "google"})
}

// applesKey is a private key of P-256 that nothing else uses.
const applesKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgYwWtJxuyya40DzsK
3sowE46+zbKH2Eap3TrAvMCOTWqhRANCAARe9k9Vtneb0Ax1NaBvj5XDwx9fY8kA
Veg8eWezKR8vTBNACxeWS8MHjp/Q7M4fHOT+hLo/0b8MUfkFoKJBmBXg
-----END PRIVATE KEY-----`

// sound returns a connection of the kind without problems.
func sound(kind string) broker.Connection {
	c := broker.Connection{ID: "c", Kind: kind, ClientID: "123", Secrets: []broker.Secret{"s3cret"},
		Settings: map[string]string{}}
	switch kind {
	case "oidc":
		c.Issuer = "https://example.eu.auth0.com/"
	case "apple":
		c.Settings["team_id"], c.Settings["key_id"] = "TEAM123456", "KEY1234567"
		c.Secrets = []broker.Secret{applesKey}
	case "adfs":
		c.Issuer = "https://fs.example.com/adfs"
	case "microsoft":
		c.Settings["tenant"] = tenantA
	}
	return c
}

func TestWhatIsWrongWithAConnectionIsSaid(t *testing.T) {
	set := func(key, value string) func(*broker.Connection) {
		return func(c *broker.Connection) { c.Settings[key] = value }
	}
	issuer := func(value string) func(*broker.Connection) {
		return func(c *broker.Connection) { c.Issuer = value }
	}
	for _, k := range Kinds() {
		if found := Problems(sound(k.Name)); len(found) > 0 {
			t.Errorf("%s: %v", k.Name, found)
		}
	}
	for i, c := range []struct {
		kind   string
		change func(*broker.Connection)
		want   string // part of the only problem, "" for none
	}{
		{"carrier pigeon", func(*broker.Connection) {}, "unknown kind"},
		{"google", func(c *broker.Connection) { c.ClientID = "" }, "client_id is missing"},
		{"google", func(c *broker.Connection) { c.ClientID = "two words" }, "client_id must be plain"},
		{"google", func(c *broker.Connection) { c.ClientID = "  123\n" }, ""},
		{"google", func(c *broker.Connection) { c.Secrets = nil }, "client_secret is missing"},
		{"google", func(c *broker.Connection) { c.Secrets = []broker.Secret{""} }, "must not be empty"},
		{"google", func(c *broker.Connection) { c.Secrets = []broker.Secret{"a", "b", "c"} }, "two live"},
		{"google", issuer("https://accounts.google.com"), "unknown setting issuer"},
		{"google", set("tenant", "x"), "unknown setting tenant"},
		{"google", set("hosted_domain", "Example.COM"), "hosted_domain must be a domain"},
		{"google", set("hosted_domain", "*"), "hosted_domain must be a domain"},
		{"google", set("hosted_domain", "example.com"), ""},
		{"google", set("hosted_domain", "  "), ""},
		{"google", set("authority", "https://evil.example"), "in an allowed network"},
		{"google", set("authority", "https://evil.example:443"), "in an allowed network"},
		{"google", set("authority", "http://127.0.0.1:9000"), ""},
		{"google", set("authority", "http://127.0.0.1:9000/"), "scheme and host alone"},
		{"google", set("authority", "http://user@127.0.0.1:9000"), "credentials"},
		{"google", set("authority", "javascript:alert(1)"), "absolute URL"},
		{"oidc", issuer(""), "issuer is missing"},
		{"oidc", issuer("example.com"), "absolute URL"},
		{"oidc", issuer("ftp://example.com"), "https://"},
		{"oidc", issuer("https://example.com?x=y"), "no query"},
		{"oidc", issuer("https://example.com#x"), "no fragment"},
		{"oidc", issuer("https://exämple.com"), "plain ASCII"},
		{"oidc", issuer("https://a b"), "plain ASCII"},
		{"oidc", issuer(" https://example.com/.well-known/openid-configuration "), ""},
		{"oidc", func(c *broker.Connection) { c.Secrets = nil }, ""},
		{"oidc", set("scopes", "email"), "openid"},
		{"oidc", set("scopes", "openid \"x\""), "separated by spaces"},
		{"oidc", set("scopes", "openid groups"), ""},
		{"oidc", set("networks", "10.1.0.0/16"), ""},
		{"oidc", set("networks", "169.254.169.254/32"), "private networks only"},
		{"oidc", set("networks", "127.0.0.0/8"), "private networks only"},
		{"oidc", set("networks", "10.0.0.0/7"), "private networks only"},
		{"oidc", set("networks", "0.0.0.0/0"), "private networks only"},
		{"oidc", set("networks", "10.1.2.3"), "such as"},
		{"oidc", set("ca_bundle", "nonsense"), "PEM"},
		{"oidc", set("ca_bundle", strings.Repeat("x", 65<<10)), "too long"},
		{"adfs", issuer("https://fs.example.com/adfs/services/trust"), "federation service identifier"},
		{"microsoft", set("tenant", ""), "tenant is missing"},
		{"microsoft", set("tenant", "Contoso"), "tenant must be"},
		{"microsoft", set("tenant", "contoso.onmicrosoft.com"), ""},
		{"microsoft", set("tenant", "consumers"), ""},
		{"microsoft", set("tenant", "common"), "any_tenant"},
		{"microsoft", set("tenant", "organizations"), "any_tenant"},
		{"microsoft", func(c *broker.Connection) { c.Settings["tenant"], c.Settings["any_tenant"] = "common", "true" }, ""},
		{"microsoft", func(c *broker.Connection) { c.Settings["tenant"], c.Settings["any_tenant"] = "common", "false" },
			"allowed_tenants is missing"},
		{"microsoft", func(c *broker.Connection) { c.Settings["tenant"], c.Settings["any_tenant"] = "common", "yes" },
			"any_tenant must be"},
		{"microsoft", set("any_tenant", "true"), "any_tenant needs tenant organizations or common"},
		{"microsoft", func(c *broker.Connection) {
			maps.Copy(c.Settings, map[string]string{"tenant": "common", "any_tenant": "true", "allowed_tenants": tenantA})
		}, "any_tenant needs tenant organizations or common"},
		{"microsoft", func(c *broker.Connection) {
			c.Settings["tenant"], c.Settings["allowed_tenants"] = "common", "contoso.test"
		}, "tenant ids"},
		{"microsoft", set("cloud", "germany"), "one of global, us, china"},
		{"meta", func(c *broker.Connection) { c.ClientID = "app" }, "client_id must be a number"},
		{"meta", set("version", "25"), "version must be"},
		{"meta", set("version", "v25.0/../v2.0"), "version must be"},
		{"meta", set("version", "v26.0"), ""},
		{"meta", set("graph_url", "http://127.0.0.1:1"), "or neither"},
		{"github", set("api_url", "http://127.0.0.1:1/api/v3"), "or neither"},
		{"github", func(c *broker.Connection) {
			c.Settings["authority"], c.Settings["api_url"] = "https://ghe.example.com:8443",
				"https://ghe.example.com:8443/api/v3"
		}, ""},
		{"github", func(c *broker.Connection) {
			c.Settings["authority"], c.Settings["api_url"] = "http://127.0.0.1:1", "https://api.evil.example"
		}, "in an allowed network"},
	} {
		conn := sound(c.kind)
		c.change(&conn)
		found := Problems(conn)
		if c.want == "" && len(found) > 0 || c.want != "" && (len(found) != 1 || !strings.Contains(found[0], c.want)) {
			t.Errorf("%d %s: %q, want %q", i, c.kind, found, c.want)
		}
	}
}

func TestAnIssuerIsNormalisedOnlyWherePastingSpoilsIt(t *testing.T) {
	for pasted, want := range map[string]string{
		"https://t.eu.auth0.com/":                             "https://t.eu.auth0.com/",
		" https://t.eu.auth0.com/ ":                           "https://t.eu.auth0.com/",
		"https://h/realms/r/.well-known/openid-configuration": "https://h/realms/r",
		"\thttps://h/.well-known/openid-configuration \n":     "https://h",
		"https://h/.well-known/openid-configuration/":         "https://h/.well-known/openid-configuration/",
		"HTTPS://H/Realms":                                    "HTTPS://H/Realms",
		"https://h//":                                         "https://h//",
		"https://h/.well-known/openid-configuration?client_id=something": "https://h/.well-known/" +
			"openid-configuration?client_id=something",
	} {
		c := broker.Connection{Issuer: pasted}
		once := Normalise(c)
		if once.Issuer != want || Normalise(once).Issuer != want || c.Issuer != pasted {
			t.Errorf("%q became %q, want %q", pasted, once.Issuer, want)
		}
	}
}

// An authority of your own reaches no public host, whatever its name resolves to: egress has the final check.
func TestB16_AnAuthorityOfOnesOwnIsNeverAPublicHost(t *testing.T) {
	for _, k := range Kinds() {
		for _, f := range k.Fields {
			if f.Key != "authority" && f.Key != "graph_url" && f.Key != "api_url" {
				continue
			}
			for _, public := range []string{"https://evil.example", "https://login.microsoftonline.com",
				"https://93.184.216.34", "https://[2606:2800:220:1::1]", "https://evil.example:443"} {
				if f.Check(public) == "" {
					t.Errorf("%s: %s takes %s", k.Name, f.Key, public)
				}
			}
		}
	}
	r := oidcFixture(t)
	r.conn.Issuer = "http://192.0.2.1:9"
	r.refused("vera", broker.UpstreamMisconfigured)
	r.conn.Issuer = "http://169.254.169.254"
	r.reset()
	r.refused("vera", broker.UpstreamMisconfigured)
}

func TestG16_NoSecretIsInALogOrAnError(t *testing.T) {
	for _, kind := range []string{fakeidp.KindOIDC, fakeidp.KindGoogle, fakeidp.KindMicrosoft, fakeidp.KindADFS,
		fakeidp.KindFacebook, fakeidp.KindGitHub} {
		t.Run(kind, func(t *testing.T) {
			settings := map[string]string{}
			if kind == fakeidp.KindMicrosoft {
				settings["tenant"] = tenantA
			}
			r := newFixture(t, fakeidp.Options{Kind: kind}, settings)
			var logged bytes.Buffer
			r.set.opts.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
			person := r.idp.Personas()[0].Login
			_, secret := r.idp.Client()
			everywhere := []fakeidp.Endpoint{fakeidp.AtDiscovery, fakeidp.AtJWKS, fakeidp.AtToken, fakeidp.AtUserInfo,
				fakeidp.AtDebugToken, fakeidp.AtEmails}
			for _, at := range everywhere {
				for name, broken := range map[string]fakeidp.Break{
					"status":   {Status: 400, Body: `{"error":"invalid_grant","error_description":"what you sent"}`},
					"redirect": {Redirect: "https://evil.example/"},
					"too much": {Pad: 2 << 20},
					"nonsense": {Status: 200, Body: "nonsense"},
				} {
					r.faulty(string(at)+" "+name, func(f *fakeidp.Fault) { f.Break(broken, at) }, func(r *fixture) {
						r.reset()
						upstreamRequest, answer, err := r.begin(person)
						if err == nil {
							_, err = r.open().Finish(r.Context(), upstreamRequest, answer)
						}
						said := errText(err) + fmt.Sprintf("%+v", err) + logged.String()
						for what, planted := range map[string]string{"secret": secret, "code": answer.Get("code"),
							"verifier": upstreamRequest.Verifier, "state": upstreamRequest.State,
							"nonce": upstreamRequest.Nonce, "token": "gho_", "Facebook token": "EAA", "query": "input_token="} {
							if planted != "" && strings.Contains(said, planted) {
								r.Errorf("the %s is in %q", what, said)
							}
						}
					})
				}
			}
		})
	}
}

func TestAnUpstreamThatQuotesUsIsBlotted(t *testing.T) {
	r := oidcFixture(t)
	upstreamRequest, answer, err := r.begin("vera")
	if err != nil {
		t.Fatal(err)
	}
	_, secret := r.idp.Client()
	r.idp.Misbehave(func(f *fakeidp.Fault) {
		f.TokenError = fakeidp.OAuthError{Code: "invalid_grant",
			Description: "got " + answer.Get("code") + " and " + secret + " and " + upstreamRequest.Verifier}
	})
	_, err = r.open().Finish(t.Context(), upstreamRequest, answer)
	if err == nil || strings.Contains(err.Error(), answer.Get("code")) || strings.Contains(err.Error(), secret) ||
		strings.Contains(err.Error(), upstreamRequest.Verifier) {
		t.Errorf("err %v", err)
	}
	if !errors.Is(err, broker.UpstreamRejected) ||
		!strings.Contains(err.Error(), "invalid_grant: got ••• and ••• and •••") {
		t.Errorf("err %v", err)
	}
}

func TestAConnectionsNetworksAndCertificatesAreItsOwn(t *testing.T) {
	r := oidcFixture(t)
	plain, err := r.set.client(r.conn)
	if err != nil {
		t.Fatal(err)
	}
	r.conn.Settings["networks"] = "10.1.0.0/16"
	own, err := r.set.client(r.conn)
	if err != nil {
		t.Fatal(err)
	}
	var other *http.Client
	if other, err = r.set.client(broker.Connection{ID: r.conn.ID}); err != nil || other != plain || own == plain {
		t.Errorf("the same client for a connection with an allowance and one without: %v", err)
	}
	r.conn.Settings["ca_bundle"] = "nonsense"
	if _, err := r.set.client(r.conn); err == nil {
		t.Error("a CA bundle without a certificate was taken")
	}
}

func TestWhatSaysWhoseIdentitiesTheseAreIsPinned(t *testing.T) {
	for kind, keys := range map[string][]string{
		"microsoft": {"tenant", "cloud", "authority"}, "google": {"authority"}, "meta": {"authority", "graph_url"},
		"github": {"authority", "api_url"},
	} {
		for _, key := range keys {
			if !slices.Contains(Pinned(kind), key) {
				t.Errorf("%s: %s may change under a live connection", kind, key)
			}
		}
	}
	for kind, keys := range map[string][]string{"oidc": {"ca_bundle", "networks", "scopes"}, "meta": {"version"},
		"google": {"hosted_domain"}} {
		for _, key := range keys {
			if slices.Contains(Pinned(kind), key) {
				t.Errorf("%s: %s can never be renewed", kind, key)
			}
		}
	}
	if got := Pinned("carrier pigeon"); len(got) != 0 {
		t.Errorf("pinned %v", got)
	}
}
