package broker

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// NameProblem returns what is wrong with the characters of a name that others read, such as an app's, as the end of a
// sentence. It returns "" if nothing is. A name may look like another one in two ways (SECURITY.md G20): by characters
// that are not seen, and by letters of another alphabet.
func NameProblem(name string) string {
	//defence:G20 ./broker:TestANameHoldsNothingUnseenAndMixesNoAlphabetsInAWord
	if visible := VisibleName(name); visible != name {
		return fmt.Sprintf("must not contain %U, which is invisible or changes the order of a line", lost(name, visible))
	}
	//defence:G20 ./broker:TestANameHoldsNothingUnseenAndMixesNoAlphabetsInAWord
	if r := foreign(name); r != 0 {
		return fmt.Sprintf("must not contain %U, %s letter, in a word with letters of another alphabet", r, alphabet(r))
	}
	return ""
}

// VisibleName returns a name without the characters that are not seen or that reorder the text around them.
func VisibleName(name string) string {
	var before rune // the last character that is seen
	return strings.Map(func(r rune) rune {
		switch {
		case joins(r) && needsJoiner(before):
		case r == utf8.RuneError, joins(r), unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
			unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
			return -1
		default:
			before = r
		}
		return r
	}, name)
}

// joins reports whether a character only changes how its neighbours are drawn: the joiners, and the selector of
// coloured symbols.
func joins(r rune) bool { return r == '\u200c' || r == '\u200d' || r == '\ufe0f' }

// needsJoiner reports whether a joiner may follow a character. It is part of the spelling in these scripts, for
// example in Persian and Hindi, and of compound symbols.
func needsJoiner(r rune) bool {
	return unicode.In(r, unicode.So, unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Devanagari,
		unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu,
		unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar)
}

// lost returns the first character of a name that is not in what was kept of it.
func lost(name, kept string) rune {
	for _, r := range name {
		k, size := utf8.DecodeRuneInString(kept)
		if k != r || size == 0 {
			return r
		}
		kept = kept[size:]
	}
	return 0
}

// foreign returns the first letter that shares a word with letters of another alphabet, 0 if there is none. Beside
// Latin letters it is the other one. Scripts that look like none of the others, such as Han, mix freely.
func foreign(name string) rune {
	var first rune // of the word
	for _, r := range name {
		switch own := alphabet(r); {
		case !unicode.In(r, unicode.L, unicode.M, unicode.N):
			first = 0
		case own == "":
		case first == 0:
			first = r
		case own != alphabet(first) && own == latin:
			return first
		case own != alphabet(first):
			return r
		}
	}
	return 0
}

const latin = "a Latin"

// alphabet returns the name of a letter's script if it has letters that look like those of Latin, or "".
func alphabet(r rune) string {
	switch {
	case unicode.Is(unicode.Latin, r):
		return latin
	case unicode.Is(unicode.Cyrillic, r):
		return "a Cyrillic"
	case unicode.Is(unicode.Greek, r):
		return "a Greek"
	case unicode.Is(unicode.Armenian, r):
		return "an Armenian"
	case unicode.Is(unicode.Cherokee, r):
		return "a Cherokee"
	case unicode.Is(unicode.Coptic, r):
		return "a Coptic"
	case unicode.Is(unicode.Lisu, r):
		return "a Lisu"
	}
	return ""
}
