package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// The cost of the smallest response of Go's own server shows how this machine compares with that of
// PERFORMANCE.md, where it was 0.020 ms.

func serveHello(address string) {
	err := http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
		fmt.Fprintln(w, "hello")
	}))
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func measureHello(ctx context.Context, o options) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	address := net.JoinHostPort("127.0.0.1", port)
	s := &stack{issuer: "http://" + address, broker: exec.CommandContext(ctx, self, "-hello", address)}
	if err := s.broker.Start(); err != nil {
		return 0, err
	}
	defer stop(s.broker, syscall.SIGKILL)
	op := operation{prepare: func(_ context.Context, b *browser, _ int) (doer, error) {
		return func(ctx context.Context, _ int) error { return s.get(ctx, b, "/", "") }, nil
	}}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(s.issuer)
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body) // one word
			_ = res.Body.Close()
			break
		}
		if time.Now().After(end) {
			return 0, err
		}
	}
	r, err := s.drive(ctx, o.workers, o.duration, op)
	if err != nil {
		return 0, err
	}
	return r.cpuMS(), nil
}
