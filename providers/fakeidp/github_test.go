package fakeidp

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

func TestGitHubSignsIn(t *testing.T) {
	s := stage(t, Options{Kind: KindGitHub})
	toolkit := s.Personas()[0]
	answer := signIn(t, s, "kit", "scope", "read:user user:email", "response_type", "")
	expect(t, answer, map[string]any{"token_type": "bearer", "scope": "read:user,user:email", "id_token": nil})
	token := text(answer, "access_token")
	user := get(t, s.BaseURL()+"/user", bearer(token)).json(t)
	id, err := strconv.ParseFloat(toolkit.Subject, 64)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, user, map[string]any{"id": id, "login": "kit", "name": "Kit Moreau"})
	if value, has := user["email"]; !has || value != nil {
		t.Errorf("the public e-mail is %v", value)
	}
	if r := get(t, s.BaseURL()+"/user", http.Header{"Authorization": {"token " + token}}); r.StatusCode != http.StatusOK {
		t.Errorf("the scheme token: %d", r.StatusCode)
	}
	if r := get(t, s.BaseURL()+"/user", bearer("gho_other")); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger's token: %d", r.StatusCode)
	}
}

func TestC2_GitHubSimKnowsWhichAddressIsVerified(t *testing.T) {
	s := stage(t, Options{Kind: KindGitHub, Personas: []Persona{{
		Login: "kit", Email: "kit@example.test", EmailVerified: true,
		OtherEmails: []Email{{"ana@example.test", false, false}},
	}}})
	token := text(signIn(t, s, "kit", "scope", "user:email"), "access_token")
	var list []map[string]any
	if err := json.Unmarshal([]byte(get(t, s.BaseURL()+"/user/emails", bearer(token)).body), &list); err != nil ||
		len(list) != 3 {
		t.Fatalf("%v %v", list, err)
	}
	expect(t, list[0], map[string]any{"email": "kit@example.test", "primary": true, "verified": true})
	expect(t, list[1], map[string]any{"email": "ana@example.test", "primary": false, "verified": false})
	if !strings.HasSuffix(text(list[2], "email"), "@users.noreply.github.com") {
		t.Errorf("%v", list[2])
	}
	token = text(signIn(t, s, "kit", "scope", "read:user"), "access_token")
	if r := get(t, s.BaseURL()+"/user/emails", bearer(token)); r.StatusCode != http.StatusNotFound {
		t.Errorf("without the scope: %d", r.StatusCode)
	}
}

func TestGitHubRespondsWithFormsAndRefusesWithStatus200(t *testing.T) {
	s := stage(t, Options{Kind: KindGitHub})
	code := authorize(t, s, asking(s, "login", "kit", "redirect_uri", "")).Get("code")
	for _, row := range []struct{ change, value, failure string }{
		{"client_secret", "no", "incorrect_client_credentials"},
		{"code", "no", "bad_verification_code"},
		{"state", "unused", ""},
		{"state", "unused", "bad_verification_code"}, // the second use
	} {
		r := send(t, http.MethodPost, s.BaseURL()+tokenPath(s), redeeming(s, code, "grant_type", "", row.change, row.value),
			nil)
		values, err := url.ParseQuery(r.body)
		if err != nil || r.StatusCode != http.StatusOK ||
			!strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			t.Fatalf("%d %s %v", r.StatusCode, r.Header.Get("Content-Type"), err)
		}
		if values.Get("error") != row.failure || strings.HasPrefix(values.Get("access_token"),
			"gho_") != (row.failure == "") {
			t.Errorf("%+v: %s", row, r.body)
		}
	}
	r := redeem(t, s, redeeming(s, code))
	if r.StatusCode != http.StatusOK || text(r.json(t), "error") != "bad_verification_code" {
		t.Errorf("as JSON: %d %s", r.StatusCode, r.body)
	}
}
