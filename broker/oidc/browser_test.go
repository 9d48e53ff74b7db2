package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// browser is a cookie jar that follows nothing by itself.
type browser struct {
	h       *harness
	cookies map[string]string
}

func (h *harness) browser() *browser { return &browser{h, map[string]string{}} }

// answer is a response.
type answer struct {
	*http.Response
	body string
	json map[string]any
}

func (a answer) location() *url.URL {
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil {
		return &url.URL{}
	}
	return u
}

// backAt returns the app's address to which an answer redirects, without the empty fragment that ends it. It is "" for
// one that a planted fragment could follow.
func (a answer) backAt() string {
	to, ok := strings.CutSuffix(a.Header.Get("Location"), "#")
	if !ok {
		return ""
	}
	return to
}

func (a answer) text(name string) string {
	s, _ := a.json[name].(string)
	return s
}

func (b *browser) do(r *http.Request) answer {
	b.h.t.Helper()
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "text/html")
	}
	a := b.h.send(r)
	for _, c := range a.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return a
}

func (h *harness) send(r *http.Request) answer {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	a := answer{Response: w.Result(), body: w.Body.String()}
	if strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
		h.must(json.Unmarshal(w.Body.Bytes(), &a.json))
	}
	return a
}

func newRequest(method, path string, form url.Values) *http.Request {
	r := httptest.NewRequest(method, issuer+path, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func (b *browser) get(path string) answer {
	b.h.t.Helper()
	return b.do(newRequest(http.MethodGet, path, nil))
}

func (b *browser) post(path string, form url.Values) answer {
	b.h.t.Helper()
	r := newRequest(http.MethodPost, path, form)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(r)
}

// ask is a good authorization request of the client "app", changed by pairs; a
// value of "-" removes.
func ask(pairs ...string) url.Values {
	q := url.Values{"client_id": {"app"}, "redirect_uri": {callback}, "response_type": {"code"},
		"scope": {"openid profile email offline_access"},
		"state": {"the-state"}, "nonce": {"the-nonce"}, "code_challenge": {challengeOf(verifier)},
		"code_challenge_method": {"S256"}}
	for i := 0; i < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "-" {
			q.Del(pairs[i])
		}
	}
	return q
}

// authorize sends a request and signs in where that is asked.
func (b *browser) authorize(q url.Values) answer {
	b.h.t.Helper()
	a := b.get("/authorize?" + q.Encode())
	if id, ok := strings.CutPrefix(a.location().Path, "/login/"); ok {
		a = b.get("/authorize?login=" + id)
	}
	return a
}

// code is authorize for a request that must succeed.
func (b *browser) code(q url.Values) string {
	b.h.t.Helper()
	a := b.authorize(q)
	code := a.location().Query().Get("code")
	if a.StatusCode != http.StatusSeeOther || code == "" {
		b.h.t.Fatalf("no code: %d %s %s", a.StatusCode, a.Header.Get("Location"), a.body)
	}
	return code
}

// token posts to the token endpoint as the client "app", with its secret unless the form has credentials.
func (h *harness) token(pairs ...string) answer {
	h.t.Helper()
	return h.call("/token", pairs...)
}

func (h *harness) call(path string, pairs ...string) answer {
	h.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r := newRequest(http.MethodPost, path, form)
	if !form.Has("client_id") {
		r.SetBasicAuth("app", h.secret)
	}
	return h.send(h.prove(r, ""))
}

func (h *harness) redeem(code string, pairs ...string) answer {
	h.t.Helper()
	return h.token(append([]string{"grant_type", clients.GrantCode, "code", code, "redirect_uri", callback,
		"code_verifier",
		verifier}, pairs...)...)
}

func (h *harness) refresh(token string, pairs ...string) answer {
	h.t.Helper()
	return h.token(append([]string{"grant_type", clients.GrantRefresh, "refresh_token", token}, pairs...)...)
}

func (h *harness) userinfo(token string) answer {
	h.t.Helper()
	r := newRequest(http.MethodGet, "/userinfo", nil)
	r.Header.Set("Authorization", schemeBearer+" "+token)
	if h.prover != nil {
		r.Header.Set("Authorization", schemeDPoP+" "+token)
	}
	return h.send(h.prove(r, token))
}

func (h *harness) active(token string) bool {
	h.t.Helper()
	a := h.call("/introspect", "token", token)
	if a.StatusCode != http.StatusOK {
		h.t.Fatalf("introspection: %d %s", a.StatusCode, a.body)
	}
	return a.json["active"] == true
}

// signIn is a whole sign-in to tokens.
func (h *harness) signIn(pairs ...string) answer {
	h.t.Helper()
	return h.wants(h.redeem(h.browser().code(ask(pairs...))), http.StatusOK, "")
}

// wants checks status and OAuth error.
func (h *harness) wants(a answer, status int, name string) answer {
	h.t.Helper()
	if a.StatusCode != status || a.text("error") != name {
		h.t.Fatalf("%d %s, want %d %q", a.StatusCode, a.body, status, name)
	}
	return a
}

// page checks that a browser got a page of ours and was sent nowhere.
func (h *harness) page(a answer, code broker.Code) {
	h.t.Helper()
	if a.StatusCode != code.Meaning().Status || a.Header.Get("Location") != "" || !strings.Contains(a.body,
		"<code>"+string(code)+"</code>") {
		h.t.Fatalf("%d to %q, want the page of %s: %.2000s", a.StatusCode, a.Header.Get("Location"), code, a.body)
	}
}

// appHears checks an error that was sent to the app.
func (h *harness) appHears(a answer, name string) url.Values {
	h.t.Helper()
	u := a.location()
	q := u.Query()
	if a.StatusCode != http.StatusSeeOther || u.Host != "app.example.com" || q.Get("error") != name ||
		q.Get("iss") != issuer || q.Has("code") {
		h.t.Fatalf("%d to %q, want the error %s: %.300s", a.StatusCode, a.Header.Get("Location"), name, a.body)
	}
	return q
}

func (h *harness) events(f broker.EventFilter) []broker.Event {
	h.t.Helper()
	f.Limit = 100
	events, err := h.db.Events(h.t.Context(), f)
	h.must(err)
	return events
}

// ctx is the test's.
func (h *harness) ctx() context.Context { return h.t.Context() }

// claims reads a JWT without checking it.
func (h *harness) claims(token string) (header, claims map[string]any) {
	h.t.Helper()
	part := strings.Split(token, ".")
	if len(part) != 3 {
		h.t.Fatalf("no JWT: %q", token)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(part[i])
		h.must(err)
		h.must(json.Unmarshal(raw, into))
	}
	return header, claims
}
