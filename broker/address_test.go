package broker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestC20_OnlyOneSpellingOfAnAddress(t *testing.T) {
	for in, want := range map[string]string{
		"Ana@Example.TEST":       "ana@example.test",
		"  ana@example.test\t":   "ana@example.test",
		"ana+news@example.test":  "ana+news@example.test",
		"a.na@example.test":      "a.na@example.test",
		"ana@BÜCHER.example":     "ana@xn--bcher-kva.example",
		"ana@xn--bcher-kva.test": "ana@xn--bcher-kva.test",
		"o'neil@example.test":    "o'neil@example.test",
		"ana@ｅxample.test":       "ana@example.test", // the domain is mapped by UTS #46, as every mailer does
	} {
		if got, err := CanonicalEmail(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "@", "ana", "ana@", "@example.test", "ana@localhost", "ana@example.test.", "a@b@example.test", "ana@evil@example.test",
		"ana @example.test", "an a@example.test", "ana@exa mple.test", "ana@example..test", ".ana@example.test", "ana.@example.test",
		"a..na@example.test", "vıctim@example.test", "ＶＩＣＴＩＭ@example.test", "straße@example.test", "ana\u200b@example.test",
		"ana@127.0.0.1", "ana@[127.0.0.1]", "ana@[::1]", "\"ana\"@example.test", "ana(comment)@example.test", "ana<x>@example.test",
		"ana@example.test\r\nBcc: x@evil.test", "ana\x00@example.test", "ana@ex_ample.test", "ana@-example.test", "ana@xn--a.test",
		"ana,bob@example.test", "ana;bob@example.test", "mailto:ana@example.test", "ana@example.test>", "ana@exam%ple.test",
		strings.Repeat("a", 65) + "@example.test", "a@" + strings.Repeat("b.", 130) + "test", "ana@\xff.test", "ana@example,test",
	} {
		if got, err := CanonicalEmail(in); !errors.Is(err, EmailInvalid) {
			t.Errorf("%q passed as %q, %v", in, got, err)
		}
	}
}

func FuzzCanonicalEmail(f *testing.F) {
	f.Add("Ana@Example.test")
	f.Add("a@b@c")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := CanonicalEmail(s)
		if err != nil {
			return
		}
		if again, err := CanonicalEmail(got); err != nil || again != got {
			t.Fatalf("%q → %q → %q, %v", s, got, again, err)
		}
		if strings.Count(got, "@") != 1 || strings.ContainsAny(got, " \r\n\x00<>,;\"") || len(got) > MaxEmail {
			t.Fatalf("%q → %q", s, got)
		}
	})
}

func TestA3_RedirectURIsAreComparedByteForByte(t *testing.T) {
	registered := []string{"https://app.test/cb", "https://app.test/cb?x=1", "http://127.0.0.1/cb", "http://[::1]:8080/cb", "com.example.app:/cb", "http://localhost:3000/cb"}
	for _, ok := range []string{
		"https://app.test/cb", "https://app.test/cb?x=1", "http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb",
		"http://[::1]/cb", "http://[::1]:9/cb", "com.example.app:/cb", "http://localhost:3000/cb",
	} {
		if !MatchRedirect(registered, ok) {
			t.Errorf("%s was refused", ok)
		}
	}
	for _, bad := range redirectMutations() {
		if MatchRedirect(registered, bad) {
			t.Errorf("%s was accepted", bad)
		}
	}
}

