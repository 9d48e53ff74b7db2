package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// token asks the token endpoint as a client for itself (RFC 6749 §4.4) and
// returns the error, empty for none.
func (w *harness) token(id, secret string) string {
	w.t.Helper()
	w.advance(6 * time.Second) // a server may know a client of five seconds ago
	req, err := http.NewRequest(http.MethodPost, w.file.Issuer+"/token",
		strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var v appTokens
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		w.t.Fatal(err)
	}
	if (v.Access == "") == (v.Error == "") {
		w.t.Fatalf("neither a token nor an error: %d %+v", res.StatusCode, v)
	}
	return v.Error
}

func TestTwoSecretsOfAClientLiveAtATime(t *testing.T) {
	w := newHarness(t)
	o := operatorOf(w)
	var c clientView
	o.shows(&c, "clients", "add", "--name", "Robot", "--grant", "client_credentials", "--scope", "robots")
	first, id := c.Secret, c.ID
	if len(first) < 43 || c.Secrets != 1 || len(id) < 20 {
		t.Fatalf("added: %+v", c)
	}
	if got := w.token(id, first); got != "" {
		t.Fatalf("a new client: %s", got)
	}
	o.shows(&c, "clients", "secret", id)
	second := c.Secret
	for _, secret := range []string{first, second} {
		if got := w.token(id, secret); got != "" {
			t.Errorf("one of two live secrets: %s", got)
		}
	}
	own := "Zk3vQ9xT2mW7pL4sD8fH1jC6bN5gR0yE"
	o.doesWith(own+"\n", "clients", "secret", id, "--secret-file", "-")
	for secret, want := range map[string]string{first: "invalid_client", second: "", own: ""} {
		if got := w.token(id, secret); got != want {
			t.Errorf("after the third: %q, want %q", got, want)
		}
	}
	o.doesWith(own, "clients", "secret", id, "--secret-file", "-") // the same secret again removes none
	if got := w.token(id, second); got != "" {
		t.Errorf("the second secret after the third came twice: %s", got)
	}
	var later clientView
	if o.shows(&later, "clients", "show", id); later.Secret != "" || later.Secrets != 2 {
		t.Errorf("shown later: %+v", later)
	}
	for _, line := range []string{"clients list", "clients show " + id, "audit"} {
		out := o.does(strings.Fields(line)...) + o.does(append(strings.Fields(line), "--json")...)
		for _, secret := range []string{first, second, own} {
			if strings.Contains(out, secret) {
				t.Errorf("%s shows a secret", line)
			}
		}
	}
}

func TestADisabledClientsTokensEnd(t *testing.T) {
	w := newHarness(t)
	o := operatorOf(w)
	b := w.signedIn("ben@example.test", "Ben Carter")
	demo := w.file.Clients[0]
	if w.token(demo.ID, demo.Secret) != "" || !w.refreshes(b) {
		t.Fatal("nothing to lose")
	}
	refresh := w.refreshToken(b)
	o.does("clients", "disable", demo.ID)
	if got := w.token(demo.ID, demo.Secret); got != "invalid_client" {
		t.Errorf("a disabled client: %q", got)
	}
	o.does("clients", "disable", demo.ID) // nothing to do, nothing to tell
	o.does("clients", "enable", demo.ID)
	if got := w.token(demo.ID, demo.Secret); got != "" {
		t.Errorf("enabled again: %s", got)
	}
	if w.refreshes(b) {
		t.Error("its refresh token from before came back to life")
	}
	_, grant, _ := strings.Cut(refresh, ".")
	_, grant, _ = strings.Cut(grant, ".")
	grant, _, _ = strings.Cut(grant, ".")
	f, _, err := w.h.store.Grant(w.ctx, grant)
	if err != nil || f.EndedAt.IsZero() || f.EndedBy != broker.Revoked {
		t.Errorf("the family: %+v, %v", f, err)
	}
	if got := o.logged(); !slices.Equal(got[len(got)-2:], []string{"client.changed disabled", "client.changed enabled"}) {
		t.Errorf("events %q", got)
	}
}

// refreshToken is the one that the sample app shows.
func (w *harness) refreshToken(b *browser) string {
	w.t.Helper()
	b.open(w.file.App + "/")
	for _, d := range elements(b.page.root, "details") {
		if strings.HasPrefix(textOf(d), "Refresh token ") {
			return strings.TrimPrefix(textOf(d), "Refresh token ")
		}
	}
	w.t.Fatal("no refresh token")
	return ""
}

