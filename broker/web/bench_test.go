package web

import (
	"io"
	"log/slog"
	"net/http"
	"testing"
)

// blank is a ResponseWriter that discards the response.
type blank struct{ header http.Header }

func (b blank) Header() http.Header         { return b.header }
func (b blank) Write(p []byte) (int, error) { return len(p), nil }
func (b blank) WriteHeader(int)             {}

// BenchmarkRequest measures the cost that every request has, whatever its handler.
func BenchmarkRequest(b *testing.B) {
	h := open(b)
	h.Log = slog.New(slog.NewJSONHandler(io.Discard, nil))
	mux := http.NewServeMux()
	mux.Handle("GET /logged", h.HandleOpen(yes))
	mux.Handle("GET /fixed", h.HandleOpen(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "public")
		return yes(w, r)
	}))
	mux.Handle("POST /form", h.Handle(yes))
	all := h.Guard(mux)
	form := post("/form", "")
	form.Body = http.NoBody
	for name, r := range map[string]*http.Request{"logged": get("/logged"), "fixed": get("/fixed"), "form": form} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				again := *r // the form of a request is parsed once
				all.ServeHTTP(blank{http.Header{}}, &again)
			}
		})
	}
}
