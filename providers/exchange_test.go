package providers

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

func TestTheAuthTimeIsTheUpstreamsOwnHoweverOld(t *testing.T) {
	r := oidcFixture(t)
	hour, second := 3600, 1
	for name, c := range map[string]struct {
		age    time.Duration
		fresh  bool
		maxAge *int
		claim  any // replaces auth_time unless 0
		ok     bool
	}{
		"not asked":                   {24 * time.Hour, false, nil, 0, true},
		"asked, and fresh":            {0, true, nil, 0, true},
		"asked, and stale":            {2 * time.Minute, true, nil, 0, true},
		"within max_age":              {30 * time.Minute, false, &hour, 0, true},
		"beyond max_age":              {2 * time.Hour, false, &hour, 0, true},
		"within the clocks' skew":     {59 * time.Second, false, &second, 0, true},
		"asked, and nothing said":     {0, true, nil, nil, true},
		"asked, and nonsense said":    {0, true, nil, "now", true},
		"from the future":             {-2 * time.Minute, true, nil, 0, false},
		"from the future, not asked":  {-2 * time.Minute, false, nil, 0, false},
		"asked for both, and a stale": {2 * time.Hour, true, &hour, 0, true},
	} {
		r.faulty(name, func(f *fakeidp.Fault) {
			f.AuthTime, f.AuthAge = fakeidp.AuthTimeEnabled, c.age
			if c.claim != 0 {
				f.SetClaim("auth_time", c.claim)
			}
		}, func(r *fixture) {
			r.request = func(upstreamRequest *broker.UpstreamRequest) {
				upstreamRequest.Fresh, upstreamRequest.MaxAge = c.fresh, c.maxAge
			}
			got, err := r.login("vera")
			if (err == nil) != c.ok {
				r.Fatalf("err %v, want ok %v", err, c.ok)
			}
			switch {
			case err != nil:
			case c.claim != 0 && !got.AuthTime.IsZero():
				r.Error("an auth_time was made up")
			case c.claim == 0 && !got.AuthTime.Equal(r.clock.now().Add(-c.age)):
				r.Errorf("auth_time %v", got.AuthTime)
			}
		})
	}
}

func TestWhatTheUpstreamRefusesHasACode(t *testing.T) {
	r := oidcFixture(t)
	r.signsIn("vera")
	for code, want := range map[string]broker.Code{
		"access_denied": broker.Cancelled, "login_required": broker.LoginRequired,
		"interaction_required": broker.InteractionRequired,
		"consent_required":     broker.ConsentRequired, "temporarily_unavailable": broker.ConnectionUnavailable,
		"invalid_scope":       broker.UpstreamMisconfigured,
		"unauthorized_client": broker.UpstreamMisconfigured, "made_up": broker.UpstreamRejected,
	} {
		r.faulty(code, func(f *fakeidp.Fault) {
			f.AuthorizeError = fakeidp.OAuthError{Code: code,
				Description: "line\r\none\x00 \x1b[31m" + strings.Repeat("x", 5000)}
		}, func(r *fixture) { r.reset(); r.refused("vera", want) })
	}
	r.faulty("not assigned, as Okta says it", func(f *fakeidp.Fault) {
		f.AuthorizeError = fakeidp.OAuthError{Code: "access_denied",
			Description: "User is not assigned to the client application."}
	}, func(r *fixture) { r.refused("vera", broker.NotAssigned) })
	for code, want := range map[string]broker.Code{
		"invalid_client": broker.UpstreamRejected, "unauthorized_client": broker.UpstreamRejected,
		"invalid_grant": broker.UpstreamRejected, "invalid_scope": broker.UpstreamRejected,
		"server_error": broker.ConnectionUnavailable,
	} {
		r.faulty("token endpoint "+code, func(f *fakeidp.Fault) {
			f.TokenError = fakeidp.OAuthError{Code: code,
				Description: "no\r\nno"}
		},
			func(r *fixture) { r.reset(); r.refused("vera", want) })
	}
	for name, broken := range map[string]struct {
		b    fakeidp.Break
		want broker.Code
	}{
		"502":        {fakeidp.Break{Status: 502, Body: "<html>"}, broker.ConnectionUnavailable},
		"429":        {fakeidp.Break{Status: 429, Body: "{}"}, broker.ConnectionUnavailable},
		"404":        {fakeidp.Break{Status: 404, Body: "nothing here"}, broker.UpstreamRejected},
		"nonsense":   {fakeidp.Break{Status: 200, Body: "nonsense"}, broker.UpstreamRejected},
		"a redirect": {fakeidp.Break{Redirect: "https://evil.example/"}, broker.UpstreamMisconfigured},
		"too large":  {fakeidp.Break{Pad: 2 << 20}, broker.UpstreamRejected},
	} {
		r.faulty("token endpoint "+name, func(f *fakeidp.Fault) { f.Break(broken.b, fakeidp.AtToken) },
			func(r *fixture) { r.reset(); r.refused("vera", broken.want) })
	}
	r.reset()
	d, err := r.open().Begin(t.Context(), r.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	upstreamRequest := r.newRequest()
	answer := r.browse(d, "/cancel", "")
	answer.Set("state", upstreamRequest.State)
	c, err := r.open().Finish(t.Context(), upstreamRequest, answer)
	refusal(t, c, err, broker.Cancelled)
	upstreamRequest = r.newRequest()
	c, err = r.open().Finish(t.Context(), upstreamRequest, url.Values{"state": {upstreamRequest.State},
		"iss": {r.idp.Issuer()}})
	refusal(t, c, err, broker.UpstreamRejected)
}

func TestASecretRotatesWhileBothAreLive(t *testing.T) {
	for kind, settings := range map[string]map[string]string{
		fakeidp.KindOIDC: nil, fakeidp.KindGoogle: nil, fakeidp.KindMicrosoft: {"tenant": tenantA}, fakeidp.KindADFS: nil,
		fakeidp.KindFacebook: nil, fakeidp.KindGitHub: nil,
	} {
		t.Run(kind, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: kind}, settings)
			person := r.idp.Personas()[0].Login
			good := r.conn.Secrets[0]
			if kind == fakeidp.KindFacebook { // the real one's error text
				r.idp.Misbehave(func(f *fakeidp.Fault) {
					f.Rewrite(fakeidp.AtToken, func(b []byte) []byte {
						if !strings.Contains(string(b), "credentials are wrong") {
							return b
						}
						return []byte(`{"error":{"message":"Error validating client secret.","type":"OAuthException","code":1}}`)
					})
				})
			}
			r.conn.Secrets = []broker.Secret{"the-new-one-that-is-not-yet-known", good}
			r.reset()
			r.signsIn(person)
			before := r.idp.Calls(fakeidp.AtToken)
			r.signsIn(person)
			if n := r.idp.Calls(fakeidp.AtToken) - before; n != 1 {
				t.Errorf("%d token requests with the secret that worked last time", n)
			}
			r.conn.Secrets = []broker.Secret{"wrong-one", "wrong-two"}
			r.reset()
			_, err := r.login(person)
			if broker.CodeOf(err) != broker.UpstreamRejected || !errors.Is(err, broker.UpstreamMisconfigured) {
				t.Errorf("two wrong secrets: %v", err)
			}
			if strings.Contains(errText(err), "wrong-") {
				t.Errorf("a secret in an error: %v", err)
			}
		})
	}
}

