package login_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"gatehouse/broker"
)

// refuses makes an upstream refuse a code with this error.
func (g *fixture) refuses(code string, err error) { g.ups.answers[code] = claimed{err: err} }

func TestAnUpstreamThatNeedsToAskThePersonIsVisitedOnceMore(t *testing.T) {
	for prompt, code := range map[string]broker.Code{broker.PromptLogin: broker.LoginRequired,
		broker.PromptConsent: broker.ConsentRequired, broker.PromptSelect: broker.LoginRequired} {
		t.Run(prompt, func(t *testing.T) {
			g := newFixture(t)
			g.linked(g.account(ana, ""), "google", "g1")
			g.claims("code", verified("g1", ana))
			g.refuses("asks", broker.NeedsPrompt(prompt, code.Because(errors.New("provider error"))))
			b := g.browser()
			path, _ := b.begin()
			back, err := url.Parse(b.get(b.callback(path, "google", "asks")).url)
			must(t, err)
			if got := g.ups.last().Prompt; got != prompt {
				t.Fatalf("went back with prompt %q", got)
			}
			if e := g.events(broker.EventRefused); len(e) != 0 {
				t.Errorf("the first refusal is shown: %+v", e)
			}
			// The second refusal is the upstream's, and no answer to the app's own prompt=none.
			b.get("/callback/google?code=asks&state="+back.Query().Get("state")).has(t, 502, "sso_idp_rejected")
			if n := len(g.ups.requests); n != 2 {
				t.Errorf("%d visits", n)
			}
			b.through(path, "google", "code").atApp(t, ana)
		})
	}
}

func TestTheWordsOfAnUpstreamAreFoundByReference(t *testing.T) {
	for _, code := range []broker.Code{broker.NotAssigned, broker.UpstreamPolicy, broker.AdminApproval, broker.WrongTenant,
		broker.AppNotInstalled, broker.UpstreamRejected, broker.UpstreamMisconfigured, broker.ConsentDeclined,
		broker.ConnectionUnavailable, broker.LoginRequired, broker.ConsentRequired, broker.InteractionRequired} {
		t.Run(string(code), func(t *testing.T) {
			g := newFixture(t)
			g.refuses("no", code.Because(errors.New("provider error AADSTS50105: the words "+strings.Repeat("x", 5000))))
			b := g.browser()
			path, _ := b.begin()
			p := b.get(b.callback(path, "google", "no"))
			if strings.Contains(p.body, "AADSTS") {
				t.Error("the page shows the upstream's words")
			}
			e := g.events(broker.EventRefused)
			if len(e) != 1 || e[0].Code != code || e[0].Connection != "google" ||
				!strings.Contains(e[0].Detail["cause"], "AADSTS50105: the words") || len(e[0].Detail["cause"]) > 600 {
				t.Fatalf("%+v", e)
			}
			if !strings.Contains(p.body, e[0].Reference) {
				t.Errorf("the page does not show %s", e[0].Reference)
			}
		})
	}
}
