package text

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// The pseudo languages, for layout tests: one longer and accented, one right-to-left.
const (
	PseudoLong = "en-XA"
	PseudoRTL  = "ar-XB"
)

// WithPseudo returns the catalog with the pseudo languages added.
func (c *Catalog) WithPseudo() *Catalog {
	more := &Catalog{langs: maps.Clone(c.langs)}
	base := c.langs[Fallback]
	more.langs[PseudoLong] = base.mapped(PseudoLong, "ltr", lengthen)
	more.langs[PseudoRTL] = base.mapped(PseudoRTL, "rtl", mirror)
	more.names = slices.Sorted(maps.Keys(more.langs))
	more.prepare(Fallback)
	return more
}

func (m *messages) mapped(lang, dir string, change func(string) string) *messages {
	out := &messages{tag: language.Make(lang), dir: dir, texts: make(map[string]message, len(m.texts))}
	for key, text := range m.texts {
		out.texts[key] = text.mapped(change)
	}
	return out
}

func (m message) mapped(change func(string) string) message {
	out := make(message, len(m))
	for i, p := range m {
		out[i] = p
		if p.literal != "" {
			out[i].literal = outsideTags(p.literal, change)
		}
		if p.plural != nil {
			out[i].plural = map[plural.Form]message{}
			for form, inner := range p.plural {
				out[i].plural[form] = inner.mapped(change)
			}
		}
	}
	return out
}

func outsideTags(s string, change func(string) string) string {
	var b strings.Builder
	for s != "" {
		at := knownTag.FindStringIndex(s)
		if at == nil {
			at = []int{len(s), len(s)}
		}
		if at[0] > 0 {
			b.WriteString(change(s[:at[0]]))
		}
		b.WriteString(s[at[0]:at[1]])
		s = s[at[1]:]
	}
	return b.String()
}

// lengthen accents the vowels and doubles some of them: about 40 % longer and still readable.
func lengthen(s string) string {
	return longer.Replace(s)
}

var longer = strings.NewReplacer("a", "ååå", "e", "ééé", "i", "ïï", "o", "öö", "u", "üü",
	"A", "ÅÅ", "E", "ÉÉ", "I", "ÏÏ", "O", "ÖÖ", "U", "ÜÜ")

// mirror shows the letters from right to left (U+202E … U+202C).
func mirror(s string) string {
	if strings.TrimSpace(s) == "" {
		return s
	}
	return "\u202e" + s + "\u202c"
}