func TestAClientIsChangedFlagByFlag(t *testing.T) {
	o := newOperator(t)
	var c clientView
	o.shows(&c, "clients", "add", "--id", "wiki", "--name", "Wiki", "--redirect-uri", "https://wiki.example.test/a",
		"--redirect-uri", "https://wiki.example.test/b")
	if c.ID != "wiki" || !slices.Equal(c.AuthMethods, clients.SecretMethods()) || c.PKCE != "default" ||
		c.IDTokenClaims != "scopes" || c.Username != "email" || c.ErrorIss != "on" || c.FirstParty ||
		!slices.Equal(c.GrantTypes, []string{"authorization_code", "refresh_token"}) {
		t.Errorf("added: %+v", c)
	}
	o.isRefused(`there is a client "wiki" already`, "clients", "add", "--id", "wiki", "--name", "Wiki", "--redirect-uri",
		"https://x.example.test/")

	var changed clientView
	o.shows(&changed, "clients", "change", "wiki", "--redirect-uri", "https://wiki.example.test/c", "--first-party",
		"--pkce", "off", "--id-token-alg", "ES256", "--auth-method", "client_secret_basic", "--id-token-claims", "minimal",
		"--preferred-username", "local_part", "--error-iss", "off")
	if !slices.Equal(changed.RedirectURIs, []string{"https://wiki.example.test/c"}) || !changed.FirstParty ||
		changed.PKCE != "off" || changed.IDTokenAlg != "ES256" || len(changed.AuthMethods) != 1 ||
		changed.IDTokenClaims != "minimal" || changed.Username != "local_part" || changed.ErrorIss != "off" {
		t.Errorf("changed: %+v", changed)
	}
	if changed.Name != "Wiki" || !slices.Equal(changed.Scopes, c.Scopes) || changed.Secrets != 1 {
		t.Errorf("changed what no flag named: %+v", changed)
	}
	var back clientView
	o.shows(&back, "clients", "change", "wiki", "--pkce", "default", "--id-token-claims", "scopes",
		"--preferred-username", "email", "--error-iss", "on")
	if back.PKCE != "default" || back.IDTokenClaims != "scopes" || back.Username != "email" || back.ErrorIss != "on" {
		t.Errorf("back to the defaults: %+v", back)
	}
	o.isRefused(`--redirect-uri: "http://wiki.example.test/" must be https`, "clients", "change", "wiki", "--redirect-uri",
		"http://wiki.example.test/")
	if got := o.in("", "clients", "change", "wiki"); got.code != wrongUsage || !strings.Contains(got.err,
		"at least one flag") {
		t.Errorf("a change of nothing: exit %d %s", got.code, got.err)
	}

	o.does("clients", "remove", "wiki")
	o.isRefused(`there is no client "wiki"`, "clients", "show", "wiki")
	o.isRefused(`there is no client "wiki"`, "clients", "remove", "wiki")
	if got := o.logged(); !slices.Equal(got, []string{"client.changed added", "client.changed changed",
		"client.changed changed", "client.changed removed"}) {
		t.Errorf("events %q", got)
	}
}