// redirectMutations are the tricks of SECURITY.md A3 played on each registered URI.
func redirectMutations() []string {
	out := []string{"", "*", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "//app.test/cb", "/cb", "cb"}
	for _, host := range []string{"app.test", "APP.test", "app.test.", "app.test:443", "app.test:8443", "evil.test", "app.test.evil.test",
		"app.test@evil.test", "evil.test@app.test", "app.test@@evil.test", "evil.test#app.test", "evil.test?app.test", "evil.test\\app.test",
		"evil.test/app.test", "x.app.test", "app%2etest", "аpp.test", "app.test%00.evil.test", "app.test\t", " app.test", "localhost.evil.test"} {
		for _, path := range []string{"/cb", "/cb/", "/CB", "/cb/..;/evil", "/cb%2f", "/./cb", "/cb#x", "/cb?", "/cb?x=2", "/cb?x=1&x=1", "/c%62"} {
			for _, scheme := range []string{"https", "http", "HTTPS"} {
				u := fmt.Sprintf("%s://%s%s", scheme, host, path)
				if u != "https://app.test/cb" {
					out = append(out, u)
				}
			}
		}
	}
	return append(out, "http://127.0.0.1:/cb", "http://127.0.0.1:x/cb", "http://127.0.0.1:80@evil.test/cb", "http://127.0.0.1.evil.test/cb",
		"http://127.0.0.1:80.evil.test/cb", "http://127.0.0.2/cb", "https://127.0.0.1/cb", "http://127.0.0.1:1/cb/", "http://127.0.0.1:1/cb?y",
		"http://127.1/cb", "http://2130706433/cb", "http://0x7f.1/cb", "http://[::1]:9/CB", "http://[::1]evil.test/cb", "http://[0:0:0:0:0:0:0:1]/cb",
		"http://127.0.0.1:123456/cb", "http://localhost:3001/cb", "http://localhost/cb", "com.example.app:/cb2", "com.example.app://cb", "COM.example.app:/cb")
}

func FuzzMatchRedirect(f *testing.F) {
	f.Add("http://127.0.0.1:8080/cb")
	f.Add("https://app.test/cb")
	f.Fuzz(func(t *testing.T, s string) {
		if MatchRedirect([]string{"https://app.test/cb"}, s) && s != "https://app.test/cb" {
			t.Fatalf("accepted %q", s)
		}
		if MatchRedirect([]string{"http://127.0.0.1/cb"}, s) && !(strings.HasPrefix(s, "http://127.0.0.1") && strings.HasSuffix(s, "/cb") &&
			strings.Trim(s[len("http://127.0.0.1"):len(s)-len("/cb")], ":0123456789") == "") {
			t.Fatalf("accepted %q", s)
		}
	})
}

func TestA3_WhatMayBeRegistered(t *testing.T) {
	for _, c := range []struct {
		uri    string
		native bool
		ok     bool
	}{
		{"https://app.test/cb", false, true}, {"https://app.test:8443/cb?x=1", false, true}, {"http://localhost:3000/cb", false, true},
		{"http://127.0.0.1/cb", true, true}, {"http://[::1]/cb", true, true}, {"com.example.app:/cb", true, true},
		{"com.example.app:/cb", false, false}, {"http://app.test/cb", false, false}, {"http://app.localhost/cb", false, false},
		{"https://app.test/cb#f", false, false}, {"https://u:p@app.test/cb", false, false}, {"https://*.app.test/cb", false, false},
		{"https://app.test/../cb", false, false}, {"https://app.test/%2e%2e/cb", false, false}, {"https://app.test/..;/cb", false, false},
		{"https://app.test/c b", false, false}, {"https://app.test/ü", false, false}, {"https://app.test\\cb", false, false}, {"https:///cb", false, false},
		{"https:app.test", false, false}, {"javascript:alert(1)", true, false}, {"JaVaScRiPt:alert(1)", true, false}, {"myapp:/cb", true, false},
		{"Com.Example.App:/cb", true, false}, {"", true, false}, {"/cb", true, false}, {"https://" + strings.Repeat("a", 2000), false, false},
	} {
		if got := RedirectProblem(c.uri, c.native); (got == "") != c.ok {
			t.Errorf("%s (native %v): %q", c.uri, c.native, got)
		}
	}
}

func TestNoSecretPrints(t *testing.T) {
	s := Secret("planted-secret")
	text, _ := s.MarshalText()
	for _, out := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), fmt.Sprintf("%+v", Connection{Secrets: []Secret{s}}), string(text), s.LogValue().String()} {
		if strings.Contains(out, "planted") {
			t.Errorf("printed: %s", out)
		}
	}
	if s.Reveal() != "planted-secret" {
		t.Error("Reveal")
	}
}
