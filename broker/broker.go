// Package broker is the domain package of the app: the nouns, the rules between them
// and every way to say no. It does no I/O and imports nothing of ours.
package broker

import (
	"crypto/rand"
	"log/slog"
)

// NewID returns a fresh, unguessable id (130 bits, base32). Ids are never reused.
func NewID() string { return rand.Text() }

// NewToken returns a fresh secret of 256 bits and more, safe in a URL or a cookie.
func NewToken() string { return rand.Text() + rand.Text() }

// Secret is a text that prints as dots: in a log, an error, a page, in JSON.
// Reveal is the one way to the value.
type Secret string

const dots = "•••"

// Reveal returns the secret itself, for the one call that needs it.
func (s Secret) Reveal() string { return string(s) }

func (Secret) String() string               { return dots }
func (Secret) GoString() string             { return dots }
func (Secret) LogValue() slog.Value         { return slog.StringValue(dots) }
func (Secret) MarshalText() ([]byte, error) { return []byte(dots), nil }
