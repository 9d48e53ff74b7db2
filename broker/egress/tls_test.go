package egress

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// OIDC Back-Channel Logout §2.5 and RFC 9325 §3.1.1: outbound requests use TLS 1.2 or newer, and no weak cipher
// suite.
func TestA17_NothingIsSentByATLSThatIsTooOld(t *testing.T) {
	for _, c := range []struct {
		version uint16
		suites  []uint16
		good    bool
	}{
		{tls.VersionTLS13, nil, true},
		{tls.VersionTLS12, nil, true},
		{tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}, false},
		{tls.VersionTLS11, nil, false},
		{tls.VersionTLS10, nil, false},
	} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter,
			_ *http.Request) {
			io.WriteString(w, "heard")
		}))
		server.TLS = &tls.Config{MinVersion: c.version, MaxVersion: c.version, CipherSuites: c.suites}
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		defer server.Close()
		bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		client := must(t)(New(Options{Allow: loopback, CABundle: bundle}))
		body, err := get(client.HTTP(), server.URL)
		if (body == "heard") != c.good || !c.good && (err == nil || strings.Contains(err.Error(), "certificate")) {
			t.Errorf("%s %v: %q, %v", tls.VersionName(c.version), c.suites, body, err)
		}
	}
}
