package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
)

// granted is every token that a sign-in issued.
type granted struct {
	code, access, refresh, id string
}

// grant takes a browser through the flow of the sample app's client, by hand.
func (s *attackHarness) grant(t *testing.T, b *browser) granted {
	t.Helper()
	g := granted{code: s.code(t, b)}
	said := s.redeem(t, "authorization_code", url.Values{"code": {g.code}, "redirect_uri": {s.file.App + "/callback"},
		"code_verifier": {hostVerifier}})
	g.access, _ = said["access_token"].(string)
	g.refresh, _ = said["refresh_token"].(string)
	g.id, _ = said["id_token"].(string)
	if g.access == "" || g.refresh == "" || g.id == "" {
		t.Fatalf("no tokens but %v", said)
	}
	return g
}

func (s *attackHarness) code(t *testing.T, b *browser) string {
	t.Helper()
	to, err := url.Parse(s.hop(t, b, "/authorize?"+s.asking().Encode()))
	if err != nil || to.Query().Get("code") == "" {
		t.Fatalf("no code but %v, %v", to, err)
	}
	return to.Query().Get("code")
}

// call posts a form to an endpoint as the sample app.
func (s *attackHarness) call(t *testing.T, what, path string, form url.Values) (*answer, map[string]any) {
	t.Helper()
	c := s.file.Clients[0]
	req := s.request(t, http.MethodPost, path, form)
	req.Header.Set("Authorization", "Basic "+basicOf(c.ID, c.Secret))
	req.Header.Set("Accept", "application/json")
	a := s.send(t, what, req)
	said := map[string]any{}
	if a.body != "" {
		if err := json.Unmarshal([]byte(a.body), &said); err != nil {
			t.Fatalf("%s: %v in %q", what, err, a.body)
		}
	}
	return a, said
}

func (s *attackHarness) redeem(t *testing.T, grant string, form url.Values) map[string]any {
	t.Helper()
	form.Set("grant_type", grant)
	_, said := s.call(t, grant, "/token", form)
	return said
}

// place is where a token can be presented; it reports whether the token was accepted.
type place func(t *testing.T, what, token string) bool

func (s *attackHarness) places(in insider) map[string]place {
	form := func(path, name string, more url.Values, worth func(*answer, map[string]any) bool) place {
		return func(t *testing.T, what, token string) bool {
			t.Helper()
			f := url.Values{name: {token}}
			maps.Copy(f, more)
			a, said := s.call(t, what, path, f)
			return worth(a, said)
		}
	}
	get := func(path, name string, worth func(*answer) bool) place {
		return func(t *testing.T, what, token string) bool {
			t.Helper()
			sep := map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]
			return worth(s.send(t, what, in.as(s.request(t, http.MethodGet, path+sep+url.Values{name: {token}}.Encode(), nil))))
		}
	}
	paid := func(_ *answer, said map[string]any) bool { return said["access_token"] != nil }
	silent := "/authorize?" + s.asking("prompt", "none").Encode()
	return map[string]place{
		"userinfo": func(t *testing.T, what, token string) bool {
			t.Helper()
			req := s.request(t, http.MethodGet, "/userinfo", nil)
			req.Header.Set("Authorization", "Bearer "+token)
			return s.send(t, what, req).StatusCode == http.StatusOK
		},
		"userinfo posted": func(t *testing.T, what, token string) bool {
			t.Helper()
			return s.send(t, what, s.request(t, http.MethodPost, "/userinfo",
				url.Values{"access_token": {token}})).StatusCode == http.StatusOK
		},
		"introspect": form("/introspect", "token", nil, func(_ *answer, said map[string]any) bool {
			return said["active"] != false
		}),
		"code": form("/token", "code", url.Values{"grant_type": {"authorization_code"},
			"redirect_uri": {s.file.App + "/callback"}, "code_verifier": {hostVerifier}}, paid),
		"refresh": form("/token", "refresh_token", url.Values{"grant_type": {"refresh_token"}}, paid),
		"hint": get(silent, "id_token_hint", func(a *answer) bool {
			return strings.Contains(a.Header.Get("Location"), "code=")
		}),
		"leaving": get("/end_session", "id_token_hint", func(a *answer) bool {
			return a.root == nil || !strings.Contains(a.body, `name="leaving"`)
		}),
		"login":    get("/authorize", "login", func(a *answer) bool { return a.StatusCode < 400 }),
		"consent":  get("/authorize", "consent", func(a *answer) bool { return a.StatusCode < 400 }),
		"post":     get("/authorize", "post", func(a *answer) bool { return a.StatusCode < 400 }),
		"callback": get("/callback/google", "state", func(a *answer) bool { return a.StatusCode < 400 }),
		"posted":   get("/callback/google?posted=1", "state", func(a *answer) bool { return a.StatusCode < 400 }),
		"confirm": func(t *testing.T, what, token string) bool {
			t.Helper()
			return s.send(t, what, in.as(s.request(t, http.MethodPost, "/end_session/confirm",
				url.Values{"leaving": {token}}))).StatusCode < 400
		},
		"session": s.cookiePlace("gh_session", "/account", "ben@example.test"),
		"browser": s.cookiePlace("gh_browser", in.login, "<form"),
	}
}

