package web

import (
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"

	"gatehouse/broker"
)

// csp lets a page run and show what this origin serves and nothing that is inline
// (UX.md §2.9).
// defence:A24
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'none'; " +
	//defence:A15
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"

// headersOf are the headers of every answer that an issuer of the scheme gives.
func headersOf(scheme string) http.Header {
	h := http.Header{}
	h.Set("Content-Security-Policy", csp)
	//defence:A15 E17
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
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

// secure sets the headers of every answer. All answers share the values: who wants
// another one sets it anew, and nobody writes into one.
func (k *Kit) secure(h http.Header) { maps.Copy(h, k.headers) }

// tracked knows whether an answer has begun, and counts it.
type tracked struct {
	http.ResponseWriter
	id     string // what the log calls the request
	open   bool   // the route is HandleOpen's
	status int
	size   int64
}

// track begins an answer, whichever of our handlers sees it first.
func (k *Kit) track(w http.ResponseWriter) *tracked {
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

// Unwrap is for http.ResponseController.
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// recovered answers a panic; only the log learns what it was.
func (k *Kit) recovered(w *tracked, r *http.Request) {
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
