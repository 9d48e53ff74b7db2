package providers

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

func metaFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixture(t, fakeidp.Options{Kind: fakeidp.KindFacebook}, nil)
}

func TestB12_ATokenOfAnotherFacebookAppIsRefused(t *testing.T) {
	r := metaFixture(t)
	r.signsIn("fay")
	for name, data := range map[string]map[string]any{
		"another app": {"app_id": "3"}, "no app": {"app_id": nil}, "another person": {"user_id": "7"},
		"nobody":    {"user_id": nil},
		"not valid": {"is_valid": false}, "valid as text": {"is_valid": "true"}, "not said": {"is_valid": nil},
	} {
		r.faulty(name, func(f *fakeidp.Fault) {
			for member, v := range data {
				f.Set(fakeidp.AtDebugToken, member, v)
			}
		}, func(r *fixture) { r.refused("fay", broker.UpstreamRejected) })
	}
	for name, id := range map[string]any{"missing": nil, "a word": "me", "a number": 7} {
		r.faulty("id "+name, func(f *fakeidp.Fault) { f.Set(fakeidp.AtUserInfo, "id", id) },
			func(r *fixture) { r.refused("fay", broker.UpstreamRejected) })
	}
}

func TestEveryGraphCallProvesTheSecretAndNamesAVersion(t *testing.T) {
	r := metaFixture(t)
	r.conn.Settings["version"] = "v26.0"
	r.signsIn("fay")
	for _, at := range []fakeidp.Endpoint{fakeidp.AtAuthorize, fakeidp.AtToken, fakeidp.AtUserInfo, fakeidp.AtDebugToken} {
		if last := r.idp.Last(at); last.Path != "" && !strings.HasPrefix(last.Path, "/v26.0/") {
			t.Errorf("%s at %s", at, last.Path)
		}
	}
	me := r.idp.Last(fakeidp.AtUserInfo)
	if len(me.Form.Get("appsecret_proof")) != 64 || me.Form.Has("access_token") {
		t.Errorf("me was asked with %v", me.Form)
	}
	if r.idp.Last(fakeidp.AtDebugToken).Form.Has("access_token") {
		t.Error("the app's secret was in a URL")
	}
}

func TestFacebooksAddressNeedsItsPermission(t *testing.T) {
	r := metaFixture(t)
	for who, want := range map[string]struct {
		email string
		level broker.Level
	}{"fay": {"fay@example.test", broker.EmailAsserted}, "finn": {"", broker.None}, "dana": {"", broker.None}} {
		if c := r.signsIn(who); c.Email != want.email || c.Level != want.level {
			t.Errorf("%s: %q at level %d", who, c.Email, c.Level)
		}
	}
	r.request = func(upstreamRequest *broker.UpstreamRequest) { upstreamRequest.Rerequest = true }
	if c := r.signsIn("dana"); c.Email != "dana@example.test" || c.Level != broker.EmailAsserted {
		t.Errorf("asked again: %+v", c)
	}
	r.faulty("an address without the permission",
		func(f *fakeidp.Fault) { f.Set(fakeidp.AtDebugToken, "scopes", []string{"public_profile"}) }, func(r *fixture) {
			if c := r.signsIn("fay"); c.Email != "" || c.Level != broker.None {
				r.Errorf("claims %+v", c)
			}
		})
	// Whatever Facebook says about an address, it does not verify addresses as an authority would.
	r.faulty("verified, it says", func(f *fakeidp.Fault) {
		f.Set(fakeidp.AtUserInfo, "email_verified", true)
		f.Set(fakeidp.AtUserInfo, "verified", true)
	}, func(r *fixture) {
		if c := r.signsIn("fay"); c.Level != broker.EmailAsserted {
			r.Errorf("level %d", c.Level)
		}
	})
}