func (s *attackHarness) cookiePlace(name, path, sign string) place {
	return func(t *testing.T, what, token string) bool {
		t.Helper()
		req := s.request(t, http.MethodGet, path, nil)
		req.Header.Set("Cookie", name+"="+token)
		return strings.Contains(s.send(t, what, req).body, sign)
	}
}

func TestA11_NoTokenPassesForAnotherAnywhere(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	in := s.insider(t)
	places := s.places(in)
	g, cookies := s.grant(t, in.browser), cookiesOf(in.browser, s)
	right := map[string][]string{
		"userinfo": {"access token"}, "userinfo posted": {"access token"}, "introspect": {"access token", "refresh token"},
		"code": {"fresh code"}, "refresh": {"refresh token"}, "hint": {"ID token"}, "leaving": {"ID token"},
		"login": {"login"}, "consent": {"consent"}, "session": {"session"}, "browser": {"browser"},
	}
	tokens := map[string]string{"access token": g.access, "refresh token": g.refresh, "ID token": g.id,
		"spent code": g.code, "fresh code": s.code(t, in.browser),
		"session": cookies["gh_session"], "browser": cookies["gh_browser"],
		"login":   strings.TrimPrefix(in.login, "/login/"),
		"consent": strings.TrimPrefix(in.consent, "/consent/"), "client secret": s.file.Clients[0].Secret,
		"client id": "courts-booking", "nothing": ""}
	// The wrong cells first, because the right one may consume the token. A consumed
	// code and a sign-out end what they belong to, so those come last.
	order := slices.Sorted(maps.Keys(tokens))
	for _, last := range []bool{false, true} {
		for _, at := range slices.Sorted(maps.Keys(places)) {
			for _, kind := range order {
				fits := slices.Contains(right[at], kind)
				if fits != last || at == "leaving" && fits || kind == "spent code" && at == "code" || kind == "nothing" &&
					at == "hint" {
					continue // a hint is optional, and the last two end what the rest belongs to
				}
				if worth := places[at](t, kind+" at "+at, tokens[kind]); worth != fits {
					t.Errorf("%s at %s: worth %v", kind, at, worth)
				}
			}
		}
	}
	if !places["leaving"](t, "the ID token signs out", g.id) {
		t.Error("the ID token does not sign out")
	}
}

func TestA21_EveryEditOfATokenIsNone(t *testing.T) {
	t.Parallel()
	s := newAttackHarness(t)
	in := s.insider(t)
	places := s.places(in)
	g := s.grant(t, in.browser)
	fresh := s.code(t, in.browser)
	for _, c := range []struct {
		kind, token string
		at          []string
		step        int // of the edits, every how many
	}{
		{"access token", g.access, []string{"userinfo", "introspect"}, 1},
		{"access token", g.access, []string{"userinfo posted"}, 5},
		{"refresh token", g.refresh, []string{"refresh", "introspect"}, 1},
		{"code", fresh, []string{"code"}, 1},
		{"ID token", g.id, []string{"hint"}, 1},
		{"ID token", g.id, []string{"leaving"}, 9},
	} {
		for _, at := range c.at {
			for i, edited := range edits(c.token) {
				if i%c.step == 0 && edited != "" && places[at](t, fmt.Sprintf("%s at %s, edit %d", c.kind, at, i), edited) {
					t.Errorf("%s at %s: the edit %d, %q, is worth something", c.kind, at, i, edited)
				}
			}
		}
	}
	refused, err := s.h.store.Events(s.ctx, broker.EventFilter{Verb: broker.EventTokenRefused, Limit: 5000})
	if err != nil || len(refused) < 2*len(g.refresh) {
		t.Errorf("%d refusals are in the audit log, %v", len(refused), err)
	}
	for _, e := range refused {
		if e.Code == "" || e.Client != "courts-booking" {
			t.Fatalf("a refusal without its reason: %+v", e)
		}
	}
	for _, edited := range edits(g.access)[1:] { // RFC 7009 §2.2: no error, and nothing ends
		if a, _ := s.call(t, "revoke", "/revoke", url.Values{"token": {edited}}); a.StatusCode != http.StatusOK {
			t.Errorf("an edited token is revoked with %d", a.StatusCode)
		}
	}
	own, _ := s.redeem(t, "client_credentials", url.Values{})["access_token"].(string)
	for _, revoked := range []bool{false, true} { // an app's own token, which has no grant to end
		if places["introspect"](t, "an app's own token", own) == revoked || places["userinfo"](t, "an app's own token", own) {
			t.Errorf("an app's own token, revoked %v, is worth the wrong thing", revoked)
		}
		s.call(t, "revoke an app's own token", "/revoke", url.Values{"token": {own}})
	}
	for at, token := range map[string]string{"userinfo": g.access, "code": fresh, "refresh": g.refresh, "hint": g.id} {
		if !places[at](t, at, token) {
			t.Errorf("all those edits cost the real token its worth at %s", at)
		}
	}
	t.Logf("%d requests", s.sent)
}
