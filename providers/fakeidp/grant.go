package fakeidp

import (
	"crypto/rand"
	"time"
)

const (
	codeLife  = 10 * time.Minute
	tokenLife = time.Hour
	// purgeAbove keeps a long demo from collecting what has expired.
	purgeAbove = 512
)

// grant is what a person allowed: it stands behind a code, then behind an access token.
type grant struct {
	persona  Persona
	request  *authRequest
	authTime time.Time
	issued   time.Time
	expires  time.Time
	sid      string // names the provider's session
	used     bool   // a code that was redeemed
}

// grantTo records who signed in, to what request, and when.
func (c *call) grantTo(a *authRequest, persona Persona) *grant {
	now := c.opts.Now()
	return &grant{persona: persona, request: a, issued: now, authTime: now.Add(-c.fault.AuthAge), sid: rand.Text()}
}

// issueCode makes an authorization code, good once and for ten minutes.
func (s *Server) issueCode(g *grant) string {
	code := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(s.codes, code, g, codeLife)
	return code
}

// issueToken makes an opaque access token for an hour.
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

// take spends a code. The reason is empty when it was good.
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

// bearer finds the grant behind an access token that still lives.
func (s *Server) bearer(token string) (*grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, known := s.tokens[token]
	if !known || !s.opts.Now().Before(g.expires) {
		return nil, false
	}
	return g, true
}

// revoke ends an access token.
func (s *Server) revoke(c *call) {
	s.mu.Lock()
	delete(s.tokens, c.r.PostForm.Get("token"))
	s.mu.Unlock()
	c.json(200, map[string]any{})
}
