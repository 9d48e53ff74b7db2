package web

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/seal"
	"gatehouse/broker/text"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// harness is a toolkit with everything it needs in memory.
type harness struct {
	*Toolkit
	t       testing.TB
	store   *store
	log     *bytes.Buffer
	clock   time.Time
	refused []broker.Code
}

// store holds what the toolkit reads and writes. It fails for unknown ids.
type store struct {
	mu          sync.Mutex
	sessions    map[string]broker.Session // by keyed hash
	accounts    map[string]broker.Account
	connections map[string]broker.Connection
	events      []broker.Event
	ended       []string
	grants      []broker.GrantFilter
	fail        error
	broker.Sessions
	broker.Identities
	accountPort
	connectionPort
	broker.Grants
	broker.AuditLog
}

// accountPort is named like connectionPort, and for the same reason.
type accountPort interface{ broker.Accounts }

// connectionPort gives the embedded port another name, because the port has a method Connections.
type connectionPort interface{ broker.Connections }

func (s *store) Session(_ context.Context, hashes []string) (broker.Session, broker.Account, error) {
	for _, h := range hashes {
		if found, ok := s.sessions[h]; ok {
			return found, s.accounts[found.AccountID], s.fail
		}
	}
	return broker.Session{}, broker.Account{}, broker.NotFound
}

func (s *store) Connection(_ context.Context, id string) (broker.Connection, error) {
	if c, ok := s.connections[id]; ok {
		return c, nil
	}
	return broker.Connection{}, broker.NotFound
}

func (s *store) EndSession(_ context.Context, id string, _ time.Time) error {
	s.ended = append(s.ended, id)
	return s.fail
}

func (s *store) RevokeGrants(_ context.Context, f broker.GrantFilter, _ broker.Code, _ time.Time) error {
	s.grants = append(s.grants, f)
	return s.fail
}

func (s *store) Record(_ context.Context, e ...broker.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e...)
	return nil
}

func (s *store) Atomic(ctx context.Context, do func(context.Context) error) error { return do(ctx) }

func open(t testing.TB) *harness { return openAt(t, "https://id.example.com") }

func openAt(t testing.TB, issuer string) *harness {
	t.Helper()
	texts, err := text.Load()
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := seal.New(noon)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	s := &store{sessions: map[string]broker.Session{}, accounts: map[string]broker.Account{},
		connections: map[string]broker.Connection{}}
	h := &harness{t: t, store: s, log: &bytes.Buffer{}, clock: noon}
	h.Toolkit = New(Options{Issuer: at, Site: Site{Name: "Northgate", SupportURL: "https://help.example.com/",
		PrivacyURL: "https://example.com/privacy"},
		Texts: texts, Keyring: keyring, Store: s,
		Gate:           access.New(access.Options{Store: s, PasswordSignIn: true, Now: func() time.Time { return h.clock }}),
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		Now:            func() time.Time { return h.clock }, Log: slog.New(slog.NewJSONHandler(h.log, nil)),
		Count: func(c broker.Code) { h.refused = append(h.refused, c) }})
	return h
}

