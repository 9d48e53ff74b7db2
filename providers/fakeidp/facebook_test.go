package fakeidp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// proof is appsecret_proof as Facebook documents it.
func proof(s *Server, token string) string {
	mac := hmac.New(sha256.New, []byte(s.opts.ClientSecret))
	mac.Write([]byte(token))
	return hex.EncodeToString(mac.Sum(nil))
}

// graph calls the Graph API with a token and its proof.
func graph(t *testing.T, s *Server, path, token string, extra ...string) reply {
	t.Helper()
	query := url.Values{"access_token": {token}, "appsecret_proof": {proof(s, token)}}
	for i := 0; i+1 < len(extra); i += 2 {
		query.Set(extra[i], extra[i+1])
	}
	return get(t, s.BaseURL()+path+"?"+query.Encode(), nil)
}

func TestFacebookSignsIn(t *testing.T) {
	s := stage(t, Options{Kind: KindFacebook})
	r := get(t, s.BaseURL()+"/v25.0/dialog/oauth?"+asking(s, "login_hint", "fay", "scope",
		"public_profile,email").Encode(), nil)
	if !strings.HasSuffix(r.Header.Get("Location"), "#_=_") {
		t.Errorf("the answer lacks Facebook's fragment: %s", r.Header.Get("Location"))
	}
	answer := redeem(t, s, redeeming(s, callbackOf(t, r).Get("code"), "grant_type", "")).json(t)
	expect(t, answer, map[string]any{"token_type": "bearer", "id_token": nil})
	token := text(answer, "access_token")
	fay := s.Personas()[0]
	me := graph(t, s, "/v25.0/me", token, "fields", "id,name,email").json(t)
	expect(t, me, map[string]any{"id": fay.Subject, "name": "Fay Okoro", "email": "fay@example.test"})
	expect(t, graph(t, s, "/v25.0/me", token).json(t), map[string]any{"id": fay.Subject, "email": nil})
	for _, path := range []string{"/debug_token", "/v25.0/debug_token"} {
		app := s.opts.ClientID + "|" + s.opts.ClientSecret
		data, _ := graph(t, s, path, app, "input_token", token).json(t)["data"].(map[string]any)
		expect(t, data, map[string]any{"app_id": "gatehouse", "user_id": fay.Subject, "is_valid": true, "type": "USER"})
		data, _ = graph(t, s, path, app, "input_token", "EAAother").json(t)["data"].(map[string]any)
		expect(t, data, map[string]any{"is_valid": false, "user_id": nil})
		if r := graph(t, s, path, token, "input_token", token); r.StatusCode != 400 {
			t.Errorf("a person's token may not debug: %d", r.StatusCode)
		}
	}
}

