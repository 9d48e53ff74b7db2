package providers

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/egress"
	"gatehouse/providers/fakeidp"
)

// simulated lists the simulators, each with its first person.
var simulated = []struct {
	name, who string
	settings  map[string]string
	token     bool // it issues ID tokens
}{
	{fakeidp.KindOIDC, "vera", nil, true},
	{fakeidp.KindGoogle, "ana", nil, true},
	{fakeidp.KindMicrosoft, "bruno", map[string]string{"tenant": "organizations", "allowed_tenants": tenantA}, true},
	{fakeidp.KindADFS, "hana", nil, true},
	{fakeidp.KindApple, "avi", nil, true},
	{fakeidp.KindLinkedIn, "lia", nil, true},
	{fakeidp.KindFacebook, "fay", nil, false},
	{fakeidp.KindGitHub, "kit", nil, false},
}

// everyKind runs a test for each kind, or for those that issue ID tokens.
func everyKind(t *testing.T, tokensOnly bool, run func(r *fixture, who string)) {
	t.Helper()
	for _, k := range simulated {
		if tokensOnly && !k.token {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: k.name}, k.settings)
			r.signsIn(k.who)
			run(r, k.who)
		})
	}
}

func TestB4_B5_B6_B12_B13_B20_B21_EveryKindHoldsItsTokensToTheSameRules(t *testing.T) {
	everyKind(t, true, func(r *fixture, who string) {
		bad := func(name string, fault func(*fakeidp.Fault)) {
			r.faulty(name, fault, func(r *fixture) { r.refused(who, broker.UpstreamRejected) })
		}
		claim := func(name string, value any) {
			bad(fmt.Sprintf("%s %.40v", name, value), func(f *fakeidp.Fault) { f.SetClaim(name, value) })
		}
		for _, forge := range []fakeidp.Forgery{fakeidp.ForgeUnsigned, fakeidp.ForgeNoSig, fakeidp.ForgeHMACPEM,
			fakeidp.ForgeHMACDER, fakeidp.ForgeHMACJWK,
			fakeidp.ForgeHMACSecret, fakeidp.ForgeWrongKey, fakeidp.ForgeCorrupt, fakeidp.ForgeUnknownKid, fakeidp.ForgeJWK,
			fakeidp.ForgeX5C, fakeidp.ForgeJKU,
			fakeidp.ForgeX5U, fakeidp.ForgeEncrypted, fakeidp.ForgeEncryptedZip, fakeidp.ForgeEncryptedPBES2} {
			bad(string(forge), func(f *fakeidp.Fault) { f.Forge = forge })
		}
		for _, header := range []string{"crit", "b64", "zip", "enc", "p2c"} {
			bad("header "+header, func(f *fakeidp.Fault) { f.SetHeader(header, []string{"x"}) })
		}
		bad("header twice", func(f *fakeidp.Fault) { f.RawHeader = fakeidp.DuplicateMember("kid", "x") })
		now := r.clock.now()
		for name, values := range map[string][]any{
			"nonce": {nil, "", "another", 7}, "aud": {nil, "another", []string{"another"}, r.conn.ClientID + "x"},
			"azp": {"another", 7},
			"iss": {nil, "", "https://evil.example", r.conn.Issuer + "/", 7}, "sub": {nil, "", 7},
			"exp": {nil, "9999999999", -1, now.Add(-61 * time.Second).Unix(), json.Number("1e400")},
			"iat": {nil, "1", now.Add(61 * time.Second).Unix(), now.Add(-12 * time.Minute).Unix(),
				now.AddDate(-10, 0, 0).Unix()},
			"nbf": {"soon", now.Add(61 * time.Second).Unix(), now.Add(time.Hour).Unix()},
			"x":   {fakeidp.DeepJSON(8), fakeidp.LongText(193 << 10)},
		} {
			for _, v := range values {
				if r.conn.Kind == "linkedin" && name == "nonce" && v == nil {
					continue // it sends none
				}
				claim(name, v)
			}
		}
		bad("two audiences and no azp", func(f *fakeidp.Fault) {
			f.SetClaim("aud", []string{r.conn.ClientID, "another"})
			f.SetClaim("azp", nil)
		})
		for _, member := range []string{"sub", "email", "iss", "tid", "oid", "acct"} {
			bad(member+" twice", func(f *fakeidp.Fault) {
				f.SetClaim(member, "x")
				f.RawPayload = fakeidp.DuplicateMember(member, "victim")
			})
		}
		bad("not UTF-8", func(f *fakeidp.Fault) { f.SetClaim("x", "y"); f.RawPayload = fakeidp.InvalidUTF8("x") })
		for name, v := range map[string]any{
			"thousands of groups": fakeidp.ManyGroups(4000), "text": fakeidp.LongText(17 << 10),
		} {
			r.faulty(name, func(f *fakeidp.Fault) { f.SetClaim("x", v) }, func(r *fixture) { r.signsIn(who) })
		}
		if n := r.idp.Calls(fakeidp.AtRogueKeys); n != 0 {
			r.Errorf("a key's address in a header was asked %d times", n)
		}
		r.signsIn(who)
	})
}

