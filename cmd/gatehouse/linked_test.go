package main_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A regular expression of the standard library takes time in proportion to its text.
// No other kind is linked, and no XML of a stranger is read before a kind needs it.
func TestH10_NothingThatIsLinkedBacktracks(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", module+"cmd/gatehouse").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
	if !slices.Contains(linked, "regexp") || len(linked) < 100 {
		t.Fatalf("%d packages", len(linked))
	}
	for _, p := range linked {
		for _, kind := range []string{"regexp2", "pcre", "oniguruma", "grafana/regexp", "coregex"} {
			if strings.Contains(p, kind) {
				t.Errorf("%s is linked", p)
			}
		}
	}
	for _, r := range listPackages(t) {
		if slices.Contains(r.imports, "encoding/xml") {
			t.Errorf("%s reads XML: bound its depth and its size, and say so here", r.name)
		}
	}
}
