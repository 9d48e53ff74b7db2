package login

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest name in bytes.
const maxName = 200

// cleanName returns a name on one line. It drops control characters and bidi controls, because a name is shown
// inside our own sentences, which an override would reorder.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return -1
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029', r == '\ufeff':
			return -1
		default:
			return r
		}
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	for len(s) > maxName {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return strings.TrimSpace(s)
}

// fullName joins the parts that are given.
func fullName(given, family string) string { return strings.TrimSpace(given + " " + family) }

// splitName guesses given and family name if the upstream gave only one name; the person sees the guess and may
// change it.
func splitName(name, given, family string) (string, string) {
	if given != "" || family != "" {
		return given, family
	}
	i := strings.LastIndex(name, " ")
	if i < 0 {
		return name, ""
	}
	return name[:i], name[i+1:]
}
