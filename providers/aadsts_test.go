package providers

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

// refusedExchange is the code of a refusal at the token endpoint: apps know a misconfigured one by the contract's
// code.
func refusedExchange(inAnswer broker.Code) broker.Code {
	if inAnswer == broker.UpstreamMisconfigured {
		return broker.UpstreamRejected
	}
	return inAnswer
}

// expectCode expects one Code for each of Microsoft's numbers, from the browser and from the token endpoint, with
// any OAuth code.
func expectCode(t *testing.T, want broker.Code, numbers ...int) {
	t.Helper()
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindMicrosoft, Personas: entraPeople()},
		map[string]string{"tenant": tenantA})
	r.signsIn("A")
	atToken := refusedExchange(want)
	for _, number := range numbers {
		if got := byAADSTS[fmt.Sprint(number)]; got != want {
			t.Errorf("%d is %q, want %q", number, got, want)
		}
		for _, code := range []string{"", "access_denied", "invalid_grant", "interaction_required", "server_error"} {
			e := fakeidp.AADSTS(number)
			if code != "" {
				e.Code = code
			}
			name := fmt.Sprintf("%d as %s ", number, e.Code)
			r.faulty(name+"in the answer", func(f *fakeidp.Fault) { f.AuthorizeError = e },
				func(r *fixture) { r.reset(); r.refused("A", want) })
			r.faulty(name+"at the token endpoint", func(f *fakeidp.Fault) { f.TokenError = e },
				func(r *fixture) { r.reset(); r.refused("A", atToken) })
		}
	}
}

func TestAADSTSConsentRequired(t *testing.T) { expectCode(t, broker.ConsentRequired, 65001) }
func TestAADSTSConsentDeclined(t *testing.T) { expectCode(t, broker.ConsentDeclined, 65004) }
func TestAADSTSAdminApproval(t *testing.T)   { expectCode(t, broker.AdminApproval, 90093, 90094, 90099) }
func TestAADSTSNotAssigned(t *testing.T)     { expectCode(t, broker.NotAssigned, 50105) }
func TestAADSTSWrongTenant(t *testing.T) {
	expectCode(t, broker.WrongTenant, 16000, 50020, 50034, 90072)
}
func TestAADSTSAppNotInstalled(t *testing.T) {
	expectCode(t, broker.AppNotInstalled, 500011, 650052, 700016)
}
func TestAADSTSConditionalAccess(t *testing.T) {
	expectCode(t, broker.UpstreamPolicy, 53000, 53001, 53002, 53003, 53004, 53011, 530032, 530035, 50158)
}
func TestAADSTSAccountsLockedOrDisabledThere(t *testing.T) {
	expectCode(t, broker.UpstreamPolicy, 50053, 50057)
}
func TestAADSTSSecondFactor(t *testing.T)     { expectCode(t, broker.UpstreamPolicy, 50076, 50079) }
func TestAADSTSRetry(t *testing.T)            { expectCode(t, broker.StateInvalid, 54005, 70008) }
func TestAADSTSNoPersonSignedIn(t *testing.T) { expectCode(t, broker.LoginRequired, 50058) }
func TestAADSTSMisconfigured(t *testing.T) {
	expectCode(t, broker.UpstreamMisconfigured, 50011, 500113, 90002, 7000215, 7000222)
}

// The number and the code choose the refusal. The upstream's own text goes to the log only.
func TestAADSTSUnknownNumbersAndUnnumberedRefusals(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindMicrosoft, Personas: entraPeople()},
		map[string]string{"tenant": tenantA})
	r.signsIn("A")
	for _, c := range []struct {
		code, description string
		want              broker.Code
	}{
		{"server_error", "AADSTS123456: An error occurred.", broker.UpstreamRejected},
		{"access_denied", "AADSTS123456: You may not.", broker.UpstreamRejected},
		{"made_up", "AADSTS123456: What now.", broker.UpstreamRejected},
		{"made_up", "", broker.UpstreamRejected},
		{"access_denied", "", broker.Cancelled},
		{"access_denied", "AADSTS without a number", broker.Cancelled},
		{"access_denied", "AADSTS1234: too short", broker.Cancelled},
		{"access_denied", "AADSTS5010512345: too long for a number", broker.Cancelled},
		{"access_denied", "xAADSTS50105: within a word", broker.Cancelled},
		{"access_denied", "AADSTS65004: first. AADSTS50105: second.", broker.ConsentDeclined},
		{"interaction_required", "", broker.LoginRequired},
		{"login_required", "", broker.LoginRequired},
		{"invalid_scope", "AADSTS70011: no such scope", broker.UpstreamMisconfigured},
		{"temporarily_unavailable", "AADSTS90033: A transient error has occurred.", broker.ConnectionUnavailable},
		{"temporarily_unavailable", "", broker.ConnectionUnavailable},
		{"server_error", "", broker.ConnectionUnavailable},
	} {
		e := fakeidp.OAuthError{Code: c.code, Description: c.description}
		r.faulty(c.code+" "+c.description+", in the answer", func(f *fakeidp.Fault) { f.AuthorizeError = e },
			func(r *fixture) { r.reset(); r.refused("A", c.want) })
		r.faulty(c.code+" "+c.description+", at the token endpoint", func(f *fakeidp.Fault) { f.TokenError = e },
			func(r *fixture) { r.reset(); r.refused("A", refusedExchange(c.want)) })
	}
	r.faulty("a 503 in words of its own", func(f *fakeidp.Fault) {
		f.Break(fakeidp.Break{Status: 503, Body: `{"error":"made_up","error_description":"AADSTS123456: later"}`},
			fakeidp.AtToken)
	}, func(r *fixture) { r.reset(); r.refused("A", broker.ConnectionUnavailable) })
}

