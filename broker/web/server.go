package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// drainTime is how long running requests may take after Serve's context has ended.
const drainTime = 15 * time.Second

// NewServer returns a server whose timeouts disconnect slow clients (SECURITY.md H2). An
// HTTP/2 connection has at most 100 requests at a time, canceled ones included (H3).
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, IdleTimeout: 60 * time.Second,
		//defence:H2
		ReadHeaderTimeout: 5 * time.Second,
		//defence:H2
		ReadTimeout: 15 * time.Second,
		//defence:H2
		WriteTimeout: 30 * time.Second,
		//defence:H1 H2 H3
		MaxHeaderBytes: 32 << 10,
		//defence:H3
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 100}}
}

// Serve serves on l until ctx ends, lets running requests finish, and returns.
func Serve(ctx context.Context, srv *http.Server, l net.Listener) error {
	down := make(chan error, 1)
	go func() {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		down <- srv.Shutdown(drain)
	}()
	err := srv.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		err = <-down
	}
	return err
}
