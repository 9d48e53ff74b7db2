// Package text holds every text that people read: one flat catalog per language, and a Printer that fills in the
// values.
package text

import (
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"html/template"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

//go:embed catalog/*.json
var embedded embed.FS

// Fallback is the language that has every text. It is also the default language unless Offer sets another.
const Fallback = "en"

// Catalog holds the texts of all languages. It is safe for concurrent use.
type Catalog struct {
	langs   map[string]*messages
	names   []string // sorted
	first   string   // the default language
	match   language.Matcher
	matched []string // the languages by the matcher's index
}

// messages are the parsed texts of one language.
type messages struct {
	tag   language.Tag
	dir   string
	texts map[string]message
}

// Load parses the embedded catalogs: catalog/{package}.{language}.json, each a flat object from key to text. It
// does not check that they are complete; see Check.
func Load() (*Catalog, error) {
	return load(embedded)
}

func load(files fs.FS) (*Catalog, error) {
	names, err := fs.Glob(files, "catalog/*.json")
	if err != nil {
		return nil, fmt.Errorf("text: %w", err)
	}
	c := &Catalog{langs: map[string]*messages{}}
	for _, name := range names {
		if err := c.read(files, name); err != nil {
			return nil, fmt.Errorf("text: %s: %w", name, err)
		}
	}
	if c.langs[Fallback] == nil {
		return nil, fmt.Errorf("text: there is no catalog for %q", Fallback)
	}
	c.names = slices.Sorted(maps.Keys(c.langs))
	c.prepare(Fallback)
	return c, nil
}

// Offer returns the catalog restricted to these languages. The first is the default. Pseudo languages are
// accepted too.
func (c *Catalog) Offer(languages []string) (*Catalog, error) {
	all := c.WithPseudo()
	for _, lang := range languages {
		if all.langs[lang] == nil {
			return nil, fmt.Errorf("languages: unknown language %q; languages are %s", lang, strings.Join(c.names, ", "))
		}
	}
	if len(languages) == 0 {
		return nil, errors.New("languages: name at least one")
	}
	offered := &Catalog{langs: all.langs, names: slices.Sorted(slices.Values(languages))}
	offered.prepare(languages[0])
	return offered, nil
}

func (c *Catalog) read(files fs.FS, name string) error {
	room, lang, ok := strings.Cut(strings.TrimSuffix(path.Base(name), ".json"), ".")
	if !ok {
		return errors.New("the name must be package.language.json")
	}
	tag, err := language.Parse(lang)
	if err != nil {
		return err
	}
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	var flat map[string]string
	if err := json.Unmarshal(raw, &flat); err != nil {
		return err
	}
	m := c.langs[lang]
	if m == nil {
		m = &messages{tag: tag, dir: direction(tag), texts: map[string]message{}}
		c.langs[lang] = m
	}
	for key, text := range flat {
		if !strings.HasPrefix(key, room+".") {
			return fmt.Errorf("the key %q must begin with %q, like its file's name", key, room+".")
		}
		parsed, err := parse(text)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		m.texts[key] = parsed
	}
	return nil
}

// prepare builds the matcher. The default language is first, because a matcher returns its first tag when
// nothing matches.
func (c *Catalog) prepare(first string) {
	c.first, c.matched = first, []string{first}
	for _, n := range c.names {
		if n != first {
			c.matched = append(c.matched, n)
		}
	}
	tags := make([]language.Tag, len(c.matched))
	for i, n := range c.matched {
		tags[i] = c.langs[n].tag
	}
	c.match = language.NewMatcher(tags)
}

// Languages returns the offered languages, sorted.
func (c *Catalog) Languages() []string { return slices.Clone(c.names) }

// Default returns the default language.
func (c *Catalog) Default() string { return c.first }

// Has reports whether the key exists in the fallback language.
func (c *Catalog) Has(key string) bool {
	_, ok := c.langs[Fallback].texts[key]
	return ok
}

// Match returns the best language for the preferences, in order of priority, or "" if none is known. A preference is
// an Accept-Language header, a ui_locales value or a plain tag (BCP 47). Malformed parts are skipped.
func (c *Catalog) Match(accept ...string) string {
	for _, choice := range accept {
		// Bound the work: a header may be as long as the client likes.
		if choice == "" || len(choice) > 1000 {
			continue
		}
		if lang := c.matchOne(choice); lang != "" {
			return lang
		}
	}
	return ""
}

func (c *Catalog) matchOne(choice string) string {
	if slices.Contains(c.names, choice) {
		return choice
	}
	var tags []language.Tag
	if strings.ContainsAny(choice, ",;") {
		tags = acceptable(choice)
	} else {
		for f := range strings.FieldsSeq(choice) {
			if t, err := language.Parse(f); err == nil {
				tags = append(tags, t)
			}
		}
	}
	// Match tag by tag: the person's first language that we have wins, not the closest relative of any.
	for _, t := range tags {
		if t == language.Und {
			continue
		}
		if _, i, confidence := c.match.Match(t); confidence >= language.High {
			return c.matched[i]
		}
	}
	return ""
}

// acceptable returns the tags of an Accept-Language header, by weight. It reads them one by one, because a malformed
// one makes the parser drop the whole header.
func acceptable(header string) []language.Tag {
	type weighted struct {
		tag    language.Tag
		weight float32
	}
	var all []weighted
	for part := range strings.SplitSeq(header, ",") {
		tags, weights, err := language.ParseAcceptLanguage(part)
		if err == nil && len(tags) == 1 {
			all = append(all, weighted{tags[0], weights[0]})
		}
	}
	slices.SortStableFunc(all, func(a, b weighted) int { return cmp.Compare(b.weight, a.weight) })
	tags := make([]language.Tag, len(all))
	for i := range all {
		tags[i] = all[i].tag
	}
	return tags
}

// Printer returns a printer for the language, or for the default language if it is not offered.
func (c *Catalog) Printer(lang string) Printer {
	if !slices.Contains(c.names, lang) {
		lang = c.first
	}
	return Printer{lang: lang, m: c.langs[lang], fallback: c.langs[Fallback]}
}

// Check reports all errors in the catalogs: missing keys, different placeholders, and markup where none is
// allowed.
func (c *Catalog) Check() error {
	var problems []error
	base := c.langs[Fallback]
	for _, name := range c.names {
		m := c.langs[name]
		for key, want := range base.texts {
			have, ok := m.texts[key]
			if !ok {
				problems = append(problems, fmt.Errorf("text: %s lacks %s", name, key))
				continue
			}
			if !slices.Equal(have.holders(), want.holders()) {
				problems = append(problems, fmt.Errorf("text: %s: %s has the placeholders %v, not %v", name, key, have.holders(),
					want.holders()))
			}
		}
		for key, have := range m.texts {
			if _, ok := base.texts[key]; !ok {
				problems = append(problems, fmt.Errorf("text: %s has %s, which %s lacks", name, key, Fallback))
			}
			if err := have.markup(isHTML(key)); err != nil {
				problems = append(problems, fmt.Errorf("text: %s: %s: %w", name, key, err))
			}
		}
	}
	return errors.Join(problems...)
}

// isHTML reports whether the key's texts may have markup.
func isHTML(key string) bool { return strings.HasSuffix(key, "_html") }

func direction(t language.Tag) string {
	script, _ := t.Script()
	switch script.String() {
	case "Arab", "Hebr", "Syrc", "Thaa", "Nkoo":
		return "rtl"
	}
	return "ltr"
}

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
	return p.print(key, args, false)
}

// HTML returns the text of a key that ends in _html. It keeps the text's own markup and escapes every argument.
func (p Printer) HTML(key string, args ...any) template.HTML {
	if !isHTML(key) {
		panic("text: the key " + key + " has no markup; use Text")
	}
	return template.HTML(p.print(key, args, true))
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

func (p Printer) print(key string, args []any, markup bool) string {
	m, ok := p.find(key)
	if !ok {
		panic("text: unknown key " + key)
	}
	if len(m) == 1 && m[0].holder == "" {
		return m[0].literal
	}
	var b strings.Builder
	p.write(&b, m, args, markup, 0)
	return b.String()
}

func (p Printer) write(b *strings.Builder, m message, args []any, markup bool, n int) {
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
			p.write(b, form, args, markup, count)
		default:
			b.WriteString(p.argument(value(args, part.holder), markup))
		}
	}
}

func (p Printer) argument(v any, markup bool) string {
	if at, ok := v.(When); ok {
		return p.when(at, markup)
	}
	s := fmt.Sprint(v)
	if markup {
		s = html.EscapeString(s)
	}
	return s
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
