package mail

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
)

// server is a small SMTP server (RFC 5321) that records what it receives.
type server struct {
	net.Listener
	tls      *tls.Config // nil: no STARTTLS
	answer   string      // to RCPT
	mu       sync.Mutex
	received []string
	data     string
	secure   bool // whether DATA came over TLS
}

func serve(t *testing.T, withTLS bool, answer string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l, answer: answer}
	if withTLS {
		s.tls = certificate(t)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return s
}

func (s *server) talk(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	secure := false
	r, w := textproto.NewReader(bufio.NewReader(c)), func(line string) { _, _ = c.Write([]byte(line + "\r\n")) }
	w("220 mail.example.com ESMTP")
	for {
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.received = append(s.received, line)
		s.mu.Unlock()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch verb {
		case "EHLO":
			w("250-mail.example.com")
			if s.tls != nil && !secure {
				w("250-STARTTLS")
			}
			w("250 AUTH PLAIN LOGIN")
		case "STARTTLS":
			w("220 go on")
			up := tls.Server(c, s.tls)
			if up.Handshake() != nil {
				return
			}
			c, secure, r = up, true, textproto.NewReader(bufio.NewReader(up))
		case "AUTH":
			w("235 welcome")
		case "RCPT":
			w(s.answer)
		case "DATA":
			w("354 go on")
			lines, err := r.ReadDotLines()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.data, s.secure = strings.Join(lines, "\n"), secure
			s.mu.Unlock()
			w("250 taken")
		case "QUIT":
			w("221 bye")
			return
		default:
			w("250 ok")
		}
	}
}

func (s *server) port() int { return s.Addr().(*net.TCPAddr).Port }

func (s *server) said(verb string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.received {
		if strings.HasPrefix(strings.ToUpper(line), verb) {
			return true
		}
	}
	return false
}

func (s *server) got() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data, s.secure
}

// certificate returns a self-signed certificate for 127.0.0.1 and 0.0.0.0.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4zero}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, RootCAs: pool}
}

// client returns an SMTP client for the server under a name of this machine. A connection to 0.0.0.0 reaches it,
// although that is not a loopback host by definition.
func (s *server) client(host string) *SMTP {
	c := &SMTP{Host: host, Port: s.port(), Username: "gatehouse", Password: "open sesame",
		From: mail.Address{Name: "Northgate", Address: "no-reply@id.example.com"}}
	if s.tls != nil {
		c.TLS = &tls.Config{RootCAs: s.tls.RootCAs, ServerName: "127.0.0.1"}
	}
	return c
}

var address = broker.Mail{ID: "ABC", To: "ana@example.com",
	Subject: "482913 is your Northgate code\r\nBcc: eve@example.com", Text: "hello", HTML: "<p>hello</p>", CreatedAt: noon}

func TestAMailGoesOutOverSTARTTLS(t *testing.T) {
	s := serve(t, true, "250 ok")
	if err := s.client("0.0.0.0").Send(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	data, secure := s.got()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil || !secure {
		t.Fatalf("%v, over TLS: %v", err, secure)
	}
	if m.Header.Get("Bcc") != "" || m.Header.Get("Subject") != "482913 is your Northgate code  Bcc: eve@example.com" ||
		!strings.HasPrefix(m.Header.Get("Content-Type"), "multipart/alternative") {
		t.Errorf("header %v", m.Header)
	}
}

func TestWithoutTLSNothingIsSaidToAServerElsewhere(t *testing.T) {
	s := serve(t, false, "250 ok")
	if err := s.client("0.0.0.0").Send(t.Context(), address); err == nil {
		t.Error("the mail went out in clear")
	}
	open := s.client("0.0.0.0")
	open.Username = ""
	if err := open.Send(t.Context(), address); err == nil {
		t.Error("without a password the mail went out in clear")
	}
	if s.said("AUTH") || s.said("MAIL") {
		t.Error("the password or the address went out in clear")
	}
}

func TestAnUntrustedCertificateIsRefused(t *testing.T) {
	s := serve(t, true, "250 ok")
	c := s.client("0.0.0.0")
	c.TLS = nil
	if err := c.Send(t.Context(), address); err == nil || s.said("AUTH") {
		t.Errorf("%v", err)
	}
}

func TestAServerOnThisMachineMayDoWithoutTLS(t *testing.T) {
	s := serve(t, false, "250 ok")
	c := s.client("127.0.0.1")
	c.Username = ""
	if err := c.Send(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	if data, _ := s.got(); !strings.Contains(data, "hello") {
		t.Errorf("data %q", data)
	}
}

func TestWhatTheServerSaysDecidesWhetherToTryAgain(t *testing.T) {
	for answer, final := range map[string]bool{"550 5.1.1 no such user": true, "450 4.2.1 come again": false} {
		err := serve(t, true, answer).client("0.0.0.0").Send(t.Context(), address)
		if err == nil || errors.Is(err, ErrRefused) != final || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", answer, err)
		}
	}
	gone := serve(t, true, "250 ok")
	gone.Close()
	if err := gone.client("0.0.0.0").Send(t.Context(), address); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("no server: %v", err)
	}
}
