package fakeidp

import (
	"net/http"
	"net/url"
)

// Endpoint names an endpoint of a simulated provider, whatever its path at a kind.
type Endpoint string

// The endpoints. A kind has those of the real provider.
const (
	AtDiscovery   Endpoint = "discovery"
	AtJWKS        Endpoint = "jwks"
	AtAuthorize   Endpoint = "authorize" // also the response that redirects to the client
	AtChoose      Endpoint = "choose"    // a link of the person's page
	AtPAR         Endpoint = "par"
	AtToken       Endpoint = "token"
	AtUserInfo    Endpoint = "userinfo"    // /me at Facebook, /user at GitHub
	AtEmails      Endpoint = "emails"      // /user/emails at GitHub
	AtPermissions Endpoint = "permissions" // /me/permissions at Facebook
	AtDebugToken  Endpoint = "debug_token" // at Facebook
	AtEndSession  Endpoint = "end_session"
	AtRevoke      Endpoint = "revoke"
	AtRogueKeys   Endpoint = "rogue keys" // where forged headers point; a broker that requests it has been fooled
)

// Request is the last request of an endpoint.
type Request struct {
	Method, Path string
	Form         url.Values // query and body together
	Header       http.Header
}

// maxPaths bounds the count by path, because clients choose the paths.
const maxPaths = 4096

// record is what tests assert on: the number of requests per path, and the last request of each endpoint.
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

// Hits returns the number of requests for a path, whether or not it exists.
func (s *Server) Hits(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.paths[path]
}

// Calls returns the number of requests that reached an endpoint, including faulty ones.
func (s *Server) Calls(at Endpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.calls[at]
}

// Last returns the latest request of an endpoint; the zero Request if there was none.
func (s *Server) Last(at Endpoint) Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.record.last[at]
	last.Form, last.Header = copyValues(last.Form), last.Header.Clone()
	return last
}

// ResetRecord clears all counts and requests.
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