func TestB20_FacebooksAndGitHubsResponsesAreBoundedToo(t *testing.T) {
	everyKind(t, false, func(r *fixture, who string) {
		if r.conn.Kind != "meta" && r.conn.Kind != "github" {
			return
		}
		for name, rewrite := range map[string]func([]byte) []byte{
			"id twice":     fakeidp.DuplicateMember("id", "7"),
			"not UTF-8":    fakeidp.InvalidUTF8("name"),
			"cut":          fakeidp.Truncated,
			"a list":       func([]byte) []byte { return []byte(`["x"]`) },
			"deep":         func(b []byte) []byte { return append(b[:len(b)-1], `,"x":`+string(fakeidp.DeepJSON(9))+`}`...) },
			"a megabyte":   func(b []byte) []byte { return append(b[:len(b)-1], `,"x":"`+fakeidp.LongText(1<<20)+`"}`...) },
			"two values":   func(b []byte) []byte { return append(b, b...) },
			"id of a sort": func([]byte) []byte { return []byte(`{"id":{"x":1},"name":"n"}`) },
		} {
			r.faulty(name, func(f *fakeidp.Fault) { f.Rewrite(fakeidp.AtUserInfo, rewrite) },
				func(r *fixture) { r.refused(who, broker.UpstreamRejected) })
		}
		r.faulty("hostile name", func(f *fakeidp.Fault) { f.Set(fakeidp.AtUserInfo, "name", fakeidp.HostileName) },
			func(r *fixture) {
				if got := r.signsIn(who).Name; got != "Ana[31m Set-Cookie: x=y txt.exe<script>alert(1)</script>" {
					r.Errorf("name %q", got)
				}
			})
	})
}

func TestB17_NoKindSignsInThroughADisabledConnection(t *testing.T) {
	everyKind(t, false, func(r *fixture, who string) {
		upstreamRequest, answer, err := r.begin(who)
		if err != nil {
			r.Fatal(err)
		}
		before := r.idp.Calls(fakeidp.AtToken)
		r.conn.State = broker.Disabled
		c, err := r.open().Finish(r.Context(), upstreamRequest, answer)
		refusal(r.T, c, err, broker.ConnectionDisabled)
		if _, err := r.open().Begin(r.Context(), upstreamRequest); broker.CodeOf(err) != broker.ConnectionDisabled ||
			r.idp.Calls(fakeidp.AtToken) != before {
			r.Errorf("begin: %v", err)
		}
	})
}

func TestB3_NoKindAcceptsAResponseForAnotherRequestOrConnection(t *testing.T) {
	everyKind(t, false, func(r *fixture, who string) {
		before := r.idp.Calls(fakeidp.AtToken)
		r.response = func(q url.Values) { q.Set("state", "another") }
		r.refused(who, broker.StateInvalid)
		r.response = func(q url.Values) { q.Set("iss", "https://evil.example") }
		r.refused(who, broker.UpstreamRejected)
		for _, name := range []string{"code", "state", "iss"} {
			r.response = func(q url.Values) { q[name] = []string{q.Get(name), q.Get(name)} }
			r.refused(who, broker.UpstreamRejected)
		}
		r.response = nil
		upstreamRequest, answer, err := r.begin(who)
		if err != nil {
			r.Fatal(err)
		}
		upstreamRequest.Connection = "other"
		c, err := r.open().Finish(r.Context(), upstreamRequest, answer)
		refusal(r.T, c, err, broker.StateInvalid)
		if n := r.idp.Calls(fakeidp.AtToken) - before; n != 0 {
			r.Errorf("the token endpoint saw a code %d times", n)
		}
	})
}

