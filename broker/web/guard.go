package web

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
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
		if r.URL.Path == broker.AccountPath || strings.HasPrefix(r.URL.Path, broker.AccountPath+"/") {
			// Nowhere else: an app that opens the sign-in in a popup would lose its window.opener.
			//defence:A15
			w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		}
		defer func() { k.logRequest(w, r, k.Now().Sub(began)) }()
		defer k.recovered(w, r)
		var h http.Handler
		pattern := "/"
		if mux, ok := next.(matcher); ok {
			h, pattern = mux.Handler(r)
		}
		//defence:G13
		if normalHost(r.Host, k.Issuer.Scheme) != k.host && !k.internal(w, r, h) {
			k.refuse(w, r, broker.Misdirected, RefusalView{Cause: fmt.Errorf("%w: the host %.300q is not the issuer's; "+
				"for /token, /userinfo and the like, list it in internal_hosts", broker.Misdirected, r.Host)})
			return
		}
		if pattern == "" {
			if to := withoutSlash(r, next); to != "" {
				http.Redirect(w, r, to, http.StatusSeeOther)
				return
			}
			k.Fail(w, r, unrouted(w, r, h))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// internal reports whether a request for another host is one of an app's server, which may use an internal name for
// the routes of HandleAPI. Errors on these routes are JSON.
func (k *Toolkit) internal(w *tracked, r *http.Request, h http.Handler) bool {
	_, w.open = h.(api)
	return w.open && slices.Contains(k.InternalHosts, strings.ToLower(r.Host))
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

// csp allows what this origin serves and nothing inline (UX.md §2.9).
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"font-src 'none'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"

// headersOf returns the headers of every response of an issuer of the scheme.
func headersOf(scheme string) http.Header {
	h := http.Header{}
	h.Set("Content-Security-Policy",
		//defence:A24 = "default-src 'self' 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
		//defence:A15 = "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'"
		csp)
	//defence:A15 E17
	h.Set("X-Frame-Options", "DENY") // for browsers without frame-ancestors
	h.Set("X-Content-Type-Options", "nosniff")
	//defence:A23
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), "+
		"camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()")
	//defence:E17
	h.Set("Cache-Control", "no-store")
	if scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	return h
}

// tracked records whether a response has begun, its status and its size.
type tracked struct {
	http.ResponseWriter
	id     string // the request's id in the log
	open   bool   // the route was mounted by HandleOpen
	status int
	size   int64
}

// track wraps the ResponseWriter unless another of our handlers already did.
func (k *Toolkit) track(w http.ResponseWriter) *tracked {
	if t, ok := w.(*tracked); ok {
		return t
	}
	//defence:A15 A23 A24 E17
	maps.Copy(w.Header(), k.headers)
	return &tracked{ResponseWriter: w}
}

func (t *tracked) WriteHeader(status int) {
	if t.status == 0 && status >= 200 {
		t.status = status
	}
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracked) Write(b []byte) (int, error) {
	if t.status == 0 {
		t.status = http.StatusOK
	}
	n, err := t.ResponseWriter.Write(b)
	t.size += int64(n)
	return n, err
}

// Unwrap is used by http.ResponseController.
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// recovered turns a panic into a response; only the log has the cause.
func (k *Toolkit) recovered(w *tracked, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	k.Fail(w, r, broker.Internal.Because(fmt.Errorf("panic: %v\n%s", p, debug.Stack())))
}

type contextKey int

const (
	keyLocales contextKey = iota
	keySelf
)

// Address returns the client's IP address. Behind trusted proxies that is the rightmost address in
// X-Forwarded-For that is not a proxy's. Addresses further left come from the client and prove nothing. A
// malformed entry ends the search at the last proxy (SECURITY.md G12).
func (k *Toolkit) Address(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	at := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		//defence:G12
		if !slices.ContainsFunc(k.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(at) }) {
			break
		}
		next, err := netip.ParseAddr(hostname(strings.TrimSpace(hops[i]))) // some proxies add the port
		if err != nil {
			//defence:G12
			break
		}
		at = next.Unmap().WithZone("")
	}
	return at.String()
}
