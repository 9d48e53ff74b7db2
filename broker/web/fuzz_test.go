package web

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// FuzzCookies: whatever cookies a browser sends, only an issued token has a session, and no response is a 5xx.
func FuzzCookies(f *testing.F) {
	h := open(f)
	token, hash := h.NewSession([]byte("a proof"))
	h.store.sessions[hash] = broker.Session{ID: "s", AccountID: "a", Authn: broker.Authn{Method: broker.ByPassword},
		ExpiresAt: noon.Add(time.Hour)}
	h.store.accounts["a"] = broker.Account{ID: "a", Email: "ana@example.test"}
	good := get("/")
	good.AddCookie(&http.Cookie{Name: h.cookieName(cookieSession), Value: token})
	if s, _, err := h.Current(good, ""); err != nil || s.ID != "s" {
		f.Fatalf("the session is not known: %+v, %v", s, err)
	}
	session, last, lang, browser := h.cookieName(cookieSession), h.cookieName(cookieLast), h.cookieName(cookieLang),
		h.cookieName(cookieBrowser)
	for _, c := range []string{"", "; ;=", session + "=" + hash, session + "=" + strings.Repeat("A", 52),
		session + "=a; " + session + "=b", "gh_session=x; " + last + "=<x>", lang + "=de; " + last + "=google",
		browser + "=" + strings.Repeat("7", 52), lang + "=\"../x\""} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if strings.Contains(header, token) {
			return
		}
		r := get("/")
		r.Header.Set("Cookie", header)
		if s, a, err := h.Current(r, ""); !errors.Is(err, broker.NotFound) || s.ID != "" || a.ID != "" {
			t.Fatalf("%q is a session: %+v, %v", header, s, err)
		}
		if last := h.LastUsed(r); strings.ContainsAny(last, "<>\"'&;/\\ \r\n") || len(last) > 64 {
			t.Fatalf("%q names the connection %q", header, last)
		}
		if lang := h.Locale(r); lang != "en" && lang != "fr" && lang != "es" && lang != "de" {
			t.Fatalf("%q asks for the language %q", header, lang)
		}
		if hashes, ok := h.Browser(r); ok != (len(hashes) > 0) || ok && !strings.Contains(header, browser) {
			t.Fatalf("%q is the browser %q", header, hashes)
		}
		if w := h.ask(h.Handle(yes), r); w.Code >= 500 {
			t.Fatalf("%q: %d", header, w.Code)
		}
	})
}

// FuzzForm: every posted body is read within the limits or refused.
func FuzzForm(f *testing.F) {
	h := open(f)
	handler := h.Handle(func(w http.ResponseWriter, r *http.Request) error {
		size, names := 0, 0
		for name, values := range r.PostForm {
			names++
			size += len(name) + len(strings.Join(values, ""))
		}
		if size > maxBody || names > maxKeys {
			return errors.New("more than the bounds")
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
	const form = "application/x-www-form-urlencoded"
	for _, c := range [][3]string{{form, "", "a=b&a=c"}, {form, "x=%zz", "%zz=;"},
		{"multipart/form-data; boundary=x", "", "--x--"}, {"text/plain", "", "a=b"}, {"", "a;b", ""},
		{form, "", strings.Repeat("a&", 200)}, {form + "; charset=x", "", "a=%00%ff"}} {
		f.Add(c[0], c[1], c[2])
	}
	f.Fuzz(func(t *testing.T, kind, query, body string) {
		r := post("/x", body)
		r.Header.Set("Content-Type", kind)
		r.URL.RawQuery = query
		if w := h.ask(handler, r); w.Code >= 500 {
			t.Fatalf("%q %q %q: %d", kind, query, body, w.Code)
		}
	})
}
