package web

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// certificateInterval is how often the certificate's files are read again.
const certificateInterval = 30 * time.Second

// TLSListener is a TLS listener whose certificate may change while it serves.
type TLSListener struct {
	net.Listener
	certFile, keyFile string
	certificate       atomic.Pointer[tls.Certificate]
}

// ListenTLS serves TLS 1.3, and 1.2 with AEAD suites (RFC 9325 §4.2), on a listener, with the certificate in the PEM
// files.
func ListenTLS(l net.Listener, certFile, keyFile string) (*TLSListener, error) {
	t := &TLSListener{certFile: certFile, keyFile: keyFile}
	t.Listener = tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return t.certificate.Load(), nil },
	})
	_, err := t.Reload()
	return t, err
}

// CertificateEnd reads a certificate and its key as ListenTLS does, and returns when the certificate expires.
func CertificateEnd(certFile, keyFile string) (time.Time, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return time.Time{}, err
	}
	return pair.Leaf.NotAfter, nil
}

// Reload reads the files again. If they cannot be used, the certificate stays.
func (t *TLSListener) Reload() (changed bool, err error) {
	pair, err := tls.LoadX509KeyPair(t.certFile, t.keyFile)
	if err != nil {
		return false, err
	}
	before := t.certificate.Swap(&pair)
	return before == nil || !before.Leaf.Equal(pair.Leaf), nil
}

// Follow reloads the certificate regularly, and at every signal, until ctx is done.
func (t *TLSListener) Follow(ctx context.Context, signals <-chan os.Signal, log *slog.Logger) {
	tick := time.NewTicker(certificateInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-signals:
		}
		changed, err := t.Reload()
		if err != nil {
			log.ErrorContext(ctx, "the certificate can't be loaded; the one in use stays; see tls.cert and tls.key", "err", err)
		} else if changed {
			log.InfoContext(ctx, "certificate loaded", "expires", t.certificate.Load().Leaf.NotAfter)
		}
	}
}
