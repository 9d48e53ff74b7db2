package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// plan is a run of the Basic list as one of its two plans has it: the answers come in
// the query, or they are posted. The suite authenticates with a secret in a header, and
// sends no PKCE where a module is not about it.
type plan struct {
	*harness
	b      *browser
	mode   string // the response_mode that the suite sends, empty for none
	secret string
	second string // of its other client, suite2
	code   string // the latest
}

// bothPlans runs a module for the Basic plan and for the Form Post plan. The clock is
// between two seconds, as clocks are.
func bothPlans(t *testing.T, module func(t *testing.T, p *plan)) {
	for name, mode := range map[string]string{"basic": "", "formpost-basic": modePost} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.clock.add(987654321)
			p := &plan{harness: h, b: h.browser(), mode: mode}
			p.secret, p.second = h.suite("suite"), h.suite("suite2")
			module(t, p)
		})
	}
}

// suite registers a client as the suite's operator does, with the defaults.
func (h *harness) suite(id string) string {
	h.t.Helper()
	return h.client(broker.Client{ID: id, Name: "Suite " + id, AuthMethods: clients.SecretMethods(), FirstParty: true})
}

// longState has the characters that an answer must leave alone.
var longState = strings.Repeat("aZ9-._~x", 16)

func (p *plan) ask(pairs ...string) url.Values {
	q := ask("client_id", "suite", "code_challenge", "-", "code_challenge_method", "-", "scope", "openid", "state",
		longState)
	if p.mode != "" {
		q.Set("response_mode", p.mode)
	}
	for i := 0; i < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "-" {
			q.Del(pairs[i])
		}
	}
	return q
}

// answered reads an answer to the app and checks what is common to all: it comes as it
// was asked for, says nothing twice, brings the state back to the letter, and names us.
func (p *plan) answered(a answer) url.Values {
	p.t.Helper()
	said := p.logged(a)
	_, fields := a.form()
	if said == nil || (fields != nil) != (p.mode == modePost) || said.Get("state") != longState ||
		said.Get("iss") != issuer {
		p.t.Fatalf("%d to %q: %v %.600s", a.StatusCode, a.Header.Get("Location"), said, a.body)
	}
	for name, values := range said {
		if len(values) != 1 {
			p.t.Errorf("%s comes %d times", name, len(values))
		}
	}
	return said
}

func (p *plan) hears(pairs ...string) url.Values {
	p.t.Helper()
	return p.answered(p.b.authorize(p.ask(pairs...)))
}

// fails wants an error in place of the code.
func (p *plan) fails(name string, pairs ...string) {
	p.t.Helper()
	if said := p.hears(pairs...); said.Get("error") != name || said.Has("code") {
		p.t.Errorf("%v, want %s", said, name)
	}
}

func (p *plan) exchange(pairs ...string) answer {
	p.t.Helper()
	r := newRequest(http.MethodPost, pathToken,
		form(append([]string{"grant_type", clients.GrantCode, "code", p.code, "redirect_uri", callback}, pairs...)...))
	r.SetBasicAuth("suite", p.secret)
	return p.send(r)
}

// signsIn is a whole authorization, with the checks that every module makes.
func (p *plan) signsIn(pairs ...string) (got answer, id map[string]any) {
	p.t.Helper()
	p.code = p.hears(pairs...).Get("code")
	got = p.wants(p.exchange(), http.StatusOK, "")
	return got, p.proper(p.ask(pairs...), got)
}

// proper checks a token response and its ID token, and answers what the ID token says.
func (p *plan) proper(q url.Values, got answer) map[string]any {
	p.t.Helper()
	token := got.text("access_token")
	for name, v := range map[string]string{"code": p.code, "access token": token} {
		if bits := entropy(v); bits < 96 {
			p.t.Errorf("the %s %q has %.0f bits", name, v, bits)
		}
	}
	if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Content-Type") != "application/json" ||
		got.text("token_type") != "Bearer" ||
		!regexp.MustCompile(`"expires_in":600[,}]`).MatchString(got.body) {
		p.t.Errorf("%v %s", got.Header, got.body)
	}
	head, id := p.opened(got.text("id_token")) // by the one published key of its kid
	given := []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "acr", "sid", "at_hash"}
	if c, err := p.db.Client(p.ctx(), "suite"); err == nil && c.IDTokenClaims == "" {
		for _, scope := range strings.Fields(q.Get("scope")) {
			given = append(given, map[string][]string{"profile": profileClaims, "email": emailClaims}[scope]...)
		}
	}
	for name := range id {
		if !slices.Contains(given, name) {
			p.t.Errorf("the ID token says %s, which nobody asked for", name)
		}
	}
	sum := sha256.Sum256([]byte(token))
	now := float64(p.clock.Now().Unix())
	want := map[string]any{"iss": issuer, "sub": "ana", "aud": "suite", "iat": now, "exp": now + 600,
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16])}
	if nonce := q.Get("nonce"); nonce != "" {
		want["nonce"] = nonce
	}
	said := maps.Clone(id)
	maps.DeleteFunc(said, func(name string, _ any) bool { return want[name] == nil && name != "nonce" })
	if head.Algorithm != "RS256" || !maps.Equal(said, want) {
		p.t.Errorf("%+v %v, want %v", head, id, want)
	}
	p.wholeSeconds(got.text("id_token"))
	if at, _ := id["auth_time"].(float64); at > now || at < now-3600 {
		p.t.Errorf("auth_time %v at %v", at, now)
	}
	if acr, _ := id["acr"].(string); q.Has("acr_values") && !slices.Contains(strings.Fields(q.Get("acr_values")), acr) {
		p.t.Errorf("acr %q of %q", acr, q.Get("acr_values"))
	}
	if info := p.wants(p.userinfo(token), http.StatusOK, ""); info.text("sub") != id["sub"] {
		p.t.Errorf("%s", info.body)
	}
	return id
}

