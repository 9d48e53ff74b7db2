package fakeidp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// HostileName is a name with a NUL, an escape sequence, a line break and bidirectional controls, for B20.
const HostileName = "An\u0000a\u001b[31m\r\nSet-Cookie: x=y \u202etxt.exe\u2066\u200b<script>alert(1)</script>"

// LongText returns a text of n bytes.
func LongText(n int) string { return strings.Repeat("x", n) }

// DeepJSON returns arrays nested depth levels deep.
func DeepJSON(depth int) json.RawMessage {
	return json.RawMessage(strings.Repeat("[", depth) + strings.Repeat("]", depth))
}

// ManyGroups returns n distinct group ids.
func ManyGroups(n int) []string {
	groups := make([]string, n)
	for i := range groups {
		groups[i] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
	}
	return groups
}

// ManyClaims returns n additional claims.
func ManyClaims(n int) map[string]any {
	claims := make(map[string]any, n)
	for i := range n {
		claims[fmt.Sprintf("extra_%d", i)] = i
	}
	return claims
}

// DuplicateMember appends a second member of the same name to a JSON object; most parsers use the last one.
func DuplicateMember(member, value string) func([]byte) []byte {
	return func(object []byte) []byte {
		return fmt.Appendf(bytes.TrimSuffix(object, []byte("}")), ",%q:%q}", member, value)
	}
}

// InvalidUTF8 puts two bytes that are not UTF-8 at the start of a member's value.
func InvalidUTF8(member string) func([]byte) []byte {
	return func(object []byte) []byte {
		start := fmt.Appendf(nil, "%q:\"", member)
		return bytes.Replace(object, start, append(start, 0xff, 0xfe), 1)
	}
}

// Truncated cuts a body in half.
func Truncated(body []byte) []byte { return body[:len(body)/2] }
