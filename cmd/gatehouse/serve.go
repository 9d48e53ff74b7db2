package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gatehouse/config"
)

func serving() []command {
	return []command{
		{"demo", "", "run everything on this machine, with simulated providers and a sample app", runDemo},
		{"serve", "", "run the broker", runServe},
		{"check", "", "check configuration, database, Redis, keyring, mail and connections", runCheck},
		{"migrate", "", "bring the database to this version", runMigrate},
	}
}

func runServe(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		if len(args) != 0 {
			return errUsage
		}
		cfg, err := t.load()
		if err != nil {
			return err
		}
		h, err := openHouse(ctx, cfg, newLog(t.err, level(cfg)), time.Now)
		if err != nil {
			return err
		}
		t.opened = h
		if err := h.declare(ctx); err != nil {
			return err
		}
		listener, err := net.Listen("tcp", cfg.Listen)
		if err != nil {
			return fmt.Errorf("%w; choose another address with `listen`", err)
		}
		if cfg.TLS.Cert != "" {
			pair, err := tls.LoadX509KeyPair(cfg.TLS.Cert, cfg.TLS.Key)
			if err != nil {
				return fmt.Errorf("tls: %w", err)
			}
			listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
		}
		if cfg.Operations.Listen != config.Off {
			l, err := net.Listen("tcp", cfg.Operations.Listen)
			if err != nil {
				return fmt.Errorf("%w; choose another address with `operations.listen`, or off", err)
			}
			go serveQuietly(ctx, server{l, h.operations()})
		}
		fmt.Fprintf(t.out, "Gatehouse serves %s\n", cfg.Issuer)
		return h.serve(ctx, listener)
	}
}

func level(cfg *config.Config) slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(cfg.Log.Level)) // validated; the zero level is info
	return l
}

// serve answers on the listener until ctx ends, and cuts no request short then.
func (h *house) serve(ctx context.Context, l net.Listener) error {
	handler, chores, err := h.assemble(ctx)
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, chore := range chores {
		running.Go(func() { chore(background) })
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 60 * time.Second, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug)}
	down := make(chan error, 1)
	go func() {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		defer cancel()
		down <- srv.Shutdown(drain)
	}()
	err = srv.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		err = <-down
	}
	stop()
	running.Wait()
	return err
}

// operations answers the second listener: health and metrics.
func (h *house) operations() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz/live", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /healthz/ready", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := h.store.Alive(ctx); err != nil {
			h.log.WarnContext(ctx, "not ready", "err", err)
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.metrics, promhttp.HandlerOpts{}))
	return mux
}

func runMigrate(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, _ []string) error {
		h, err := t.house(ctx) // opening migrates
		if err != nil {
			return err
		}
		schema, err := h.store.MigrationStatus(ctx)
		if err != nil {
			return err
		}
		return t.print(map[string]int64{"schema": schema.Database}, func(w io.Writer) { fmt.Fprintf(w, "the database is at schema %d\n", schema.Database) })
	}
}
