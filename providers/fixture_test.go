package providers

import (
	"html"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/egress"
	"gatehouse/providers/fakeidp"
)

const callback = "https://broker.example/callback/up"

// clock is a time that tests set.
type clock struct{ offset, versions atomic.Int64 }

var epoch = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func (c *clock) now() time.Time          { return epoch.Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// fixture is one simulated provider, a connection to it, and a browser.
type fixture struct {
	*testing.T
	clock    *clock
	idp      *fakeidp.Server
	conn     broker.Connection
	set      *Set
	request  func(*broker.UpstreamRequest)   // changes every upstream request before it begins
	response func(url.Values)                // changes every response
	redirect func(to *url.URL, q url.Values) // sees every redirect to the provider
}

// kindOf maps a simulator's kind to ours.
var kindOf = map[string]string{fakeidp.KindFacebook: "meta"}

// sharedKeys are the RSA keys of all simulators.
var sharedKeys fakeidp.KeyPool

// newFixture starts a simulator and a live connection to it.
func newFixture(t *testing.T, opts fakeidp.Options, settings map[string]string) *fixture {
	t.Helper()
	r := &fixture{T: t, clock: &clock{}}
	opts.Now, opts.RedirectURIs = r.clock.now, []string{callback}
	if opts.Kind == fakeidp.KindFacebook {
		opts.ClientID = "271828182845904"
	}
	if opts.Kind == fakeidp.KindOIDC && opts.Alg == "" {
		opts.Alg = "ES256" // fast key generation
	}
	opts.Keys = &sharedKeys
	idp, stop := fakeidp.Start(opts)
	t.Cleanup(stop)
	r.idp = idp
	id, secret := idp.Client()
	kind := opts.Kind
	if ours, other := kindOf[kind]; other {
		kind = ours
	}
	r.conn = broker.Connection{ID: "up", Kind: kind, Name: "Up", State: broker.Live, ClientID: id,
		Secrets: []broker.Secret{broker.Secret(secret)}, Settings: map[string]string{}, UpdatedAt: epoch}
	switch kind {
	case "oidc", "adfs":
		r.conn.Issuer = idp.Issuer()
	case "meta":
		r.conn.Settings["authority"], r.conn.Settings["graph_url"] = idp.BaseURL(), idp.BaseURL()
	case "github":
		r.conn.Settings["authority"], r.conn.Settings["api_url"] = idp.BaseURL(), idp.BaseURL()
	default:
		r.conn.Settings["authority"] = idp.BaseURL()
	}
	if kind == "apple" {
		r.conn.Secrets = []broker.Secret{r.appleKey("KEY1")}
		r.conn.Settings["team_id"], r.conn.Settings["key_id"] = fakeidp.AppleTeam, "KEY1"
	}
	maps.Copy(r.conn.Settings, settings)
	r.set = New(Options{Egress: loopback(t), Now: r.clock.now, Callback: func(string) string { return callback }})
	return r
}

// appleKey makes a private key and registers it at the simulator, instead of others.
func (r *fixture) appleKey(id string) broker.Secret {
	r.Helper()
	key := newKey(r.T)
	set := string(ClientKeys(broker.Connection{Secrets: []broker.Secret{key}}))
	r.idp.SetClientKeys([]byte(regexp.MustCompile(`"kid":"[^"]*"`).ReplaceAllString(set, `"kid":"`+id+`"`)))
	return key
}

// loopback is an egress client that may reach loopback addresses.
func loopback(t *testing.T) *egress.Client {
	t.Helper()
	out, err := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (r *fixture) open() broker.Upstream {
	r.Helper()
	u, err := r.set.Open(r.Context(), r.conn)
	if err != nil {
		r.Fatalf("open: %v", err)
	}
	return u
}

func (r *fixture) newRequest() broker.UpstreamRequest {
	upstreamRequest := broker.UpstreamRequest{Login: "login", Connection: r.conn.ID, State: broker.NewToken(),
		Nonce:    broker.NewToken(),
		Verifier: broker.NewToken(), StartedAt: r.clock.now()}
	if r.request != nil {
		r.request(&upstreamRequest)
	}
	return upstreamRequest
}

// depart begins an upstream request and follows it to the provider's response for the person.
func (r *fixture) begin(login string) (broker.UpstreamRequest, url.Values, error) {
	r.Helper()
	upstreamRequest := r.newRequest()
	d, err := r.open().Begin(r.Context(), upstreamRequest)
	if err != nil {
		return upstreamRequest, nil, err
	}
	answer := r.browse(d, "/choose", login)
	if r.response != nil {
		r.response(answer)
	}
	return upstreamRequest, answer, nil
}

// browse is the browser at the provider: it follows one of the page's links and returns the response.
func (r *fixture) browse(d broker.Redirect, link, login string) url.Values {
	r.Helper()
	to, err := url.Parse(d.URL)
	if err != nil {
		r.Fatal(err)
	}
	q := to.Query()
	if r.redirect != nil {
		r.redirect(to, q)
	}
	if login != "" {
		q.Set("persona", login)
	}
	to.Path, to.RawQuery = strings.TrimSuffix(to.Path, "/")+link, q.Encode()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, to.String(), nil)
	if err != nil {
		r.Fatal(err)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusFound {
		back, err := res.Location()
		if err != nil {
			r.Fatal(err)
		}
		return back.Query()
	}
	page, err := io.ReadAll(res.Body)
	if err != nil {
		r.Fatal(err)
	}
	return posted(r.T, string(page))
}

var inputs = regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`)

// posted reads the form of a form_post page.
func posted(t *testing.T, page string) url.Values {
	t.Helper()
	answer := url.Values{}
	for _, m := range inputs.FindAllStringSubmatch(page, -1) {
		answer.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	if len(answer) == 0 {
		t.Fatalf("the provider answered neither a redirect nor a form: %s", page)
	}
	return answer
}

// login is a complete sign-in.
func (r *fixture) login(person string) (broker.Claims, error) {
	r.Helper()
	upstreamRequest, answer, err := r.begin(person)
	if err != nil {
		return broker.Claims{}, err
	}
	return r.open().Finish(r.Context(), upstreamRequest, answer)
}

// signsIn requires that the sign-in succeeds.
func (r *fixture) signsIn(person string) broker.Claims {
	r.Helper()
	c, err := r.login(person)
	if err != nil {
		r.Fatalf("%s was refused: %v", person, err)
	}
	return c
}

// refused requires a refusal with this code and without claims.
func (r *fixture) refused(person string, want broker.Code) {
	r.Helper()
	c, err := r.login(person)
	refusal(r.T, c, err, want)
}

func refusal(t *testing.T, c broker.Claims, err error, want broker.Code) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%s came in, want %s", c.Subject, want)
	case broker.CodeOf(err) != want:
		t.Errorf("refused with %s (%v), want %s", broker.CodeOf(err), err, want)
	case c.Subject != "" || c.Email != "":
		t.Errorf("claims beside the refusal: %+v", c)
	}
	if err != nil && len([]rune(err.Error())) > 600 || strings.ContainsAny(strings.TrimSpace(errText(err)), "\r\x00\x1b") {
		t.Errorf("a cause that is not fit for a log: %q", err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// faulty makes the provider misbehave for one named case.
func (r *fixture) faulty(name string, fault func(*fakeidp.Fault), run func(*fixture)) {
	r.Helper()
	r.Run(name, func(t *testing.T) {
		r.idp.Misbehave(fault)
		defer r.idp.Behave()
		sub := *r
		sub.T = t
		run(&sub)
	})
}

// reset drops the opened upstreams, so that the next login loads everything again.
func (r *fixture) reset() {
	r.conn.UpdatedAt = epoch.Add(time.Duration(r.clock.versions.Add(1)) * time.Second)
}

func oidcFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixture(t, fakeidp.Options{Kind: fakeidp.KindOIDC}, nil)
}

const (
	tenantA = fakeidp.DemoTenant
	tenantB = fakeidp.OtherTenant
)

func entraFixture(t *testing.T, settings map[string]string) *fixture {
	t.Helper()
	return newFixture(t, fakeidp.Options{Kind: fakeidp.KindMicrosoft}, settings)
}
