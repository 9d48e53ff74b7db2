package web

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/broker"
)

// Mount adds the routes that browsers and search engines look for on every site.
func (k *Toolkit) Mount(mux Router) {
	mux.Handle("GET /assets/{name}", k.Assets())
	get := func(path string, h Handler) { mux.Handle("GET "+path, k.Handle(h)) }
	get("/favicon.ico", func(w http.ResponseWriter, r *http.Request) error {
		icon, err := k.assets.href("favicon.svg")
		if err != nil {
			return err
		}
		http.Redirect(w, r, icon, http.StatusSeeOther)
		return nil
	})
	get("/robots.txt", func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, err := io.WriteString(w, "User-agent: *\nDisallow: /\n")
		return err
	})
	// https://w3c.github.io/webappsec-change-password-url/
	get("/.well-known/change-password", func(w http.ResponseWriter, r *http.Request) error {
		http.Redirect(w, r, broker.MethodsPath, http.StatusSeeOther)
		return nil
	})
}

// withoutSlash returns the address of a request without the slashes at its end, "" if no route is there.
func withoutSlash(r *http.Request, routes http.Handler) string {
	mux, ok := routes.(matcher)
	path := strings.TrimRight(r.URL.Path, "/")
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !ok || !reads || path == r.URL.Path || path == "" || !local(path) {
		return ""
	}
	to := &url.URL{Path: path, RawQuery: r.URL.RawQuery}
	if _, pattern := mux.Handler(&http.Request{Method: r.Method, Host: r.Host, URL: to}); pattern == "" {
		return ""
	}
	return to.String()
}