func TestFacebooksRefusalsHaveCodes(t *testing.T) {
	r := metaFixture(t)
	for name, c := range map[string]struct {
		at   fakeidp.Endpoint
		body string
		want broker.Code
	}{
		"used code": {fakeidp.AtToken,
			`{"error":{"message":"This authorization code has been used.","type":"OAuthException","code":100,` +
				`"error_subcode":36009}}`, broker.StateInvalid},
		"old code": {fakeidp.AtToken,
			`{"error":{"message":"This authorization code has expired.","type":"OAuthException","code":100,` +
				`"error_subcode":36007}}`, broker.StateInvalid},
		"bad code": {fakeidp.AtToken,
			`{"error":{"message":"Invalid verification code format.","type":"OAuthException","code":100}}`,
			broker.UpstreamRejected},
		"secret": {fakeidp.AtToken,
			`{"error":{"message":"Error validating client secret.","type":"OAuthException","code":1}}`,
			broker.UpstreamRejected},
		"app": {fakeidp.AtToken,
			`{"error":{"message":"Error validating application.","type":"OAuthException","code":101}}`,
			broker.UpstreamRejected},
		"too many calls": {fakeidp.AtUserInfo,
			`{"error":{"message":"Application request limit reached","type":"OAuthException","code":4}}`,
			broker.ConnectionUnavailable},
		"down": {fakeidp.AtUserInfo,
			`{"error":{"message":"An unexpected error has occurred.","type":"OAuthException","code":2}}`,
			broker.ConnectionUnavailable},
		"proof": {fakeidp.AtUserInfo,
			`{"error":{"message":"Invalid appsecret_proof provided in the API argument","type":"GraphMethodException",` +
				`"code":100}}`, broker.UpstreamMisconfigured},
		"token": {fakeidp.AtUserInfo,
			`{"error":{"message":"Invalid OAuth access token.","type":"OAuthException","code":190}}`, broker.UpstreamRejected},
		"no document": {fakeidp.AtUserInfo, `<html>`, broker.UpstreamRejected},
		"retired": {fakeidp.AtDebugToken,
			`{"error":{"message":"unknown version","type":"OAuthException","code":2635}}`, broker.UpstreamMisconfigured},
		"member twice":      {fakeidp.AtDebugToken, `{"data":{"is_valid":false,"is_valid":true}}`, broker.UpstreamRejected},
		"no data, no error": {fakeidp.AtDebugToken, `{"x":1}`, broker.UpstreamRejected},
	} {
		r.faulty(name, func(f *fakeidp.Fault) {
			status := 400
			if !strings.Contains(c.body, "error") {
				status = 200
			}
			f.Break(fakeidp.Break{Status: status, Body: c.body}, c.at)
		}, func(r *fixture) { r.reset(); r.refused("fay", c.want) })
	}
	r.faulty("5xx", func(f *fakeidp.Fault) { f.Down(fakeidp.AtUserInfo) },
		func(r *fixture) { r.reset(); r.refused("fay", broker.ConnectionUnavailable) })
	r.reset()
	upstreamRequest := r.newRequest()
	d, err := r.open().Begin(t.Context(), upstreamRequest)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.open().Finish(t.Context(), upstreamRequest, r.browse(d, "/cancel", ""))
	refusal(t, c, err, broker.Cancelled)
}

