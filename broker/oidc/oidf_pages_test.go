package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"gatehouse/broker"
)

// The browser of the suite is driven by the ids of the pages, whatever their language,
// and runs none of our scripts.

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// element is the one element of a page with this id.
func (h *harness) element(a answer, id string) (found *html.Node) {
	h.t.Helper()
	page, err := html.Parse(strings.NewReader(a.body))
	h.must(err)
	for n := range page.Descendants() {
		if n.Type == html.ElementNode && attribute(n, "id") == id {
			if found != nil {
				h.t.Errorf("the id %s is there twice", id)
			}
			found = n
		}
	}
	if found == nil {
		h.t.Fatalf("no %s at %d %.2000s", id, a.StatusCode, a.body)
	}
	return found
}

// pressed is what the button with this id sends.
func (h *harness) pressed(a answer, id string) (target string, sent url.Values) {
	h.t.Helper()
	button := h.element(a, id)
	form := button.Parent
	for form != nil && form.Data != "form" {
		form = form.Parent
	}
	if form == nil || attribute(form, "method") != "post" || attribute(button, "type") != "submit" {
		h.t.Fatalf("%s submits no form: %.2000s", id, a.body)
	}
	sent = url.Values{}
	for n := range form.Descendants() {
		if name := attribute(n, "name"); n.Data == "input" && name != "" && attribute(n, "type") != "checkbox" {
			sent.Add(name, attribute(n, "value"))
		}
	}
	if name := attribute(button, "name"); name != "" {
		sent.Add(name, attribute(button, "value"))
	}
	return attribute(form, "action"), sent
}

// press presses it, and goes on to where the answer leads on our side.
func (b *browser) press(a answer, id string) answer {
	b.h.t.Helper()
	target, sent := b.h.pressed(a, id)
	a = b.post(target, sent)
	if a.StatusCode == http.StatusSeeOther {
		return b.get(a.Header.Get("Location"))
	}
	if a.StatusCode == http.StatusOK && strings.Contains(a.body, `<meta http-equiv="refresh" content="0;url=/`) {
		return b.get(attribute(b.h.element(a, "continue"), "href"))
	}
	return a
}

func TestOIDF_common_consent_is_answered_by_stable_ids_without_scripts(t *testing.T) {
	h, b, _ := third(t)
	page := b.get(b.get("/authorize?" + thirdAsks().Encode()).Header.Get("Location"))
	to := attribute(h.element(b.press(page, "cancel"), "continue"), "href")
	if u, err := url.Parse(to); err != nil || u.Query().Get("error") != "access_denied" || !strings.HasPrefix(to,
		callback+"?") {
		t.Errorf("cancelled: %s", to)
	}
	page = b.get(b.get("/authorize?" + thirdAsks().Encode()).Header.Get("Location"))
	if a := b.press(page, "allow"); h.logged(a).Get("code") == "" {
		t.Errorf("%d %.2000s", a.StatusCode, a.body)
	}
}

func TestOIDF_common_a_posted_answer_is_sent_by_a_stable_id_without_scripts(t *testing.T) {
	h := newHarness(t)
	target, sent := h.pressed(h.browser().authorize(ask("response_mode", "form_post")), "continue")
	if target != callback || sent.Get("code") == "" || sent.Get("state") != "the-state" || sent.Get("iss") != issuer ||
		len(sent) != 3 {
		t.Errorf("%s %v", target, sent)
	}
}

func TestOIDF_common_a_sign_out_is_answered_by_stable_ids_without_scripts(t *testing.T) {
	for _, path := range []string{leave(), leave("state", longState), leave("post_logout_redirect_uri", goodbye)} {
		h, b, _ := signedIn(t)
		b.press(b.get(path), "stay")
		if !b.alive() {
			t.Errorf("%s: signed out", path)
		}
		h.element(b.press(b.get(path), "leave"), "signedout")
		h.signedOut(b)
	}
	h := newHarness(t)
	h.change("app", func(c *broker.Client) { c.FrontchannelLogoutURI = "https://app.example.com/front" })
	b := h.browser()
	got := h.redeem(b.code(ask()))
	a := b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", goodbye))
	if to := attribute(h.element(a, "continue"), "href"); to != goodbye {
		t.Errorf("it leads to %s", to)
	}
}

func TestOIDF_common_an_error_page_names_its_code_by_a_stable_id(t *testing.T) {
	h := newHarness(t)
	a := h.browser().get("/authorize?" + ask("redirect_uri", "https://other.example.com/").Encode())
	text := ""
	for n := range h.element(a, "details").Descendants() {
		if n.Type == html.TextNode {
			text += n.Data + " "
		}
	}
	if !strings.Contains(text, string(broker.RedirectURIMismatch)) {
		t.Errorf("%s", text)
	}
}
