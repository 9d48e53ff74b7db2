package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

// claim is a value that an upstream may send in place of a text, a number or a flag.
type claim struct {
	name  string
	value any
}

func wrongClaims() []claim {
	all := []claim{{"nothing", nil}, {"a number", 1e308}, {"a negative number", -1}, {"true", true},
		{"a list", []any{"a", 1, nil}}, {"an empty list", []any{}},
		{"an object", map[string]any{"a": map[string]any{"b": "c"}}}, {"deep", fakeidp.DeepJSON(2000)},
		{"100 KiB", strings.Repeat("hostileghx ", 10<<10)}}
	for _, p := range payloads() {
		switch p.name {
		case "markup", "attribute", "template", "NUL", "bidi", "line breaks", "number", "URL", "combining", "empty", "spaces":
			all = append(all, claim{p.name, strings.ToValidUTF8(p.value, "")})
		}
	}
	return all
}

// callback signs in at an upstream that sends forged claims, and returns with them.
func (s *attackHarness) callback(t *testing.T, what, connection, button string) *answer {
	t.Helper()
	b := newBrowser(t)
	s.beginUpstream(t, b, s.hop(t, b, "/authorize?"+s.asking().Encode()), connection)
	back, err := url.Parse(b.stopBefore(button, "/callback/"))
	if err != nil {
		t.Fatal(err)
	}
	return s.walk(t, what, b, s.request(t, http.MethodGet, back.Path, back.Query()))
}

// beginUpstream goes as far as an upstream's page.
func (s *attackHarness) beginUpstream(t *testing.T, b *browser, login, connection string) {
	t.Helper()
	to := s.hop(t, b, login+"/to/"+connection)
	req, err := http.NewRequest(http.MethodGet, to, nil)
	if err != nil || req.URL.Host == "" {
		t.Fatalf("%s leads to %q, %v", login, to, err)
	}
	b.send(req)
}

func TestB20_A24_NoClaimBreaksAPageOrAnAccount(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	before := len(s.events(broker.EventAccountCreated))
	for _, name := range []string{"name", "given_name", "family_name", "email", "email_verified", "sub", "iss", "aud",
		"nonce", "exp", "iat", "auth_time", "amr", "acr", "locale", "azp", "picture"} {
		for _, c := range wrongClaims() {
			s.sims["club"].Misbehave(func(f *fakeidp.Fault) { f.SetClaim(name, c.value) })
			s.callback(t, fmt.Sprintf("%s is %s", name, c.name), "club", "Vera")
			s.sims["club"].Behave()
		}
	}
	for _, name := range []string{"id", "name", "first_name", "last_name", "email"} {
		for _, c := range wrongClaims() {
			s.sims["facebook"].Misbehave(func(f *fakeidp.Fault) { f.Set(fakeidp.AtUserInfo, name, c.value) })
			s.callback(t, fmt.Sprintf("Facebook's %s is %s", name, c.name), "facebook", "Fay")
			s.sims["facebook"].Behave()
		}
	}
	if n := len(s.events(broker.EventAccountCreated)) - before; n != 0 {
		t.Errorf("%d accounts came of it", n)
	}
	t.Logf("%d requests", s.sent)
}

func TestA24_ANameFullOfMarkupStaysAName(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	b := newBrowser(t)
	b.open(s.file.App + "/login")
	b.click("Continue with Google")
	b.click("Noor")
	name := `"><script>hostileghx()</script>{{.V}}` + "\u202e\x00\r\nBcc: eve@evil.example"
	req := b.form("Create account", "given_name", name, "family_name", strings.Repeat("\u0301", 3000))
	s.walk(t, "register", b, req)
	var stored broker.Account
	accounts, err := s.h.store.Accounts(s.ctx, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if strings.Contains(a.GivenName, "hostileghx") {
			stored = a
		}
	}
	if stored.ID == "" || len(stored.FamilyName) > 200 || strings.ContainsFunc(stored.Name, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	}) {
		t.Fatalf("the account is %+v", stored)
	}
	g := s.grant(t, b)
	info := s.request(t, http.MethodGet, "/userinfo", nil)
	info.Header.Set("Authorization", "Bearer "+g.access)
	if a := s.send(t, "userinfo", info); a.StatusCode != http.StatusOK || strings.Contains(a.body, "<script>") {
		t.Errorf("userinfo: %d %s", a.StatusCode, a.body)
	}
	for _, path := range []string{"/account", "/login", "/end_session", "/authorize?" + s.asking("client_id", "third",
		"redirect_uri", thirdCallback).Encode(), "/authorize?" + s.asking("prompt", "select_account").Encode()} {
		s.walk(t, path, b, s.request(t, http.MethodGet, path, nil))
	}
}
