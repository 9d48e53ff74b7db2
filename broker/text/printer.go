package text

import (
	"fmt"
	"html"
	"html/template"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"
)

// Args holds values for named placeholders: {email} is Args["email"].
type Args map[string]any

// Printer renders the texts of one language.
type Printer struct {
	lang     string
	m        *messages
	fallback *messages
}

// Lang returns the language as an HTML lang value (BCP 47).
func (p Printer) Lang() string { return p.lang }

// Dir returns ltr or rtl.
func (p Printer) Dir() string { return p.m.dir }

// Has reports whether the text exists.
func (p Printer) Has(key string) bool {
	_, ok := p.find(key)
	return ok
}

// Text returns the plain text of a key. {0} is the first argument; {name} is looked up in an argument of type
// Args. An unknown key is a programming error and panics; pages are checked for it when they are parsed.
func (p Printer) Text(key string, args ...any) string {
	return p.print(key, args, func(s string) string { return s })
}

// HTML returns the text of a key that ends in _html. It keeps the text's own markup and escapes every argument.
func (p Printer) HTML(key string, args ...any) template.HTML {
	if !isHTML(key) {
		panic("text: the key " + key + " has no markup; use Text")
	}
	return template.HTML(p.print(key, args, html.EscapeString))
}

// Fills reports whether args has a non-empty value for every named placeholder of the key.
func (p Printer) Fills(key string, args Args) bool {
	m, ok := p.find(key)
	if !ok {
		return false
	}
	for _, name := range m.holders() {
		if v, ok := args[name]; !ok || v == "" {
			return false
		}
	}
	return true
}

// Holders returns the placeholders of a key in the fallback language, sorted.
func (c *Catalog) Holders(key string) []string { return c.langs[Fallback].texts[key].holders() }

func (p Printer) find(key string) (message, bool) {
	m, ok := p.m.texts[key]
	if !ok {
		m, ok = p.fallback.texts[key]
	}
	return m, ok
}

func (p Printer) print(key string, args []any, escape func(string) string) string {
	m, ok := p.find(key)
	if !ok {
		panic("text: unknown key " + key)
	}
	if len(m) == 1 && m[0].holder == "" {
		return m[0].literal
	}
	var b strings.Builder
	p.write(&b, m, args, escape, 0)
	return b.String()
}

func (p Printer) write(b *strings.Builder, m message, args []any, escape func(string) string, n int) {
	for _, part := range m {
		switch {
		case part.number:
			b.WriteString(strconv.Itoa(n))
		case part.holder == "":
			b.WriteString(part.literal)
		case part.plural != nil:
			count := number(value(args, part.holder))
			form, ok := part.plural[plural.Cardinal.MatchPlural(p.m.tag, count, 0, 0, 0, 0)]
			if !ok {
				form = part.plural[plural.Other]
			}
			p.write(b, form, args, escape, count)
		default:
			b.WriteString(escape(fmt.Sprint(value(args, part.holder))))
		}
	}
}

// value returns the value of a placeholder, "" if it was not given.
func value(args []any, holder string) any {
	if i, err := strconv.Atoi(holder); err == nil {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	for _, a := range args {
		if named, ok := a.(Args); ok && named[holder] != nil {
			return named[holder]
		}
	}
	return ""
}

func number(v any) int {
	switch n := v.(type) {
	case int:
		return n
	case int64:
		return int(n)
	default:
		return 0
	}
}
