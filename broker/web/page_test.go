package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"gatehouse/broker"
)

// shown renders a page for a GET of the path.
func (h *harness) shown(main string, view any, r *http.Request) string {
	h.t.Helper()
	pages := h.Pages(pageFiles(`{{.T "web.details"}}`, main))
	w := h.ask(h.Handle(func(w http.ResponseWriter, r *http.Request) error {
		pages.Show(w, r, http.StatusUnprocessableEntity, "one", view)
		return nil
	}), r)
	if w.Code != http.StatusUnprocessableEntity {
		h.t.Fatalf("status %d: %s", w.Code, h.log)
	}
	return w.Body.String()
}

func TestABrokenPageStopsTheStart(t *testing.T) {
	h := open(t)
	for name, pages := range map[string]fstest.MapFS{
		"no pages":          {},
		"no title":          {"page/one.html": {Data: []byte(`{{define "main"}}{{end}}`)}},
		"no main":           {"page/one.html": {Data: []byte(`{{define "title"}}{{end}}`)}},
		"a broken template": pageFiles(`x`, `{{if}}`),
		"an unknown text":   pageFiles(`{{.T "web.nonsense"}}`, ``),
		"an unknown text, deep": pageFiles(`x`,
			`{{range .V}}{{if .}}{{else}}{{with $.V}}{{printf "%s" ($.T "web.nonsense")}}{{end}}{{end}}{{end}}`),
		"an argument too few":   pageFiles(`{{.T "web.continue_with"}}`, ``),
		"markup of a plain key": pageFiles(`{{.TH "web.details"}}`, ``),
		"a style attribute":     pageFiles(`x`, `<p style="color:red">`),
		"an inline script":      pageFiles(`x`, `<script>alert(1)</script>`),
		"a handler":             pageFiles(`x`, `<p onclick="x()">`),
		"a foreign image":       pageFiles(`x`, `<img src="https://evil.example/x.png">`),
		"a positive tabindex":   pageFiles(`x`, `<p tabindex="3">`),
	} {
		if !panics(func() { h.Pages(pages) }) {
			t.Errorf("%s is accepted", name)
		}
	}
	h.Pages(pageFiles(`{{.T "web.details"}}`, `{{.T "web.continue_with" "x"}}<script type="module" src="/a.js"></script>`))
}

func panics(do func()) (did bool) {
	defer func() { did = recover() != nil }()
	do()
	return false
}

