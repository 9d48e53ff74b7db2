package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gatehouse/config"
)

// slowServer is our server on TLS, whose handler blocks until the test releases it.
type slowServer struct {
	t       *testing.T
	address string
	release chan struct{}
	running atomic.Int32
	most    atomic.Int32
	served  atomic.Int32
}

func newSlowServer(t *testing.T) *slowServer {
	t.Helper()
	s := &slowServer{t: t, release: make(chan struct{})}
	srv := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			return
		}
		s.served.Add(1)
		n := s.running.Add(1)
		defer s.running.Add(-1)
		for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
		}
		<-s.release
	}))
	srv.ErrorLog = log.New(io.Discard, "", 0)
	cfg := &config.Config{Listen: "127.0.0.1:0"}
	cfg.TLS.Cert, cfg.TLS.Key = selfSigned(t)
	l, err := listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	t.Cleanup(sync.OnceFunc(func() { close(s.release) }))
	return s
}

func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	like := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, like, like, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY",
		Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// wire is an HTTP/2 connection of a client that breaks the protocol.
type wire struct {
	*http2.Framer
	t      *testing.T
	conn   net.Conn
	header bytes.Buffer
	coder  *hpack.Encoder
	next   uint32
	// streams is how many the server allows; zero where it names none.
	streams uint32
}

func (s *slowServer) dial() *wire {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // only so that a failure ends
	if conn.ConnectionState().NegotiatedProtocol != "h2" {
		s.t.Fatal("no HTTP/2")
	}
	w := &wire{t: s.t, conn: conn, Framer: http2.NewFramer(conn, conn), next: 1}
	w.coder = hpack.NewEncoder(&w.header)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		s.t.Fatal(err)
	}
	if err := w.WriteSettings(); err != nil {
		s.t.Fatal(err)
	}
	settings, ok := w.hears(func(f http2.Frame) bool {
		_, ok := f.(*http2.SettingsFrame)
		return ok
	}).(*http2.SettingsFrame)
	if !ok {
		s.t.Fatal("no settings")
	}
	w.streams, _ = settings.Value(http2.SettingMaxConcurrentStreams)
	if err := w.WriteSettingsAck(); err != nil {
		s.t.Fatal(err)
	}
	return w
}

// block is the header of a request.
func (w *wire) block(path string, more ...string) []byte {
	w.header.Reset()
	pairs := append([]string{":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", path}, more...)
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := w.coder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}); err != nil {
			w.t.Fatal(err)
		}
	}
	return bytes.Clone(w.header.Bytes())
}

// asks opens a stream.
func (w *wire) asks(path string, more ...string) (stream uint32, err error) {
	stream = w.next
	w.next += 2
	return stream, w.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: w.block(path, more...),
		EndStream: true, EndHeaders: true})
}

// hears reads frames until one is wanted; nil if the connection ended first.
func (w *wire) hears(want func(http2.Frame) bool) http2.Frame {
	for {
		f, err := w.ReadFrame()
		if err != nil {
			return nil
		}
		if want(f) {
			return f
		}
	}
}

func TestH3_AConnectionIsServedAHundredRequestsAtATime(t *testing.T) {
	s := newSlowServer(t)
	w := s.dial()
	if w.streams != 100 {
		t.Errorf("the server allows %d streams", w.streams)
	}
	w.hears(func(f http2.Frame) bool { a, ok := f.(*http2.SettingsFrame); return ok && a.IsAck() })
	for range 100 {
		if _, err := w.asks("/slow"); err != nil {
			t.Fatal(err)
		}
	}
	extra, err := w.asks("/slow")
	if err != nil {
		t.Fatal(err)
	}
	no, ok := w.hears(func(f http2.Frame) bool { return f.Header().StreamID == extra }).(*http2.RSTStreamFrame)
	if !ok || no.ErrCode != http2.ErrCodeRefusedStream && no.ErrCode != http2.ErrCodeProtocol {
		t.Errorf("one more is answered %v", no)
	}
	if n := s.most.Load(); n > 100 {
		t.Errorf("%d were served at once", n)
	}
}

