package egress

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestB16_OnlyPublicUnicastMayBeDialled(t *testing.T) {
	none := must(t)(New(Options{})).rules
	blocked := strings.Fields(`
		0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 169.254.169.254
		169.254.0.1
		172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1
		198.19.255.255
		198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
		:: ::1 ::2 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1
		64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
		64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a00:1::
		2002:a9fe:a9fe::1 3fff::1
		4000::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 febf::1 fec0::1 ff02::1 ff05::2
		2606:4700::1111%eth0`)
	for _, text := range blocked {
		if err := none.may("https", "443", netip.MustParseAddr(text)); !errors.Is(err, ErrBlockedAddress) {
			t.Errorf("%s: %v, want ErrBlockedAddress", text, err)
		}
	}
	public := strings.Fields(`1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255
		128.0.0.1 142.250.1.1 172.15.255.255
		172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 2001:4860:4860::8888
		2606:4700::1111 2a00:1450::1`)
	for _, text := range public {
		if err := none.may("https", "443", netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		for _, other := range [][2]string{{"http", "80"}, {"http", "443"}, {"https", "8443"}, {"https", "22"},
			{"https", "0"}} {
			if err := none.may(other[0], other[1], netip.MustParseAddr(text)); !errors.Is(err, ErrBlockedURL) {
				t.Errorf("%s://%s:%s: %v, want ErrBlockedURL", other[0], text, other[1], err)
			}
		}
	}
}

func TestB16_AnAllowedNetworkOpensNothingElse(t *testing.T) {
	allow := []netip.Prefix{netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("fd00:1::/32"),
		netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("224.0.0.0/4")}
	some := must(t)(New(Options{Allow: allow})).rules
	for _, text := range []string{"10.1.0.1", "10.1.255.255", "fd00:1::1"} {
		for _, target := range [][2]string{{"https", "443"}, {"https", "8443"}, {"http", "80"}, {"http", "9999"}} {
			if err := some.may(target[0], target[1], netip.MustParseAddr(text)); err != nil {
				t.Errorf("%s://%s:%s: %v", target[0], text, target[1], err)
			}
		}
	}
	for _, text := range []string{"10.0.255.255", "10.2.0.0", "fd00:2::1", "127.0.0.1", "169.254.169.254", "224.0.0.1"} {
		if err := some.may("https", "443", netip.MustParseAddr(text)); !errors.Is(err, ErrBlockedAddress) {
			t.Errorf("%s: %v, want ErrBlockedAddress", text, err)
		}
	}
	if err := some.may("http", "80", netip.MustParseAddr("8.8.8.8")); !errors.Is(err, ErrBlockedURL) {
		t.Errorf("http to a public address: %v", err)
	}
	for _, bad := range []netip.Prefix{{}, netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.0"), 104)} {
		if _, err := New(Options{Allow: []netip.Prefix{bad}}); err == nil {
			t.Errorf("%s is allowed", bad)
		}
	}
}

// corpus lists what attackers put into an issuer, a jwks_uri or a metadata URL. PORT is the canary's.
func corpus(port string) []string {
	hosts := strings.Fields(`
		127.0.0.1 127.1 127.0.1 127.0.0.1. 127.127.127.127 0.0.0.0 0 00000000 2130706433 2130706433. 017700000001
		0177.0.0.1 0177.0.0.01 0x7f.0.0.1 0x7f000001 0X7F000001
		0x7f.1 0x7F.0x0.0x0.0x1 127.0.0.0x1 127.000.000.001 3232235521 2852039166 0xa9fea9fe 0251.0376.0251.0376
		169.254.169.254 169.254.169.254. 169.254.43518
		10.0.0.1 10.1 172.16.0.1 172.31.255.255 192.168.0.1 192.168.1 100.64.0.1 100.100.100.200 192.0.0.192
		198.18.0.1 224.0.0.1 255.255.255.255
		[::1] [::] [0:0:0:0:0:0:0:1] [0000::1] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:ffff:127.0.0.1]
		[::ffff:8.8.8.8] [::127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::a9fe:a9fe]
		[2002:7f00:1::] [2001:0:7f00:1::] [fc00::1] [fd00:ec2::254] [fe80::1] [fe80::1%25lo] [ff02::1] [fec0::1]
		[100::1] [2001:db8::1]
		localhost LOCALHOST localhost. ip6-localhost app.localhost
		loopback.test private.test linklocal.test mapped.test v6loopback.test nat64.test sixtofour.test mixed.test
		metadata.google.internal vault.internal printer.local
		①②⑦.⓪.⓪.① 127。0。0。1`)
	var urls []string
	for _, host := range hosts {
		urls = append(urls, "https://"+host+":"+port+"/.well-known/openid-configuration", "http://"+host+":"+port+"/")
	}
	return append(urls,
		"https://127.0.0.1/", "http://127.0.0.1/", "https://[::1]/", "http://localhost/", "https://private.test/",
		"http://private.test/",
		"https://user:pass@127.0.0.1:"+port+"/", "https://accounts.google.com@127.0.0.1:"+port+"/",
		"https://user@loopback.test/", "https://8.8.8.8:"+port+"/", "http://8.8.8.8/",
		"http://8.8.8.8:443/", "https://8.8.8.8:22/", "https://[2606:4700::1111]:8443/", "https:///path",
		"https://:"+port+"/", "ftp://127.0.0.1:"+port+"/", "file:///etc/passwd",
		"gopher://127.0.0.1:"+port+"/_", "unix:///run/docker.sock", "data:text/plain,x", "jar:https://127.0.0.1!/",
		"//127.0.0.1:"+port+"/", "127.0.0.1", "")
}

func TestB16_TheURLCorpusReachesNothingInside(t *testing.T) {
	canary := listen(t, "127.0.0.1:0")
	resolver := zone{
		"loopback.test.": {"127.0.0.1"}, "private.test.": {"10.0.0.1", "192.168.0.1"},
		"linklocal.test.": {"169.254.169.254"}, "mapped.test.": {"::ffff:127.0.0.1"},
		"v6loopback.test.": {"::1"}, "nat64.test.": {"64:ff9b::7f00:1"}, "sixtofour.test.": {"2002:7f00:1::"},
		"mixed.test.":               {"10.0.0.1", "127.0.0.1", "::1"},
		"metadata.google.internal.": {"169.254.169.254"}, "vault.internal.": {"10.0.0.1"}, "printer.local.": {"192.168.0.9"},
		"app.localhost.": {"127.0.0.1"},
		"localhost.":     {"127.0.0.1", "::1"}, "ip6-localhost.": {"::1"},
	}.serve(t)
	strict := must(t)(New(Options{Resolver: resolver}))
	urls := corpus(canary.port)
	if len(urls) < 80 {
		t.Fatalf("%d URLs", len(urls))
	}
	for _, url := range urls {
		request, err := http.NewRequest("GET", url, nil)
		if err != nil {
			continue // net/url refuses it, so it cannot be requested
		}
		response, err := strict.HTTP().Do(request)
		if err == nil {
			response.Body.Close()
			t.Errorf("%q was answered", url)
			continue
		}
		clientRefuses := request.URL.Host == "" && !errors.Is(err, ErrBlockedURL) // "http: no Host in request URL"
		if !errors.Is(err, ErrBlockedAddress) && !errors.Is(err, ErrBlockedURL) && !clientRefuses {
			t.Errorf("%q: %v, want ErrBlockedAddress or ErrBlockedURL", url, err)
		}
	}
	if hits := canary.hits.Load(); hits != 0 {
		t.Fatalf("%d connections reached the inside", hits)
	}
	// The canary works: a client that allows its network reaches it.
	open := must(t)(New(Options{Resolver: resolver, Allow: loopback}))
	for _, host := range []string{"127.0.0.1", "loopback.test", "localhost"} {
		body, err := get(open.HTTP(), fmt.Sprintf("http://%s:%s/", host, canary.port))
		if err != nil || body != "inside" {
			t.Errorf("%s: %q, %v", host, body, err)
		}
	}
	if canary.hits.Load() == 0 {
		t.Fatal("the canary counts nothing")
	}
}

func TestB16_TheURLIsCheckedWithoutResolvingIt(t *testing.T) {
	strict := must(t)(New(Options{})).rules
	for text, want := range map[string]error{
		"https://idp.test/path?x=1":    nil,
		"https://8.8.8.8/":             nil,
		"https://1e100.net./":          nil,
		"https://[2606:4700::1111]/":   nil,
		"https://3com.test/":           nil,
		"https://[::ffff:8.8.8.8]/":    ErrBlockedAddress,
		"https://134744072/":           ErrBlockedAddress,
		"https://8.8.8.0x8/":           ErrBlockedAddress,
		"https://host.0x/":             ErrBlockedAddress,
		"https://me:pass@8.8.8.8/":     ErrBlockedURL,
		"https://me@idp.test/":         ErrBlockedURL,
		"ftp://8.8.8.8/":               ErrBlockedURL,
		"https:///":                    ErrBlockedURL,
		"https://8.8.8.8:444/":         ErrBlockedURL,
		"http://[2606:4700::1111]:80/": ErrBlockedURL,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := strict.maySend(u); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}
