package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestH2_TimeoutsDisconnectSilentClients(t *testing.T) {
	srv := newServer(http.NotFoundHandler())
	for what, wait := range map[string][2]time.Duration{"a header": {srv.ReadHeaderTimeout, 5 * time.Second},
		"a request":            {srv.ReadTimeout, 15 * time.Second},
		"an answer to be read": {srv.WriteTimeout, 30 * time.Second}, "another request": {srv.IdleTimeout,
			60 * time.Second}} {
		if wait[0] <= 0 || wait[0] > wait[1] {
			t.Errorf("it waits %v for %s", wait[0], what)
		}
	}
	if srv.MaxHeaderBytes <= 0 || srv.MaxHeaderBytes > 32<<10 {
		t.Errorf("it reads %d bytes of header", srv.MaxHeaderBytes)
	}
}

func TestH2_TimeoutsDisconnectSlowClients(t *testing.T) {
	read := make(chan error, 10)
	srv := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, err := io.Copy(io.Discard, r.Body)
			read <- err
			return
		}
		_, err := w.Write(make([]byte, 64<<20)) // more than any buffer between us
		read <- err
	}))
	// The same server, a hundred times as fast.
	for _, wait := range []*time.Duration{&srv.ReadHeaderTimeout, &srv.ReadTimeout, &srv.WriteTimeout, &srv.IdleTimeout} {
		*wait /= 100
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	open := func(request string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(time.Minute)) // only so that a failure ends
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		return c
	}
	heard := func() error {
		select {
		case err := <-read:
			return err
		case <-time.After(time.Minute):
			return nil
		}
	}
	for what, request := range map[string]string{"no byte at all": "",
		"half a header": "GET / HTTP/1.1\r\nHost: x\r\nX-A: ", "a header without its end": "GET / HTTP/1.1\r\nHost: x\r\n"} {
		if rest, err := io.ReadAll(open(request)); err != nil && len(rest) == 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	open("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\na")
	if err := heard(); err == nil {
		t.Error("a body that never came was read")
	}
	open("GET / HTTP/1.1\r\nHost: x\r\n\r\n") // and reads nothing
	if err := heard(); err == nil {
		t.Error("an answer that nobody reads was written")
	}
}

func TestH2_AThousandSlowConnectionsDoNotBlockOthers(t *testing.T) {
	s := newAttackHarness(t)
	u, err := url.Parse(s.file.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		c, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		request := "POST /token HTTP/1.1\r\nHost: " + u.Host +
			"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\na="
		if i%2 == 0 {
			request = "GET /login HTTP/1.1\r\nHost: " + u.Host + "\r\nX-Slow: " + strings.Repeat("a", i%100)
		}
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
	}
	b := s.signedIn(t, "ben@example.test")
	if g := s.grant(t, b); g.access == "" {
		t.Error("no tokens")
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /jwks HTTP/1.1\r\nHost: "+u.Host+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%v %v", res, err)
	}
}
