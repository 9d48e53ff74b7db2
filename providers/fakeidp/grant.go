package fakeidp

import (
	"crypto/rand"
	"time"
)

const (
	codeLife  = 10 * time.Minute
	tokenLife = time.Hour
	// purgeAbove bounds the expired entries that a long demo collects.
	purgeAbove = 512
)

// grant is what a person allowed. A code refers to it, and later an access token.
type grant struct {
	persona  Persona
	request  *authRequest
	authTime time.Time
	issued   time.Time
	expires  time.Time
	sid      string // the provider's session id
	used     bool   // a code that was redeemed
}

// grantTo records who signed in, to what request, and when.
func (c *call) grantTo(a *authRequest, persona Persona) *grant {
	now := c.opts.Now()
	return &grant{persona: persona, request: a, issued: now, authTime: now.Add(-c.fault.AuthAge), sid: rand.Text()}
}

// issueCode returns an authorization code, valid once and for ten minutes.
func (s *Server) issueCode(g *grant) string {
	code := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(s.codes, code, g, codeLife)
	return code
}

// issueToken returns an opaque access token, valid for an hour.
func (s *Server) issueToken(g *grant) string {
	token := s.provider.tokenPrefix + rand.Text()
	own := *g
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(s.tokens, token, &own, tokenLife)
	return token
}

func (s *Server) store(in map[string]*grant, key string, g *grant, life time.Duration) {
	now := s.opts.Now()
	if len(in) > purgeAbove {
		for old, held := range in {
			if !now.Before(held.expires) {
				delete(in, old)
			}
		}
	}
	g.expires = now.Add(life)
	in[key] = g
}

// take consumes a code. why is empty if it was valid.
func (s *Server) take(code string, replay bool) (g *grant, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, known := s.codes[code]
	switch {
	case !known:
		return nil, whyCode
	case g.used && !replay:
		return nil, whyUsed
	case !s.opts.Now().Before(g.expires):
		return nil, whyExpired
	}
	g.used = true
	return g, ""
}

// bearer returns the grant behind an unexpired access token.
func (s *Server) bearer(token string) (*grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, known := s.tokens[token]
	if !known || !s.opts.Now().Before(g.expires) {
		return nil, false
	}
	return g, true
}

// revoke deletes an access token.
func (s *Server) revoke(c *call) {
	s.mu.Lock()
	delete(s.tokens, c.r.PostForm.Get("token"))
	s.mu.Unlock()
	c.json(200, map[string]any{})
}
