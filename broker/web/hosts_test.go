package web

import (
	"net/http"
	"testing"
)

func TestG13_AListenerWithoutSignInAnswersNoForeignName(t *testing.T) {
	h := open(t)
	all := OnlyHosts(http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}),
		"metrics.internal:9090", "10.0.0.1:9090", ":9090")
	for host, want := range map[string]int{"127.0.0.1:9090": 204, "localhost:9090": 204, "LOCALHOST": 204,
		"[::1]:9090": 204,
		"[::1]":      204, "10.2.3.4": 204, "metrics.internal:9091": 204, "evil.example": 421, "evil.example:9090": 421,
		"localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "127.0.0.1@evil.example": 421} {
		r := get("/metrics")
		r.Host = host
		if w := h.ask(all, r); w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
	}
}