func TestFacebookWantsTheRightProofAndAVersion(t *testing.T) {
	s := stage(t, Options{Kind: KindFacebook})
	token := text(signIn(t, s, "fay"), "access_token")
	for name, row := range map[string]struct{ target, message string }{
		"no proof": {"/v25.0/me?access_token=" + token, "require an appsecret_proof"},
		"wrong proof": {"/v25.0/me?access_token=" + token + "&appsecret_proof=" + proof(s, "other"),
			"Invalid appsecret_proof"},
		"no proof either": {"/v25.0/me/permissions?access_token=" + token, "require an appsecret_proof"},
		"unknown token":   {"/v25.0/me?access_token=no&appsecret_proof=" + proof(s, "no"), "Invalid OAuth access token"},
		"unversioned":     {"/me?access_token=" + token + "&appsecret_proof=" + proof(s, token), "unversioned"},
		"no such version": {"/latest/me?access_token=" + token + "&appsecret_proof=" + proof(s, token), "unknown version"},
		"dialog":          {"/dialog/oauth?" + asking(s).Encode(), "unversioned"},
		"token":           {"/oauth/access_token?" + redeeming(s, "x").Encode(), "unversioned"},
		"odd dialog":      {"/v25/dialog/oauth?" + asking(s).Encode(), "unknown version"},
		"unknown code":    {"/v25.0/oauth/access_token?" + redeeming(s, "x").Encode(), "Invalid verification code"},
		"wrong app secret": {"/v25.0/oauth/access_token?" + redeeming(s, "x", "client_secret", "no").Encode(),
			"client secret"},
	} {
		t.Run(name, func(t *testing.T) {
			r := get(t, s.BaseURL()+row.target, nil)
			failure, _ := r.json(t)["error"].(map[string]any)
			if r.StatusCode != http.StatusBadRequest || !strings.Contains(text(failure, "message"), row.message) ||
				failure["code"] == nil {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
		})
	}
	if r := get(t, s.BaseURL()+"/v25.0/me?appsecret_proof="+proof(s, token),
		bearer(token)); r.StatusCode != http.StatusOK {
		t.Errorf("the token may come in the header: %d %s", r.StatusCode, r.body)
	}
}

// permissions returns the granted permissions, as name=status.
func permissions(t *testing.T, s *Server, token string) string {
	t.Helper()
	list, _ := graph(t, s, "/v25.0/me/permissions", token).json(t)["data"].([]any)
	var all []string
	for _, entry := range list {
		members, _ := entry.(map[string]any)
		all = append(all, text(members, "permission")+"="+text(members, "status"))
	}
	return strings.Join(all, " ")
}

func TestFacebookPeopleMayHaveOrShareNoEmail(t *testing.T) {
	s := stage(t, Options{Kind: KindFacebook})
	for name, row := range map[string]struct {
		login, permissions, email string
		changes                   []string
	}{
		"shared":        {"fay", "public_profile=granted email=granted", "fay@example.test", nil},
		"none to share": {"finn", "public_profile=granted email=granted", "", nil},
		"declined":      {"dana", "public_profile=granted email=declined", "", nil},
		"asked again": {"dana", "public_profile=granted email=granted", "dana@example.test",
			[]string{"auth_type", "rerequest"}},
		"asked thoroughly": {"dana", "public_profile=granted email=granted", "dana@example.test",
			[]string{"auth_type", "rerequest,reauthenticate"}},
		"scope not sent": {"fay", "public_profile=granted", "", []string{"scope", "public_profile"}},
	} {
		t.Run(name, func(t *testing.T) {
			token := text(signIn(t, s, row.login, append([]string{"scope", "public_profile email"}, row.changes...)...),
				"access_token")
			if got := permissions(t, s, token); got != row.permissions {
				t.Errorf("permissions %s", got)
			}
			if got := text(graph(t, s, "/v25.0/me", token, "fields", "id,email").json(t), "email"); got != row.email {
				t.Errorf("email %q", got)
			}
		})
	}
}

func TestFacebookCancelSaysWhoDenied(t *testing.T) {
	s := stage(t, Options{Kind: KindFacebook})
	answer := callbackOf(t, get(t, s.BaseURL()+"/v25.0/dialog/oauth/cancel?"+asking(s).Encode(), nil))
	if answer.Get("error") != "access_denied" || answer.Get("error_reason") != "user_denied" ||
		answer.Get("error_code") != "200" {
		t.Errorf("%v", answer)
	}
}

func TestB12_MetaSimSwapsTheTokensAppAndUser(t *testing.T) {
	s := stage(t, Options{Kind: KindFacebook})
	s.Misbehave(func(f *Fault) {
		f.Set(AtDebugToken, "app_id", "another")
		f.Set(AtUserInfo, "id", "999")
	})
	token := text(signIn(t, s, "fay"), "access_token")
	data, _ := graph(t, s, "/debug_token", s.opts.ClientID+"|"+s.opts.ClientSecret, "input_token",
		token).json(t)["data"].(map[string]any)
	expect(t, data, map[string]any{"app_id": "another", "user_id": s.Personas()[0].Subject})
	expect(t, graph(t, s, "/v25.0/me", token).json(t), map[string]any{"id": "999"})
}

func TestB23_MetaSimSendsSignedRequests(t *testing.T) {
	s := stage(t, Options{Kind: KindFacebook})
	var received string
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter,
		r *http.Request) {
		received = r.PostFormValue("signed_request")
	}))
	defer app.Close()
	response, err := PostSignedRequest(t.Context(), app.Client(), app.URL+"/deauthorize", s.SignedRequest("4711", clock))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	signature, payload, _ := strings.Cut(received, ".")
	mac := hmac.New(sha256.New, []byte(s.opts.ClientSecret))
	mac.Write([]byte(payload))
	if signature != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
		t.Error("the signature is not over the encoded payload")
	}
	decoded, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]any{}
	if err := json.Unmarshal(decoded, &members); err != nil {
		t.Fatal(err)
	}
	expect(t, members, map[string]any{"user_id": "4711", "issued_at": float64(clock.Unix()), "algorithm": "HMAC-SHA256"})
	if SignRequest("other", members) == SignRequest(s.opts.ClientSecret, members) {
		t.Error("another secret signs the same")
	}
}
