package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gatehouse/broker/web"
	"gatehouse/config"
)

type serveCmd struct{}

func (*serveCmd) Run(ctx context.Context, t *tool) error {
	// A hangup must not end the process, neither while it starts nor while it drains: there is no signal.Stop, because
	// a signal may be delivered after it.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	tuneGC()
	cfg, err := t.validate()
	if err != nil {
		return err
	}
	listener, err := listen(cfg)
	if err != nil {
		return err
	}
	defer listener.Close()
	h, err := openApp(ctx, cfg, newLog(t.err, cfg.Log.Threshold()), time.Now)
	if err != nil {
		return err
	}
	h.passwordCost = t.passwordCost
	t.opened = h
	if secure, ok := listener.(*web.TLSListener); ok {
		go secure.Follow(ctx, hangups, h.log)
	}
	if err := h.declare(ctx); err != nil {
		return err
	}
	if err := h.recordIssuer(ctx); err != nil {
		return err
	}
	if cfg.Operations.Listen != config.Off {
		l, err := net.Listen("tcp", cfg.Operations.Listen)
		if err != nil {
			return fmt.Errorf("%w; choose another address with `operations.listen`, or off", err)
		}
		go serveQuietly(ctx, server{l, web.OnlyHosts(h.operations(), append(cfg.InternalHosts, cfg.Operations.Listen)...)})
	}
	next, err := h.next(ctx, t)
	if err != nil {
		return err
	}
	v := map[string]any{"issuer": cfg.Issuer, "listen": listener.Addr().String(), "operations": cfg.Operations.Listen,
		"next": next}
	return h.serve(ctx, listener, func() error { return t.print(v, func(w io.Writer) { welcome(w, cfg, next) }) })
}

// tuneGC lets the heap grow to five times its live size, unless GOGC is set. The live heap
// is small: at Go's default the collector runs several times a second.
func tuneGC() {
	const unset = 100
	if chosen := debug.SetGCPercent(400); chosen != unset {
		debug.SetGCPercent(chosen)
	}
}

// listen opens the public listener. Call it before opening the database, because most
// failed starts are due to another process on the same address.
func listen(cfg *config.Config) (net.Listener, error) {
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with `listen`", err)
	}
	if cfg.TLS.Cert == "" {
		return listener, nil
	}
	secure, err := web.ListenTLS(listener, cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; see `tls.cert` and `tls.key`", err), listener.Close())
	}
	return secure, nil
}

// next lists the commands that a newcomer still has to run.
func (h *app) next(ctx context.Context, t *tool) ([]string, error) {
	operations, err := h.admin()
	if err != nil {
		return nil, err
	}
	next, err := operations.NextSteps(ctx)
	for i := range next {
		next[i] = or(t.program, "gatehouse") + " " + next[i]
		if t.config != "" {
			next[i] += " --config " + t.config
		}
	}
	return next, err
}

func welcome(w io.Writer, cfg *config.Config, next []string) {
	fmt.Fprintf(w, "Gatehouse serves %s\n", cfg.Issuer)
	if path, ok := cfg.SQLite(); ok {
		keyring := "the keyring of the environment"
		if cfg.Keyring != "" {
			keyring = absolute(cfg.Keyring)
		}
		fmt.Fprintf(w, "Its data is in %s, sealed with %s: keep copies of both, in separate places\n",
			absolute(path), keyring)
	}
	if cfg.Mail.SMTP == "" {
		fmt.Fprintf(w, "No mail leaves this machine: mails are files in %s\n", absolute(cfg.Mail.Folder))
	}
	if len(next) > 0 {
		fmt.Fprintf(w, "\nNext, in another terminal:\n  %s\n\n", strings.Join(next, "\n  "))
	}
}

// serve serves on the listener until ctx ends. It cuts no request short. It calls ready once
// nothing can refuse the start any more.
func (h *app) serve(ctx context.Context, l net.Listener, ready func() error) error {
	handler, workers, err := h.assemble(ctx)
	if err == nil {
		err = ready()
	}
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, worker := range workers {
		running.Go(func() { worker(background) })
	}
	srv := web.NewServer(handler)
	srv.ErrorLog = slog.NewLogLogger(h.log.Handler(), slog.LevelDebug)
	err = web.Serve(ctx, srv, l)
	stop()
	running.Wait()
	return err
}

// operations is the handler of the second listener.
func (h *app) operations() http.Handler {
	return web.Operations(h.store.Alive, promhttp.HandlerFor(h.metrics, promhttp.HandlerOpts{}), h.log)
}

type migrateCmd struct{}

func (*migrateCmd) Run(ctx context.Context, t *tool) error {
	h, err := t.open(ctx) // opening migrates
	if err != nil {
		return err
	}
	schema, err := h.store.MigrationStatus(ctx)
	if err != nil {
		return err
	}
	return t.print(map[string]int64{"schema": schema.Database}, func(w io.Writer) {
		fmt.Fprintf(w, "the database is at schema %d\n", schema.Database)
	})
}
