package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"gatehouse/broker"
)

// bytesOf sends raw bytes to the listener, which no HTTP client would send.
func (s *attackHarness) bytesOf(t *testing.T, what, request string) *answer {
	t.Helper()
	u, err := url.Parse(s.file.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(conn, request) }() // it may be cut off half-way
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: strings.Split(request, " ")[0]})
	if err != nil {
		t.Errorf("%s: no answer: %v", what, err)
		return nil
	}
	body, _ := io.ReadAll(res.Body)
	a := &answer{Response: res, body: string(body), url: u}
	if a.html() {
		if a.root, err = html.Parse(strings.NewReader(a.body)); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.HasPrefix(request, "OPTIONS * ") { // net/http answers that one by itself
		s.sound(t, what, a)
	}
	return a
}

func TestG13_H1_WhatIsNoProperRequestIsRefused(t *testing.T) {
	s := newAttackHarness(t)
	u, _ := url.Parse(s.file.Issuer)
	line, host := "GET /login HTTP/1.1\r\n", "Host: "+u.Host+"\r\n"
	for what, c := range map[string]struct {
		request string
		status  int
	}{
		"another host":             {line + "Host: evil.example\r\n\r\n", 421},
		"another port":             {line + "Host: localhost:1\r\n\r\n", 421},
		"a host behind ours":       {line + "Host: " + u.Host + ".evil.example\r\n\r\n", 421},
		"a user in the host":       {line + "Host: evil@" + u.Host + "\r\n\r\n", 400},
		"no host":                  {line + "Host:\r\n\r\n", 421},
		"no Host header":           {line + "\r\n", 400},
		"two hosts":                {line + host + "Host: evil.example\r\n\r\n", 400},
		"another host in the line": {"GET http://evil.example/login HTTP/1.1\r\n" + host + "\r\n", 421},
		"a host with a line break": {line + "Host: " + u.Host + "\r\n evil.example\r\n\r\n", 400},
		"HTTP/1.0 without a host":  {"GET /login HTTP/1.0\r\n\r\n", 421},
		"HTTP/3.0":                 {"GET /login HTTP/3.0\r\n" + host + "\r\n", 505},
		"a broken path":            {"GET /login/%zz HTTP/1.1\r\n" + host + "\r\n", 400},
		"a space in the path":      {"GET /login/a b HTTP/1.1\r\n" + host + "\r\n", 400},
		"NUL in the path":          {"GET /login/\x00 HTTP/1.1\r\n" + host + "\r\n", 400},
		"no path":                  {"GET  HTTP/1.1\r\n" + host + "\r\n", 400},
		"an asterisk":              {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 200},
		"CONNECT":                  {"CONNECT evil.example:443 HTTP/1.1\r\n" + host + "\r\n", 421},
		"a header without a colon": {line + host + "x\r\n\r\n", 400},
		"NUL in a header":          {line + host + "X-A: a\x00b\r\n\r\n", 400},
		"a space before the colon": {line + host + "X-A : a\r\n\r\n", 400},
		"64 KiB in one header":     {line + host + "X-A: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431},
		"64 KiB in the path":       {"GET /login?a=" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\n" + host + "\r\n", 431},
		"1 MiB in the path": {"GET /authorize?state=" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\n" + host + "\r\n",
			431},
		"10,000 headers": {line + host + strings.Repeat("X-A: b\r\n", 10000) + "\r\n", 431},
		"two lengths": {"POST /token HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
			400},
		"length and chunks": {"POST /token HTTP/1.1\r\n" + host +
			"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501},
		"a length that is none": {"POST /token HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
		"a chunk that is none": {"POST /token HTTP/1.1\r\n" + host +
			"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		"more chunks than 64 KiB": {"POST /token HTTP/1.1\r\n" + host +
			"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat(
			"1000\r\n"+strings.Repeat("a", 0x1000)+"\r\n", 17) + "0\r\n\r\n", 413},
		"an expectation": {line + host + "Expect: 200-ok\r\n\r\n", 417},
		"a length without a body": {"POST /login/x/email HTTP/1.1\r\n" + host +
			"Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n", 400},
		"what is no HTTP":           {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
		"the preface of HTTP/2":     {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 421},
		"an invented method":        {"GHX /login HTTP/1.1\r\n" + host + "\r\n", 405},
		"a method of 30 KiB":        {strings.Repeat("G", 30<<10) + " /login HTTP/1.1\r\n" + host + "\r\n", 405},
		"a path that is walked up":  {"GET /login/../../etc/passwd HTTP/1.1\r\n" + host + "\r\n", 404},
		"an encoded path walked up": {"GET /login/%2e%2e%2f%2e%2e%2fetc HTTP/1.1\r\n" + host + "\r\n", 404},
		"two slashes":               {"GET //evil.example/%2e%2e HTTP/1.1\r\n" + host + "\r\n", 404},
		"a trailing slash":          {"GET /login/ HTTP/1.1\r\n" + host + "\r\n", 303},
	} {
		if a := s.bytesOf(t, what, c.request); a != nil && a.StatusCode != c.status {
			t.Errorf("%s: %d, want %d: %.200s", what, a.StatusCode, c.status, a.body)
		} else if a != nil && strings.Contains(a.body+fmt.Sprint(a.Header), "evil.example") {
			t.Errorf("%s: the answer names the host that was sent: %v %s", what, a.Header, a.body)
		}
	}
}

func TestH1_BodiesHeadersAndMethodsOnEveryRoute(t *testing.T) {
	s := newAttackHarness(t)
	in := s.insider(t)
	routes := mountedRoutes(t)
	methods := map[string][]string{}
	for _, route := range routes {
		method, pattern, _ := strings.Cut(route, " ")
		methods[pattern] = append(methods[pattern], method)
	}
	for _, pattern := range slices.Sorted(maps.Keys(methods)) {
		path := in.path("GET " + pattern)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND",
			"get"} {
			a := s.send(t, method+" "+pattern, in.as(s.request(t, method, path, nil)))
			known := slices.Contains(methods[pattern], method) || method == "HEAD" && slices.Contains(methods[pattern], "GET")
			if reads := method == "GET" || method == "HEAD"; reads && strings.HasPrefix(pattern, "/login/{id}/") {
				known = true // it leads to the login's current step
			}
			if !known && (a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") == "") {
				t.Errorf("%s %s: %d, Allow %q", method, pattern, a.StatusCode, a.Header.Get("Allow"))
			}
			if method == "HEAD" && (a.body != "" || a.Header.Get("Location") != "" && strings.Contains(a.Header.Get("Location"),
				"code=")) {
				t.Errorf("HEAD %s: %q, leads to %s", pattern, a.body, a.Header.Get("Location"))
			}
		}
		if slices.Contains(methods[pattern], "POST") {
			s.bodies(t, in, pattern, path)
		}
		s.headers(t, in, methods[pattern][0], pattern, path)
	}
}

// bodies sends request bodies that are not forms.
func (s *attackHarness) bodies(t *testing.T, in insider, pattern, path string) {
	t.Helper()
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		kind, body string
		refused    bool
	}{
		{form, "a=" + strings.Repeat("a", 64<<10), true},
		{form, strings.Repeat("a=b&", 101), true},
		{form, strings.Repeat("a&", 40<<10), true},
		{form, "a=%zz", true},
		{form, "a=1;b=2", true},
		{form + "; charset=utf-16", "\xff\xfea\x00=\x00b\x00", false},
		{"multipart/form-data; boundary=x",
			"--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nhostileghx\r\n--x--\r\n", true},
		{"multipart/form-data", "hostileghx", true},
		{"multipart/mixed; boundary=x", "--x--", true},
		{"application/json", `{"grant_type":"password","username":"ben@example.test"}`, false},
		{"text/plain", "grant_type=client_credentials", false},
		{"text/xml", `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>`, false},
		{"/", "a=b", true},
		{"hostileghx/\"", "a=b", true},
		{"", "\x1f\x8b\x08\x00", false},
	} {
		req := s.raw(t, http.MethodPost, path, c.body)
		req.Header["Content-Type"] = []string{c.kind}
		what := fmt.Sprintf("POST %s with %s %.20q", pattern, c.kind, c.body)
		a := s.send(t, what, in.as(req))
		if c.refused && a.StatusCode != http.StatusBadRequest && a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d", what, a.StatusCode)
		}
		if a.StatusCode == http.StatusOK && strings.Contains(a.body, "access_token") {
			t.Errorf("%s: a token: %s", what, a.body)
		}
	}
	gzipped := s.raw(t, http.MethodPost, path, "grant_type=client_credentials")
	gzipped.Header.Set("Content-Encoding", "gzip")
	s.send(t, "POST "+pattern+" with an encoding", in.as(gzipped))
}

// headers sends headers that belong to proxies or to other sites, or that do not exist.
func (s *attackHarness) headers(t *testing.T, in insider, method, pattern, path string) {
	t.Helper()
	for _, h := range []http.Header{
		{"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"203.0.113.7"},
			"X-Forwarded-Prefix": {"//evil.example"},
			"Forwarded":          {"for=203.0.113.7;host=evil.example;proto=https"}, "X-Original-Url": {"//evil.example/"},
			"X-Rewrite-Url": {"/evil"}, "X-Http-Method-Override": {"DELETE"}},
		{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"},
			"Referer": {"https://evil.example/?hostileghx"}},
		{"Sec-Fetch-Site": {"hostileghx", "same-origin"}, "Origin": {"null"}},
		{"Accept": {strings.Repeat("text/html;q=0.1,", 1500)}, "Accept-Language": {"<script>hostileghx()</script>"}},
		{"Accept-Language": {strings.Repeat("de-DE-1996,", 2000)}, "Accept-Encoding": {"gzip;q=hostileghx, *;q=0"}},
		{"User-Agent": {"\"><script>hostileghx()</script>\xff\xfe" + strings.Repeat("x", 5000)}, "Accept": {"text/html"}},
		{"Authorization": {"Bearer " + strings.Repeat("A", 20<<10)}}, {"Authorization": {"Basic !!!"}},
		{"Authorization": {"hostileghx"}}, {"Authorization": {"Bearer a", "Bearer b"}},
		{"Range": {"bytes=0-1,1-2"}, "If-None-Match": {"*"}, "If-Modified-Since": {"hostileghx"},
			"If-Match": {"\"hostileghx\""}},
		{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Key": {"hostileghx"}},
	} {
		req := in.as(s.request(t, method, path, nil))
		maps.Copy(req.Header, h)
		what := fmt.Sprintf("%s %s with %.80v", method, pattern, h)
		a := s.send(t, what, req)
		if sent := fmt.Sprint(a.Header) + a.body; strings.Contains(sent, "evil.example") || strings.Contains(sent,
			"hostileghx") {
			t.Errorf("%s: the answer repeats it: %v %.300s", what, a.Header, a.body)
		}
	}
	events, err := s.h.store.Events(s.ctx, broker.EventFilter{Limit: 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Address == "203.0.113.7" || len(e.UserAgent) > 256 {
			t.Errorf("%s: the event believes what was sent: %+v", pattern, e)
		}
	}
}

// endless is a body without end.
type endless struct{ read atomic.Int64 } // the client may go on reading after its answer

func (e *endless) Read(p []byte) (int, error) {
	if e.read.Load() > 256<<20 {
		return 0, io.EOF
	}
	n := copy(p, bytes.Repeat([]byte("a"), len(p)))
	e.read.Add(int64(n))
	return n, nil
}

func TestH1_ABodyWithoutEndIsCutAndCostsNoMemory(t *testing.T) {
	s := newAttackHarness(t)
	in := s.insider(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, path := range []string{"/token", "/authorize", "/end_session", "/callback/google", in.login + "/email",
		"/userinfo"} {
		body := &endless{}
		req, err := http.NewRequest(http.MethodPost, s.file.Issuer+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		req.Header.Set("Accept", "text/html")
		if a, err := s.client.Do(in.as(req)); err != nil {
			t.Logf("%s: cut off: %v", path, err) // the connection is closed while we still send
		} else if a.Body.Close(); a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
		// Unread data fills the buffers of both sockets: at most 36 MiB with Linux defaults.
		if n := body.read.Load(); n > 64<<20 {
			t.Errorf("%s: %d bytes were taken", path, n)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}
