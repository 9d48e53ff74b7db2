package broker

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// MaxEmail is the longest address in bytes (RFC 5321 §4.5.3.1.3).
const MaxEmail = 254

// CanonicalEmail returns the one spelling that is stored and compared: an ASCII local part in lower case,
// exactly one @, the domain in lower-case A-labels (UTS #46). It folds no lookalikes and keeps sub-addresses.
// Anything else is EmailInvalid (SECURITY.md C20).
func CanonicalEmail(s string) (string, error) {
	s = strings.TrimSpace(s)
	//equivalent:right localPart and CanonicalDomain refuse such bytes too. This check comes before a library reads it.
	if len(s) > MaxEmail || !utf8.ValidString(s) {
		return "", EmailInvalid
	}
	local, domain, ok := strings.Cut(s, "@")
	//equivalent:op,left,right Without an @ the domain is empty; CanonicalDomain refuses that, and an @ in a domain.
	//defence:C20
	if !ok || strings.Contains(domain, "@") ||
		//equivalent:left As above.
		!localPart(local) {
		return "", EmailInvalid
	}
	domain, err := CanonicalDomain(domain)
	if err != nil || len(local)+1+len(domain) > MaxEmail {
		return "", EmailInvalid
	}
	return strings.ToLower(local) + "@" + domain, nil
}

// CanonicalDomain returns an e-mail domain in lower-case A-labels, with at least two labels; else EmailInvalid.
func CanonicalDomain(s string) (string, error) {
	a, err := domainProfile.ToASCII(s)
	//equivalent:left The profile refuses its own answer below. The check keeps an answer with an error from being read.
	if err != nil || !strings.Contains(a, ".") ||
		strings.HasSuffix(a, ".") {
		return "", EmailInvalid
	}
	if _, err := netip.ParseAddr(a); err == nil {
		return "", EmailInvalid
	}
	// Some lookalikes map to text that the profile itself refuses.
	//equivalent:right No domain is known that maps to another accepted one. A new table of the library may bring one.
	if again, err := domainProfile.ToASCII(a); err != nil || again != a {
		return "", EmailInvalid
	}
	return a, nil
}

var domainProfile = idna.New(idna.MapForLookup(), idna.StrictDomainName(true), idna.VerifyDNSLength(true),
	idna.ValidateLabels(true), idna.BidiRule(), idna.CheckHyphens(true))

// localPart accepts the dot-atom of RFC 5321 §4.1.2, ASCII only.
func localPart(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0:
		default:
			return false
		}
	}
	return true
}