func TestEverySpellingOfAWrongSecretTriesTheOther(t *testing.T) {
	const bodyless = ""
	for name, refusal := range map[string]fakeidp.Break{
		"400 invalid_client":      {Status: 400, Body: `{"error":"invalid_client"}`},
		"400 unauthorized_client": {Status: 400, Body: `{"error":"unauthorized_client"}`},
		"401 with another code":   {Status: 401, Body: `{"error":"access_denied"}`},
		"401 in HTML":             {Status: 401, Body: "<html>Unauthorized</html>"},
		"401 alone":               {Status: 401, Body: bodyless},
	} {
		t.Run(name, func(t *testing.T) {
			r := oidcFixture(t)
			r.idp.Misbehave(func(f *fakeidp.Fault) { f.WrongSecret = refusal })
			r.conn.Secrets = []broker.Secret{"the-new-one-that-is-not-yet-known", r.conn.Secrets[0]}
			r.signsIn("vera")
			r.conn.Secrets = []broker.Secret{"wrong-one", "wrong-two"}
			r.reset()
			_, err := r.login("vera")
			if broker.CodeOf(err) != broker.UpstreamRejected || !errors.Is(err, broker.UpstreamMisconfigured) {
				t.Errorf("two wrong secrets: %v", err)
			}
		})
	}
	t.Run("Keycloak's own", func(t *testing.T) {
		r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindOIDC, IssuerPath: "/realms/demo"}, nil)
		r.conn.Secrets = []broker.Secret{"the-new-one-that-is-not-yet-known", r.conn.Secrets[0]}
		r.signsIn("vera")
	})
}

func TestAPublicClientNeedsNoSecret(t *testing.T) {
	r := oidcFixture(t)
	r.conn.Secrets = nil
	r.refused("vera", broker.UpstreamRejected) // the simulator's client has one
	last := r.idp.Last(fakeidp.AtToken)
	if last.Form.Get("client_id") == "" || last.Form.Has("client_secret") || last.Header.Get("Authorization") != "" {
		t.Errorf("token request %v", last.Form)
	}
}

func TestTheClientProvesItselfAsTheMetadataAsk(t *testing.T) {
	r := oidcFixture(t)
	for name, c := range map[string]struct {
		methods any
		basic   bool
	}{"unsaid": {nil, true}, "both": {[]string{"client_secret_post", "client_secret_basic"}, true},
		"post": {[]string{"client_secret_post"}, false}} {
		r.faulty(name, func(f *fakeidp.Fault) {
			f.Set(fakeidp.AtDiscovery, "token_endpoint_auth_methods_supported", c.methods)
		}, func(r *fixture) {
			r.conn.ID = "up-" + name
			r.signsIn("vera")
			if _, _, basic := (&http.Request{Header: r.idp.Last(fakeidp.AtToken).Header}).BasicAuth(); basic != c.basic {
				r.Errorf("basic %v", basic)
			}
		})
	}
}

func TestConcurrentLoginsLoadEverythingOnce(t *testing.T) {
	r := oidcFixture(t)
	u := r.open()
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			upstreamRequest := r.newRequest()
			d, err := u.Begin(t.Context(), upstreamRequest)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := u.Finish(t.Context(), upstreamRequest, r.browse(d, "/choose", "vera")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if d, k := r.idp.Calls(fakeidp.AtDiscovery), r.idp.Calls(fakeidp.AtJWKS); d != 1 || k != 1 {
		t.Errorf("%d loads of the metadata, %d of the keys", d, k)
	}
}

func TestB22_ASlowTokenResponseIsGivenUp(t *testing.T) {
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"access_token":`)
		w.(http.Flusher).Flush()
		<-done
	}))
	defer server.Close()
	defer close(done)
	x := &exchanger{client: server.Client(), id: "us", secrets: []broker.Secret{"one", "two"}, explain: standardCode,
		badSecret: clientRefused}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := x.redeem(ctx, server.URL, broker.UpstreamRequest{Verifier: "verifier"}, "code", inForm)
	if broker.CodeOf(err) != broker.ConnectionUnavailable {
		t.Errorf("err %v", err)
	}
}
