package text

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/feature/plural"
)

// message is a parsed text: a sequence of literals, placeholders and plurals.
type message []part

type part struct {
	literal string
	holder  string // "0", "email"; empty for a literal
	plural  map[plural.Form]message
	number  bool // the "#" inside a plural
}

// parse parses "Hello {0}", "Hello {name}" and "{0, plural, one {# try} other {# tries}}" (the ICU syntax,
// without its quoting).
func parse(s string) (message, error) {
	m, rest, err := parseUntil(s, false)
	if err == nil && rest != "" {
		err = errors.New("unexpected }")
	}
	return m, err
}

func parseUntil(s string, nested bool) (m message, rest string, err error) {
	for s != "" {
		i := strings.IndexAny(s, "{}#")
		if i < 0 {
			return append(m, part{literal: s}), "", nil
		}
		if i > 0 {
			m = append(m, part{literal: s[:i]})
		}
		c := s[i]
		s = s[i+1:]
		switch {
		case c == '#' && nested:
			m = append(m, part{number: true})
		case c == '#':
			m = append(m, part{literal: "#"})
		case c == '}':
			return m, "}" + s, nil
		default:
			var p part
			if p, s, err = parseHolder(s); err != nil {
				return nil, "", err
			}
			m = append(m, p)
		}
	}
	return m, "", nil
}

func parseHolder(s string) (p part, rest string, err error) {
	i := strings.IndexAny(s, ",}")
	if i < 0 {
		return p, "", errors.New("{ without }")
	}
	p.holder = strings.TrimSpace(s[:i])
	if !holderName.MatchString(p.holder) {
		return p, "", fmt.Errorf("%q is not a placeholder", p.holder)
	}
	if s[i] == '}' {
		return p, s[i+1:], nil
	}
	s, ok := strings.CutPrefix(strings.TrimLeft(s[i+1:], " "), "plural,")
	if !ok {
		return p, "", errors.New(`only "plural," may follow the comma`)
	}
	p.plural = map[plural.Form]message{}
	for {
		s = strings.TrimLeft(s, " ")
		if after, ok := strings.CutPrefix(s, "}"); ok {
			if p.plural[plural.Other] == nil {
				return p, "", errors.New("a plural needs the form other")
			}
			return p, after, nil
		}
		name, after, ok := strings.Cut(s, "{")
		form, known := forms[strings.TrimSpace(name)]
		if !ok || !known {
			return p, "", fmt.Errorf("%q is not a plural form", name)
		}
		var m message
		if m, s, err = parseUntil(after, true); err != nil {
			return p, "", err
		}
		if s, ok = strings.CutPrefix(s, "}"); !ok {
			return p, "", errors.New("a plural form without }")
		}
		p.plural[form] = m
	}
}

var holderName = regexp.MustCompile(`^([0-9]|[a-z][a-z_]*)$`)

var forms = map[string]plural.Form{
	"zero": plural.Zero, "one": plural.One, "two": plural.Two, "few": plural.Few, "many": plural.Many,
	"other": plural.Other,
}

// holders returns the names of the placeholders, sorted and unique.
func (m message) holders() []string {
	var names []string
	for _, p := range m {
		if p.holder != "" {
			names = append(names, p.holder)
		}
		for _, inner := range p.plural {
			names = append(names, inner.holders()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// literals calls do for every literal, including those of plural forms.
func (m message) literals(do func(string)) {
	for _, p := range m {
		do(p.literal)
		for _, inner := range p.plural {
			inner.literals(do)
		}
	}
}

// markup checks the tags of a message. A few tags without attributes are allowed, and only if allowed is set.
func (m message) markup(allowed bool) error {
	var all strings.Builder
	m.literals(func(s string) { all.WriteString(s) })
	text := all.String()
	if allowed {
		text = knownTag.ReplaceAllString(text, "")
	}
	if strings.ContainsAny(text, "<>&") {
		return errors.New("only keys that end in _html may have markup, and only <bdi> <strong> <code>")
	}
	return nil
}

var knownTag = regexp.MustCompile(`</?(bdi|strong|code)>`)
