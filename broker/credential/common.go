package credential

import (
	_ "embed"
	"slices"
	"strings"
	"unicode"
)

//go:embed words.txt
var wordList string

// guesser recognizes how people make a password long without making it good.
type guesser struct {
	words []string // longest first
}

func newGuesser() guesser {
	words := strings.Fields(wordList)
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	return guesser{words}
}

// common reports whether a password is easy to guess: one or two well-known words with digits and signs, a
// repeated piece, or a run along the keyboard or the digits.
func (g guesser) common(password string) bool {
	folded := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, strings.ToLower(password))
	if fewCharacters(folded) || runs(folded) || repeats(folded) {
		return true
	}
	// Also try with "p4ssw0rd" read as "password".
	return g.fromWords(folded) || g.fromWords(unleet.Replace(folded))
}

var unleet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!",
	"i")

// fromWords reports whether s is at most two known words with digits and signs, or one known word and fewer than
// four other letters.
func (g guesser) fromWords(s string) bool {
	known, letters, longest := 0, 0, 0
	for s != "" {
		if w := g.prefix(s); w != "" {
			known++
			longest = max(longest, len(w))
			s = s[len(w):]
			continue
		}
		r := []rune(s)[0]
		if unicode.IsLetter(r) {
			letters++
		}
		s = s[len(string(r)):]
	}
	return known > 0 && known <= 2 && (letters == 0 || letters < 4 && longest >= 5)
}

func (g guesser) prefix(s string) string {
	for _, w := range g.words {
		if strings.HasPrefix(s, w) {
			return w
		}
	}
	return ""
}

// fewCharacters reports whether a password has hardly any different characters.
func fewCharacters(s string) bool {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen) <= 4
}

// repeats reports whether s repeats a piece of at most six characters: "abc123abc123".
func repeats(s string) bool {
	for n := 1; n <= 6 && 2*n <= len(s); n++ {
		if strings.HasPrefix(strings.Repeat(s[:n], len(s)/n+1), s) {
			return true
		}
	}
	return false
}

// rows are the sequences of adjacent keys, read in both directions, from any position and past the end.
const rows = "01234567890123456789 abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz " +
	"qwertyuiopasdfghjklzxcvbnmqwertyuiop " +
	"qwertzuiopasdfghjklyxcvbnmqwertzuiop azertyuiopqsdfghjklmwxcvbnazertyuiop 1q2w3e4r5t6y7u8i9o0p " +
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm " +
	"qazwsxedcrfvtgbyhnujm 1234567890qwertyuiop"

// runs reports whether s consists of pieces of at least four characters of a row, and at most two other
// characters.
func runs(s string) bool {
	back := []rune(rows)
	slices.Reverse(back)
	all, beside := rows+" "+string(back), 0
	for s != "" {
		n := 0
		for n < len(s) && strings.Contains(all, s[:n+1]) {
			n++
		}
		if n < 4 {
			n = len(string([]rune(s)[0]))
			beside += n
		}
		s = s[n:]
	}
	return beside <= 2
}
