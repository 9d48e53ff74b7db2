package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// certificate writes a certificate with the serial number, and its key.
func certificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "id.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// listenTLS returns a listener that completes handshakes, and the files of its certificate.
func listenTLS(t *testing.T) (l *TLSListener, certFile, keyFile string) {
	t.Helper()
	certFile, keyFile = filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	certificate(t, certFile, keyFile, 1)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plain.Close() })
	if l, err = ListenTLS(plain, certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, c) }()
		}
	}()
	return l, certFile, keyFile
}

func (t *TLSListener) serial(with *tls.Config) (int64, error) {
	with.InsecureSkipVerify = true
	c, err := tls.Dial("tcp", t.Addr().String(), with)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

func TestANewCertificateIsServedAfterASignalAndABadOneIsNot(t *testing.T) {
	l, certFile, keyFile := listenTLS(t)
	ctx, stop := context.WithCancel(t.Context())
	signals, done := make(chan os.Signal), make(chan struct{})
	go func() { defer close(done); l.Follow(ctx, signals, slog.New(slog.DiscardHandler)) }()
	defer func() { stop(); <-done }()
	reload := func() { // the second signal is taken after the first reload is done
		signals <- syscall.SIGHUP
		signals <- syscall.SIGHUP
	}
	certificate(t, certFile, keyFile, 2)
	reload()
	if n, err := l.serial(&tls.Config{}); err != nil || n != 2 {
		t.Errorf("certificate %d, %v", n, err)
	}
	if err := os.WriteFile(keyFile, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	reload()
	if n, err := l.serial(&tls.Config{}); err != nil || n != 2 {
		t.Errorf("after a broken file: certificate %d, %v", n, err)
	}
	if changed, err := l.Reload(); changed || err == nil {
		t.Errorf("a broken file: %v, %v", changed, err)
	}
}

func TestTLS12HasAEADSuitesOnly(t *testing.T) {
	l, _, _ := listenTLS(t)
	for name, c := range map[string]struct {
		config *tls.Config
		good   bool
	}{
		"TLS 1.3":              {&tls.Config{MinVersion: tls.VersionTLS13}, true},
		"TLS 1.2 with AES-GCM": {tls12(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), true},
		"TLS 1.2 with ChaCha20": {tls12(tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
			true},
		"TLS 1.2 with CBC":     {tls12(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA), false},
		"TLS 1.2 with CBC 256": {tls12(tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA), false},
		"TLS 1.1":              {&tls.Config{MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11}, false},
	} {
		if _, err := l.serial(c.config); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func tls12(suite uint16) *tls.Config {
	return &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}}
}
