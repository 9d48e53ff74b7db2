package egress

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func must(t *testing.T) func(*Client, error) *Client {
	return func(c *Client, err error) *Client {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

func get(client *http.Client, url string) (string, error) {
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// inside is a server that must not be reached. It counts requests.
type inside struct {
	hits atomic.Int32
	port string
}

func listen(t *testing.T, address string) *inside {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := &inside{}
	_, c.port, _ = net.SplitHostPort(listener.Addr().String())
	server := &httptest.Server{Listener: listener, Config: &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "inside") }),
		ConnState: func(_ net.Conn, state http.ConnState) { c.count(state) },
	}}
	server.Start()
	t.Cleanup(server.Close)
	return c
}

func (c *inside) count(state http.ConnState) {
	if state == http.StateNew {
		c.hits.Add(1)
	}
}

// zone is a name server: name to addresses.
type zone map[string][]string

func (z zone) serve(t *testing.T) *net.Resolver {
	return serveNames(t, func(name string) []string { return z[strings.ToLower(name)] })
}

func serveNames(t *testing.T, answer func(name string) []string) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	go func() {
		packet := make([]byte, 1500)
		for {
			n, from, err := socket.ReadFrom(packet)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(packet[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			reply, _ := resolve(m, answer)
			socket.WriteTo(reply, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

func resolve(m dnsmessage.Message, answer func(string) []string) ([]byte, error) {
	question := m.Questions[0]
	addresses := answer(question.Name.String())
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}
	m.Additionals = nil
	if len(addresses) == 0 {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, text := range addresses {
		addr := netip.MustParseAddr(text)
		header := dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class}
		switch {
		case addr.Is4() && question.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && question.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return m.Pack()
}

func TestB16_ANameThatIsReboundReachesNothingInside(t *testing.T) {
	canary := listen(t, "127.0.0.1:0")
	outside := listen(t, "127.0.0.2:"+canary.port) // other processes rarely listen here
	var rebound atomic.Bool
	resolver := serveNames(t, func(string) []string {
		if rebound.Load() {
			return []string{"127.0.0.1"}
		}
		return []string{"127.0.0.2"}
	})
	// 127.0.0.2 stands for a public address.
	client := must(t)(New(Options{Resolver: resolver, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}))
	url := "http://rebind.test:" + outside.port + "/"
	if body, err := get(client.HTTP(), url); err != nil || body != "inside" {
		t.Fatalf("before: %q, %v", body, err)
	}
	rebound.Store(true)
	client.transport["http"].(*http.Transport).CloseIdleConnections()
	if _, err := get(client.HTTP(), url); !errors.Is(err, ErrBlockedAddress) {
		t.Fatalf("after: %v, want ErrBlockedAddress", err)
	}
	if canary.hits.Load() != 0 {
		t.Fatal("the inside was reached")
	}
}

func TestB16_NoRedirectIsFollowed(t *testing.T) {
	canary := listen(t, "127.0.0.1:0")
	targets := []string{"http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:" + canary.port + "/", "/same-host",
		"https://accounts.google.com/", "file:///etc/passwd", "http://[::1", ""}
	for _, status := range []int{300, 301, 302, 303, 305, 307, 308} {
		for _, target := range targets {
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header().Set("Location", target)
				w.WriteHeader(status)
			}))
			client := must(t)(New(Options{Allow: loopback}))
			_, err := get(client.HTTP(), server.URL)
			if !errors.Is(err, ErrRedirect) || asked.Load() != 1 {
				t.Errorf("%d to %q: %v, asked %d times", status, target, err, asked.Load())
			}
			server.Close()
		}
	}
	if canary.hits.Load() != 0 {
		t.Fatal("a redirect was followed")
	}
}

func TestB16_TheProxyOfTheEnvironmentIsNotAsked(t *testing.T) {
	proxy, server := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.2:0")
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:"+proxy.port)
	}
	client := must(t)(New(Options{Allow: loopback, Resolver: zone{"idp.test.": {"127.0.0.2"}}.serve(t)}))
	if _, err := get(client.HTTP(), "http://idp.test:"+server.port+"/"); err != nil {
		t.Fatal(err)
	}
	for _, transport := range client.transport {
		if transport.(*http.Transport).Proxy != nil {
			t.Error("a transport asks for a proxy")
		}
	}
	if proxy.hits.Load() != 0 || server.hits.Load() != 1 {
		t.Fatal("the proxy was asked")
	}
}

func TestB16_ABodyEndsAtOneMebibyte(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var size int
		fmt.Sscan(r.URL.Query().Get("size"), &size)
		switch r.URL.Path {
		case "/announced":
			w.Header().Set("Content-Length", fmt.Sprint(size))
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			z.Write(make([]byte, size))
			return
		}
		for ; size > 0; size -= 1 << 16 {
			if _, err := w.Write(make([]byte, min(size, 1<<16))); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
		}
	}))
	defer server.Close()
	client := must(t)(New(Options{Allow: loopback})).HTTP()
	for _, path := range []string{"/announced", "/chunked", "/gzip"} {
		for size, tooLarge := range map[int]bool{0: false, 1: false, MaxBody - 1: false, MaxBody: false, MaxBody + 1: true,
			20 * MaxBody: true} {
			body, err := get(client, fmt.Sprintf("%s%s?size=%d", server.URL, path, size))
			if errors.Is(err, ErrTooLarge) != tooLarge || !tooLarge && (err != nil || len(body) != size) || len(body) > MaxBody {
				t.Errorf("%s, %d bytes: read %d, %v", path, size, len(body), err)
			}
		}
	}
}

