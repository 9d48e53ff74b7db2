package admin_test

import (
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/admin"
)

func TestNoConnectionHasANameThatLooksLikeAnother(t *testing.T) {
	for name, problem := range map[string]string{"Club": "", "Мicrosoft": "U+041C", "Micro\u200bsoft": "U+200B",
		"\u202etfosorciM": "U+202E", "a\nb": "U+000A"} {
		found := ""
		for _, p := range admin.ConnectionProblems(broker.Connection{ID: "club", Kind: "oidc", Name: name}, nil, nil) {
			if strings.HasPrefix(p, "name ") {
				found += p
			}
		}
		if (found == "") != (problem == "") || !strings.Contains(found, problem) {
			t.Errorf("%+q: %q, want %q", name, found, problem)
		}
	}
}

func TestNoAccountHasANameWithInvisibleCharacters(t *testing.T) {
	f := newFixture(t)
	f.account("ana@example.test")
	for name, good := range map[string]bool{"Ana Silva": true, "می\u200cخواهم": true, "Ana\u200b": false,
		"\u202eanA": false, "a\nb": false} {
		_, err := f.ChangeAccount(t.Context(), helper(), admin.ChangeAccount{Account: "ana@example.test",
			Edit: admin.EditAccount{Name: &name}})
		if (err == nil) != good {
			t.Errorf("%+q: %v", name, err)
		}
	}
}
