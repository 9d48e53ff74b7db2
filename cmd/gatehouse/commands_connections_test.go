package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
	"gatehouse/providers/fakeidp"
)

func TestAConnectionIsAddedShownAndChanged(t *testing.T) {
	o := newOperator(t, "issuer: http://localhost:8080")
	var c connectionView
	out := o.doesWith("s3cret of the app\n", "connections", "add", "corp", "--live", "--kind", "oidc", "--name", "Corp",
		"--issuer",
		" https://id.example.test/.well-known/openid-configuration",
		"--client-id", "gatehouse", "--client-secret-file", "-", "--domain", "Corp.Example.test", "--set",
		"scopes=openid email", "--json")
	if strings.Contains(out, "s3cret") {
		t.Errorf("it shows the secret:\n%s", out)
	}
	o.shows(&c, "connections", "show", "corp")
	if c.RedirectURI != "http://localhost:8080/callback/corp" || c.Issuer != "https://id.example.test" ||
		c.State != "live" || c.Secrets != 1 || !slices.Equal(c.Domains, []string{"corp.example.test"}) {
		t.Errorf("added: %+v", c)
	}
	o.shows(&c, "connections", "change", "corp", "--name", "Corporation", "--position", "3", "--hidden", "--domain", "")
	if c.Name != "Corporation" || c.Position != 3 || !c.Hidden || len(c.Domains) != 0 ||
		c.Settings["scopes"] != "openid email" {
		t.Errorf("changed: %+v", c)
	}
	o.shows(&c, "connections", "change", "corp", "--set", "scopes=openid profile email") // a live one
	if c.Settings["scopes"] != "openid profile email" || c.Name != "Corporation" {
		t.Errorf("its scopes: %+v", c)
	}
	if got := o.in("", "connections", "change", "corp"); got.code != wrongUsage || !strings.Contains(got.err,
		"at least one flag") {
		t.Errorf("a change of nothing: exit %d %s", got.code, got.err)
	}
	for _, secret := range []string{"second", "third", "third"} {
		o.doesWith(secret, "connections", "secret", "corp")
	}
	stored, err := o.store().store.Connection(t.Context(), "corp")
	if err != nil || !slices.Equal(stored.Secrets, []broker.Secret{"third", "second"}) {
		t.Errorf("its secrets: %d, %v", len(stored.Secrets), err)
	}
	o.doesWith("s", "connections", "add", "fb", "--live", "--kind", "meta", "--name", "Facebook", "--client-id", "123",
		"--client-secret-file", "-")
	if out := o.does("connections", "show", "fb"); !strings.Contains(out,
		"http://localhost:8080/callback/fb/data-deletion") || !strings.Contains(out, "/deauthorize") {
		t.Errorf("Facebook wants more addresses:\n%s", out)
	}
	o.does("connections", "remove", "fb")
	o.isRefused(`there is no connection "fb"`, "connections", "remove", "fb")
}

func TestAConnectionThatCannotWorkIsRefusedWithEveryReason(t *testing.T) {
	o := newOperator(t)
	got := o.in("", "connections", "add", "../x", "--live", "--kind", "microsoft", "--set", "tennant=common",
		"--set", "cloud=moon")
	for _, why := range []string{"its id must be", "name must be", "tenant is missing", "--client-id is missing",
		"--client-secret-file is missing", "unknown setting tennant", "cloud must be one of"} {
		if got.code != wrongUsage || !strings.Contains(got.err, why) {
			t.Errorf("exit %d, want %q in:\n%s", got.code, why, got.err)
		}
	}
	add := func(id string, more ...string) []string {
		return append([]string{"connections", "add", id, "--live", "--kind", "google", "--name", "Google", "--client-id", "c",
			"--client-secret-file", "-"}, more...)
	}
	o.doesWith("s", add("one", "--domain", "example.test")...)
	for why, args := range map[string][]string{
		`there is a connection "one" already`:               add("one"),
		"domain example.test is sent to the connection one": add("two", "--domain", "EXAMPLE.test"),
		`"exa mple" is not a mail domain`:                   add("two", "--domain", "exa mple"),
		"unknown setting issuer for the kind google": add("two", "--issuer",
			"https://accounts.google.com"),
		`unknown kind "gogle"; kinds are adfs, apple, github, google, linkedin, meta, microsoft, oidc`: {"connections",
			"add", "two", "--live", "--kind",
			"gogle", "--name", "x"},
		"only a host in an allowed network can replace the provider": add("two", "--set",
			"authority=https://evil.example.test"),
		`there is no connection "two"; connections list shows them`: {"connections", "change", "two", "--name", "x"},
	} {
		o.isRefusedWith("s", why, args...)
	}
	// A private network is the configuration's to open, not a connection's.
	private := func(id string) []string {
		return []string{"connections", "add", id, "--live", "--kind", "adfs", "--name", "Staff", "--issuer",
			"https://fs.example.test/adfs", "--client-id", "c", "--client-secret-file", "-", "--set", "networks=10.20.0.0/16"}
	}
	o.isRefusedWith("s", "list it in upstream_networks", private("staff")...)
	o.configure("upstream_networks: [10.20.0.0/15]")
	o.doesWith("s", private("staff")...)
	if n := len(o.logged()); n != 2 {
		t.Errorf("%d events", n)
	}
}