// D19: while the directory is down it signs no person in, and the refusal names it.
func TestD19_ADirectoryThatIsDownRefusesSignIns(t *testing.T) {
	for kind, who := range map[string]string{fakeidp.KindMicrosoft: "bruno", fakeidp.KindADFS: "hana"} {
		settings := map[string]string{}
		if kind == fakeidp.KindMicrosoft {
			settings["tenant"] = tenantA
		}
		for _, at := range []fakeidp.Endpoint{fakeidp.AtDiscovery, fakeidp.AtJWKS, fakeidp.AtToken} {
			for _, status := range []int{500, 502, 503, 504, 429} {
				t.Run(fmt.Sprintf("%s, %d at %s", kind, status, at), func(t *testing.T) {
					r := newFixture(t, fakeidp.Options{Kind: kind}, settings)
					r.idp.Misbehave(func(f *fakeidp.Fault) { f.Break(fakeidp.Break{Status: status, Body: "later"}, at) })
					for range 2 * requestAfter {
						r.refused(who, broker.ConnectionUnavailable)
					}
				})
			}
		}
		t.Run(kind+", in the answer", func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: kind}, settings)
			r.idp.Misbehave(func(f *fakeidp.Fault) { f.AuthorizeError = fakeidp.OAuthError{Code: "temporarily_unavailable"} })
			r.refused(who, broker.ConnectionUnavailable)
		})
	}
}

// Anyone with a login of their own can send a response that says the upstream is down.
func TestB22_WhatTheBrowserSaysOfAnUpstreamClosesNoGate(t *testing.T) {
	for kind, settings := range map[string]map[string]string{
		fakeidp.KindOIDC: nil, fakeidp.KindGoogle: nil, fakeidp.KindMicrosoft: {"tenant": tenantA}, fakeidp.KindADFS: nil,
		fakeidp.KindFacebook: nil, fakeidp.KindGitHub: nil,
	} {
		t.Run(kind, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: kind}, settings)
			person := r.idp.Personas()[0].Login
			r.signsIn(person)
			forge := func(code string) {
				t.Helper()
				for range 3 * requestAfter {
					upstreamRequest := r.newRequest()
					answer := url.Values{"state": {upstreamRequest.State}, "error": {code}}
					if kind == fakeidp.KindOIDC {
						answer.Set("iss", r.idp.Issuer())
					}
					c, err := r.open().Finish(t.Context(), upstreamRequest, answer)
					refusal(t, c, err, byCode[code])
				}
			}
			forge("temporarily_unavailable")
			r.signsIn(person)
			// A forged Cancel must not show a failed upstream as recovered.
			r.idp.Misbehave(func(f *fakeidp.Fault) { f.Break(fakeidp.Break{Drop: true}, fakeidp.AtToken) })
			for range requestAfter {
				r.refused(person, broker.ConnectionUnavailable)
				upstreamRequest := r.newRequest()
				answer := url.Values{"state": {upstreamRequest.State}, "error": {"access_denied"}}
				if kind == fakeidp.KindOIDC {
					answer.Set("iss", r.idp.Issuer())
				}
				_, _ = r.open().Finish(t.Context(), upstreamRequest, answer) // refused in any case; only the gate matters here
			}
			asked := r.idp.Calls(fakeidp.AtToken)
			_, err := r.login(person)
			if !errors.Is(err, broker.ConnectionUnavailable) || !strings.Contains(err.Error(), "paused") ||
				r.idp.Calls(fakeidp.AtToken) != asked {
				t.Errorf("the upstream was asked again: %v", err)
			}
		})
	}
}