// A cancelled stream frees its slot, and the work that it began goes
// on (CVE-2023-44487): the server limits the work, and closes the connection.
func TestH3_FastStreamResetsCostAtMostAHundredRequests(t *testing.T) {
	s := newSlowServer(t)
	w := s.dial()
	var ended atomic.Bool
	done := make(chan *http2.GoAwayFrame, 1)
	go func() {
		bye, _ := w.hears(func(f http2.Frame) bool { _, ok := f.(*http2.GoAwayFrame); return ok }).(*http2.GoAwayFrame)
		ended.Store(true)
		done <- bye
	}()
	sent := 0
	for ; sent < 1_000_000 && !ended.Load(); sent++ {
		stream, err := w.asks("/slow")
		if err == nil {
			err = w.WriteRSTStream(stream, http2.ErrCodeCancel)
		}
		if err != nil {
			break
		}
	}
	bye := <-done
	if sent == 1_000_000 || bye != nil && bye.ErrCode != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("after %d resets: %v", sent, bye)
	}
	if n := s.most.Load(); n > 100 || n == 0 {
		t.Errorf("%d were served at once", n)
	}
	other := s.dial() // other clients are not blocked
	stream, err := other.asks("/quick")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := other.hears(func(f http2.Frame) bool { return f.Header().StreamID == stream }).(*http2.HeadersFrame); !ok {
		t.Error("another connection is not answered")
	}
}

// A header that never ends (CVE-2023-45288) is not read to its end, and no handler
// sees it.
func TestH3_AHeaderWithoutEndEndsTheConnection(t *testing.T) {
	s := newSlowServer(t)
	for what, fragment := range map[string][]byte{"one field": []byte(strings.Repeat("a", 16000)), "many fields": nil} {
		w := s.dial()
		if fragment == nil {
			w.coder.SetMaxDynamicTableSize(0)
			fragment = w.block("/slow", "x-more", strings.Repeat("b", 8000))[len(w.block("/slow")):]
		}
		first := w.block("/slow")
		if what == "one field" { // a literal name and the beginning of a value of 64 MiB
			first = append(first, 0x00, 0x01, 'x', 0x7f, 0x81, 0xff, 0xff, 0x1f)
		}
		if err := w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndStream: true}); err != nil {
			t.Fatal(err)
		}
		sent, ended := 0, make(chan struct{})
		go func() { w.hears(func(http2.Frame) bool { return false }); close(ended) }()
		for open := true; open && sent < 64<<20; sent += len(fragment) {
			if err := w.WriteContinuation(1, false, fragment); err != nil {
				break
			}
			select {
			case <-ended:
				open = false
			default:
			}
		}
		if sent >= 64<<20 {
			t.Errorf("%s: the server took %d bytes", what, sent)
		}
	}
	if n := s.served.Load(); n > 0 {
		t.Errorf("%d of them were served", n)
	}
}

// A header that is whole and too big is refused as HTTP/1.1 refuses it.
func TestH3_AHeaderIsNoBiggerThanOverHTTP1(t *testing.T) {
	s := newSlowServer(t)
	w := s.dial()
	w.coder.SetMaxDynamicTableSize(0)
	whole := w.block("/slow", "x-big", strings.Repeat("c", 100<<10))
	if err := w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: whole[:16000],
		EndStream: true}); err != nil {
		t.Fatal(err)
	}
	for rest := whole[16000:]; len(rest) > 0; {
		n := min(16000, len(rest))
		if w.WriteContinuation(1, n == len(rest), rest[:n]) != nil {
			break
		}
		rest = rest[n:]
	}
	w.hears(func(f http2.Frame) bool { return f.Header().StreamID == 1 || f.Header().Type == http2.FrameGoAway })
	if n := s.served.Load(); n > 0 {
		t.Error("it was served")
	}
}