// wholeSeconds refuses a moment in a token that is anything but a number of seconds.
func (h *harness) wholeSeconds(token string) {
	h.t.Helper()
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	h.must(err)
	var raw map[string]json.RawMessage
	h.must(json.Unmarshal(body, &raw))
	for _, name := range []string{"iat", "exp", "auth_time"} {
		if v, ok := raw[name]; ok && !regexp.MustCompile(`^\d{10}$`).Match(v) {
			h.t.Errorf("%s is %s", name, v)
		}
	}
}

// entropy is what is measured of a text (Shannon), in bits.
func entropy(s string) (bits float64) {
	count := map[rune]float64{}
	for _, r := range s {
		count[r]++
	}
	for _, n := range count {
		bits -= n * math.Log2(n/float64(len(s)))
	}
	return bits
}

// later is a moment at which a new authentication is known by its time.
func (p *plan) later() { p.clock.add(2 * time.Second) }

// The modules of the plans, as the suite calls them. The Form Post plan is the Basic
// list once more.
const (
	configPlan = `oidcc-discovery-endpoint-verification`
	basicPlan  = `oidcc-server oidcc-response-type-missing oidcc-idtoken-signature oidcc-idtoken-unsigned
		oidcc-userinfo-get oidcc-userinfo-post-header oidcc-userinfo-post-body
		oidcc-ensure-request-without-nonce-succeeds-for-code-flow
		oidcc-scope-profile oidcc-scope-email oidcc-scope-address oidcc-scope-phone oidcc-scope-all
		oidcc-ensure-other-scope-order-succeeds oidcc-alternate-happy-flow
		oidcc-display-page oidcc-display-popup oidcc-prompt-login oidcc-prompt-none-not-logged-in oidcc-prompt-none-logged-in
		oidcc-max-age-1 oidcc-max-age-10000 oidcc-ensure-request-with-unknown-parameter-succeeds oidcc-id-token-hint
		oidcc-login-hint
		oidcc-ui-locales oidcc-claims-locales oidcc-ensure-request-with-acr-values-succeeds oidcc-codereuse
		oidcc-codereuse-30seconds
		oidcc-ensure-registered-redirect-uri oidcc-ensure-post-request-succeeds oidcc-server-client-secret-post
		oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported
		oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported
		oidcc-claims-essential oidcc-ensure-request-object-with-redirect-uri oidcc-refresh-token
		oidcc-ensure-request-with-valid-pkce-succeeds`
	logoutPlans = `oidcc-rp-initiated-logout-discovery-endpoint-verification oidcc-rp-initiated-logout
	oidcc-rp-initiated-logout-no-state
		oidcc-rp-initiated-logout-bad-post-logout-redirect-uri
		oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri
		oidcc-rp-initiated-logout-modified-id-token-hint oidcc-rp-initiated-logout-bad-id-token-hint
		oidcc-rp-initiated-logout-no-id-token-hint
		oidcc-rp-initiated-logout-no-params oidcc-rp-initiated-logout-only-state
		oidcc-rp-initiated-logout-no-post-logout-redirect-uri
		oidcc-backchannel-logout-discovery-endpoint-verification oidcc-backchannel-rp-initiated-logout
		oidcc-frontchannel-logout-discovery-endpoint-verification oidcc-frontchannel-rp-initiated-logout`
)

func TestEveryModuleOfThePlansHasATestOfItsName(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{} // to whether both plans run it
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		test := regexp.MustCompile(`(?m)^func TestOIDF_(\w+)\(t \*testing\.T\) *\{\s*(bothPlans\(t,)?`)
		for _, m := range test.FindAllStringSubmatch(string(b), -1) {
			tests[strings.ReplaceAll(m[1], "_", "-")] = m[2] != ""
		}
	}
	for _, module := range strings.Fields(configPlan + " " + basicPlan + " " + logoutPlans) {
		if _, ok := tests[module]; !ok {
			t.Errorf("%s has no test", module)
		}
	}
	for _, module := range strings.Fields(basicPlan) {
		if !tests[module] {
			t.Errorf("%s is not run for both plans", module)
		}
	}
}
