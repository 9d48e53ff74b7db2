package seal

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// SealJSON seals v as JSON and returns it as base64url text, such as a token. The
// first part of aad names the purpose.
func (k *Keyring) SealJSON(v any, aad ...string) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("seal: %s: %w", aad[0], err)
	}
	b, err := k.Seal(plain, aad...)
	if err != nil {
		return "", fmt.Errorf("seal: %s: %w", aad[0], err)
	}
	return EncodeToken(b), nil
}

// OpenJSON reads what SealJSON returned. It returns ErrOpen for anything else.
func (k *Keyring) OpenJSON(token string, into any, aad ...string) error {
	b, err := DecodeToken(token)
	if err != nil {
		return ErrOpen
	}
	plain, err := k.Open(b, aad...)
	if err != nil || json.Unmarshal(plain, into) != nil {
		return ErrOpen
	}
	return nil
}

// EncodeToken returns b as base64url text without padding (RFC 4648 §5).
func EncodeToken(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// DecodeToken is strict, so that no second spelling of a token is a token
// (SECURITY.md A21).
func DecodeToken(s string) ([]byte, error) {
	//defence:A21
	if strings.ContainsAny(s, "\r\n") {
		return nil, ErrOpen // the decoder would skip them
	}
	//defence:A21
	return base64.RawURLEncoding.Strict().DecodeString(s)
}
