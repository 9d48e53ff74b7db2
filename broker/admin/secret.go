package admin

import (
	"fmt"
	"strings"

	"gatehouse/broker"
)

// MaxSecret is the longest secret or password in bytes.
const MaxSecret = 4 << 10

// ParseSecret returns the secret or password on the only line of a text. from names where the text comes from.
func ParseSecret(text []byte, from string) (broker.Secret, error) {
	s := strings.TrimRight(string(text), "\r\n")
	switch {
	case s == "":
		return "", fmt.Errorf("%s contains no secret", from)
	case len(text) > MaxSecret:
		return "", fmt.Errorf("%s is too long for a secret", from)
	case strings.ContainsAny(s, "\r\n\x00"):
		return "", fmt.Errorf("%s holds more than one line", from)
	}
	return broker.Secret(s), nil
}