func TestAClientThatCannotBeSafeIsRefusedWithEveryReason(t *testing.T) {
	o := newOperator(t)
	got := o.in("", "clients", "add", "--redirect-uri", "https://*.example.test/cb", "--redirect-uri",
		"javascript:alert(1)", "--grant", "password", "--id-token-alg", "none")
	for _, why := range []string{"--name:", `--redirect-uri: "https://*.example.test/cb"`,
		`--redirect-uri: "javascript:alert(1)"`, `--grant: "password" is not one of`,
		`--id-token-alg: "none"`} {
		if got.code != wrongUsage || !strings.Contains(got.err, why) {
			t.Errorf("exit %d, want %q in:\n%s", got.code, why, got.err)
		}
	}
	for name, tc := range map[string]struct{ stdin, why, line string }{
		"a public client without PKCE": {"", "pkce: off is for confidential clients", "--auth-method none --pkce off"},
		"a native client without PKCE": {"", "pkce: off is for confidential clients", "--native --pkce off"},
		"an unknown choice":            {"", `pkce: "never" is not one of default, required, off`, "--pkce never"},
		"an unknown kind of username":  {"", `preferred-username: "upn" is not one of`, "--preferred-username upn"},
		"a public client for itself": {"", "client_credentials needs a secret",
			"--auth-method none --grant client_credentials"},
		"another method":                  {"", "--auth-method: ", "--auth-method tls"},
		"a custom scheme, not native":     {"", "native clients only", "--redirect-uri com.example.app:/cb"},
		"a short secret":                  {"short", "at least 32 characters", "--secret-file -"},
		"a secret that everybody knows":   {strings.Repeat("changeme", 5), "well-known", "--secret-file -"},
		"a secret that repeats itself":    {strings.Repeat("ab", 20), "repeats itself", "--secret-file -"},
		"offline access without refresh":  {"", "go together", "--grant authorization_code"},
		"an id that a URL has to escape":  {"", "--id", "--id a/b"},
		"a redirect URI with a response":  {"", "parameter of the response", "--redirect-uri https://x.example.test/?code=1"},
		"a redirect URI with credentials": {"", "--redirect-uri: ", "--redirect-uri https://me@x.example.test/"},
	} {
		args := append(strings.Fields("clients add --name Wiki --redirect-uri https://x.example.test/cb"),
			strings.Fields(tc.line)...)
		got := o.in(tc.stdin, args...)
		if got.code != failure && got.code != wrongUsage || !strings.Contains(got.err, tc.why) {
			t.Errorf("%s: exit %d, want %q in:\n%s%s", name, got.code, tc.why, got.out, got.err)
		}
	}
	o.isRefused("public client", "clients", "secret", o.publicClient())
	var all []clientView
	if o.shows(&all, "clients", "list"); len(all) != 1 {
		t.Errorf("%d clients are there", len(all))
	}
}

func (o *operator) publicClient() string {
	o.t.Helper()
	var c clientView
	o.shows(&c, "clients", "add", "--name", "Phone", "--native", "--auth-method", "none", "--redirect-uri",
		"http://127.0.0.1/cb", "--redirect-uri", "com.example.phone:/cb")
	if c.Secret != "" || c.Secrets != 0 || c.PKCE != "required" || !c.Native {
		o.t.Errorf("a public client: %+v", c)
	}
	return c.ID
}

// Every decision of the command line and its Event are one transaction: where the
// Event cannot be written, nothing has changed.
func TestNothingChangesWithoutItsEvent(t *testing.T) {
	o := newOperator(t, "client_registration: true")
	stockForEveryCommand(o)
	h := o.store()
	view := func() (all []string) {
		for _, line := range []string{"accounts list", "accounts show ana@example.test", "accounts consents ana@example.test",
			"clients list", "connections list", "audit"} {
			all = append(all, o.does(append(strings.Fields(line), "--json")...))
		}
		f, _, err := h.store.Grant(t.Context(), "family")
		if err != nil {
			t.Fatal(err)
		}
		keyring := o.store().keyring // a key that was added and is not yet in use is in nobody's way
		return append(all, f.EndedAt.String(), keyring.Primary(), keyring.Created("kold").String())
	}
	before := view()
	mend := o.breakTable("INSERT", "events")
	n := 0
	for _, v := range verbs(t) {
		for _, tried := range everyCommand()[v.name] {
			if !tried.decides {
				continue
			}
			n++
			got := o.in(tried.stdin, append(strings.Fields(v.name), tried.args...)...)
			if got.code != failure || !strings.Contains(got.err, "broken by the test") {
				t.Errorf("%s: exit %d\n%s%s", v.name, got.code, got.out, got.err)
			}
		}
	}
	mend()
	for i, after := range view() {
		if after != before[i] {
			t.Errorf("changed all the same:\n%s\n%s", before[i], after)
		}
	}
	if n < 20 {
		t.Errorf("only %d decisions were tried", n)
	}
}

// And where the tokens of a client that is turned off cannot be ended, it stays on.
func TestAClientIsNotDisabledWhileItsTokensLive(t *testing.T) {
	o := newOperator(t)
	stockForEveryCommand(o)
	before := o.logged()
	mend := o.breakTable("UPDATE", "grants")
	for _, line := range []string{"clients disable wiki", "accounts consents remove ana@example.test --client wiki",
		"accounts unlink ana@example.test --identity the-identity"} {
		o.isRefused("broken by the test", strings.Fields(line)...)
	}
	mend()
	var c clientView
	var a accountView
	o.shows(&c, "clients", "show", "wiki")
	o.shows(&a, "accounts", "show", "ana@example.test")
	if c.Disabled || len(a.Identities) != 1 || !slices.Equal(o.logged(), before) {
		t.Errorf("half of it happened: %+v %+v", c, a)
	}
	o.does("clients", "disable", "wiki")
}