func TestAC39_AFailedFormSaysWhereAndPutsTheFocusThere(t *testing.T) {
	h := open(t)
	view := struct{ Form }{Form{[]Problem{{"password", "They don’t <match>."}, {"", "And another thing."}}}}
	page := h.shown(
		`{{template "field" (field . "name" "email" "label" "Email" "value" "a\"b@example.com" "autocomplete" "username"
		"autofocus" true)}}
{{template "field" (field . "name" "password" "label" "Password" "hint" "Twelve." "type" "password" "autocomplete"
	"current-password" "required" true)}}`, view, get("/x"))
	for _, want := range []string{
		`<title>Error: Details – Northgate</title>`, `role="alert" tabindex="-1"`, `There are 2 problems`,
		`<li><a href="#password">They don’t &lt;match&gt;.</a></li>`, `<li>And another thing.</li>`,
		`<input name="password" type="password" autocomplete="current-password" autocapitalize="none" spellcheck="false" required id="password" ` +
			`aria-invalid="true" aria-describedby="password-hint password-error" autofocus>`,
		`<p class="wrong" id="password-error">`, `<p class="hint" id="password-hint">Twelve.</p>`,
		`<label for="password">Password</label>`,
		`<input name="email" value="a&#34;b@example.com" autocomplete="username" id="email">`,
		`data-reveal="Hide" hidden>Show</button>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Count(page, "autofocus") != 1 || strings.Count(page, "<h1>") != 1 {
		t.Error("there is more than one focus or heading")
	}
	view.Problems = view.Problems[1:]
	page = h.shown(`{{template "field" (field . "name" "email" "label" "Email" "autofocus" true)}}`, view, get("/x"))
	if !strings.Contains(page, `role="alert" tabindex="-1" autofocus>`) || strings.Count(page, "autofocus") != 1 {
		t.Error("what is wrong with the form as a whole does not have the focus")
	}
}

func TestOneProblemOfAFieldIsSaidOnceAtTheField(t *testing.T) {
	h := open(t)
	view := struct{ Form }{Form{[]Problem{{"email", "Enter an address."}}}}
	page := h.shown(`{{template "field" (field . "name" "email" "label" "Email")}}`, view, get("/x"))
	if strings.Count(page, "Enter an address.") != 1 || strings.Contains(page, "There is a problem") ||
		!strings.Contains(page, `<p class="wrong" id="email-error" role="alert">`) {
		t.Error(page)
	}
}

func TestAC40_AFieldShutsNoPasswordManagerOut(t *testing.T) {
	h := open(t)
	for name, field := range map[string]string{"autocomplete off": `"name" "a" "label" "A" "autocomplete" "off"`,
		"no label": `"name" "a"`, "an unknown attribute": `"name" "a" "label" "A" "onfocus" "x"`, "an odd pair": `"name"`} {
		pages := h.Pages(pageFiles(`x`, `{{template "field" (field . `+field+`)}}`))
		w := h.ask(h.Handle(func(w http.ResponseWriter, r *http.Request) error {
			pages.Show(w, r, 200, "one", nil)
			return nil
		}), get("/x"))
		if w.Code != 500 || strings.Contains(w.Body.String(), "<input") {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

func TestAC43_ProviderButtonsAreLinksWithTheSymbolsOfTheirOwners(t *testing.T) {
	h := open(t)
	page := h.shown(`{{template "idp-button" (idp . "href" "/g" "kind" "google" "name" "Google" "last" true)}}
{{template "idp-button" (idp . "href" "/m" "kind" "microsoft" "name" "Microsoft")}}{{template "idp-button" (idp .
	"href" "/f" "kind" "facebook" "name" "Facebook")}}{{template "idp-button" (idp . "href" "/u" "kind" "nobody" "name"
	"<Contoso>")}}`, nil, get("/x"))
	for _, want := range []string{"#EA4335", "#4285F4", "#FBBC05", "#34A853", "#F25022", "#7FBA00", "#00A4EF", "#FFB900",
		`fill="#fff"`, "#0866FF",
		`<span>Continue with Google</span> <span class="badge">Last used</span></a>`,
		`<span>Continue with Microsoft</span></a>`, `<span>Continue with &lt;Contoso&gt;</span></a>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Count(page, `<a class="btn idp" href="/`) != 4 ||
		strings.Count(page, `<svg aria-hidden="true" focusable="false"`) != 4 {
		t.Error("not four links with a symbol each")
	}
}

func TestTheFooterShowsOnlyWhatIsConfiguredAndKeepsThePage(t *testing.T) {
	h := open(t)
	page := h.shown(`x`, nil, get("/login/1?step=2&lang=fr"))
	for _, want := range []string{`<html lang="fr" dir="ltr">`,
		`<a href="/login/1?lang=de&amp;step=2" lang="de" hreflang="de">Deutsch</a>`,
		`lang="fr" hreflang="fr" aria-current="true"`, "Confidentialité"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, "Conditions") {
		t.Error("there is a link to terms that are not configured")
	}
	for path, links := range map[string]bool{"/x": true, "/callback/g?code=1&state=2": false, "//evil.example/x": false,
		"/x?posted=1": false} {
		r := get("/x")
		r.URL = &url.URL{Path: strings.Split(path, "?")[0]}
		if _, q, ok := strings.Cut(path, "?"); ok {
			r.URL.RawQuery = q
		}
		if got := h.shown(`x`, nil, r); strings.Contains(got, "hreflang") != links || strings.Contains(got, `="//evil`) {
			t.Errorf("%s: links %v", path, !links)
		}
	}
	r := post("/login/1/password", "")
	if strings.Contains(h.shown(`x`, nil, r), "hreflang") {
		t.Error("a link leads to the path of a POST")
	}
	if !strings.Contains(h.shown(`x`, nil, h.WithSelf(r, "/login/1")), `href="/login/1?lang=de"`) {
		t.Error("a POST that knows its page has no links")
	}
}

func TestAC34_TheLanguageIsChosenInOrder(t *testing.T) {
	h := open(t)
	for name, tc := range map[string]struct {
		query, login, account, cookie, header, want string
	}{
		"the switch":             {"?lang=fr&ui_locales=de", "es", "de", "de", "de", "fr"},
		"ui_locales":             {"?ui_locales=de-AT+fr", "es", "fr", "fr", "fr", "de"},
		"the login":              {"", "es", "fr", "fr", "fr", "es"},
		"the account":            {"", "", "de", "fr", "fr", "de"},
		"the cookie":             {"", "", "", "de", "fr", "de"},
		"the header":             {"", "", "", "", "fr-CA,en;q=0.5", "fr"},
		"nothing":                {"", "", "", "", "", "en"},
		"nonsense is no wish":    {"?lang=xx&ui_locales=yy", "zz", "", "<b>", "fr", "fr"},
		"a language we lack":     {"?ui_locales=zh", "", "", "", "de", "de"},
		"the cookie comes first": {"?ui_locales=zh", "", "", "es", "de", "es"},
	} {
		r := get("/x" + tc.query)
		if tc.cookie != "" {
			r.AddCookie(&http.Cookie{Name: h.cookieName(cookieLang), Value: tc.cookie})
		}
		r.Header.Set("Accept-Language", tc.header)
		if got := h.Locale(h.WithLocale(r, tc.login, tc.account)); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	w := h.ask(h.Handle(yes), get("/x?lang=fr"))
	if c := w.Result().Cookies(); len(c) != 1 || c[0].Value != "fr" {
		t.Errorf("the choice is not kept: %v", c)
	}
	for _, r := range []*http.Request{post("/x?lang=fr", ""), get("/x?lang=xx"), get("/x?ui_locales=fr")} {
		if c := h.ask(h.Handle(yes), r).Result().Cookies(); len(c) != 0 {
			t.Errorf("%s %s sets %v", r.Method, r.URL, c)
		}
	}
}

func TestTheHandOffLeadsOnlyWhereABrowserMayGo(t *testing.T) {
	h := open(t)
	hand := func(target string) *httptest.ResponseRecorder {
		return h.ask(h.Handle(func(w http.ResponseWriter, r *http.Request) error {
			h.HandOff(w, r, target, "Courts <Booking>")
			return nil
		}), post("/x", ""))
	}
	for target, want := range map[string]string{
		"https://app.example/cb?code=a&state=b":    "https://app.example/cb?code=a&amp;state=b",
		"http://127.0.0.1:8123/cb?code=a":          "http://127.0.0.1:8123/cb?code=a",
		"com.example.app:/cb?code=a&x=%22":         "com.example.app:/cb?code=a&amp;x=%22",
		"/authorize?login=1&x=2":                   "/authorize?login=1&amp;x=2",
		`https://app.example/cb?x="><script>alert`: "https://app.example/cb?x=%22%3E%3Cscript%3Ealert",
		`https://app.example/cb?x='; url=evil`:     "https://app.example/cb?x=%27;%20url=evil",
	} {
		w := hand(target)
		page := w.Body.String()
		if w.Code != 200 || !strings.Contains(page, `<meta http-equiv="refresh" content="0;url=`+want+`">`) ||
			!strings.Contains(page, `<a class="btn primary" href="`+want+`" id="continue">`) {
			t.Errorf("%s: %d %s", target, w.Code, page)
		}
		if !strings.Contains(page, "Taking you to Courts &lt;Booking&gt;…") || strings.Contains(page, "<script>") ||
			w.Header().Get("Content-Security-Policy") != csp {
			t.Errorf("%s: %s", target, page)
		}
	}
	for _, target := range []string{"javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x",
		"file:///etc/passwd", "blob:x", "about:blank", "//evil.example", `/\evil.example`, "/\t/evil.example",
		"https:///x", "https:x", "", "relative", "https://app.example/\n", "\x00https://app.example"} {
		if w := hand(target); w.Code != 500 || strings.Contains(w.Body.String(), "refresh") {
			t.Errorf("%q is followed", target)
		}
	}
}

func TestAPostedResponseNamesItsTargetAndNothingElse(t *testing.T) {
	h := open(t)
	off := func(target string) *httptest.ResponseRecorder {
		return h.ask(h.Handle(func(w http.ResponseWriter, r *http.Request) error {
			h.PostOff(w, r, target, url.Values{"code": {`a"><b>`}}, "App")
			return nil
		}), get("/x"))
	}
	w := off("https://app.example/cb;x?a=1&b=2")
	if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got,
		"; form-action https://app.example/cb%3Bx; ") || strings.Count(got, "form-action") != 1 {
		t.Errorf("policy %s", got)
	}
	page := w.Body.String()
	if !strings.Contains(page, `action="https://app.example/cb;x?a=1&amp;b=2" data-autopost>`) ||
		!strings.Contains(page, `<input type="hidden" name="code" value="a&#34;&gt;&lt;b&gt;">`) ||
		!strings.Contains(page, `<button class="btn primary" type="submit" id="continue">`) {
		t.Errorf("page %s", page)
	}
	for _, target := range []string{"javascript:alert(1)", "/local", "com.example.app:/cb", "https://",
		"https://a;script-src*/", "ftp://a/b"} {
		if w := off(target); w.Code != 500 {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
}

func TestTheMuxRespondsWithOurPages(t *testing.T) {
	h := open(t)
	all := served(h)
	w := h.ask(all, get("/nowhere"))
	if w.Code != 404 || !strings.Contains(w.Body.String(), "Page not found") || w.Header().Get("X-Request-Id") == "" {
		t.Errorf("404: %d %v", w.Code, w.Header())
	}
	w = h.ask(all, get("/only"))
	if w.Code != 405 || w.Header().Get("Allow") != "POST" || !strings.Contains(w.Body.String(), "<h1>") {
		t.Errorf("405: %d %v", w.Code, w.Header())
	}
	r := get("/page")
	r.Method = http.MethodHead
	if w := h.ask(all, r); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d, %d bytes", w.Code, w.Body.Len())
	}
	if !slices.Equal(h.refused, []broker.Code{broker.NotFound, broker.MethodNotAllowed}) {
		t.Errorf("metrics %v", h.refused)
	}
}

func TestAssetsAreNamedByTheirContentAndSentCompressed(t *testing.T) {
	h := open(t)
	all := served(h)
	page := h.ask(all, get("/page")).Body.String()
	found := regexp.MustCompile(`/assets/[a-z]+\.[0-9a-f]{12}\.[a-z]+`).FindAllString(page, -1)
	if len(found) != 4 {
		t.Fatalf("assets %v", found)
	}
	for _, path := range found {
		plain := h.ask(all, get(path))
		r := get(path)
		r.Header.Set("Accept-Encoding", "br, gzip;q=0.8")
		w := h.ask(all, r)
		body := w.Body.Bytes()
		if w.Header().Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if w.Code != 200 || !bytes.Equal(body, plain.Body.Bytes()) ||
			w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" ||
			w.Header().Get("Vary") != "Accept-Encoding" ||
			plain.Header().Get("Content-Encoding") != "" || len(w.Result().Cookies()) != 0 ||
			w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	refused := get(found[0])
	refused.Header.Set("Accept-Encoding", "gzip;q=0, identity")
	if h.ask(all, refused).Header().Get("Content-Encoding") != "" {
		t.Error("gzip was sent to a browser that refused it")
	}
	for _, path := range []string{"/assets/app.css", "/assets/app.000000000000.css", "/assets/..%2f..%2fkit.go"} {
		if w := h.ask(all, get(path)); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// The budgets of UX.md §2.8, compressed.
func TestAC41_AssetsStayWithinTheirBudgets(t *testing.T) {
	h := open(t)
	sizes := map[string]int{}
	for name, hashed := range h.assets.names {
		f := h.assets.files[hashed]
		size := len(f.plain)
		if f.gzip != nil {
			size = len(f.gzip)
		}
		sizes[name[strings.LastIndex(name, "."):]] += size
	}
	if sizes[".css"] > 6<<10 || sizes[".js"] > 6<<10 || sizes[".css"] == 0 || sizes[".js"] == 0 {
		t.Errorf("bytes %v", sizes)
	}
}

func TestAC42_TheSheetUsesLogicalPropertiesAndThePersonsPreferences(t *testing.T) {
	css := string(read(staticFiles, "static/app.css"))
	if physical := regexp.MustCompile(
		`(?:margin|padding|border)-(?:left|right)|` +
			`[\s{;](?:left|right|float):|text-align: (?:left|right)`).FindString(css); physical != "" {
		t.Errorf("%q does not turn with the direction of writing", physical)
	}
	still, _, ok := strings.Cut(css, "@media (prefers-reduced-motion: no-preference)")
	if !ok || strings.Contains(still, "transition") || strings.Contains(css, "animation") {
		t.Error("something moves for a person who asked for stillness")
	}
	if !strings.Contains(css, "@media (forced-colors: active)") || strings.Contains(css, "outline: none") ||
		strings.Contains(css, "outline: 0") || strings.Contains(css, "url(") {
		t.Error("no borders in forced colours, no focus ring, or something remote")
	}
}

func TestPicturesHoldNoTextAndNoScript(t *testing.T) {
	h := open(t)
	all := map[string]string{"logo": string(read(staticFiles, "static/logo.svg"))}
	for name, svg := range h.assets.icons {
		all[name] = string(svg)
	}
	for name, svg := range all {
		if regexp.MustCompile(`(?i)<text|<script|style=|href|\son[a-z]+=|<image`).MatchString(svg) ||
			!strings.HasPrefix(svg, "<svg ") {
			t.Errorf("%s: %s", name, svg)
		}
	}
}
