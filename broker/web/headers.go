package web

import (
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"

	"gatehouse/broker"
)

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
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), "+
		"camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()")
	//defence:E17
	h.Set("Cache-Control", "no-store")
	if scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	return h
}

// secure sets the headers of every response. Responses share the value slices: set a header to change it, never
// append to its slice.
func (k *Toolkit) secure(h http.Header) { maps.Copy(h, k.headers) }

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
	k.secure(w.Header())
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
