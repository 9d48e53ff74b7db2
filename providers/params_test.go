package providers

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

// protocol lists the parameters of every upstream request, which are tested elsewhere.
var protocol = []string{"client_id", "redirect_uri", "response_type", "state", "nonce", "code_challenge",
	"code_challenge_method", "scope"}

func TestEachKindIsAskedInItsOwnWords(t *testing.T) {
	thousand := 1000
	const claims = `claims={"id_token":{"auth_time":{"essential":true}}}`
	upstreamRequests := map[string]func(*broker.UpstreamRequest){
		"plain":   func(*broker.UpstreamRequest) {},
		"fresh":   func(t *broker.UpstreamRequest) { t.Fresh = true },
		"max_age": func(t *broker.UpstreamRequest) { t.MaxAge = &thousand },
		"choose":  func(t *broker.UpstreamRequest) { t.Choose, t.LoginHint = true, "ana@example.test" },
		"hinted": func(t *broker.UpstreamRequest) {
			t.LoginHint, t.DomainHint, t.Locale = "ana@example.test", "example.test", "pl-PL"
		},
		"again":    func(t *broker.UpstreamRequest) { t.Rerequest = true },
		"both":     func(t *broker.UpstreamRequest) { t.Fresh, t.Choose = true, true },
		"injected": func(t *broker.UpstreamRequest) { t.LoginHint = "x&prompt=none#y" },
	}
	for kind, want := range map[string]map[string]string{
		fakeidp.KindOIDC: {
			"plain": "", "fresh": "max_age=0&prompt=login", "max_age": "max_age=1000",
			"choose": "login_hint=ana@example.test&prompt=select_account",
			"hinted": "login_hint=ana@example.test&ui_locales=pl-PL", "again": "", "both": "max_age=0&prompt=login",
			"injected": "login_hint=x&prompt=none#y",
		},
		fakeidp.KindGoogle: {
			"plain": "", "fresh": claims + "&max_age=0&prompt=select_account", "max_age": claims + "&max_age=1000",
			"choose": "login_hint=ana@example.test&prompt=select_account",
			"hinted": "hd=example.test&hl=pl-PL&login_hint=ana@example.test", "again": "",
			"both": claims + "&max_age=0&prompt=select_account", "injected": "login_hint=x&prompt=none#y",
		},
		fakeidp.KindMicrosoft: {
			"plain": "", "fresh": "max_age=0&prompt=login", "max_age": "max_age=1000", "choose": "prompt=select_account",
			"hinted": "domain_hint=example.test&login_hint=ana@example.test&mkt=pl-PL", "again": "",
			"both": "max_age=0&prompt=login", "injected": "login_hint=x&prompt=none#y",
		},
		fakeidp.KindADFS: {
			"plain": "resource=gatehouse&response_mode=form_post", "fresh": "max_age=0&prompt=login&resource=gatehouse&response_mode=form_post",
			"max_age":  "max_age=1000&resource=gatehouse&response_mode=form_post",
			"choose":   "login_hint=ana@example.test&resource=gatehouse&response_mode=form_post",
			"hinted":   "domain_hint=example.test&login_hint=ana@example.test&resource=gatehouse&response_mode=form_post&ui_locales=pl-PL",
			"again":    "resource=gatehouse&response_mode=form_post",
			"both":     "max_age=0&prompt=login&resource=gatehouse&response_mode=form_post",
			"injected": "login_hint=x&prompt=none#y&resource=gatehouse&response_mode=form_post",
		},
		fakeidp.KindFacebook: {
			"plain": "", "fresh": "auth_type=reauthenticate", "max_age": "", "choose": "", "hinted": "locale=pl_PL",
			"again": "auth_type=rerequest",
			"both":  "auth_type=reauthenticate", "injected": "",
		},
		fakeidp.KindGitHub: {
			"plain": "", "fresh": "prompt=select_account", "max_age": "",
			"choose": "login=ana@example.test&prompt=select_account", "hinted": "login=ana@example.test",
			"again": "", "both": "prompt=select_account", "injected": "login=x&prompt=none#y",
		},
	} {
		settings := map[string]string{}
		if kind == fakeidp.KindMicrosoft {
			settings["tenant"] = tenantA
		}
		r := newFixture(t, fakeidp.Options{Kind: kind}, settings)
		for name, change := range upstreamRequests {
			t.Run(kind+" "+name, func(t *testing.T) {
				r.request = change
				upstreamRequest := r.newRequest()
				d, err := r.open().Begin(t.Context(), upstreamRequest)
				if err != nil {
					t.Fatal(err)
				}
				u, err := url.Parse(d.URL)
				if err != nil || d.Form != nil || u.Fragment != "" {
					t.Fatalf("departure %+v, %v", d, err)
				}
				q := u.Query()
				if q.Get("redirect_uri") != callback || q.Get("state") != upstreamRequest.State ||
					q.Get("response_type") != "code" ||
					q.Get("client_id") != r.conn.ClientID {
					t.Errorf("departure %v", q)
				}
				if got := words(q); got != want[name] {
					t.Errorf("words %q, want %q", got, want[name])
				}
				if strings.Contains(d.URL, upstreamRequest.Verifier) {
					t.Error("the verifier left the house")
				}
			})
		}
	}
}

// words returns the other parameters, sorted.
func words(q url.Values) string {
	var said []string
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(protocol, name) {
			said = append(said, name+"="+strings.Join(q[name], "|"))
		}
	}
	return strings.Join(said, "&")
}

func TestOnlyWhatIsNeededIsAskedFor(t *testing.T) {
	for kind, want := range map[string]string{
		fakeidp.KindOIDC: "openid email profile", fakeidp.KindGoogle: "openid email profile",
		fakeidp.KindMicrosoft: "openid profile email",
		fakeidp.KindADFS:      "openid email profile allatclaims", fakeidp.KindFacebook: "public_profile email",
		fakeidp.KindGitHub: "read:user user:email",
	} {
		settings := map[string]string{}
		if kind == fakeidp.KindMicrosoft {
			settings["tenant"] = tenantA
		}
		r := newFixture(t, fakeidp.Options{Kind: kind}, settings)
		r.redirect = func(_ *url.URL, q url.Values) {
			if q.Get("scope") != want {
				t.Errorf("%s: scope %q, want %q", kind, q.Get("scope"), want)
			}
		}
		r.signsIn(r.idp.Personas()[0].Login)
	}
}

func TestAChooserThatIsNotAnnouncedIsNotAskedFor(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindOIDC}, nil)
	r.idp.Misbehave(func(f *fakeidp.Fault) {
		f.Set(fakeidp.AtDiscovery, "prompt_values_supported", []string{"none", "login", "consent"})
	})
	r.request = func(t *broker.UpstreamRequest) { t.Choose = true }
	d, err := r.open().Begin(t.Context(), r.newRequest())
	if err != nil || !strings.Contains(d.URL, "prompt=login") {
		t.Errorf("%s, %v", d.URL, err)
	}
}
