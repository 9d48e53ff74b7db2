package fakeidp

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var kinds = []string{KindGoogle, KindMicrosoft, KindADFS, KindFacebook, KindOIDC, KindGitHub}

var (
	links  = regexp.MustCompile(`<a [^>]*href="([^"]+)"`)
	inputs = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)
	action = regexp.MustCompile(`<form [^>]*action="([^"]+)"`)
)

func hrefs(page string) []string {
	var found []string
	for _, match := range links.FindAllStringSubmatch(page, -1) {
		found = append(found, html.UnescapeString(match[1]))
	}
	return found
}

func TestEveryKindListsItsPeopleAsPlainLinks(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			s := stage(t, Options{Kind: kind})
			page := get(t, s.BaseURL()+authorizePath(s)+"?"+asking(s).Encode(), nil)
			people := s.Personas()
			found := hrefs(page.body)
			if page.StatusCode != http.StatusOK || len(people) == 0 || len(found) != len(people)+1 {
				t.Fatalf("%d, %d links for %d people", page.StatusCode, len(found), len(people))
			}
			if !strings.Contains(page.body, "<h1>"+s.provider.label+" <span>(simulated)</span></h1>") {
				t.Error("the page does not say whose simulator it is")
			}
			for i, person := range people {
				for _, shown := range []string{person.Name, person.Email, person.Note} {
					if person.Note == "" || !strings.Contains(page.body, html.EscapeString(shown)) {
						t.Errorf("%s: %q is not shown", person.Login, shown)
					}
				}
				answer := callbackOf(t, get(t, s.BaseURL()+found[i], nil))
				if answer.Get("code") == "" || answer.Get("state") != "a-state" {
					t.Errorf("%s: %v", person.Login, answer)
				}
			}
			cancelled := callbackOf(t, get(t, s.BaseURL()+found[len(people)], nil))
			if cancelled.Get("error") != "access_denied" || cancelled.Get("state") != "a-state" || cancelled.Has("code") {
				t.Errorf("cancel: %v", cancelled)
			}
		})
	}
}

func TestALinkWorksTwiceAndNeedsNoCookie(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	page := get(t, s.BaseURL()+"/authorize?"+asking(s).Encode(), nil)
	first := callbackOf(t, get(t, s.BaseURL()+hrefs(page.body)[0], nil))
	second := callbackOf(t, get(t, s.BaseURL()+hrefs(page.body)[0], nil))
	if first.Get("code") == second.Get("code") || len(page.Cookies()) != 0 {
		t.Errorf("codes %q %q, cookies %v", first.Get("code"), second.Get("code"), page.Cookies())
	}
	for _, answer := range []url.Values{first, second} {
		if r := redeem(t, s, redeeming(s, answer.Get("code"))); r.StatusCode != http.StatusOK {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	}
}

func TestAHintSkipsTheListUnlessTheAccountIsToBeSelected(t *testing.T) {
	s := stage(t, Options{Kind: KindGoogle})
	for name, row := range map[string]struct {
		changes []string
		list    bool
	}{
		"login":                    {[]string{"login_hint", "ana"}, false},
		"e-mail in other case":     {[]string{"login_hint", "ANA@Example.test"}, false},
		"unknown":                  {[]string{"login_hint", "nobody"}, true},
		"none":                     {nil, true},
		"hint with select_account": {[]string{"login_hint", "ana", "prompt", "select_account"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := get(t, s.BaseURL()+authorizePath(s)+"?"+asking(s, row.changes...).Encode(), nil)
			if list := r.StatusCode == http.StatusOK; list != row.list {
				t.Errorf("status %d", r.StatusCode)
			}
		})
	}
}

func TestPromptNoneShowsNoPage(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	if answer := authorize(t, s, asking(s, "prompt", "none")); answer.Get("error") != "login_required" {
		t.Errorf("%v", answer)
	}
	if answer := authorize(t, s, asking(s, "prompt", "none", "login_hint", "vera")); answer.Get("code") == "" {
		t.Errorf("%v", answer)
	}
	if answer := authorize(t, s, asking(s, "prompt", "none login")); answer.Get("error") != "invalid_request" {
		t.Errorf("%v", answer)
	}
}

func TestFormPostReturnsByAPageThatWorksWithoutScript(t *testing.T) {
	for _, kind := range []string{KindGoogle, KindMicrosoft, KindADFS, KindOIDC} {
		t.Run(kind, func(t *testing.T) {
			s := stage(t, Options{Kind: kind})
			login := s.Personas()[0].Login
			page := get(t, s.BaseURL()+authorizePath(s)+"?"+asking(s, "login_hint", login, "response_mode",
				"form_post").Encode(), nil)
			target := action.FindStringSubmatch(page.body)
			if target == nil || html.UnescapeString(target[1]) != redirectURI ||
				!strings.Contains(page.body, `<button type="submit">`) {
				t.Fatalf("no form to the client: %s", page.body)
			}
			fields := url.Values{}
			for _, match := range inputs.FindAllStringSubmatch(page.body, -1) {
				fields.Set(html.UnescapeString(match[1]), html.UnescapeString(match[2]))
			}
			if fields.Get("state") != "a-state" {
				t.Errorf("fields %v", fields)
			}
			if r := redeem(t, s, redeeming(s, fields.Get("code"))); r.StatusCode != http.StatusOK {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
		})
	}
}

func TestPagesHaveNothingInline(t *testing.T) {
	s := stage(t, Options{Kind: KindMicrosoft})
	for _, changes := range [][]string{nil, {"login_hint", "bruno", "response_mode", "form_post"},
		{"redirect_uri", "http://evil.test/"}} {
		page := get(t, s.BaseURL()+authorizePath(s)+"?"+asking(s, changes...).Encode(), nil)
		if policy := page.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy,
			"default-src 'none'; style-src 'self'; script-src 'self'") {
			t.Errorf("policy %q", policy)
		}
		if regexp.MustCompile(`(?i)<style| style=| on[a-z]+=|<script>`).MatchString(page.body) {
			t.Errorf("inline: %s", page.body)
		}
		if !strings.Contains(page.body, `<html lang="en"`) || !strings.Contains(page.body, `name="viewport"`) {
			t.Errorf("no language or viewport: %s", page.body)
		}
	}
	for path, contentType := range map[string]string{stylePath: "text/css; charset=utf-8",
		scriptPath: "text/javascript; charset=utf-8"} {
		if r := get(t, s.BaseURL()+path, nil); r.StatusCode != 200 || r.Header.Get("Content-Type") != contentType ||
			r.body == "" {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.Header.Get("Content-Type"))
		}
	}
}

