// Package broker is the domain package: the nouns, the rules between them and every refusal. It does no I/O and
// imports nothing of ours.
package broker

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
)

// NewID returns a new, unguessable id (130 bits, base32).
func NewID() string { return rand.Text() }

// NewToken returns a new secret of at least 256 bits, safe in a URL or a cookie.
func NewToken() string { return rand.Text() + rand.Text() }

// NewReference returns a reference that people can read out to support: eight characters that are hard to
// confuse, such as 7F3K-2QWD.
func NewReference() string {
	const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b[:4]) + "-" + string(b[4:])
}

// ReadReference returns a reference as it is stored, from what a person typed: case, spaces and
// dashes do not matter.
func ReadReference(typed string) string {
	kept := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' || r == '\u2013' {
			return -1
		}
		return unicode.ToUpper(r)
	}, typed)
	if len(kept) == 8 {
		return kept[:4] + "-" + kept[4:]
	}
	return kept
}

// Secret is a string that prints as dots: by fmt with any verb, and in logs, pages, JSON and YAML. Reveal returns
// the value.
type Secret string

const dots = "•••"

// Reveal returns the secret.
func (s Secret) Reveal() string { return string(s) }

// Format prints dots for every verb: %d would print the value of a string with a String method.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(dots)) }

// String is for code that uses fmt.Stringer directly.
func (Secret) String() string { return dots }

// LogValue is for log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(dots) }

// MarshalText is for JSON, YAML and others.
func (Secret) MarshalText() ([]byte, error) { return []byte(dots), nil }
