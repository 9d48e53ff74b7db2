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

// Secret is a string that prints as dots in logs, errors, pages and JSON. Reveal returns the value.
type Secret string

const dots = "•••"

// Reveal returns the secret.
func (s Secret) Reveal() string { return string(s) }

func (Secret) String() string               { return dots }
func (Secret) GoString() string             { return dots }
func (Secret) LogValue() slog.Value         { return slog.StringValue(dots) }
func (Secret) MarshalText() ([]byte, error) { return []byte(dots), nil }
