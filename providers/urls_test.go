package providers

import (
	"strings"
	"testing"
)

func TestB16_AConfiguredURLHasAPortThatExists(t *testing.T) {
	for port, ok := range map[string]bool{"": true, ":1": true, ":443": true, ":8443": true, ":65535": true,
		":0": false, ":01234": false, ":0443": false, ":65536": false, ":99999999999": false, ":": false} {
		for name, check := range map[string]func(string) string{"a URL": checkURL, "an issuer": checkIssuer,
			"an origin": checkOrigin} {
			if why := check("https://idp.example" + port); (why == "") != ok {
				t.Errorf("%s with the port %q: %q", name, port, why)
			}
		}
	}
}

func TestB9_B16_DiscoverySendsTheBrowserToNoPlainHTTPOnAnotherHost(t *testing.T) {
	document := func(issuer, authorize, end string) []byte {
		return []byte(`{"issuer":"` + issuer + `","authorization_endpoint":"` + authorize + `","token_endpoint":"` + issuer +
			`/token","jwks_uri":"` + issuer + `/jwks","end_session_endpoint":"` + end + `"}`)
	}
	const plain, secure = "http://idp.internal:8080", "https://idp.example"
	for _, c := range []struct {
		issuer, endpoint string
		ok               bool
	}{
		{plain, plain + "/auth", true},
		{plain, "http://IDP.internal:9090/auth", true},
		{plain, "https://login.example/auth", true},
		{plain, "http://localhost:8080/auth", true},
		{plain, "http://10.1.2.3/auth", true},
		{plain, "http://[::1]:8080/auth", true},
		{plain, "http://login.example/auth", false},
		{plain, "http://203.0.113.7/auth", false},
		{plain, "http://idp.internal.example/auth", false},
		{secure, "http://idp.example/auth", false},
		{secure, "https://login.example/auth", true},
	} {
		for what, body := range map[string][]byte{
			"authorization_endpoint": document(c.issuer, c.endpoint, c.issuer+"/end"),
			"end_session_endpoint":   document(c.issuer, c.issuer+"/auth", c.endpoint),
		} {
			_, err := parseMetadata(body, func(string) error { return nil })
			if (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), what) {
				t.Errorf("issuer %s, %s %s: %v", c.issuer, what, c.endpoint, err)
			}
		}
	}
}