// ask sends one request to a handler.
func (h *harness) ask(handler http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func get(path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://id.example.com"+path, nil)
	r.Header.Set("Accept", "text/html")
	return r
}

func post(path, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://id.example.com"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// no returns a handler that fails with err.
func no(err error) Handler {
	return func(http.ResponseWriter, *http.Request) error { return err }
}

func yes(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func pageFiles(title, main string) fstest.MapFS {
	return fstest.MapFS{"page/one.html": {Data: []byte(`{{define "title"}}` + title + `{{end}}{{define "main"}}` + main +
		`{{end}}`)}}
}

func TestEveryCodeHasItsPage(t *testing.T) {
	h := open(t)
	for _, lang := range h.Texts.Languages() {
		for _, code := range broker.Codes() {
			p := h.Texts.Printer(lang)
			for _, part := range []string{"title", "body"} {
				key := "error." + string(code) + "." + part
				if !p.Has(key) {
					t.Errorf("%s lacks %s", lang, key)
					continue
				}
				// A text with values that may be unknown needs a variant without them.
				names := h.Texts.Holders(key)
				if names := slices.DeleteFunc(names, func(n string) bool {
					return n == "product" ||
						n == "ref"
				}); len(names) > 0 && !p.Has(key+".plain") {
					t.Errorf("%s needs %v and has no twin .plain", key, names)
				}
			}
		}
	}
}

func TestARefusalIsOneMetricOneLogLineOneEventAndOnePage(t *testing.T) {
	h := open(t)
	for _, code := range broker.Codes() {
		h.refused, h.store.events = nil, nil
		h.log.Reset()
		w := h.ask(h.Handle(no(code.Because(errors.New("the cause")))), get("/x"))
		page := w.Body.String()
		if w.Code != code.Meaning().Status || !slices.Equal(h.refused, []broker.Code{code}) ||
			strings.Count(h.log.String(), "\n") != 1 {
			t.Errorf("%s: status %d, metric %v, log %s", code, w.Code, h.refused, h.log)
		}
		ref := between(page, "Reference</dt><dd><code>", "<")
		if len(ref) != 9 || ref[4] != '-' || !strings.Contains(h.log.String(), ref) ||
			!strings.Contains(h.log.String(), "the cause") {
			t.Errorf("%s: reference %q in %s", code, ref, h.log)
		}
		if len(h.store.events) == 1 && (h.store.events[0].Reference != ref || h.store.events[0].Code != code ||
			h.store.events[0].ID == "") {
			t.Errorf("%s: event %+v", code, h.store.events[0])
		}
		if strings.Contains(page, "the cause") {
			t.Errorf("%s: the page tells the cause", code)
		}
		if strings.Count(page, "<h1>") != 1 || !strings.Contains(page, `<a class="btn primary" href="`) ||
			!strings.Contains(page, "<code>"+string(code)+"</code>") {
			t.Errorf("%s: the page lacks its heading, its way out or its code:\n%s", code, page)
		}
		if title := between(page, "<title>", "</title>"); title != between(page, "<h1>", "</h1>")+" – Northgate" {
			t.Errorf("%s: the title is %q", code, title)
		}
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func TestStrangersCannotFillTheAuditLog(t *testing.T) {
	h := open(t)
	for _, code := range []broker.Code{broker.NotFound, broker.MethodNotAllowed, broker.Misdirected, broker.TooLarge,
		broker.RateLimited} {
		h.ask(h.Handle(no(code)), get("/x"))
	}
	if len(h.store.events) != 0 {
		t.Errorf("%d events", len(h.store.events))
	}
}

func TestRetryAfterIsSaidInTheHeaderAndInWords(t *testing.T) {
	h := open(t)
	w := h.ask(h.Handle(no(broker.Retry{Code: broker.RateLimited, After: 840})), get("/x"))
	if w.Code != 429 || w.Header().Get("Retry-After") != "840" ||
		!strings.Contains(w.Body.String(), "Try again in 14 minutes.") {
		t.Errorf("%d %v %s", w.Code, w.Header(), between(w.Body.String(), `<p class="sub">`, "</p>"))
	}
}

func TestAPackageAddsDetailsToARefusal(t *testing.T) {
	h := open(t)
	w := h.ask(h.Handle(func(w http.ResponseWriter, r *http.Request) error {
		h.Refusal(w, r, broker.UserNotProvisioned, RefusalView{Connection: "Contoso & Co", Email: "<ana>@x.example",
			Primary: &Action{Href: "/login/1/start?again=1&x=2", Text: "Use a different account"},
			Event:   broker.Event{Connection: "contoso", Client: "app"}})
		return nil
	}), get("/x"))
	page := w.Body.String()
	if !strings.Contains(page, "Contoso &amp; Co signed you in as &lt;ana&gt;@x.example") ||
		!strings.Contains(page, `href="/login/1/start?again=1&amp;x=2">Use a different account`) {
		t.Errorf("the page:\n%s", page)
	}
	if e := h.store.events[0]; e.Verb != broker.EventRefused || e.Connection != "contoso" || e.Client != "app" {
		t.Errorf("event %+v", e)
	}
}

func TestAPanicIsAPageWithoutItsCause(t *testing.T) {
	h := open(t)
	w := h.ask(h.Handle(func(http.ResponseWriter, *http.Request) error { panic("the secret cause") }), get("/x"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") ||
		!strings.Contains(h.log.String(), "the secret cause") {
		t.Errorf("%d, log %s", w.Code, h.log)
	}
}

func TestAResponseThatHadBegunIsNotMixedWithAPage(t *testing.T) {
	h := open(t)
	w := h.ask(h.Handle(func(w http.ResponseWriter, r *http.Request) error {
		_, err := w.Write([]byte("half"))
		return errors.Join(err, errors.New("the cause"))
	}), get("/x"))
	if w.Body.String() != "half" || !strings.Contains(h.log.String(), "the cause") {
		t.Errorf("%q, log %s", w.Body, h.log)
	}
}

func TestAProgramIsRefusedInJSON(t *testing.T) {
	h := open(t)
	r := post("/token", "")
	r.Header.Set("Accept", "application/json")
	w := h.ask(h.HandleOpen(no(broker.Unavailable)), r)
	if w.Code != 503 || w.Header().Get("Content-Type") != "application/json" ||
		!strings.Contains(w.Body.String(), `"error":"temporarily_unavailable"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := h.ask(h.HandleOpen(func(http.ResponseWriter, *http.Request) error { panic("x") }), r); w.Code != 500 ||
		!strings.Contains(w.Body.String(), `"error":"server_error"`) {
		t.Errorf("after a panic: %d %s", w.Code, w.Body)
	}
	r = post("/token", "")
	if w := h.ask(h.HandleOpen(no(broker.Unavailable)), r); !strings.HasPrefix(w.Header().Get("Content-Type"),
		"text/html") {
		t.Errorf("a browser gets %s", w.Header().Get("Content-Type"))
	}
}

func TestE15_OnlyOurOwnPagesPostToRoutesThatActOnCookies(t *testing.T) {
	h := open(t)
	for name, tc := range map[string]struct {
		site, origin string
		want         int
	}{
		"our page":            {"same-origin", "", 204},
		"typed by the person": {"none", "", 204},
		"another site":        {"cross-site", "https://evil.example", 403},
		"a subdomain":         {"same-site", "https://x.id.example.com", 403},
		"an old browser":      {"", "https://evil.example", 403},
		"a null origin":       {"", "null", 403},
	} {
		for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain"} {
			r := post("/x", "a=b")
			r.Header.Set("Content-Type", kind)
			r.Header.Del("Sec-Fetch-Site")
			if tc.site != "" {
				r.Header.Set("Sec-Fetch-Site", tc.site)
			}
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			if w := h.ask(h.Handle(yes), r); w.Code != tc.want {
				t.Errorf("%s, %s: %d, want %d", name, kind, w.Code, tc.want)
			}
			if w := h.ask(h.HandleOpen(yes), r); w.Code != 204 {
				t.Errorf("%s, %s, at an open route: %d", name, kind, w.Code)
			}
		}
	}
	r := get("/x")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := h.ask(h.Handle(yes), r); w.Code != 204 {
		t.Errorf("a link from another site: %d", w.Code)
	}
}

// Safari up to 16.3 sends "Origin: null" for our own forms, because of our Referrer-Policy, and no Sec-Fetch headers.
func TestE15_WhereTheHeadersSayNothingTheFormsOwnTokenDecides(t *testing.T) {
	h := open(t)
	mine, theirs := acquainted(h), acquainted(h)
	token := h.formToken(mine)
	for name, tc := range map[string]struct {
		site, origin, token string
		from                *http.Request
		want                int
	}{
		"our form":                     {"", "null", token, mine, 204},
		"a form without a token":       {"", "null", "", mine, 403},
		"another browser's token":      {"", "null", h.formToken(theirs), mine, 403},
		"a browser without cookies":    {"", "null", token, get("/x"), 403},
		"neither cookie nor token":     {"", "null", "", get("/x"), 403},
		"the headers name another":     {"", "https://evil.example", token, mine, 403},
		"the browser says cross-site":  {"cross-site", "null", token, mine, 403},
		"the browser says same-origin": {"same-origin", "null", "", mine, 204},
	} {
		r := post("/x", url.Values{"form_token": {tc.token}}.Encode())
		r.Header.Del("Sec-Fetch-Site")
		if tc.site != "" {
			r.Header.Set("Sec-Fetch-Site", tc.site)
		}
		r.Header.Set("Origin", tc.origin)
		for _, c := range tc.from.Cookies() {
			r.AddCookie(c)
		}
		if w := h.ask(h.Handle(yes), r); w.Code != tc.want {
			t.Errorf("%s: %d, want %d", name, w.Code, tc.want)
		}
	}
}
