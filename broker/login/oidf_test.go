package login_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// press is what a browser without scripts sends when fields of these ids are filled in
// and the button of this id is pressed.
func (b *browser) press(p page, id string, fill map[string]string) page {
	b.g.t.Helper()
	doc, err := html.Parse(strings.NewReader(p.body))
	must(b.g.t, err)
	for n := range doc.Descendants() {
		if n.Data != "form" {
			continue
		}
		var sent []string
		filled, pressed := 0, false
		for n := range n.Descendants() {
			value, named := fill[attribute(n, "id")]
			switch {
			case attribute(n, "id") == id && n.Data == "button" && attribute(n, "type") == "submit":
				pressed = true
			case n.Data == "input" && named:
				sent = append(sent, attribute(n, "name"), value)
				filled++
			case n.Data == "input":
				sent = append(sent, attribute(n, "name"), attribute(n, "value"))
			}
		}
		if pressed && filled == len(fill) && attribute(n, "method") == "post" {
			return b.request(http.MethodPost, attribute(n, "action"), pairsOf(sent))
		}
	}
	b.g.t.Fatalf("no button %s with fields %v: %s", id, fill, p.body)
	return page{}
}

// The browser of the conformance suite is driven by the ids of the pages, whatever their
// language, and runs none of our scripts.
func TestOIDF_common_a_sign_in_is_made_by_stable_ids_without_scripts(t *testing.T) {
	for _, lang := range []string{"en", "fr", "es", "de"} {
		g := newFixture(t)
		g.account(ana, password)
		b := g.browser()
		b.lang = lang
		_, p := b.begin()
		for _, step := range []struct {
			button string
			fill   map[string]string
		}{{"continue", map[string]string{"email": ana}}, {"signin", map[string]string{"password": "not " + password}},
			{"signin", map[string]string{"password": password}}} {
			if p = b.press(p, step.button, step.fill); p.status == http.StatusSeeOther {
				p = b.get(p.header.Get("Location"))
			}
		}
		m := regexp.MustCompile(`<meta http-equiv="refresh" content="0;url=([^"]+)">`).FindStringSubmatch(p.body)
		if p.status != http.StatusOK || m == nil || !strings.Contains(p.body, `href="`+m[1]+`" id="continue"`) {
			t.Fatalf("%s: %d %s", lang, p.status, p.body)
		}
		b.get(m[1]).atApp(t, ana)
	}
}
