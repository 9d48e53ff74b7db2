package fakeidp

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Persona is one invented person that the simulated provider knows.
type Persona struct {
	Login   string // unique; what the page's link carries and login_hint may name
	Subject string // sub; oid at Microsoft; id at Facebook and GitHub. Derived from Login when empty
	Email   string // may be empty

	Name, GivenName, FamilyName string
	Note                        string // what happens when this person signs in, in a few words, for the page

	EmailVerified bool
	HostedDomain  string  // Google's hd; the domain by which a Microsoft tenant may be addressed
	TenantID      string  // Microsoft's tid; DemoTenant when empty
	Guest         bool    // Microsoft: acct 1
	HomeIDP       string  // Microsoft: idp, present when the account is homed elsewhere
	XmsEdov       *bool   // Microsoft: xms_edov beside the e-mail; absent when nil
	DenyEmail     bool    // Facebook: declines to share the e-mail until asked again (auth_type=rerequest)
	OtherEmails   []Email // GitHub: further entries of /user/emails

	// Claims are set last, in ID tokens and profile documents alike; a nil value removes the claim.
	Claims map[string]any
}

// Email is one of the addresses of a GitHub account.
type Email struct {
	Address           string
	Primary, Verified bool
}

// SetPersonas replaces the people whom the provider knows. Codes and tokens already issued keep theirs.
func (s *Server) SetPersonas(personas ...Persona) {
	known := append([]Persona(nil), personas...)
	for i := range known {
		if known[i].Subject == "" {
			known[i].Subject = subjectFor(s.opts.Kind, known[i].Login)
		}
		if known[i].TenantID == "" && s.opts.Kind == KindMicrosoft {
			known[i].TenantID = DemoTenant
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.personas = known
}

// Personas lists the people whom the provider knows, subjects filled in.
func (s *Server) Personas() []Persona {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Persona(nil), s.personas...)
}

// byLogin finds the persona that a link of the page names.
func (s *Server) byLogin(login string) (Persona, bool) {
	for _, p := range s.Personas() {
		if p.Login == login {
			return p, true
		}
	}
	return Persona{}, false
}

// hinted finds the persona whose login or e-mail address a hint names.
func (s *Server) hinted(hint string) (Persona, bool) {
	for _, p := range s.Personas() {
		if hint != "" && (strings.EqualFold(p.Login, hint) || strings.EqualFold(p.Email, hint)) {
			return p, true
		}
	}
	return Persona{}, false
}

// subjectFor derives a stable subject of the shape that the kind uses.
func subjectFor(kind, login string) string {
	sum := sha256.Sum256([]byte(kind + "|" + login))
	number := binary.BigEndian.Uint64(sum[:8])
	switch kind {
	case KindGoogle:
		return fmt.Sprintf("1%020d", number)
	case KindMicrosoft:
		h := hex.EncodeToString(sum[:16])
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	case KindFacebook:
		return fmt.Sprintf("1%016d", number%1e16)
	case KindGitHub:
		return fmt.Sprint(1000 + number%1e8)
	}
	return hex.EncodeToString(sum[:12])
}

// override lays changes over a document; a nil value removes the member.
func override(document, changes map[string]any) {
	for member, value := range changes {
		if value == nil {
			delete(document, member)
			continue
		}
		document[member] = value
	}
}

// put sets a claim that has something to say.
func put(document map[string]any, member, value string) {
	if value != "" {
		document[member] = value
	}
}