func TestALiveConnectionKeepsWhatItsIdentitiesMean(t *testing.T) {
	o := newOperator(t)
	tenant := "72f988bf-86f1-41af-91ab-2d7cd011db47"
	o.doesWith("s", "connections", "add", "ms", "--live", "--kind", "microsoft", "--name", "Microsoft", "--client-id", "c",
		"--client-secret-file", "-", "--set", "tenant="+tenant)
	o.does("connections", "change", "ms", "--set", "allow_guests=true")
	for _, detour := range []string{"", "disable", "enable"} {
		if detour != "" {
			o.does("connections", detour, "ms")
		}
		o.isRefused("add a new connection instead", "connections", "change", "ms", "--set", "tenant=common", "--set",
			"any_tenant=true")
	}
	h := o.store()
	for what, change := range map[string]func(*broker.Connection){
		"issuer":    func(c *broker.Connection) { c.Kind, c.Issuer, c.Settings = "oidc", "https://other.example.test", nil },
		"client id": func(c *broker.Connection) { c.ClientID = "other" },
		"tenant":    func(c *broker.Connection) { c.Settings["tenant"] = "consumers" },
	} {
		c, err := h.store.Connection(t.Context(), "ms")
		if err != nil {
			t.Fatal(err)
		}
		change(&c)
		declared := admin.DeclareConnection{ID: c.ID, Kind: c.Kind, Name: c.Name, Issuer: c.Issuer, ClientID: c.ClientID,
			Settings: c.Settings}
		if _, err := h.operate().DeclareConnection(t.Context(), admin.Actor{ID: admin.Operator}, declared); err == nil ||
			!strings.Contains(err.Error(), "never change") {
			t.Errorf("another %s: %v", what, err)
		}
	}
	// Nor does the configuration change it: the start says so.
	o.configure("connections:", "  - {id: ms, kind: microsoft, name: Microsoft, client_id: other, settings: {tenant: "+
		tenant+"}}")
	if got := o.in("", "serve"); got.code != failure || !strings.Contains(got.err,
		"connections[0] (ms): connection ms was live") || strings.Count(got.err, "\n") != 1 {
		t.Errorf("exit %d\n%s", got.code, got.err)
	}
}

func TestAConnectionThatPeopleHangOnIsNotRemovedAndOneOutOfUseCanBeTurnedOff(t *testing.T) {
	o := newOperator(t)
	o.doesWith("s", "connections", "add", "google", "--live", "--kind", "google", "--name", "Google", "--client-id", "c",
		"--client-secret-file", "-")
	o.does("accounts", "add", "ana@example.test")
	h := o.store()
	o.linked(h, "ana@example.test", "google")
	o.isRefused("people sign in through google", "connections", "remove", "google")
	c, err := h.store.Connection(t.Context(), "google")
	if err != nil {
		t.Fatal(err)
	}
	c.Secrets = nil // as after an upgrade to a version that wants more of it
	if err := h.store.PutConnection(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	o.does("connections", "disable", "google")
	o.isRefused("--client-secret-file is missing", "connections", "enable", "google")
	var v connectionView
	if o.shows(&v, "connections", "show", "google"); v.State != "disabled" {
		t.Errorf("it is %s", v.State)
	}
}

func TestADisabledConnectionRefusesSignIns(t *testing.T) {
	w := newHarness(t)
	o := operatorOf(w)
	b := newBrowser(t)
	b.open(w.file.App + "/login")
	b.click("Continue with Google")
	b.click("Noor")
	b.press("Create account")
	w.returned(b, "Noor Person")
	o.does("connections", "disable", "google")
	w.advance(6 * time.Second) // a server may know a connection of five seconds ago
	w.dies(b, "disabled connection")
	again := newBrowser(t)
	if again.open(w.file.App + "/login"); strings.Contains(textOf(again.page.root), "Continue with Google") {
		t.Error("its button is there")
	}
	o.does("connections", "enable", "google")
	w.advance(6 * time.Second)
	again.open(w.file.App + "/login")
	again.click("Continue with Google")
	again.click("Noor")
	w.returned(again, "Noor Person")
}

// simulated is a provider on loopback, of each kind that can stand there.
func simulated(t *testing.T, kind string) (args []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + l.Addr().String()
	sim := fakeidp.New(fakeidp.Options{Keys: &providerKeys, Kind: kind, BaseURL: base, ClientID: "123", ClientSecret: "s",
		Personas: fakeidp.DemoPersonas(kind)})
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: sim}}
	srv.Start()
	t.Cleanup(srv.Close)
	switch kind {
	case fakeidp.KindOIDC:
		return []string{"--kind", "oidc", "--issuer", base}
	case fakeidp.KindADFS:
		return []string{"--kind", "adfs", "--issuer", base + "/adfs"}
	case fakeidp.KindFacebook:
		return []string{"--kind", "meta", "--set", "authority=" + base, "--set", "graph_url=" + base}
	case fakeidp.KindGitHub:
		return []string{"--kind", "github", "--set", "authority=" + base, "--set", "api_url=" + base + "/api/v3"}
	case fakeidp.KindGoogle:
		return []string{"--kind", "google", "--set", "authority=" + base}
	case fakeidp.KindMicrosoft:
		return []string{"--kind", "microsoft", "--set", "tenant=" + fakeidp.DemoTenant, "--set", "authority=" + base}
	}
	t.Fatalf("nothing is known of %s", kind)
	return nil
}

