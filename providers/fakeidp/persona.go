package fakeidp

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Persona is one invented person at the simulated provider.
type Persona struct {
	Login   string // unique; carried by the page's link, and matched by login_hint
	Subject string // sub; oid at Microsoft; id at Facebook and GitHub. Empty: derived from Login
	Email   string // may be empty

	Name, GivenName, FamilyName string
	Note                        string // what happens when this person signs in, in a few words, for the page

	EmailVerified bool
	HostedDomain  string  // Google's hd; the domain by which a Microsoft tenant may be addressed
	TenantID      string  // Microsoft's tid; empty: DemoTenant
	Guest         bool    // Microsoft: acct 1
	HomeIDP       string  // Microsoft: idp, present if the account's home is elsewhere
	XmsEdov       *bool   // Microsoft: xms_edov next to the e-mail; nil: absent
	DenyEmail     bool    // Facebook: withholds the e-mail until asked again (auth_type=rerequest)
	OtherEmails   []Email // GitHub: further entries of /user/emails

	// Claims are set last, in ID tokens and profile documents; a nil value removes the claim.
	Claims map[string]any
}

// Email is one of the addresses of a GitHub account.
type Email struct {
	Address           string
	Primary, Verified bool
}

// SetPersonas replaces the provider's people. Codes and tokens already issued keep theirs.
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

// Personas returns the provider's people, with subjects filled in.
func (s *Server) Personas() []Persona {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Persona(nil), s.personas...)
}

// byLogin returns the persona that a link of the page names.
func (s *Server) byLogin(login string) (Persona, bool) {
	for _, p := range s.Personas() {
		if p.Login == login {
			return p, true
		}
	}
	return Persona{}, false
}

// hinted returns the persona whose login or e-mail address equals the hint.
func (s *Server) hinted(hint string) (Persona, bool) {
	for _, p := range s.Personas() {
		if hint != "" && (strings.EqualFold(p.Login, hint) || strings.EqualFold(p.Email, hint)) {
			return p, true
		}
	}
	return Persona{}, false
}

// subjectFor derives a stable subject in the kind's format.
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

// override changes members of a document; a nil value removes the member.
func override(document, changes map[string]any) {
	for member, value := range changes {
		if value == nil {
			delete(document, member)
			continue
		}
		document[member] = value
	}
}

// put sets a claim unless its value is empty.
func put(document map[string]any, member, value string) {
	if value != "" {
		document[member] = value
	}
}
