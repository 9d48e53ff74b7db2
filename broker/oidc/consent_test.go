package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// third is a third-party client, and a browser in which Ana is signed in.
func third(t *testing.T) (*harness, *browser, string) {
	h := newHarness(t)
	secret := h.client(broker.Client{ID: "third", Name: "Third & Co", AuthMethods: []string{"client_secret_post"}})
	b := h.browser()
	b.code(ask())
	return h, b, secret
}

func thirdAsks(pairs ...string) url.Values {
	return ask(append([]string{"client_id", "third"}, pairs...)...)
}

func TestAC_AThirdPartyAsksOnceAndIsRemembered(t *testing.T) {
	h, b, secret := third(t)
	a := b.get("/authorize?" + thirdAsks().Encode())
	path := a.Header.Get("Location")
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(path, "/consent/") {
		t.Fatalf("%d %s", a.StatusCode, path)
	}
	page := b.get(path)
	for _, text := range []string{"Third &amp; Co wants to use your Gatehouse account", "app.example.com",
		"ana@example.com", "See your email address", "Switch account", ">Allow<", ">Cancel<"} {
		if !strings.Contains(b.do(english(path)).body, text) {
			t.Errorf("the page lacks %q", text)
		}
	}
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, `lang="es"`) {
		t.Errorf("the account speaks Spanish: %d", page.StatusCode)
	}
	if early := b.get("/authorize?consent=" + strings.TrimPrefix(path, "/consent/")); early.Header.Get(
		"Location") != path {
		t.Errorf("before the answer: %d %s", early.StatusCode, early.Header.Get("Location"))
	}
	a = b.post(path, url.Values{"decision": {"allow"}})
	back := "/authorize?consent=" + strings.TrimPrefix(path, "/consent/")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, `content="0;url=`+back) || strings.Contains(a.body,
		"code=") {
		t.Fatalf("no hand-off: %d %s", a.StatusCode, a.body)
	}
	a = b.get(back)
	code := a.location().Query().Get("code")
	if a.StatusCode != http.StatusSeeOther || code == "" || a.location().Query().Get("state") != "the-state" {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	h.wants(h.redeem(code, "client_id", "third", "client_secret", secret), http.StatusOK, "")
	if again := b.get("/authorize?" + thirdAsks("prompt", "none").Encode()); again.location().Query().Get("code") == "" {
		t.Errorf("not remembered: %s", again.Header.Get("Location"))
	}
	if e := h.events(broker.EventFilter{Verb: broker.EventConsentGranted}); len(e) != 1 || e[0].Client != "third" ||
		e[0].Account != "ana" {
		t.Errorf("events %+v", e)
	}
	if e := b.get("/authorize?" + thirdAsks("prompt", "consent").Encode()); !strings.HasPrefix(e.Header.Get("Location"),
		"/consent/") {
		t.Errorf("prompt=consent: %s", e.Header.Get("Location"))
	}
}

func english(path string) *http.Request {
	return newRequest(http.MethodGet, path+"?lang=en", nil)
}

func TestCancelIsReportedToTheApp(t *testing.T) {
	h, b, _ := third(t)
	path := b.get("/authorize?" + thirdAsks().Encode()).Header.Get("Location")
	a := b.post(path, url.Values{"decision": {"cancel"}})
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body,
		callback+
			"?error=access_denied&amp;error_description=consent_denied"+
			"&amp;iss=https%3A%2F%2Fid.example.com&amp;state=the-state") {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if e := h.events(broker.EventFilter{Verb: broker.EventConsentDenied}); len(e) != 1 ||
		e[0].Code != broker.ConsentDenied {
		t.Errorf("events %+v", e)
	}
	if a := b.get("/authorize?" + thirdAsks("prompt", "none").Encode()); a.location().Query().Get(
		"error") != "consent_required" {
		t.Errorf("%s", a.Header.Get("Location"))
	}
}

