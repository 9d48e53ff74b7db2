package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func mounted(t *testing.T) http.Handler {
	h := open(t)
	mux := http.NewServeMux()
	h.Mount(mux)
	mux.Handle("GET /login", h.Handle(yes))
	mux.Handle("POST /token", h.Handle(yes))
	return h.Guard(mux)
}

func TestBrowsersFindWhatTheyLookForOnEverySite(t *testing.T) {
	site := mounted(t)
	for path, want := range map[string]string{"/favicon.ico": "/assets/favicon.",
		"/.well-known/change-password": "/account/methods"} {
		w := httptest.NewRecorder()
		site.ServeHTTP(w, get(path))
		if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || !strings.HasPrefix(to, want) {
			t.Errorf("%s: %d %s", path, w.Code, to)
		}
	}
	w := httptest.NewRecorder()
	site.ServeHTTP(w, get("/robots.txt"))
	if w.Code != 200 || w.Body.String() != "User-agent: *\nDisallow: /\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestATrailingSlashLeadsToTheRouteWithoutIt(t *testing.T) {
	site := mounted(t)
	for _, c := range []struct {
		r      *http.Request
		status int
		to     string
	}{
		{get("/login/"), 303, "/login"},
		{get("/login//?a=b"), 303, "/login?a=b"},
		{get("/nothing/"), 404, ""},
		{get("//evil.example/"), 404, ""},
		{get("/\\evil.example/"), 404, ""},
		{post("/token/", ""), 404, ""},
		{get("/token/"), 404, ""},
	} {
		w := httptest.NewRecorder()
		site.ServeHTTP(w, c.r)
		if w.Code != c.status || w.Header().Get("Location") != c.to {
			t.Errorf("%s: %d %s", c.r.URL, w.Code, w.Header().Get("Location"))
		}
	}
}
