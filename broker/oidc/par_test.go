package oidc

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// push sends a request ahead as the client "app", with its secret unless the form has credentials.
func (h *harness) push(form url.Values) answer {
	h.t.Helper()
	r := newRequest(http.MethodPost, "/par", form)
	if !form.Has("client_secret") && form.Get("client_id") == "app" {
		r.SetBasicAuth("app", h.secret)
	}
	return h.send(r)
}

// pushed is push for a request that must be taken, and the request that names it.
func (h *harness) pushed(form url.Values) url.Values {
	h.t.Helper()
	a := h.push(form)
	uri := a.text("request_uri")
	if a.StatusCode != http.StatusCreated || !strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") ||
		a.json["expires_in"] != 90.0 || a.Header.Get("Cache-Control") != "no-store" {
		h.t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
	return url.Values{"client_id": {form.Get("client_id")}, "request_uri": {uri}}
}

func TestARequestThatWasPushedEndsInTokens(t *testing.T) {
	h := newHarness(t)
	h.client(broker.Client{ID: "spa", Name: "SPA", AuthMethods: []string{"none"}, FirstParty: true})
	posted := h.client(broker.Client{ID: "poster", Name: "Poster", AuthMethods: []string{"client_secret_post"},
		FirstParty: true})
	b := h.browser()
	for _, c := range [][]string{{}, {"client_id", "spa"}, {"client_id", "poster", "client_secret", posted}} {
		q := h.pushed(ask(append([]string{"prompt", "login", "login_hint", "ana"}, c...)...))
		a := b.get("/authorize?" + q.Encode())
		id, ok := strings.CutPrefix(a.location().Path, "/login/")
		if l := h.logins.pending[id]; !ok || l.Hint != "ana" || !l.Fresh || l.Request.Has("client_secret") {
			t.Fatalf("%v: %s %+v", c, a.Header.Get("Location"), l)
		}
		a = b.get("/authorize?login=" + id)
		code := a.location().Query().Get("code")
		if code == "" || a.location().Query().Get("state") != "the-state" || a.location().Query().Get("iss") != issuer {
			t.Fatalf("%v: %d %s", c, a.StatusCode, a.Header.Get("Location"))
		}
		h.wants(h.redeem(code, c...), http.StatusOK, "")
	}
}

// RFC 9126 §2.3: what is refused is refused before any browser is there.
func TestAPushedRequestIsCheckedWhenItIsPushed(t *testing.T) {
	h := newHarness(t)
	for name, pairs := range map[string][]string{
		"invalid_request":           {"code_challenge", "-"},
		"unsupported_response_type": {"response_type", "token"},
		"unsupported_response_mode": {"response_mode", "fragment"},
		"invalid_scope":             {"scope", "openid admin"},
		"invalid_target":            {"resource", "https://evil.example"},
		"request_not_supported":     {"request", "e30"},
	} {
		h.wants(h.push(ask(pairs...)), http.StatusBadRequest, name)
	}
	for name, pairs := range map[string][]string{
		"redirect_uri":  {"redirect_uri", "https://evil.example/"},
		"no redirect":   {"redirect_uri", "-"},
		"a request_uri": {"request_uri", "urn:ietf:params:oauth:request_uri:x"},
		"a foreign uri": {"request_uri", "https://evil.example/"},
		"claims":        {"claims", "["},
		"hint":          {"id_token_hint", "x"},
		"length":        {"state", strings.Repeat("s", maxState+1)},
	} {
		if a := h.push(ask(pairs...)); a.StatusCode != http.StatusBadRequest || a.text("error") != "invalid_request" ||
			strings.Contains(a.body, "evil") {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	twice := ask()
	twice["scope"] = []string{"openid", "email"}
	h.wants(h.push(twice), http.StatusBadRequest, "invalid_request")
	inURL := newRequest(http.MethodPost, "/par?client_secret=x", ask())
	inURL.SetBasicAuth("app", h.secret)
	h.wants(h.send(inURL), http.StatusBadRequest, "invalid_request")
	robot := h.client(broker.Client{ID: "robot", Name: "Robot", AuthMethods: []string{"client_secret_post"},
		GrantTypes: []string{clients.GrantClient}, Scopes: []string{"photos"}})
	h.wants(h.push(ask("client_id", "robot", "client_secret", robot, "scope", "photos")), http.StatusBadRequest,
		"unauthorized_client")
}

func TestA9_OnlyTheClientPushes(t *testing.T) {
	h := newHarness(t)
	other := h.client(broker.Client{ID: "other", Name: "Other", AuthMethods: []string{"client_secret_post"}})
	for name, form := range map[string]url.Values{
		"a wrong secret":          ask("client_secret", "wrong"),
		"another's secret":        ask("client_secret", other),
		"another's method":        ask("client_secret", h.secret),
		"nobody":                  ask("client_id", "nobody", "client_secret", h.secret),
		"no secret, no Basic":     ask("client_id", "other"),
		"an assertion for naught": ask("client_id", "other", "client_assertion", "x", "client_assertion_type", "y"),
	} {
		a := h.push(form)
		if a.StatusCode != http.StatusUnauthorized || a.text("error") != "invalid_client" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	r := newRequest(http.MethodPost, "/par", ask("client_id", "other"))
	r.SetBasicAuth("app", h.secret)
	h.wants(h.send(r), http.StatusBadRequest, "invalid_request")
}

func TestA19_P4_APushedRequestIsItsClientsAndOverAfterNinetySeconds(t *testing.T) {
	h := newHarness(t)
	h.client(broker.Client{ID: "other", Name: "Other", AuthMethods: []string{"none"}, FirstParty: true})
	b := h.browser()
	b.code(ask())
	q := h.pushed(ask())
	stolen := url.Values{"client_id": {"other"}, "request_uri": q["request_uri"]}
	h.page(b.get("/authorize?"+stolen.Encode()), broker.RequestURIInvalid)
	for name, uri := range map[string]string{"unknown": pushedPrefix + "abc", "empty": pushedPrefix,
		"edited": q.Get("request_uri") + "x", "its hash": pushedPrefix + h.keyring.Hash(purposePushed,
			[]byte(strings.TrimPrefix(q.Get("request_uri"), pushedPrefix)))} {
		a := b.get("/authorize?" + ask("request_uri", uri).Encode())
		if a.Header.Get("Location") != "" {
			t.Errorf("%s: to %s", name, a.Header.Get("Location"))
		}
		h.page(a, broker.RequestURIInvalid)
	}
	h.page(b.get("/authorize?"+url.Values{"client_id": {"app"}, "request_uri": {pushedPrefix + strings.Repeat("x",
		129)}}.Encode()), broker.RequestInvalid)
	twice := url.Values{"client_id": {"app", "other"}, "request_uri": q["request_uri"]}
	h.page(b.get("/authorize?"+twice.Encode()), broker.RequestInvalid)
	h.clock.add(pushedLife)
	h.page(b.get("/authorize?"+q.Encode()), broker.RequestURIInvalid)
}

func TestA19_OneCodeComesOfAPushedRequest(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	q := h.pushed(ask())
	first := b.get("/authorize?" + q.Encode()).location().Path
	again := b.get("/authorize?" + q.Encode()).location().Path // a reload, before anybody signed in
	if !strings.HasPrefix(first, "/login/") || !strings.HasPrefix(again, "/login/") {
		t.Fatalf("%s, %s", first, again)
	}
	h.clock.add(10 * time.Minute) // the person takes longer than the request lives
	a := b.get("/authorize?login=" + strings.TrimPrefix(first, "/login/"))
	if a.location().Query().Get("code") == "" {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	h.appHears(b.get("/authorize?login="+strings.TrimPrefix(again, "/login/")), "invalid_request_uri")
	h.page(b.get("/authorize?"+q.Encode()), broker.RequestURIInvalid)

	q = h.pushed(ask())
	b.code(q) // from the session, at once
	h.page(b.get("/authorize?"+q.Encode()), broker.RequestURIInvalid)
}

func TestA19_OneOfManyConcurrentRequestsGetsTheCode(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	b.code(ask())
	q := h.pushed(ask())
	var mu sync.Mutex
	var race sync.WaitGroup
	codes, cookies := 0, b.cookies
	for range 8 {
		race.Go(func() {
			one := &browser{h, map[string]string{}}
			for name, value := range cookies {
				one.cookies[name] = value
			}
			a := one.get("/authorize?" + q.Encode())
			mu.Lock()
			defer mu.Unlock()
			if a.location().Query().Get("code") != "" {
				codes++
			}
		})
	}
	race.Wait()
	if codes != 1 {
		t.Errorf("%d codes", codes)
	}
}

func TestP5_NothingInTheURLJoinsWhatWasPushed(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	got := h.redeem(b.code(ask()))
	q := h.pushed(ask("nonce", "pushed", "state", "pushed", "scope", "openid"))
	for name, value := range map[string]string{"nonce": "evil", "state": "evil", "scope": "openid email photos",
		"prompt": "login", "redirect_uri": "https://evil.example/", "max_age": "0",
		"response_mode": "form_post", "response_type": "token", "request": "x", "id_token_hint": got.text("id_token"),
		"code_challenge": challengeOf("evil" + verifier), "claims": `{"id_token":{"email":null}}`} {
		q.Set(name, value)
	}
	a := b.get("/authorize?" + q.Encode())
	code := a.location().Query().Get("code")
	if code == "" || a.location().Query().Get("state") != "pushed" {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	tokens := h.wants(h.redeem(code), http.StatusOK, "")
	_, claims := h.claims(tokens.text("id_token"))
	if claims["nonce"] != "pushed" || claims["email"] != nil || tokens.text("scope") != "openid" {
		t.Errorf("%v %s", claims, tokens.text("scope"))
	}
}

func TestP3_A23_NoCredentialIsKeptOfAPushedRequest(t *testing.T) {
	spy := &ephemeralSpy{}
	h := newHarnessWith(t, ports{ephemeral: func(f broker.Ephemeral) broker.Ephemeral { spy.Ephemeral = f; return spy }})
	secret := h.client(broker.Client{ID: "poster", Name: "Poster", AuthMethods: []string{"client_secret_post"},
		FirstParty: true})
	q := h.pushed(ask("client_id", "poster", "client_secret", secret))
	h.browser().authorize(q)
	token := strings.TrimPrefix(q.Get("request_uri"), pushedPrefix)
	seen := false
	for _, put := range spy.puts {
		if strings.Contains(put, secret) || strings.Contains(put, token) || strings.Contains(put, "client_secret") {
			t.Errorf("stored: %s", put)
		}
		seen = seen || strings.HasPrefix(put, "pushed "+h.keyring.Hash(purposePushed, []byte(token)))
	}
	if raw, err := base64.RawURLEncoding.DecodeString(token); !seen || err == nil && len(raw) < 32 {
		t.Errorf("seen %v, token %q", seen, token)
	}
	for _, l := range h.logins.pending {
		if strings.Contains(l.Request.Encode(), token) || l.Request.Has("client_secret") {
			t.Errorf("parked: %v", l.Request)
		}
	}
}

func TestAClientMayBeHeldToPushing(t *testing.T) {
	h := newHarness(t)
	h.client(broker.Client{ID: "strict", Name: "Strict", AuthMethods: []string{"none"}, FirstParty: true,
		PushedOnly: true})
	b := h.browser()
	b.code(ask())
	h.appHears(b.get("/authorize?"+ask("client_id", "strict").Encode()), "invalid_request")
	posted := h.send(newRequest(http.MethodPost, "/authorize", ask("client_id", "strict")))
	h.appHears(b.get(posted.Header.Get("Location")), "invalid_request")
	b.code(h.pushed(ask("client_id", "strict")))
	q := h.pushed(ask("client_id", "strict"))
	posted = h.send(newRequest(http.MethodPost, "/authorize", q))
	if a := b.get(posted.Header.Get("Location")); a.location().Query().Get("code") == "" {
		t.Errorf("posted: %d %s", a.StatusCode, a.body)
	}
}

func TestA14_APushedRequestAsksForConsentToo(t *testing.T) {
	h := newHarness(t)
	secret := h.client(broker.Client{ID: "third", Name: "Third", AuthMethods: []string{"client_secret_post"}})
	b := h.browser()
	b.code(ask())
	q := h.pushed(thirdAsks("client_secret", secret))
	path := b.get("/authorize?" + q.Encode()).Header.Get("Location")
	if !strings.HasPrefix(path, "/consent/") {
		t.Fatalf("to %s", path)
	}
	b.get(path + "?lang=de") // the person switches the language, and nothing is lost
	b.post(path, url.Values{"decision": {"allow"}})
	a := b.get("/authorize?consent=" + strings.TrimPrefix(path, "/consent/"))
	if a.location().Query().Get("code") == "" {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	h.page(b.get("/authorize?"+q.Encode()), broker.RequestURIInvalid)
	q = h.pushed(thirdAsks("client_secret", secret, "prompt", "none"))
	if a := b.get("/authorize?" + q.Encode()); a.location().Query().Get("code") == "" {
		t.Errorf("%s", a.Header.Get("Location"))
	}
}

func TestH4_StrangersPushNoMoreThanTheCap(t *testing.T) {
	rows := map[string]int{}
	h := newHarnessWith(t, ports{ephemeral: func(f broker.Ephemeral) broker.Ephemeral { return &crowd{f, rows} }})
	h.client(broker.Client{ID: "spa", Name: "SPA", AuthMethods: []string{"none"}})
	for i := range 6 {
		a := h.push(ask("client_id", "spa"))
		if i < 3 && a.StatusCode != http.StatusCreated || i >= 3 && (a.StatusCode != http.StatusTooManyRequests ||
			a.Header.Get("Retry-After") == "" || a.text("error") == "") {
			t.Errorf("push %d: %d %s", i, a.StatusCode, a.body)
		}
	}
	h.pushed(ask()) // a client with a secret is not limited
	if rows["pushed"] != 4 {
		t.Errorf("%d rows", rows["pushed"])
	}
}

func TestAPushedRequestObjectIsNotSupported(t *testing.T) {
	h := newHarness(t)
	a := h.call("/par", "request", "eyJhbGciOiJub25lIn0.e30.", "response_type", "code")
	h.wants(a, http.StatusBadRequest, "request_not_supported")
	page := h.browser().get("/authorize?client_id=app&request=eyJhbGciOiJub25lIn0.e30.")
	h.page(page, broker.RequestInvalid)
	if !strings.Contains(page.body, "a request object") {
		t.Errorf("the page does not say what is wrong: %s", page.body)
	}
}

func TestAPushedRequestWithAnotherRedirectURIReadsTheSetting(t *testing.T) {
	h := newHarness(t)
	form := ask("redirect_uri", "https://app.example.com/typo")
	r := newRequest(http.MethodPost, "/par", form)
	r.SetBasicAuth("app", h.secret)
	a := h.wants(h.send(r), http.StatusBadRequest, "invalid_request")
	if !strings.Contains(a.text("error_description"), "gatehouse clients change app --redirect-uri") {
		t.Error(a.body)
	}
}
