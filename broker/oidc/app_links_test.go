package oidc

import (
	"strings"
	"testing"

	"gatehouse/broker"
)

func linked(c *broker.Client) {
	c.ClientURI, c.PolicyURI, c.TosURI = "https://co.example/?a=1&b", "https://co.example/privacy",
		"https://co.example/terms"
}

// The pages link to what the app registered (RFC 7591 §2).
func TestAQuestionLinksToTheHomePageThePolicyAndTheTermsOfTheApp(t *testing.T) {
	h, b, _ := third(t)
	h.tv("tv")
	device := h.deviceCalls("tv")
	asked := map[string]string{"third": b.get("/authorize?" + thirdAsks().Encode()).Header.Get("Location")}
	asked["tv"], _ = b.question(device.text("user_code"))
	for id, path := range asked {
		if plain := b.do(english(path)); strings.Contains(plain.body, "app-links") {
			t.Errorf("%s has no links: %s", id, plain.body)
		}
		h.change(id, linked)
		page := b.do(english(path)).body
		for _, link := range []string{`<a href="https://co.example/?a=1&amp;b" rel="noreferrer noopener"><bdi>`,
			`<a href="https://co.example/privacy" rel="noreferrer noopener">Privacy policy</a>`,
			`<a href="https://co.example/terms" rel="noreferrer noopener">Terms of service</a>`} {
			if !strings.Contains(page, link) {
				t.Errorf("%s: the page lacks %s in %s", id, link, page)
			}
		}
		h.change(id, func(c *broker.Client) { c.ClientURI, c.TosURI = "", "" })
		if page = b.do(english(path)).body; strings.Contains(page, "/terms") || !strings.Contains(page, "/privacy") {
			t.Errorf("%s, the policy alone: %s", id, page)
		}
	}
}
