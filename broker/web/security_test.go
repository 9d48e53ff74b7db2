package web

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// served is the toolkit behind its guard, with one route of every kind.
func served(h *harness) http.Handler {
	pages := h.Pages(pageFiles(`Hello`, `<p>{{.V}}</p>`))
	mux := http.NewServeMux()
	mux.Handle("GET /page", h.Handle(func(w http.ResponseWriter, r *http.Request) error {
		pages.Show(w, r, http.StatusOK, "one", "world")
		return nil
	}))
	mux.Handle("GET /handoff", h.Handle(func(w http.ResponseWriter, r *http.Request) error {
		h.HandOff(w, r, "https://app.example/cb?code=1", "App")
		return nil
	}))
	mux.Handle("GET /post", h.Handle(func(w http.ResponseWriter, r *http.Request) error {
		h.PostOff(w, r, "https://app.example/cb", url.Values{"code": {`"><script>alert(1)</script>`}}, "App")
		return nil
	}))
	mux.Handle("GET /no", h.Handle(no(broker.AccountDisabled)))
	mux.Handle("GET /panic", h.Handle(func(http.ResponseWriter, *http.Request) error { panic("x") }))
	mux.Handle("POST /only", h.Handle(yes))
	mux.Handle("GET /assets/{name}", h.Assets())
	return h.Guard(mux)
}

func TestA15_EveryResponseForbidsFramesAndHasItsPolicy(t *testing.T) {
	h := open(t)
	all := served(h)
	host := get("/page")
	host.Host = "evil.example"
	for name, r := range map[string]*http.Request{"page": get("/page"), "handoff": get("/handoff"), "no": get("/no"),
		"panic": get("/panic"), "404": get("/nowhere"),
		"405": get("/only"), "csrf": crossSite(post("/only", "")),
		"too large": post("/only", strings.Repeat("a", maxBody+1)), "misdirected": host} {
		w := h.ask(all, r)
		want := map[string]string{
			"Content-Security-Policy": csp, "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Strict-Transport-Security": "max-age=31536000",
			"Content-Type":              "text/html; charset=utf-8"}
		for header, value := range want {
			if got := w.Header().Values(header); len(got) != 1 || got[0] != value {
				t.Errorf("%s (%d): %s is %q", name, w.Code, header, got)
			}
		}
		if !strings.Contains(w.Header().Get("Permissions-Policy"), "publickey-credentials-get=(self)") {
			t.Errorf("%s: Permissions-Policy %s", name, w.Header().Get("Permissions-Policy"))
		}
	}
	for _, unsafe := range []string{"unsafe-inline", "unsafe-eval", "*", "http:"} {
		if strings.Contains(csp, unsafe) {
			t.Errorf("the policy says %s", unsafe)
		}
	}
	plain := openAt(t, "http://localhost:8080")
	if w := plain.ask(plain.Handle(yes), get("/x")); w.Header().Get("Strict-Transport-Security") != "" {
		t.Error("HSTS over plain http")
	}
}

func TestA15_OnlyTheAccountPagesCutTheirOpenerOff(t *testing.T) {
	h := open(t)
	mux := http.NewServeMux()
	for _, path := range []string{"/account", "/account/x", "/accounts", "/login/x", "/authorize", "/consent/x"} {
		mux.Handle("GET "+path, h.Handle(yes))
	}
	all := h.Guard(mux)
	for path, want := range map[string]string{"/account": "same-origin", "/account/x": "same-origin",
		"/account/none": "same-origin", "/accounts": "", "/login/x": "", "/authorize": "", "/consent/x": "", "/none": ""} {
		w := h.ask(all, get(path))
		if got := w.Header().Get("Cross-Origin-Opener-Policy"); got != want || !strings.Contains(w.Header().Get(
			"Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: %q, want %q; policy %s", path, got, want, w.Header().Get("Content-Security-Policy"))
		}
	}
}

func TestA15_AHandlerChangesTheHeadersOfItsOwnResponseOnly(t *testing.T) {
	h := open(t)
	want := h.ask(h.Handle(yes), get("/x")).Header()
	h.ask(h.Handle(func(w http.ResponseWriter, r *http.Request) error {
		for name := range want {
			w.Header().Add(name, "more")
			w.Header().Set(name, "other")
			w.Header().Del(name)
		}
		return yes(w, r)
	}), get("/x"))
	if got := h.ask(h.Handle(yes), get("/x")).Header(); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the next answer says %v", got)
	}
}