func TestB16_APrivateUpstreamIsReachedOnlyWhereTheConfigurationListsItsNetwork(t *testing.T) {
	for _, kind := range []string{fakeidp.KindOIDC, fakeidp.KindADFS, fakeidp.KindFacebook, fakeidp.KindGitHub,
		fakeidp.KindGoogle, fakeidp.KindMicrosoft} {
		t.Run(kind, func(t *testing.T) {
			o := newOperator(t)
			o.doesWith("s", append([]string{"connections", "add", "sim", "--live", "--name", "Sim", "--client-id", "123",
				"--client-secret-file", "-"}, simulated(t, kind)...)...)
			for _, networks := range []string{"", "upstream_networks: [10.0.0.0/8]"} {
				o.configure(networks)
				got := o.in("", "check")
				if got.code != failure || !strings.Contains(got.out, "connection sim") || !strings.Contains(got.out, "WRONG") ||
					!strings.Contains(got.out, "`upstream_networks`") {
					t.Errorf("with %q: exit %d\n%s%s", networks, got.code, got.out, got.err)
				}
			}
			o.configure("upstream_networks: [127.0.0.0/8]")
			o.does("check")
		})
	}
}

func TestTheAuditLogIsFiltered(t *testing.T) {
	o := newOperator(t)
	o.does("accounts", "add", "ana@example.test")
	o.does("accounts", "add", "ben@example.test")
	o.does("accounts", "disable", "ben@example.test")
	o.does("clients", "add", "--id", "wiki", "--name", "Wiki", "--redirect-uri", "https://wiki.example.test/")
	h := o.store()
	ana, err := h.store.AccountByEmail(t.Context(), "ana@example.test")
	if err != nil {
		t.Fatal(err)
	}
	old := broker.Event{ID: broker.NewID(), At: time.Now().Add(-48 * time.Hour), Verb: broker.EventRefused,
		Code: broker.WrongTenant, Account: ana.ID, Reference: "7F3K-2QWD", Address: "192.0.2.1"}
	if err := h.store.Record(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	_, before, _ := strings.Cut(strings.TrimSpace(o.does("audit", "--limit", "2")), "--before ")
	var second []eventView
	if o.shows(&second, "audit", "--before", before); len(second) != 3 {
		t.Errorf("the page after the first two, before %q, has %d events", before, len(second))
	}
	for line, want := range map[string]int{
		"":                                 5,
		"--account ANA@example.test":       2,
		"--account " + ana.ID:              2,
		"--account ben@example.test":       2,
		"--verb account.created":           2,
		"--verb client.changed":            1,
		"--client wiki":                    1,
		"--reference 7F3K-2QWD":            1,
		"--reference AAAA-AAAA":            0,
		"--reference 7f3k2qwd":             1,
		"--reference 7F3K–2QWD":            1,
		"--since 24h":                      4,
		"--since 72h --verb login.refused": 1,
		"--since 24h --verb login.refused": 0,
		"--limit 3":                        3,
		"--before " + old.At.Add(time.Hour).Format(time.RFC3339): 1,
	} {
		var got []eventView
		if o.shows(&got, append([]string{"audit"}, strings.Fields(line)...)...); len(got) != want {
			t.Errorf("audit %s: %d events, want %d: %+v", line, len(got), want, got)
		}
		if !slices.IsSortedFunc(got, func(a, b eventView) int { return b.At.Compare(a.At) }) {
			t.Errorf("audit %s: not newest first", line)
		}
	}
	out := o.does("audit", "--reference", "7F3K-2QWD")
	for _, part := range []string{"login.refused", "wrong_tenant", "ana@example.test", "192.0.2.1", "7F3K-2QWD"} {
		if !strings.Contains(out, part) {
			t.Errorf("the table does not say %s:\n%s", part, out)
		}
	}
	if strings.Contains(out, ana.ID) {
		t.Errorf("the table has an id where it knows the address:\n%s", out)
	}
	if got := o.in("", "audit", "--verb", "login.refuse"); got.code != wrongUsage || !strings.Contains(got.err,
		`unknown verb "login.refuse"; did you mean login.refused?`) {
		t.Errorf("a mistyped verb: exit %d\n%s", got.code, got.err)
	}
	if out := o.does("audit", "--reference", "AAAA-AAAA"); out != "no events found\n" {
		t.Errorf("nothing found: %q", out)
	}
	o.isRefused(fmt.Sprintf("there is no account %q", "eve@example.test"), "audit", "--account", "eve@example.test")
}
