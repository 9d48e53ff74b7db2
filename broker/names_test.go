package broker_test

import (
	"strings"
	"testing"

	"gatehouse/broker"
)

func TestANameHoldsNothingUnseenAndMixesNoAlphabetsInAWord(t *testing.T) {
	for name, named := range map[string]string{
		"Courts Booking": "", "Ärzteportal Köln 24": "", "Яндекс Почта": "", "Яндекс Mail": "", "Ελλάδα–Mail": "",
		"楽天 Mail": "", "LINEマンガ": "", "Microsoft❤\ufe0f": "", "👩\u200d🚀 Club": "", "می\u200cخواهم": "",
		"क्\u200dष": "", "e\u0301cole": "", "10 µm": "", "": "",
		"Мicrosoft": "U+041C, a Cyrillic letter", "Micrоsoft 365": "U+043E, a Cyrillic letter",
		"Αpple": "U+0391, a Greek letter", "Goοgle": "U+03BF, a Greek letter", "Яαндекс": "U+03B1, a Greek letter",
		"Gօogle": "U+0585, an Armenian letter", "Ꮇicrosoft": "U+13B7, a Cherokee letter",
		"Windows11М":      "U+041C, a Cyrillic letter",
		"Micro\u200bsoft": "U+200B", "Micro\u200dsoft": "U+200D", "Micro\u200csoft": "U+200C", "Micro\u00adsoft": "U+00AD",
		"\u202etfosorciM": "U+202E", "A\u2066B": "U+2066", "\ufeffMicrosoft": "U+FEFF", "A\u2028B": "U+2028",
		"a\nb":            "U+000A",
		"Microsoft\u3164": "U+3164", "Microsoft\ufe0f": "U+FE0F", "Microsoft\U000e0041": "U+E0041", "a\x00b": "U+0000",
		"a\xffb": "U+FFFD", "Micro\u034fsoft": "U+034F", "\u200d": "U+200D", "Microsoft\u2060": "U+2060",
		"A\u061cB": "U+061C",
	} {
		problem := broker.NameProblem(name)
		if (problem == "") != (named == "") || !strings.Contains(problem, named) {
			t.Errorf("%+q: %q, want %q", name, problem, named)
		}
	}
}

func TestAVisibleNameKeepsEverythingThatIsSeen(t *testing.T) {
	for name, want := range map[string]string{
		"Ana\u202e Silva\u200b": "Ana Silva", "Мicrosoft": "Мicrosoft", "می\u200cخواهم": "می\u200cخواهم",
		"\u2066\u202a": "", "a\x00\u00ad\ufeff\xffb": "ab", "O’Brien-Łukasz": "O’Brien-Łukasz",
	} {
		if got := broker.VisibleName(name); got != want {
			t.Errorf("%+q: %+q, want %+q", name, got, want)
		}
	}
}