func TestA15_ARefusalHasItsOwnHeadersWhateverTheHandlerSetBefore(t *testing.T) {
	h := open(t)
	w := h.ask(h.Handle(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Security-Policy", "form-action *")
		w.Header().Set("Cache-Control", "public")
		return broker.NotFound
	}), get("/x"))
	if got := w.Header(); got.Get("Content-Security-Policy") != csp || got.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, got)
	}
}

func crossSite(r *http.Request) *http.Request {
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return r
}

// inlined matches what the policy would drop or what would load or open another site.
var inlined = regexp.MustCompile(
	`(?i)\sstyle=|\son[a-z]+=|<script>|<style|javascript:|(src|href)="(https?:)?//(?:[^"]*)"`)

func TestA24_NothingOnAPageIsInlineAndNothingTypedBecomesMarkup(t *testing.T) {
	h := open(t)
	all := served(h)
	for _, path := range []string{"/page", "/no", "/nowhere", "/post"} {
		page := h.ask(all, get(path)).Body.String()
		for _, found := range inlined.FindAllString(page, -1) {
			if !strings.Contains(found, "https://help.example.com/") && !strings.Contains(found, "https://example.com/privacy") {
				t.Errorf("%s: %s", path, found)
			}
		}
		if strings.Contains(page, "<script>alert") {
			t.Errorf("%s: markup out of a parameter", path)
		}
	}
	for _, payload := range []string{`"><script>alert(1)</script>`, `'-alert(1)-'`, `</title><script>alert(1)</script>`,
		`javascript:alert(1)`} {
		q := "?lang=" + url.QueryEscape(payload) + "&error_hint=" + url.QueryEscape(payload)
		page := h.ask(all, get("/page"+q)).Body.String()
		if strings.Contains(page, "<script>alert") || strings.Contains(page, `href="javascript`) ||
			strings.Contains(page, `'-alert`) {
			t.Errorf("%s: %s", payload, page)
		}
	}
}

// allCookies returns the cookies of one response that sets each of them, in a fixed order.
func allCookies(t *testing.T, h *harness) []*http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	h.EnsureBrowser(w, get("/x"))
	token, _ := h.NewSession([]byte(broker.NewToken()))
	h.SetSession(w, token, noon.Add(broker.SessionLife))
	h.SetLastUsed(w, "google")
	h.Handle(func(http.ResponseWriter, *http.Request) error { return nil }).ServeHTTP(w, get("/x?lang=fr"))
	h.AskForAccount(w)
	h.SetKnown(w, acquainted(h), broker.Account{ID: "ana"})
	if err := h.EndSession(w, get("/x"), broker.Session{ID: "s"}); err != nil {
		t.Fatal(err)
	}
	return w.Result().Cookies()
}

func TestE14_CookiesAreHostBoundSecureAndOnlyForHTTP(t *testing.T) {
	h := open(t)
	set := allCookies(t, h)
	if len(set) != 7 {
		t.Fatalf("%d cookies", len(set))
	}
	for _, c := range set {
		if !strings.HasPrefix(c.Name, "__Host-gh_") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode ||
			c.Path != "/" || c.Domain != "" {
			t.Errorf("%s", c.Raw)
		}
	}
	if set[1].MaxAge != int(broker.SessionLife/time.Second) || set[5].MaxAge != int(halfYear/time.Second) ||
		set[6].MaxAge != -1 {
		t.Errorf("lives %d, %d and %d", set[1].MaxAge, set[5].MaxAge, set[6].MaxAge)
	}
	w := httptest.NewRecorder()
	if hash := h.EnsureBrowser(w, post("/x", "")); hash != "" || len(w.Result().Cookies()) != 0 {
		t.Error("a POST was given a cookie")
	}
}

// WebKit drops Secure cookies, and those with the prefix, on http://localhost.
func TestE14_OnAnHTTPLoopbackIssuerCookiesAreThoseThatEveryBrowserKeeps(t *testing.T) {
	h := openAt(t, "http://localhost:8080")
	for _, c := range allCookies(t, h) {
		if !strings.HasPrefix(c.Name, "gh_") || c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode ||
			c.Path != "/" || c.Domain != "" {
			t.Errorf("%s", c.Raw)
		}
	}
	r := acquainted(h)
	if _, ok := h.Browser(r); !ok {
		t.Error("it does not read the cookie that it set")
	}
}

