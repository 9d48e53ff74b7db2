package providers

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

func TestARefusalToSignInWithoutAskingNamesThePrompt(t *testing.T) {
	everyKind(t, true, func(r *fixture, who string) {
		for refusal, want := range map[string]string{"login_required": broker.PromptLogin,
			"interaction_required": broker.PromptLogin, "consent_required": broker.PromptConsent,
			"account_selection_required": broker.PromptSelect, "access_denied": "", "server_error": ""} {
			r.faulty(refusal, func(f *fakeidp.Fault) { f.AuthorizeError = fakeidp.OAuthError{Code: refusal} },
				func(r *fixture) {
					_, err := r.login(who)
					if needed, _ := errors.AsType[broker.PromptNeeded](err); needed.Prompt != want {
						r.Errorf("prompt %q, want %q (%v)", needed.Prompt, want, err)
					}
				})
		}
		for _, prompt := range []string{broker.PromptLogin, broker.PromptConsent, broker.PromptSelect} {
			r.Run("sent "+prompt, func(t *testing.T) { // each kind accepts what it is sent
				sub := *r
				sub.T, sub.request = t, func(q *broker.UpstreamRequest) { q.Prompt = prompt }
				sub.signsIn(who)
			})
		}
	})
}

func TestEveryWayToCancelIsCancelled(t *testing.T) {
	r := oidcFixture(t)
	for _, code := range []string{"access_denied", "user_cancelled_login", "user_cancelled_authorize"} {
		r.faulty(code, func(f *fakeidp.Fault) { f.AuthorizeError = fakeidp.OAuthError{Code: code} },
			func(r *fixture) { r.refused("vera", broker.Cancelled) })
	}
}

func TestFacebooksErrorCodeWithoutAnErrorIsKept(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindFacebook}, nil)
	r.response = func(q url.Values) {
		q.Del("code")
		q.Set("error_code", "1349195")
		q.Set("error_message", "App not active: This app is not accessible right now")
	}
	_, err := r.login("fay")
	if broker.CodeOf(err) != broker.UpstreamRejected || !strings.Contains(err.Error(), "1349195: App not active") {
		t.Errorf("err %v", err)
	}
}

func TestAnACRCountsOnlyWhereTheConnectionTrustsIt(t *testing.T) {
	for _, k := range simulated {
		if k.name != fakeidp.KindOIDC && k.name != fakeidp.KindMicrosoft && k.name != fakeidp.KindADFS {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: k.name}, k.settings)
			r.idp.Misbehave(func(f *fakeidp.Fault) { f.SetClaim("acr", "urn:example:strong") })
			if got := r.signsIn(k.who).ACR; got != "" {
				t.Errorf("acr %q without trust", got)
			}
			r.conn.Settings["trust_acr"] = "true"
			r.reset()
			if got := r.signsIn(k.who).ACR; got != "urn:example:strong" {
				t.Errorf("acr %q with trust", got)
			}
		})
	}
}

func TestADFSIsAskedForTheClaimsOfItsRelyingParty(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindADFS}, nil)
	if got := r.signsIn("hana").Email; got != "hana@contoso.test" {
		t.Errorf("address %q", got)
	}
	for resource, want := range map[string]string{"urn:another": "", "none": ""} {
		r.conn.Settings["resource"] = resource
		r.reset()
		if got := r.signsIn("hana").Email; got != want {
			t.Errorf("resource %s: address %q", resource, got)
		}
		if sent := r.idp.Last(fakeidp.AtAuthorize).Form.Get("resource"); sent == "none" {
			t.Error("none is sent")
		}
	}
}
