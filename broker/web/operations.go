package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// readyTime bounds how long the readiness check waits for the databases.
const readyTime = 2 * time.Second

// Operations is the handler of the operations listener: health and metrics. alive returns why the server cannot work
// now; the reason is logged and not shown.
func Operations(alive func(context.Context) error, metrics http.Handler, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz/live", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /healthz/ready", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTime)
		defer cancel()
		if err := alive(ctx); err != nil {
			log.WarnContext(ctx, "not ready", "err", err)
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", metrics)
	return mux
}
