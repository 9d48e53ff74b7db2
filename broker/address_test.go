package broker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestC20_OnlyOneSpellingOfAnAddress(t *testing.T) {
	for in, want := range map[string]string{
		"Ana@Example.TEST":                   "ana@example.test",
		"  ana@example.test\t":               "ana@example.test",
		"ana+news@example.test":              "ana+news@example.test",
		"a.na@example.test":                  "a.na@example.test",
		"ana@BÜCHER.example":                 "ana@xn--bcher-kva.example",
		"ana@xn--bcher-kva.test":             "ana@xn--bcher-kva.test",
		"o'neil@example.test":                "o'neil@example.test",
		"azAZ09@example.test":                "azaz09@example.test",
		"!#$%&'*+-/=?^_`{|}~.!@example.test": "!#$%&'*+-/=?^_`{|}~.!@example.test",
		"ana@ｅxample.test":                   "ana@example.test", // the domain is mapped by UTS #46, as every mailer does
	} {
		if got, err := CanonicalEmail(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "@", "ana", "ana@", "@example.test", "ana@localhost", "ana@example.test.", "ana@example.test．",
		"ana@example.test。", "ana@test．", "ana@ℸ.0", "a@b@example.test", "ana@evil@example.test",
		"ana @example.test", "an a@example.test", "ana@exa mple.test", "ana@example..test", ".ana@example.test",
		"ana.@example.test",
		"a..na@example.test", "vıctim@example.test", "ＶＩＣＴＩＭ@example.test", "straße@example.test", "ana\u200b@example.test",
		"ana@127.0.0.1", "ana@[127.0.0.1]", "ana@[::1]", "\"ana\"@example.test", "ana(comment)@example.test",
		"ana<x>@example.test",
		"ana@example.test\r\nBcc: x@evil.test", "ana\x00@example.test", "ana@ex_ample.test", "ana@-example.test",
		"ana@xn--a.test",
		"ana,bob@example.test", "ana;bob@example.test", "mailto:ana@example.test", "ana@example.test>", "ana@exam%ple.test",
		strings.Repeat("a", 65) + "@example.test", "a@" + strings.Repeat("b.", 130) + "test", "ana@\xff.test",
		"ana@example,test",
	} {
		if got, err := CanonicalEmail(in); !errors.Is(err, EmailInvalid) {
			t.Errorf("%q passed as %q, %v", in, got, err)
		}
	}
}

// The lengths are those of what is typed and of what is kept (RFC 5321 §4.5.3.1).
func TestC20_AnAddressIsNoLongerThanMailersTake(t *testing.T) {
	domain := func(n int) string { // of n bytes
		return strings.Repeat(strings.Repeat("b", 63)+".", 4)[:n-4] + "test"
	}
	local := strings.Repeat("a", 64)
	for _, c := range []struct {
		in, want string // empty: refused
	}{
		{local + "@" + domain(189), local + "@" + domain(189)},
		{local + "@" + domain(190), ""},
		{local + "a@example.test", ""},
		{"a@" + strings.Repeat("ｂ", 60) + "." + strings.Repeat("ｂ", 20) + ".test", "a@" + strings.Repeat("b", 60) + "." +
			strings.Repeat("b", 20) + ".test"},
		{"a@" + strings.Repeat("ｂ", 60) + "." + strings.Repeat("ｂ", 23) + ".test", ""},
		{local + "@" + strings.Repeat("ü.", 23) + "test", local + "@" + strings.Repeat("xn--tda.", 23) + "test"},
		{local + "@" + strings.Repeat("ü.", 24) + "test", ""},
	} {
		got, err := CanonicalEmail(c.in)
		if got != c.want || (c.want == "") != errors.Is(err, EmailInvalid) {
			t.Errorf("%d bytes, %s: %q, %v", len(c.in), c.in, got, err)
		}
	}
	if got, err := CanonicalDomain(domain(253)); got != domain(253) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := CanonicalDomain(domain(254)); !errors.Is(err, EmailInvalid) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestA3_RedirectURIsAreComparedByteForByte(t *testing.T) {
	registered := []string{"https://app.test/cb", "https://app.test/cb?x=1", "http://127.0.0.1/cb", "http://[::1]:8080/cb",
		"com.example.app:/cb", "http://localhost:3000/cb"}
	for _, ok := range []string{
		"https://app.test/cb", "https://app.test/cb?x=1", "http://127.0.0.1/cb", "http://127.0.0.1:1/cb",
		"http://127.0.0.1:65535/cb",
		"http://[::1]/cb", "http://[::1]:9/cb", "com.example.app:/cb", "http://localhost:3000/cb",
	} {
		if !MatchRedirect(registered, ok, true) {
			t.Errorf("%s was refused", ok)
		}
	}
	for _, bad := range redirectMutations() {
		if MatchRedirect(registered, bad, true) || MatchRedirect(registered, bad, false) {
			t.Errorf("%s was accepted", bad)
		}
	}
}

// What comparing apps' addresses leaves out is the port and nothing but the port.
func TestA3_OnlyThePortMayDiffer(t *testing.T) {
	const host = "http://127.0.0.1"
	for _, c := range []struct {
		registered, requested string
		ok                    bool
	}{
		{host, host + ":80", true}, {host + ":9", host, true}, {host + ":1/", host + ":2/", true},
		{host + ":x/cb", host + ":y/cb", false}, {host + ":/cb", host + ":123456/cb", false},
		{host + ":80.evil.test/cb", host + ":81.evil.test/cb", false}, {host + ".evil.test", host + ":1.evil.test", false},
		{host, host + ":65535", true}, {host, host + ":65536", false}, {host, host + ":0", false}, {host, host + ":01",
			false},
		{host, host + ":+1", false}, {host + ":0", host, false}, {host + ":01234", host, false},
		{host, host + ":", false}, {host, host + ":x", false}, {host + ":", host, false}, {host + ":x", host, false},
		{host, "http://[::1]", false}, {"", host, false}, {"/cb", host + "/cb", false}, {":1/cb", host + "/cb", false},
		{host + "/cb", "/cb", false}, {host, "", false},
	} {
		if MatchRedirect([]string{c.registered}, c.requested, true) != c.ok {
			t.Errorf("%q for %q: not %v", c.requested, c.registered, c.ok)
		}
		if MatchRedirect([]string{c.registered}, c.requested, false) {
			t.Errorf("%q for %q of a client that is not native", c.requested, c.registered)
		}
	}
}

// redirectMutations are the tricks of SECURITY.md A3 played on each registered URI.
func redirectMutations() []string {
	out := []string{"", "*", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "//app.test/cb", "/cb",
		"cb"}
	for _, host := range []string{"app.test", "APP.test", "app.test.", "app.test:443", "app.test:8443", "evil.test",
		"app.test.evil.test",
		"app.test@evil.test", "evil.test@app.test", "app.test@@evil.test", "evil.test#app.test", "evil.test?app.test",
		"evil.test\\app.test",
		"evil.test/app.test", "x.app.test", "app%2etest", "аpp.test", "app.test%00.evil.test", "app.test\t", " app.test",
		"localhost.evil.test"} {
		for _, path := range []string{"/cb", "/cb/", "/CB", "/cb/..;/evil", "/cb%2f", "/./cb", "/cb#x", "/cb?", "/cb?x=2",
			"/cb?x=1&x=1", "/c%62"} {
			for _, scheme := range []string{"https", "http", "HTTPS"} {
				u := fmt.Sprintf("%s://%s%s", scheme, host, path)
				if u != "https://app.test/cb" {
					out = append(out, u)
				}
			}
		}
	}
	return append(out, "http://127.0.0.1:/cb", "http://127.0.0.1:x/cb", "http://127.0.0.1:80@evil.test/cb",
		"http://127.0.0.1.evil.test/cb",
		"http://127.0.0.1:80.evil.test/cb", "http://127.0.0.2/cb", "https://127.0.0.1/cb", "http://127.0.0.1:1/cb/",
		"http://127.0.0.1:1/cb?y",
		"http://127.1/cb", "http://2130706433/cb", "http://0x7f.1/cb", "http://[::1]:9/CB", "http://[::1]evil.test/cb",
		"http://[0:0:0:0:0:0:0:1]/cb",
		"http://127.0.0.1:123456/cb", "http://localhost:3001/cb", "http://localhost/cb", "com.example.app:/cb2",
		"com.example.app://cb", "COM.example.app:/cb")
}

func TestA3_WhatMayBeRegistered(t *testing.T) {
	const length, plain, absolute, fragment, user, wildcard, dots, host, https, custom, reverse, port = "1 to 2000",
		"plain ASCII", "absolute", "fragment",
		"user information", "wildcard", "dot segments", "name a host", "loopback host only", "native clients only",
		"reverse-DNS", "1 to 65535"
	for _, c := range []struct {
		uri     string
		native  bool
		problem string
	}{
		{"https://app.test/cb", false, ""}, {"https://app.test:8443/cb?x=1", false, ""}, {"http://localhost:3000/cb", false,
			""},
		{"http://127.0.0.1/cb", true, ""}, {"http://127.0.0.2:3000/cb", false, ""}, {"http://[::1]/cb", true, ""},
		{"com.example.app:/cb", true, ""},
		{"https://app.test/cb?x=/../y", false, ""}, {"https://app.test/..cb/...", false, ""},
		{"https://app.test/" + strings.Repeat("a", 2000-17), false, ""},
		{"http://127.0.0.1:65535/cb", false, ""}, {"https://app.test:1/cb", false, ""},
		{"http://127.0.0.1:65536/cb", false, port}, {"https://app.test:0/cb", false, port}, {"http://[::1]:/cb", true, port},
		{"http://localhost:01234/cb", true, port}, {"com.example.app://x:99999/cb", true, port},
		{"https://app.test/~cb", false, ""}, {"com.example.app:/cb", false, custom}, {"http://app.test/cb", false, https},
		{"http://app.localhost/cb", false, https},
		{"http://8.8.8.8/cb", false, https}, {"http:///cb", false, https}, {"http://127.0.0.1.evil.test/cb", false, https},
		{"http://localhost./cb", true, https},
		{"https://app.test/cb#f", false, fragment}, {"https://app.test/cb#", false, fragment}, {"https://u:p@app.test/cb",
			false, user},
		{"com.example.app://u@x/cb", true, user}, {"https://*.app.test/cb", false, wildcard}, {"https://app.test/cb/*", false,
			wildcard},
		{"https://app.test/../cb", false, dots}, {"https://app.test/./cb", false, dots}, {"https://app.test/cb/.", false,
			dots}, {"https://app.test/%2e%2e/cb", false, dots},
		{"https://app.test/a%2F%2E./cb", false, dots}, {"https://app.test/a/.%2e%2fcb", false, dots},
		{"https://app.test/..;/cb", false, dots}, {"com.example.app:/a/../cb", true, dots}, {"com.example.app:../cb", true,
			dots},
		{"https://app.test/c b", false, plain}, {"https://app.test/ü", false, plain}, {"https://app.test\\cb", false, plain},
		{"https://app.test/x\\cb", false, plain},
		{"https://app.test/\x7f", false, plain}, {"https://app.test/cb\n", false, plain}, {"https://app.test/\x00", false,
			plain},
		{"https:///cb", false, host}, {"https://:443/cb", false, host}, {"https:app.test", false, host},
		{"javascript:alert(1)", false, custom}, {"javascript:alert(1)", true, reverse},
		{"JaVaScRiPt:alert(1)", true, reverse}, {"myapp:/cb", true, reverse}, {"Com.Example.App:/cb", true, reverse},
		{"", true, length}, {"/cb", true, absolute},
		{"//app.test/cb", true, absolute}, {"https://app.test/%zz", false, absolute}, {"https://app.test/?x=%", false,
			absolute}, {"com.example.app:%0X", true, absolute}, {"https://app.test/" + strings.Repeat("a", 2001-17), false,
			length},
	} {
		if got := RedirectProblem(c.uri, c.native); (got == "") != (c.problem == "") || !strings.Contains(got, c.problem) {
			t.Errorf("%s (native %v): %q", c.uri, c.native, got)
		}
	}
}

func TestNoSecretPrints(t *testing.T) {
	s := Secret("planted-secret")
	text, _ := s.MarshalText()
	for _, out := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %d %t", s, s, s, s, s, s, s),
		fmt.Sprintf("%x %X", s, s),
		fmt.Sprintf("%+v", Connection{Secrets: []Secret{s}}), string(text), s.LogValue().String()} {
		if strings.Contains(out, "planted") || strings.Contains(out, fmt.Sprintf("%x", "planted")) {
			t.Errorf("printed: %s", out)
		}
	}
	if s.Reveal() != "planted-secret" {
		t.Error("Reveal")
	}
}
