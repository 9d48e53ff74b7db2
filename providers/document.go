package providers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"gatehouse/broker"
)

// maxDepth limits the nesting of a JSON document (SECURITY.md B20). The size of the body bounds everything else.
const maxDepth = 8

// Limits of single values.
const (
	maxText    = 1 << 10 // bytes of any string
	maxName    = 200     // characters of a name
	maxSubject = 255     // bytes, OIDC Core §2
	maxAMR     = 16
)

// document is a JSON object in which every name occurs once.
type document map[string]any

// parseDocument reads one JSON object. It refuses duplicate names, because two parsers may read different
// values.
func parseDocument(b []byte) (document, error) {
	v, err := parseJSON(b)
	if err != nil {
		return nil, err
	}
	d, ok := v.(document)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	return d, nil
}

// parseJSON reads one JSON value: objects as document, numbers as json.Number.
func parseJSON(b []byte) (any, error) {
	//defence:B20
	if !utf8.Valid(b) {
		return nil, errors.New("not UTF-8")
	}
	if !json.Valid(b) {
		return nil, errors.New("not JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	v, err := parseValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return token, nil
	}
	//defence:B20
	if depth++; depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	if delim == '[' {
		return parseArray(dec, depth)
	}
	return parseObject(dec, depth)
}

func parseObject(dec *json.Decoder, depth int) (any, error) {
	d := document{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		//defence:B20
		if _, twice := d[name]; twice {
			return nil, fmt.Errorf("the name %q occurs twice", oneLine(name))
		}
		if d[name], err = parseValue(dec, depth); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return d, err
}

func parseArray(dec *json.Decoder, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		v, err := parseValue(dec, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := dec.Token()
	return list, err
}

// text returns a string member of at most maxText bytes, byte for byte; "" otherwise.
func (d document) text(name string) string {
	s, _ := d[name].(string)
	if len(s) > maxText {
		return ""
	}
	return s
}

// name returns a string safe to display: NFC, without control characters and without direction overrides.
func (d document) name(member string) string {
	s, _ := d[member].(string)
	if len(s) > maxText { // bounds the work of normalising
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		//defence:B20
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r),
			strings.ContainsRune("\u200b\u2028\u2029\ufeff\ufffd", r):
			return -1
		}
		return r
	}, norm.NFC.String(s))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxName {
		s = strings.TrimSpace(string(runes[:maxName]))
	}
	return s
}

// subject returns a member usable as the key of an identity, byte for byte; "" if it is not.
func (d document) subject(name string) string {
	s, _ := d[name].(string)
	if len(s) > maxSubject || strings.ContainsFunc(s, unicode.IsControl) {
		return ""
	}
	return s
}

// email returns a member that is an address, in canonical form; "" for anything else.
func (d document) email(name string) string {
	s, _ := d[name].(string)
	e, err := broker.CanonicalEmail(s)
	if err != nil {
		return ""
	}
	return e
}

// locale returns a member that is a BCP 47 tag; "" for anything else.
func (d document) locale(name string) string {
	s := d.text(name)
	if len(s) > 35 {
		return ""
	}
	tag, err := language.Parse(s)
	if s == "" || err != nil {
		return ""
	}
	return tag.String()
}

// texts returns a list of short strings, or a single string as a list; nil for anything else.
func (d document) texts(name string) []string {
	switch v := d[name].(type) {
	case string:
		return []string{v}
	case []any:
		list := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok || len(s) > maxText {
				return nil
			}
			list = append(list, s)
		}
		return list
	}
	return nil
}

// amr returns the authentication methods (RFC 8176), without malformed ones.
func (d document) amr() []string {
	list, _ := d["amr"].([]any)
	var found []string
	for _, v := range list {
		if s, ok := v.(string); ok && s != "" && len(s) <= 64 && checkToken(s) == "" && !slices.Contains(found, s) &&
			len(found) < maxAMR {
			found = append(found, s)
		}
	}
	return found
}

// date returns a NumericDate (RFC 7519 §2) between 1970 and the year 5000.
func (d document) date(name string) (time.Time, bool) {
	n, ok := d[name].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || math.IsNaN(f) || f <= 0 || f > 95617584000 {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}

// tristate is a boolean claim that may also be missing.
type tristate int8

const (
	unset tristate = iota
	no
	yes
)

// boolean reads a boolean claim: true and "true" are yes, a missing or null one is unsaid, anything else is no.
func (d document) boolean(name string, alsoYes ...any) tristate {
	v, there := d[name]
	switch {
	case !there || v == nil:
		return unset
	case v == true || v == "true" || slices.Contains(alsoYes, v):
		return yes
	}
	return no
}

// assertion is an address with what one document says about it (SECURITY.md §1.0, B15).
type assertion struct {
	address  string // canonical; empty for none
	verified tristate
}

// asserted reads the address and its verification from one document.
func asserted(d document) assertion {
	return assertion{address: d.email("email"), verified: d.boolean("email_verified")}
}

// merge chooses between two documents about one person. It never combines the address of one with the
// verification of the other, except that a no in either one wins.
func (a assertion) merge(b assertion) assertion {
	chosen := a
	//defence:B15
	if a.address == "" || a.verified != yes && b.address != "" && b.verified == yes {
		chosen = b
	}
	//defence:B15
	if a.verified == no || b.verified == no {
		chosen.verified = no
	}
	return chosen
}

// level is the trust level of an upstream that checks addresses but is not their authority.
func (a assertion) level() broker.Level {
	switch {
	case a.address == "":
		return broker.None
	case a.verified == yes:
		return broker.EmailVerified
	}
	return broker.EmailAsserted
}

// assertedLevel is the level of an address that the upstream does not verify.
func assertedLevel(address string) broker.Level {
	if address == "" {
		return broker.None
	}
	return broker.EmailAsserted
}
