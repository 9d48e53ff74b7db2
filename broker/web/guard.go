package web

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"gatehouse/broker"
)

// matcher is implemented by http.ServeMux.
type matcher interface {
	Handler(*http.Request) (http.Handler, string)
}

// Router is where packages mount their routes: http.ServeMux, or a recorder of routes.
type Router interface {
	Handle(pattern string, h http.Handler)
}

// Guard wraps all routes. It gives the request an id, refuses foreign hosts (SECURITY.md G13) and responds to
// unknown routes with our pages. The access log has the route, never path or query, because those may hold
// secrets.
func (k *Toolkit) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		began := k.Now()
		w := k.track(rw)
		w.id = broker.NewID()
		w.Header().Set("X-Request-Id", w.id)
		defer func() { k.logRequest(w, r, k.Now().Sub(began)) }()
		defer k.recovered(w, r)
		//defence:G13
		if normalHost(r.Host, k.Issuer.Scheme) != k.host {
			k.Fail(w, r, broker.Misdirected)
			return
		}
		if mux, ok := next.(matcher); ok {
			if h, pattern := mux.Handler(r); pattern == "" {
				k.Fail(w, r, unrouted(w, r, h))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (k *Toolkit) logRequest(w *tracked, r *http.Request, took time.Duration) {
	level := slog.LevelInfo
	if strings.HasPrefix(w.Header().Get("Cache-Control"), "public") {
		level = slog.LevelDebug // frequent and uninformative
	}
	if !k.Log.Enabled(r.Context(), level) {
		return
	}
	k.Log.LogAttrs(r.Context(), level, "request", slog.String("request_id", w.id), slog.String("method", method(r.Method)),
		//defence:A23 G16 = slog.String("route", r.RequestURI)
		//defence:G16 ./cmd/gatehouse:TestModel = slog.String("route", r.RequestURI)
		slog.String("route", r.Pattern), slog.Int("status", w.status), slog.Int64("bytes", w.size),
		slog.Int64("ms", took.Milliseconds()), slog.String("address", k.Address(r)))
}

// unrouted returns the code for an unknown route or method. It copies the mux's Allow header.
func unrouted(w http.ResponseWriter, r *http.Request, h http.Handler) broker.Code {
	probe := &discard{header: http.Header{}}
	h.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", probe.header.Get("Allow"))
		return broker.MethodNotAllowed
	}
	return broker.NotFound
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// method replaces invented methods, for the log.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
		return m
	}
	return "other"
}