func TestG12_TheAddressIsTheRightmostThatNoProxyOfOursHas(t *testing.T) {
	h := open(t)
	for name, tc := range map[string]struct {
		peer string
		xff  []string
		want string
	}{
		"direct":                       {"203.0.113.7:1", nil, "203.0.113.7"},
		"direct, with a claim":         {"203.0.113.7:1", []string{"1.2.3.4"}, "203.0.113.7"},
		"one proxy":                    {"10.0.0.1:1", []string{"203.0.113.7"}, "203.0.113.7"},
		"a claim before the proxy's":   {"10.0.0.1:1", []string{"1.2.3.4, 203.0.113.7"}, "203.0.113.7"},
		"two proxies":                  {"10.0.0.1:1", []string{"1.2.3.4, 203.0.113.7, 10.9.9.9"}, "203.0.113.7"},
		"two headers":                  {"10.0.0.1:1", []string{"1.2.3.4", "203.0.113.7"}, "203.0.113.7"},
		"a trusted address is claimed": {"203.0.113.7:1", []string{"10.0.0.1"}, "203.0.113.7"},
		"no address":                   {"10.0.0.1:1", []string{"nonsense"}, "10.0.0.1"},
		"no address behind one":        {"10.0.0.1:1", []string{"1.2.3.4, x, 10.2.2.2"}, "10.2.2.2"},
		"empty":                        {"10.0.0.1:1", []string{""}, "10.0.0.1"},
		"with a port":                  {"10.0.0.1:1", []string{"203.0.113.7:443"}, "203.0.113.7"},
		"IPv6":                         {"[fd00::1]:1", []string{"2001:db8::7"}, "2001:db8::7"},
		"IPv4 in IPv6":                 {"[::ffff:10.0.0.1]:1", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		"only proxies":                 {"10.0.0.1:1", []string{"10.0.0.2, 10.0.0.3"}, "10.0.0.2"},
		"IPv6 with a port":             {"10.0.0.1:1", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		"IPv6 in brackets":             {"10.0.0.1:1", []string{"[2001:db8::7]"}, "2001:db8::7"},
		"no peer":                      {"@", []string{"1.2.3.4"}, ""},
	} {
		r := get("/x")
		r.RemoteAddr = tc.peer
		r.Header["X-Forwarded-For"] = tc.xff
		r.Header.Set("X-Real-Ip", "6.6.6.6")
		r.Header.Set("Forwarded", "for=6.6.6.6")
		if got := h.Address(r); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestG13_AnotherHostIsMisdirected(t *testing.T) {
	h := open(t)
	all := served(h)
	for host, want := range map[string]int{"id.example.com": 200, "ID.Example.com": 200, "id.example.com:443": 200,
		"evil.example": 421, "id.example.com.evil.example": 421,
		"id.example.com:8443": 421, "id.example.com:80": 421, "": 421, "localhost": 421, "id.example.com.": 421} {
		r := get("/page")
		r.Host = host
		r.Header.Set("X-Forwarded-Host", "id.example.com")
		w := h.ask(all, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
		if host != "" && strings.Contains(w.Body.String(), "evil") {
			t.Errorf("%q: the answer repeats the host", host)
		}
	}
	r := get("/page")
	for _, name := range []string{"X-Forwarded-Host", "X-Original-Url", "X-Rewrite-Url", "Forwarded"} {
		r.Header.Set(name, "evil.example")
	}
	if w := h.ask(all, r); w.Code != 200 || strings.Contains(w.Body.String(), "evil") {
		t.Errorf("a forwarding header: %d", w.Code)
	}
}

func TestG13_AnInternalHostReachesTheRoutesOfAppsServersOnly(t *testing.T) {
	h := open(t)
	h.InternalHosts = []string{"gatehouse:8080"}
	mux := http.NewServeMux()
	mux.Handle("POST /token", h.HandleAPI(yes))
	mux.Handle("POST /callback", h.HandleOpen(yes))
	mux.Handle("GET /page", h.Handle(yes))
	all := h.Guard(mux)
	for name, tc := range map[string]struct {
		r    *http.Request
		host string
		want int
		json bool
	}{
		"the token endpoint":          {post("/token", "a=b"), "gatehouse:8080", 204, false},
		"in capitals":                 {post("/token", "a=b"), "Gatehouse:8080", 204, false},
		"by the issuer's host":        {post("/token", "a=b"), "id.example.com", 204, false},
		"another port":                {post("/token", "a=b"), "gatehouse:8081", 421, true},
		"a host that is not listed":   {post("/token", "a=b"), "evil.example", 421, true},
		"a page":                      {get("/page"), "gatehouse:8080", 421, false},
		"a callback":                  {post("/callback", "a=b"), "gatehouse:8080", 421, false},
		"an unknown path":             {get("/none"), "gatehouse:8080", 421, false},
		"an unknown path of our host": {get("/none"), "id.example.com", 404, false},
	} {
		tc.r.Host = tc.host
		tc.r.Header.Set("Accept", "*/*")
		w := h.ask(all, tc.r)
		isJSON := strings.HasPrefix(w.Header().Get("Content-Type"), "application/json")
		if w.Code != tc.want || isJSON != tc.json || strings.Contains(w.Body.String(), "evil") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if tc.json && !strings.Contains(w.Body.String(), "internal_hosts") {
			t.Errorf("%s: the answer does not name the setting: %s", name, w.Body)
		}
	}
}

func TestG16_TheLogHoldsNoSecretAndEveryLineIsJSON(t *testing.T) {
	h := open(t)
	all := served(h)
	secret := "planted-secret-4711"
	r := get("/no?code=" + secret + "&state=" + secret)
	r.AddCookie(&http.Cookie{Name: h.cookieName(cookieSession), Value: secret})
	r.Header.Set("Authorization", "Bearer "+secret)
	r.Header.Set("User-Agent", "x\r\n{\"msg\":\"forged\"}\x1b[31m"+secret)
	h.ask(all, r)
	h.ask(all, get("/setup/"+secret))
	h.ask(all, post("/only", "password="+secret+"&%zz"))
	h.ask(all, httptest.NewRequest("GE"+"T"+secret[:3], "https://id.example.com/page", nil))
	lines := strings.Split(strings.TrimSpace(h.log.String()), "\n")
	if len(lines) < 8 {
		t.Fatalf("only %d lines", len(lines))
	}
	for _, line := range lines {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil || strings.Contains(line, secret) {
			t.Errorf("%v: %s", err, line)
		}
	}
	for _, e := range h.store.events {
		if e.UserAgent = ""; strings.Contains(fmt.Sprintf("%+v", e), secret) {
			t.Errorf("event %+v", e)
		}
	}
}

func TestH1_BodiesAreBoundedAndMultipartIsRefused(t *testing.T) {
	h := open(t)
	called := 0
	counted := func(w http.ResponseWriter, r *http.Request) error { called++; return yes(w, r) }
	kind := func(r *http.Request, k string) *http.Request { r.Header.Set("Content-Type", k); return r }
	many := strings.Repeat("a=1&", maxKeys+1)
	for name, tc := range map[string]struct {
		r    *http.Request
		want int
	}{
		"a form":             {post("/x", "a=b"), 204},
		"as large as may be": {post("/x", "a="+strings.Repeat("b", maxBody-2)), 204},
		"a byte too many":    {post("/x", "a="+strings.Repeat("b", maxBody-1)), 413},
		"too many values":    {post("/x", many), 400},
		"too many in a URL":  {get("/x?" + many), 400},
		"a URL too long":     {get("/x?a=" + strings.Repeat("b", maxBody)), 413},
		"multipart":          {kind(post("/x", "--a--"), "multipart/form-data; boundary=a"), 400},
		"multipart in caps":  {kind(post("/x", "--a--"), "Multipart/Form-Data; boundary=a"), 400},
		"a broken escape":    {post("/x", "a=%zz"), 400},
		"a broken kind":      {kind(post("/x", "a=b"), ";;;"), 400},
	} {
		called = 0
		for _, handler := range []http.Handler{h.Handle(counted), h.HandleOpen(counted)} {
			body, err := io.ReadAll(tc.r.Body)
			if err != nil {
				t.Fatal(err)
			}
			again := tc.r.Clone(t.Context())
			again.Body = io.NopCloser(strings.NewReader(string(body)))
			tc.r.Body = io.NopCloser(strings.NewReader(string(body)))
			if w := h.ask(handler, again); w.Code != tc.want {
				t.Errorf("%s: %d, want %d", name, w.Code, tc.want)
			}
		}
		if (called == 2) != (tc.want == 204) {
			t.Errorf("%s: the handler was called %d times", name, called)
		}
	}
	large := kind(post("/x", strings.Repeat("b", maxBody+1)), "application/json")
	w := h.ask(h.HandleOpen(func(_ http.ResponseWriter, r *http.Request) error {
		_, err := io.ReadAll(r.Body)
		return broker.TooLarge.Because(err)
	}), large)
	if w.Code != 413 {
		t.Errorf("a large body of another kind: %d", w.Code)
	}
}
