package text

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func loaded(t *testing.T) *Catalog {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// made returns a catalog of en and fr with the given texts.
func made(t *testing.T, en, fr string) *Catalog {
	t.Helper()
	c, err := load(fstest.MapFS{"catalog/x.en.json": {Data: []byte(en)}, "catalog/x.fr.json": {Data: []byte(fr)}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheCatalogsAreCompleteInEveryLanguage(t *testing.T) {
	c := loaded(t)
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if got := c.Languages(); !slices.Equal(got, []string{"de", "en", "es", "fr"}) {
		t.Errorf("languages %v", got)
	}
}

func TestCheckSeesWhatIsWrong(t *testing.T) {
	good := `{"x.a":"A {0} {name}"}`
	for name, tc := range map[string]struct{ en, fr, want string }{
		"a key that is missing":  {good, `{}`, "fr lacks x.a"},
		"a key too many":         {good, `{"x.a":"A {0} {name}","x.b":"B"}`, "fr has x.b"},
		"another placeholder":    {good, `{"x.a":"A {1} {name}"}`, "placeholders"},
		"a placeholder lost":     {good, `{"x.a":"A {name}"}`, "placeholders"},
		"markup in a plain text": {good, `{"x.a":"<b>A</b> {0} {name}"}`, "markup"},
		"a tag that is not ours": {`{"x.a_html":"A"}`, `{"x.a_html":"<a>A</a>"}`, "markup"},
		"an attribute":           {`{"x.a_html":"A"}`, `{"x.a_html":"<bdi onclick=x>A</bdi>"}`, "markup"},
		"markup in a plural's form": {`{"x.a":"{0, plural, other {A}}"}`, `{"x.a":"{0, plural, other {<bdi>A</bdi>}}"}`,
			"markup"},
	} {
		err := made(t, tc.en, tc.fr).Check()
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := made(t, good, `{"x.a":"{name} B {0}"}`).Check(); err != nil {
		t.Errorf("another order: %v", err)
	}
}

func TestLoadRefusesWhatItCannotRead(t *testing.T) {
	for name, data := range map[string]string{"a key of another file": `{"y.a":"A"}`,
		"a brace that is open": `{"x.a":"A {0"}`, "a brace too many": `{"x.a":"A }"}`,
		"no such form": `{"x.a":"{0, plural, lots {A}}"}`, "no other": `{"x.a":"{0, plural, one {A}}"}`,
		"a bad name": `{"x.a":"{A-B}"}`, "no JSON": `{`} {
		if _, err := load(fstest.MapFS{"catalog/x.en.json": {Data: []byte(data)}}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestTextsAreFilledIn(t *testing.T) {
	c := made(t,
		`{"x.a":"{0} and {1}, {name}","x.n":"{0, plural, one {# try} other {# tries}} left","x.h_html":"<bdi>{0}</bdi>"}`,
		`{"x.a":"{1} et {0}","x.n":"{0, plural, one {# essai} other {# essais}}","x.h_html":"<bdi>{0}</bdi>"}`)
	en, fr := c.Printer("en"), c.Printer("fr")
	for got, want := range map[string]string{
		en.Text("x.a", "one", 2, Args{"name": "three"}): "one and 2, three",
		fr.Text("x.a", "one", 2):                        "2 et one",
		en.Text("x.n", 1):                               "1 try left",
		en.Text("x.n", 0):                               "0 tries left",
		fr.Text("x.n", 0):                               "0 essai", // French counts zero as one
		string(en.HTML("x.h_html", "<script>&")):        "<bdi>&lt;script&gt;&amp;</bdi>",
		c.Printer("xx").Text("x.n", 5):                  "5 tries left",
		en.Text("x.a", "{1}", "b"):                      "{1} and b, ",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if !en.Fills("x.a", Args{"0": "a", "1": "b", "name": "c"}) || en.Fills("x.a", Args{"name": ""}) ||
		en.Fills("x.no", nil) {
		t.Error("Fills is wrong")
	}
	for name, do := range map[string]func(){"a key that does not exist": func() { en.Text("x.no") },
		"markup of a plain key": func() { en.HTML("x.a") }} {
		if !panics(do) {
			t.Errorf("%s does not panic", name)
		}
	}
}

func panics(do func()) (did bool) {
	defer func() { did = recover() != nil }()
	do()
	return false
}

func TestTheLanguageIsTheFirstAvailablePreference(t *testing.T) {
	c := loaded(t)
	for _, tc := range []struct {
		choices []string
		want    string
	}{
		{[]string{"fr"}, "fr"},
		{[]string{"fr-CA"}, "fr"},
		{[]string{"FR-ca"}, "fr"},
		{[]string{"de_AT"}, "de"},
		{[]string{"es-419"}, "es"},
		{[]string{"", "de"}, "de"},
		{[]string{"pl fr"}, "fr"}, // ui_locales: a list in order of preference
		{[]string{"zh", "es"}, "es"},
		{[]string{"fr;q=0.3, de;q=0.9, *;q=0.1"}, "de"},
		{[]string{"en-US,en;q=0.9"}, "en"},
		{[]string{"zh"}, ""},
		{[]string{"<script>", "x", "'; drop", "a,b;;;"}, ""},
		{[]string{"fr," + strings.Repeat("x", 2000)}, ""},
		{nil, ""},
	} {
		if got := c.Match(tc.choices...); got != tc.want {
			t.Errorf("%.60q: %q, want %q", tc.choices, got, tc.want)
		}
	}
}

func TestThePseudoLanguagesAreLongerAndWrittenFromTheRight(t *testing.T) {
	c := loaded(t).WithPseudo()
	en, long, rtl := c.Printer("en"), c.Printer(PseudoLong), c.Printer(PseudoRTL)
	plain := en.Text("error.internal.body", Args{"ref": "R"})
	if got := long.Text("error.internal.body",
		Args{"ref": "R"}); float64(len([]rune(got))) < 1.3*float64(len([]rune(plain))) || !strings.Contains(got, "R") {
		t.Errorf("%q", got)
	}
	if rtl.Dir() != "rtl" || en.Dir() != "ltr" || !strings.Contains(rtl.Text("web.continue"), "\u202e") {
		t.Error("the other one is not written from the right")
	}
	if c.Match(PseudoRTL) != PseudoRTL || loaded(t).Match(PseudoRTL) == PseudoRTL {
		t.Error("the pseudo language is found where it is not, or not where it is")
	}
}

func FuzzMatchNeverPanics(f *testing.F) {
	c, err := Load()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("en-GB,fr;q=0.5")
	f.Fuzz(func(t *testing.T, s string) {
		if got := c.Match(s); got != "" && !slices.Contains(c.Languages(), got) {
			t.Errorf("%q answers %q", s, got)
		}
	})
}

func TestOnlyTheLanguagesOfTheConfigurationAreOffered(t *testing.T) {
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	c, err := all.Offer([]string{"fr", "de"})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Languages(); !slices.Equal(got, []string{"de", "fr"}) {
		t.Errorf("offered are %q", got)
	}
	for choice, want := range map[string]string{"en": "", "es-MX": "", "de-AT": "de", "en, de;q=0.5": "de"} {
		if got := c.Match(choice); got != want {
			t.Errorf("%q is answered in %q, want %q", choice, got, want)
		}
	}
	for _, lang := range []string{"", "en", "xx"} {
		if got := c.Printer(lang).Lang(); got != "fr" {
			t.Errorf("%q is written in %q, want the first", lang, got)
		}
	}
	if _, err := all.Offer([]string{"en", "tlh"}); err == nil || !strings.Contains(err.Error(), `"tlh"`) {
		t.Errorf("a language without texts: %v", err)
	}
}

func TestAMalformedTagDoesNotDropTheOthersOfAHeader(t *testing.T) {
	c := loaded(t)
	for header, want := range map[string]string{
		"x_y_!!, fr;q=0.9, en;q=0.8":         "fr",
		"de;q=abc, es":                       "es",
		"en;q=0.3, *;q=0.1, toolongatag, de": "de",
		"fr;q=0.2,en;q=0.7":                  "en",
		"a-malformed-one-!,":                 "",
	} {
		if got := c.Match(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

func TestATimeIsInTheLanguageAndMarkedForTheReadersZone(t *testing.T) {
	c := loaded(t)
	at := time.Date(2026, 3, 1, 14, 2, 0, 0, time.FixedZone("", 3600))
	for lang, want := range map[string]string{"en": "1 Mar 2026", "de": "01.03.2026", "fr": "01/03/2026",
		"es": "01/03/2026"} {
		want = `<time datetime="2026-03-01T13:02:00Z" data-shape="date">` + want + `</time>`
		if got := string(c.Printer(lang).HTML("account.linked_html", When{at, Date})); !strings.Contains(got, want) {
			t.Errorf("%s: %s", lang, got)
		}
	}
	if got := c.Printer("en").Text("mail.unlinked.body", Args{"at": When{at, Moment}}); !strings.Contains(got,
		"1 Mar 2026, 13:02 UTC") {
		t.Error(got)
	}
}