func TestPagesEscapeWhatTheyShow(t *testing.T) {
	const attack = `<script>alert(1)</script>`
	s := stage(t, Options{Kind: KindOIDC, Name: attack,
		Personas: []Persona{{Login: attack, Name: attack, Email: attack, Note: attack}}})
	for _, changes := range [][]string{{"state", attack},
		{"state", attack, "login_hint", attack, "response_mode", "form_post"}, {"client_id", attack}} {
		if page := get(t, s.BaseURL()+"/authorize?"+asking(s, changes...).Encode(), nil); strings.Contains(page.body,
			attack) {
			t.Errorf("%v: %s", changes, page.body)
		}
	}
}

func TestAnUnknownClientOrAddressGetsNoRedirect(t *testing.T) {
	for _, kind := range kinds {
		for name, changes := range map[string][]string{
			"client": {"client_id", "other"}, "prefix": {"redirect_uri", redirectURI + "/x"},
			"host": {"redirect_uri", "http://evil.test/callback"},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				s := stage(t, Options{Kind: kind})
				for _, path := range []string{"", "/choose", "/cancel"} {
					path = strings.TrimSuffix(authorizePath(s), "/") + path
					r := get(t, s.BaseURL()+path+"?"+asking(s, append(changes, "login_hint", "ana")...).Encode(), nil)
					if kind == KindGitHub && name != "client" {
						// GitHub reports the error to the registered address.
						if callbackOf(t, r).Get("error") != "redirect_uri_mismatch" ||
							!strings.HasPrefix(r.Header.Get("Location"), redirectURI+"?") {
							t.Errorf("%s: %q", path, r.Header.Get("Location"))
						}
						continue
					}
					if r.StatusCode != http.StatusBadRequest || r.Header.Get("Location") != "" {
						t.Errorf("%s: %d %q", path, r.StatusCode, r.Header.Get("Location"))
					}
				}
			})
		}
	}
}

func TestBadRequestsAreAnsweredToTheClient(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	for name, row := range map[string]struct {
		changes []string
		code    string
	}{
		"implicit":      {[]string{"response_type", "id_token"}, "unsupported_response_type"},
		"no openid":     {[]string{"scope", "email"}, "invalid_scope"},
		"plain":         {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"method alone":  {[]string{"code_challenge", ""}, "invalid_request"},
		"fragment mode": {[]string{"response_mode", "fragment"}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := authorize(t, s, asking(s, append(row.changes, "login_hint", "vera")...))
			if answer.Get("error") != row.code || answer.Get("iss") != s.Issuer() || answer.Has("code") {
				t.Errorf("%v", answer)
			}
		})
	}
	google := stage(t, Options{Kind: KindGoogle})
	if answer := authorize(t, google, asking(google, "prompt", "login")); answer.Get("error") != "invalid_request" {
		t.Errorf("Google knows no prompt=login: %v", answer)
	}
}
