package broker

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// FuzzCanonicalEmail: what is accepted has one spelling, and apart from case and the form of the domain
// that is the spelling that was typed.
func FuzzCanonicalEmail(f *testing.F) {
	for _, s := range []string{"Ana@Example.test", " ana@example.test\t", "a@b@c", "ana@BÜCHER.example",
		"ana@xn--bcher-kva.example", "ana@ｅxample．test", "ana＠example.test",
		"vıctim@example.test", "ana@exam\u00adple.test", "ana@faß.example", "ana@\u212aelvin.example", "ana@عربي.example",
		"ana@xn--a.test", "ana@127.0.0.1", "\"a@b\"@example.test", "0@ｅ．", "0@ℸ.0", "0@0.ϲ", "0@0.İ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := CanonicalEmail(s)
		if err != nil {
			if got != "" {
				t.Fatalf("%q is refused and answered as %q", s, got)
			}
			return
		}
		if again, err := CanonicalEmail(got); err != nil || again != got {
			t.Fatalf("%q → %q → %q, %v", s, got, again, err)
		}
		if strings.Count(got, "@") != 1 || len(got) > MaxEmail || strings.ContainsFunc(got, func(r rune) bool {
			return r <= ' ' || r >= 0x7f || r >= 'A' && r <= 'Z' || strings.ContainsRune(`<>,;:"()[]\`, r)
		}) {
			t.Fatalf("%q → %q", s, got)
		}
		typed, typedDomain, _ := strings.Cut(strings.TrimSpace(s), "@")
		local, domain, _ := strings.Cut(got, "@")
		if len(typed) != len(local) || !strings.EqualFold(typed, local) {
			t.Fatalf("%q → %q: another local part", s, got)
		}
		if isASCII(typedDomain) && strings.ToLower(typedDomain) != domain {
			t.Fatalf("%q → %q: another domain", s, got)
		}
		shown, err := idna.ToUnicode(domain)
		if err != nil {
			t.Fatalf("%q → %q: %v", s, got, err)
		}
		for _, form := range []string{shown, norm.NFC.String(typedDomain), norm.NFD.String(typedDomain)} {
			if other, err := CanonicalEmail(local + "@" + form); len(form) < 150 && (err != nil || other != got) {
				t.Fatalf("%q → %q, but %q → %q, %v", s, got, form, other, err)
			}
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// FuzzMatchRedirect: what is accepted was registered byte for byte, but for the port of a loopback literal.
func FuzzMatchRedirect(f *testing.F) {
	for _, c := range [][2]string{{"https://app.test/cb", "https://app.test/cb"}, {"http://127.0.0.1/cb",
		"http://127.0.0.1:8080/cb"}, {"http://[::1]:1", "http://[::1]"},
		{"http://127.0.0.1:x/cb", "http://127.0.0.1:y/cb"}, {"http://127.0.0.1.evil.test/cb",
			"http://127.0.0.1:1.evil.test/cb"}, {"http://localhost:1/", "http://localhost:2/"},
		{"", "http://127.0.0.1"}, {"http://127.0.0.1/cb", "http://127.0.0.1:80@evil.test/cb"}} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, registered, requested string) {
		if !MatchRedirect([]string{registered}, registered, true) || MatchRedirect(nil, requested, true) {
			t.Fatalf("%q does not match itself, or %q matches nothing", registered, requested)
		}
		if !MatchRedirect([]string{registered}, requested, true) || registered == requested {
			return
		}
		a, b := withoutPort(registered), withoutPort(requested)
		if a == "" || a != b {
			t.Fatalf("%q is accepted for %q", requested, registered)
		}
	})
}

// withoutPort leaves the port out of a URI on a loopback literal, by way of another parser; else it is empty.
func withoutPort(uri string) string {
	rest, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return ""
	}
	authority, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if at, err := netip.ParseAddrPort(authority); err == nil {
		authority = at.Addr().String()
		if at.Addr().Is6() {
			authority = "[" + authority + "]"
		}
		// a port that is no port
	} else if host := strings.TrimRight(authority, "0123456789"); strings.HasSuffix(host, ":") &&
		len(authority)-len(host) == 5 {
		authority = host[:len(host)-1]
	}
	if authority != "127.0.0.1" && authority != "[::1]" {
		return ""
	}
	return authority + path
}

// FuzzRedirectProblem: what may be registered has nothing in it that two parsers read differently.
func FuzzRedirectProblem(f *testing.F) {
	for _, s := range []string{"https://app.test/cb?x=1", "http://localhost:3000/cb", "http://[::1]/cb",
		"com.example.app:/cb", "com.example.app:cb", "https://u@app.test/", "https://app.test/#",
		"https://app.test/%2e%2E/cb", "https://app.test/.%2F", "https:\\\\app.test", "https://app.test/\t",
		"javascript:alert(1)", "https://[::1%25x]/", "https://app.test:x/", "https:app.test", "a.b://@c/", "h.0:%0X0",
		"h.0:./0"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, uri string, native bool) {
		if RedirectProblem(uri, native) != "" {
			return
		}
		if uri == "" || len(uri) > 2000 || strings.ContainsFunc(uri, func(r rune) bool {
			return r <= ' ' || r >= 0x7f || strings.ContainsRune(`\#*`, r)
		}) {
			t.Fatalf("%q is accepted", uri)
		}
		scheme, rest, _ := strings.Cut(uri, ":")
		rest, slashes := strings.CutPrefix(rest, "//")
		before, _, _ := strings.Cut(rest, "?")
		authority, path, _ := strings.Cut(before, "/")
		if !slashes {
			authority, path = "", before
		}
		if strings.Contains(authority, "@") {
			t.Fatalf("%q is accepted with user information", uri)
		}
		if decoded, err := url.PathUnescape(path); err != nil || slices.ContainsFunc(strings.Split(decoded, "/"),
			func(s string) bool { return s == "." || s == ".." }) {
			t.Fatalf("%q is accepted with the path %q, %v", uri, decoded, err)
		}
		switch strings.ToLower(scheme) {
		case "https":
			if authority == "" || authority[0] == ':' {
				t.Fatalf("%q is accepted without a host", uri)
			}
		case "http":
			if host := strings.TrimRight(authority, ":0123456789"); host != "localhost" && host != "[::1]" && host != "" &&
				!strings.HasPrefix(authority, "[") {
				t.Fatalf("%q is accepted off this machine", uri)
			}
		default:
			if !native || !strings.Contains(scheme, ".") || scheme != strings.ToLower(scheme) {
				t.Fatalf("%q is accepted with its scheme", uri)
			}
		}
		if !MatchRedirect([]string{uri}, uri, true) {
			t.Fatalf("%q does not match itself", uri)
		}
	})
}