func TestB16_AHeaderEndsAt64KiB(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := len(r.URL.Path)
		w.Header().Set("X-Large", strings.Repeat("a", size*1024))
	}))
	defer server.Close()
	client := must(t)(New(Options{Allow: loopback})).HTTP()
	if _, err := get(client, server.URL+"/"+strings.Repeat("a", 30)); err != nil {
		t.Errorf("31 KiB: %v", err)
	}
	if _, err := get(client, server.URL+"/"+strings.Repeat("a", 70)); !errors.Is(err, ErrUnreachable) {
		t.Errorf("71 KiB: %v", err)
	}
}

func TestG16_NoErrorShowsAQuery(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "https://else.test/?token=planted-secret", http.StatusFound)
		case "/cut":
			panic(http.ErrAbortHandler)
		case "/large":
			w.Header().Set("Content-Length", "99999999")
		case "/hang":
			io.Copy(io.Discard, r.Body) // the server sees the end of the connection only after the body
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	client := must(t)(New(Options{Allow: loopback}))
	client.timeout = 50 * time.Millisecond
	full := &http.Client{Transport: &guard{client: client}}
	cases := map[string]struct {
		client *http.Client
		url    string
		want   error
	}{
		"blocked address": {client.HTTP(), "https://10.0.0.1/", ErrBlockedAddress},
		"blocked URL":     {client.HTTP(), "http://8.8.8.8/", ErrBlockedURL},
		"redirect":        {client.HTTP(), server.URL + "/redirect", ErrRedirect},
		"unreachable":     {client.HTTP(), server.URL + "/cut", ErrUnreachable},
		"refused":         {client.HTTP(), "http://127.0.0.1:1/", ErrUnreachable},
		"too large":       {client.HTTP(), server.URL + "/large", ErrTooLarge},
		"timeout":         {client.HTTP(), server.URL + "/hang", ErrTimeout},
		"busy":            {full, server.URL + "/", ErrBusy},
	}
	for name, c := range cases {
		for _, method := range []string{"GET", "POST"} {
			request, err := http.NewRequest(method, c.url+"?access_token=planted-secret", strings.NewReader("planted-secret"))
			if err != nil {
				t.Fatal(err)
			}
			shared := request.URL
			_, err = c.client.Do(request)
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, "planted-secret") ||
				strings.Contains(text, "access_token") {
				t.Errorf("%s: the error shows the query: %s", name, text)
			}
			if shared.RawQuery == "" {
				t.Errorf("%s: the caller's URL was changed in place", name)
			}
		}
	}
}

func TestAConnectionMayTrustItsOwnCA(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	strict := must(t)(New(Options{}))
	adfs := must(t)(strict.With(Options{Allow: loopback, CABundle: bundle}))
	if body, err := get(adfs.For("adfs"), server.URL); err != nil || body != "HTTP/2.0" {
		t.Errorf("with its CA: %q, %v", body, err)
	}
	noCA := must(t)(strict.With(Options{Allow: loopback}))
	if _, err := get(noCA.HTTP(), server.URL); !errors.Is(err, ErrUnreachable) ||
		!strings.Contains(err.Error(), "certificate") {
		t.Errorf("without its CA: %v", err)
	}
	if _, err := get(strict.HTTP(), server.URL); !errors.Is(err, ErrBlockedAddress) {
		t.Errorf("the others: %v", err)
	}
	if further := must(t)(adfs.With(Options{})); further != nil {
		if _, err := get(further.HTTP(), server.URL); err != nil {
			t.Errorf("what it builds on is lost: %v", err)
		}
	}
	for _, bad := range [][]byte{[]byte("no PEM"),
		bytes.Replace(bundle, []byte("CERTIFICATE"), []byte("PRIVATE KEY"), 2)} {
		if _, err := adfs.With(Options{CABundle: bad}); err == nil {
			t.Error("a bundle without a certificate is accepted")
		}
	}
}

func TestConnectionsAreKeptAlive(t *testing.T) {
	server := listen(t, "127.0.0.1:0")
	client := must(t)(New(Options{Allow: loopback}))
	for i := range 10 {
		if _, err := get(client.For(fmt.Sprint(i%2)), "http://127.0.0.1:"+server.port+"/"); err != nil {
			t.Fatal(err)
		}
	}
	if hits := server.hits.Load(); hits != 1 {
		t.Errorf("%d connections for ten requests", hits)
	}
	if again := client.For("a"); again != client.For("a") || client.For("a") == client.For("b") ||
		client.HTTP() != client.For("") {
		t.Error("a name has two clients, or two names have one")
	}
}