func TestB23_ASignedRequestIsForgedOrStaleOrReal(t *testing.T) {
	r := metaFixture(t)
	n, ok := r.open().(broker.Notifier)
	if !ok {
		t.Fatal("a Facebook connection takes no notices")
	}
	_, secret := r.idp.Client()
	now := r.clock.now()
	sign := func(key string, changes map[string]any) string {
		payload := map[string]any{"algorithm": "HMAC-SHA256", "user_id": "1234567890", "issued_at": now.Unix()}
		for k, v := range changes {
			if payload[k] = v; v == nil {
				delete(payload, k)
			}
		}
		return fakeidp.SignRequest(key, payload)
	}
	good := sign(secret, nil)
	signature, payload, _ := strings.Cut(good, ".")
	flipped := "A" + good[1:]
	if flipped == good {
		flipped = "B" + good[1:]
	}
	for name, bad := range map[string]string{
		"empty": "", "no dot": signature, "no signature": "." + payload, "another secret": sign("another", nil),
		"an empty secret": sign("", nil),
		"another app's":   sign(secret[1:], nil), "a flipped bit": flipped, "a cut signature": good[1:],
		"payload changed":      good + "x",
		"alg none":             sign(secret, map[string]any{"algorithm": "none"}),
		"alg in small letters": sign(secret, map[string]any{"algorithm": "hmac-sha256"}),
		"no alg":               sign(secret, map[string]any{"algorithm": nil}),
		"alg SHA1":             sign(secret, map[string]any{"algorithm": "HMAC-SHA1"}),
		"11 minutes old":       sign(secret, map[string]any{"issued_at": now.Add(-11 * time.Minute).Unix()}),
		"from the future":      sign(secret, map[string]any{"issued_at": now.Add(2 * time.Minute).Unix()}),
		"no date":              sign(secret, map[string]any{"issued_at": nil}),
		"date as text":         sign(secret, map[string]any{"issued_at": "now"}),
		"nobody":               sign(secret, map[string]any{"user_id": nil}), "a name": sign(secret,
			map[string]any{"user_id": "me"}),
		"a number": sign(secret, map[string]any{"user_id": 7}),
		"too long": sign(secret, map[string]any{"x": strings.Repeat("x", 9<<10)}),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := n.Notice(t.Context(), broker.NoticeDeletion, url.Values{"signed_request": {bad}})
			if broker.CodeOf(err) != broker.RequestInvalid || got != (broker.Notice{}) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	for _, kind := range []broker.NoticeKind{broker.NoticeDeauthorized, broker.NoticeDeletion} {
		got, err := n.Notice(t.Context(), kind, url.Values{"signed_request": {good}})
		if want := (broker.Notice{Kind: kind, Issuer: "facebook:" + r.conn.ClientID, Subject: "1234567890"}); err != nil ||
			got != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := n.Notice(t.Context(), "made up",
		url.Values{"signed_request": {good}}); broker.CodeOf(err) != broker.RequestInvalid {
		t.Errorf("a notice of no kind: %v", err)
	}
	if _, err := n.Notice(t.Context(), broker.NoticeDeletion,
		url.Values{"signed_request": {good, good}}); broker.CodeOf(err) != broker.RequestInvalid {
		t.Errorf("two messages in one: %v", err)
	}
	r.conn.Secrets = []broker.Secret{"the-new-one", broker.Secret(secret)}
	r.reset()
	if _, err := r.open().(broker.Notifier).Notice(t.Context(), broker.NoticeDeletion,
		url.Values{"signed_request": {good}}); err != nil {
		t.Errorf("with the older of two live secrets: %v", err)
	}
	// The subject is the one that the person signs in with.
	if c := r.signsIn("fay"); c.Issuer != "facebook:"+r.conn.ClientID || c.Subject != r.idp.Personas()[0].Subject {
		t.Errorf("claims %+v", c)
	}
}

func TestOnlyFacebookSendsNoticesOfItsOwn(t *testing.T) {
	n, ok := oidcFixture(t).open().(broker.Notifier)
	if !ok {
		t.Fatal("an OpenID Provider may tell of a logout")
	}
	if said, err := n.Notice(t.Context(), broker.NoticeDeletion,
		url.Values{"signed_request": {"x"}}); broker.CodeOf(err) != broker.RequestInvalid {
		t.Errorf("%+v, %v", said, err)
	}
}

func TestARetiredGraphVersionIsLogged(t *testing.T) {
	for served, told := range map[string]bool{"v25.0": false, "v26.0": true, "": false} {
		graph := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if served != "" {
				w.Header().Set("Facebook-API-Version", served)
			}
			io.WriteString(w, `{"id":"42"}`)
		}))
		var log bytes.Buffer
		f := &meta{env: Env{HTTP: graph.Client(), Log: slog.New(slog.NewTextHandler(&log, nil))}, graph: graph.URL + "/v25.0"}
		if _, err := f.call(t.Context(), "me", nil, "token"); err != nil {
			t.Error(err)
		}
		if strings.Contains(log.String(), "expired") != told {
			t.Errorf("served %q: log %q", served, log.String())
		}
		graph.Close()
	}
}