// inward returns names of one internal host, with a port; only the simulator is allowed.
func inward(port string) []string {
	var all []string
	for _, host := range []string{"127.0.0.2", "127.0.2", "127.2", "127.0.0.2.", "2130706434", "0x7f000002", "0x7f.0.0.2",
		"0177.0.0.2", "017700000002", "[::ffff:127.0.0.2]",
		"[::ffff:7f00:2]", "[64:ff9b::7f00:2]", "[2002:7f00:2::]", "[::127.0.0.2]", "0.0.0.0", "[::]", "169.254.169.254",
		"10.0.0.1", "[fd00:ec2::254]", "[fe80::1]"} {
		all = append(all, "http://"+host+":"+port+"/inside", "https://"+host+":"+port+"/inside", "http://"+host+"/inside",
			"https://me:pw@"+host+":"+port+"/inside")
	}
	return all
}

func TestB16_NoSinkOfAnUpstreamReachesTheInside(t *testing.T) {
	var hits atomic.Int32
	canary := httptest.NewUnstartedServer(http.NotFoundHandler())
	canary.Config.ConnState = func(_ net.Conn, state http.ConnState) { // a connection counts, with or without TLS
		if state == http.StateNew {
			hits.Add(1)
		}
	}
	canary.Listener.Close()
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	canary.Listener = listener
	canary.Start()
	defer canary.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(canary.URL, "http://"), ":")
	out, err := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	if err != nil {
		t.Fatal(err)
	}
	confined := func(r *fixture) {
		r.set = New(Options{Egress: out, Now: r.clock.now, Callback: func(string) string { return callback }})
	}
	r := oidcFixture(t)
	confined(r)
	r.signsIn("vera")
	targets := inward(port)
	if len(targets) < 80 {
		t.Fatalf("%d targets", len(targets))
	}
	own := r.conn.Issuer
	for _, target := range targets {
		for _, sink := range []string{"token_endpoint", "jwks_uri", "userinfo_endpoint"} {
			r.faulty(sink+" "+target, func(f *fakeidp.Fault) {
				f.Set(fakeidp.AtDiscovery, sink, target)
				f.SetClaim("email", nil) // so that userinfo is requested
			}, func(r *fixture) {
				r.reset()
				if _, err := r.login("vera"); err == nil {
					r.Error("came in")
				}
			})
		}
		r.conn.Issuer = target
		r.reset()
		if u, err := r.set.Open(t.Context(), r.conn); err == nil {
			if _, err := u.Begin(t.Context(), r.newRequest()); err == nil {
				t.Errorf("departed by the metadata of %s", target)
			}
		}
		r.conn.Issuer = own
	}
	everyKind(t, false, func(r *fixture, who string) {
		confined(r)
		r.signsIn(who)
		for _, at := range []fakeidp.Endpoint{fakeidp.AtDiscovery, fakeidp.AtJWKS, fakeidp.AtToken, fakeidp.AtUserInfo,
			fakeidp.AtDebugToken} {
			r.faulty("a redirect at "+string(at), func(f *fakeidp.Fault) {
				f.Break(fakeidp.Break{Redirect: canary.URL + "/inside"}, at)
			}, func(r *fixture) { r.reset(); _, _ = r.login(who) }) // not every kind requests every address; the canary counts
		}
		r.faulty("addresses in claims", func(f *fakeidp.Fault) {
			f.SetClaim("picture", canary.URL)
			f.SetClaim("_claim_names", map[string]any{"groups": "src1", "email": "src1"})
			f.SetClaim("_claim_sources", map[string]any{"src1": map[string]any{"endpoint": canary.URL, "access_token": "x"}})
		}, func(r *fixture) { r.reset(); r.signsIn(who) })
	})
	if n := hits.Load(); n != 0 {
		t.Errorf("the inside was reached %d times", n)
	}
}
