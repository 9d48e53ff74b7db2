package fakeidp

import (
	"net/http"
	"net/url"
)

// Endpoint is one of the doors of a simulated provider, whatever path the kind gives it.
type Endpoint string

// The endpoints. A kind has those that its original has.
const (
	AtDiscovery   Endpoint = "discovery"
	AtJWKS        Endpoint = "jwks"
	AtAuthorize   Endpoint = "authorize" // also the answer that returns to the client
	AtChoose      Endpoint = "choose"    // a link of the person's page
	AtToken       Endpoint = "token"
	AtUserInfo    Endpoint = "userinfo"    // /me at Facebook, /user at GitHub
	AtEmails      Endpoint = "emails"      // /user/emails at GitHub
	AtPermissions Endpoint = "permissions" // /me/permissions at Facebook
	AtDebugToken  Endpoint = "debug_token" // at Facebook
	AtEndSession  Endpoint = "end_session"
	AtRevoke      Endpoint = "revoke"
	AtRogueKeys   Endpoint = "rogue keys" // where forged headers point; a broker that comes here has been fooled
)

// Request is what an endpoint was last asked.
type Request struct {
	Method, Path string
	Form         url.Values // query and body together
	Header       http.Header
}

// maxPaths bounds the count by path, since strangers choose paths.
const maxPaths = 4096

// record is what tests assert on: how often each path was asked, and the last request of each endpoint.
type record struct {
	paths map[string]int
	calls map[Endpoint]int
	last  map[Endpoint]Request
}

func newRecord() record {
	return record{paths: map[string]int{}, calls: map[Endpoint]int{}, last: map[Endpoint]Request{}}
}

func (r *record) count(path string) {
	if _, known := r.paths[path]; known || len(r.paths) < maxPaths {
		r.paths[path]++
	}
}

func (r *record) keep(at Endpoint, req *http.Request) {
	r.calls[at]++
	r.last[at] = Request{Method: req.Method, Path: req.URL.Path, Form: copyValues(req.Form), Header: req.Header.Clone()}
}

// Hits counts the requests for a path, known to the provider or not.
func (s *Server) Hits(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.paths[path]
}

// Calls counts the requests that reached an endpoint, broken or not.
func (s *Server) Calls(at Endpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.calls[at]
}

// Last is the latest request that reached an endpoint; the zero Request when there was none.
func (s *Server) Last(at Endpoint) Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.record.last[at]
	last.Form, last.Header = copyValues(last.Form), last.Header.Clone()
	return last
}

// ResetRecord forgets every count and request.
func (s *Server) ResetRecord() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = newRecord()
}

func copyValues(in url.Values) url.Values {
	out := url.Values{}
	for key, values := range in {
		out[key] = append([]string(nil), values...)
	}
	return out
}