func TestA14_ConsentIsForThisClientTheseScopesAndThisBrowser(t *testing.T) {
	h, b, _ := third(t)
	grant := func(q url.Values) {
		t.Helper()
		path := b.get("/authorize?" + q.Encode()).Header.Get("Location")
		if a := b.post(path, url.Values{"decision": {"allow"}}); a.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
	asks := func(q url.Values) bool {
		t.Helper()
		return strings.HasPrefix(b.get("/authorize?"+q.Encode()).Header.Get("Location"), "/consent/")
	}
	grant(thirdAsks("scope", "openid"))
	if asks(thirdAsks("scope", "openid")) || !asks(thirdAsks("scope", "openid email")) {
		t.Error("a wider scope was not asked for, or the same one was")
	}
	more := b.do(english(b.get("/authorize?" + thirdAsks("scope", "openid email").Encode()).Header.Get("Location")))
	if strings.Count(more.body, ">New<") != 1 {
		t.Errorf("what is new is not marked: %s", more.body)
	}
	grant(thirdAsks("scope", "openid email"))
	if asks(thirdAsks("scope", "openid")) || asks(thirdAsks("scope", "email openid")) {
		t.Error("what was allowed before is forgotten")
	}
	c, err := h.db.Client(h.ctx(), "third")
	h.must(err)
	for name, change := range map[string]func(){
		"another name":         func() { c.Name = "Third Bank" },
		"another redirect URI": func() { c.RedirectURIs = append(c.RedirectURIs, "https://new.example/cb") },
	} {
		change()
		h.must(h.db.PutClient(h.ctx(), c))
		if !asks(thirdAsks("scope", "openid")) {
			t.Errorf("%s: not asked again", name)
		}
		grant(thirdAsks("scope", "openid"))
	}
	c.AuthMethods, c.PKCE, c.Audience = clients.SecretMethods(), broker.PKCERequired, []string{"api"}
	c.PostLogoutRedirectURIs, c.RedirectURIs = nil, append(c.RedirectURIs, "https://new.example/another", callback+"/v2")
	c.JWTAccess, c.IDTokenAlg, c.LogoURI = true, "ES256", "https://cdn.example/logo.png"
	h.must(h.db.PutClient(h.ctx(), c))
	if asks(thirdAsks("scope", "openid")) {
		t.Error("what concerns the developers only is asked of the person")
	}

	path := b.get("/authorize?" + thirdAsks("scope", "openid photos", "prompt", "consent").Encode()).Header.Get("Location")
	forged := newRequest(http.MethodPost, path, url.Values{"decision": {"allow"}})
	forged.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := b.do(forged); a.StatusCode != http.StatusForbidden {
		t.Errorf("a POST from elsewhere: %d", a.StatusCode)
	}
	eve := h.browser()
	h.page(eve.post(path, url.Values{"decision": {"allow"}}), broker.StartAgain)
	eve.code(ask())
	h.page(eve.post(path, url.Values{"decision": {"allow"}}), broker.LoginElsewhere)
	h.page(eve.get(path), broker.LoginElsewhere)
	h.page(b.post(path, url.Values{"decision": {"maybe"}}), broker.RequestInvalid)
	h.page(b.get("/consent/unknown"), broker.LoginUnknown)
	h.page(b.get("/authorize?consent=unknown"), broker.LoginUnknown)
	if !asks(thirdAsks("scope", "openid photos")) {
		t.Error("one of these counted as consent")
	}
	b.post(path, url.Values{"decision": {"allow"}})
	back := "/authorize?consent=" + strings.TrimPrefix(path, "/consent/")
	if a := eve.get(back); !strings.HasPrefix(a.Header.Get("Location"), "/consent/") {
		t.Errorf("another browser goes on with it: %s", a.Header.Get("Location"))
	}
	h.clock.add(broker.LoginLife)
	h.page(b.get(path), broker.LoginUnknown)
}

func TestSwitchAccountGoesBackToTheChooser(t *testing.T) {
	h, b, _ := third(t)
	path := b.get("/authorize?" + thirdAsks().Encode()).Header.Get("Location")
	a := b.get("/authorize?consent=" + strings.TrimPrefix(path, "/consent/") + "&switch=1")
	l := h.logins.pending[strings.TrimPrefix(a.Header.Get("Location"), "/login/")]
	if !l.Pick || l.Request.Get("client_id") != "third" {
		t.Errorf("%s %+v", a.Header.Get("Location"), l)
	}
}

func TestAClientThatAnyProgramCouldBeIsAskedForEachTime(t *testing.T) {
	h := newHarness(t)
	h.client(broker.Client{ID: "cli", Name: "CLI", AuthMethods: []string{"none"}, Native: true,
		RedirectURIs: []string{"http://127.0.0.1/cb", "https://cli.example/cb"}})
	b := h.browser()
	b.code(ask())
	for _, c := range []struct {
		uri        string
		remembered bool
	}{{"http://127.0.0.1:4000/cb", false}, {"https://cli.example/cb", true}} {
		q := ask("client_id", "cli", "redirect_uri", c.uri)
		path := b.get("/authorize?" + q.Encode()).Header.Get("Location")
		b.post(path, url.Values{"decision": {"allow"}})
		if a := b.get("/authorize?consent=" + strings.TrimPrefix(path, "/consent/")); a.location().Query().Get("code") == "" {
			t.Fatalf("%s: %d %s", c.uri, a.StatusCode, a.Header.Get("Location"))
		}
		if a := b.get("/authorize?" + q.Encode()); (a.location().Query().Get("code") != "") != c.remembered {
			t.Errorf("%s: %s", c.uri, a.Header.Get("Location"))
		}
		h.clock.add(time.Second)
		if !c.remembered {
			h.must(h.db.RemoveConsent(h.ctx(), "ana", "cli", h.clock.Now()))
		}
	}
}
