// Package broker is the domain package: the nouns, the rules between them and every refusal. It does no I/O and
// imports nothing of ours.
package broker

import (
	"crypto/rand"
	"log/slog"
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

// Secret is a string that prints as dots in logs, errors, pages and JSON. Reveal returns the value.
type Secret string

const dots = "•••"

// Reveal returns the secret.
func (s Secret) Reveal() string { return string(s) }

func (Secret) String() string               { return dots }
func (Secret) GoString() string             { return dots }
func (Secret) LogValue() slog.Value         { return slog.StringValue(dots) }
func (Secret) MarshalText() ([]byte, error) { return []byte(dots), nil }
