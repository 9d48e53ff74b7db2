package oidc

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

// Each test here fails on fosite v0.49.0 with its own strategies, its example
// store or its defaults; the names are those of FOSITE.md.

func TestP1_PKCEDowngrade(t *testing.T) {
	h := newHarness(t)
	secret := h.client(broker.Client{ID: "old", Name: "Old", AuthMethods: []string{"client_secret_post"},
		PKCE:       broker.PKCEOff,
		FirstParty: true})
	for _, client := range []string{"app", "old"} {
		code := h.browser().code(ask("client_id", client))
		redeem := func(v string) answer {
			form := []string{"code_verifier", v}
			if client == "old" {
				form = append(form, "client_id", client, "client_secret", secret)
			}
			if v == "" {
				form = append([]string{"grant_type", clients.GrantCode, "code", code, "redirect_uri", callback}, form[2:]...)
				return h.token(form...)
			}
			return h.redeem(code, form...)
		}
		h.wants(redeem(strings.Repeat("x", 50)), http.StatusBadRequest, "invalid_grant")
		h.wants(redeem(""), http.StatusBadRequest, "invalid_grant") // fosite: 200
		h.wants(redeem(""), http.StatusBadRequest, "invalid_grant")
		h.wants(redeem(verifier), http.StatusOK, "")
	}
}

func TestP2_ACodeIsConsumedOnceByEight(t *testing.T) {
	h := newHarness(t)
	for range 8 {
		code := h.browser().code(ask())
		statuses, won := map[int]int{}, ""
		var mu sync.Mutex
		race(8, func() {
			a := h.redeem(code)
			mu.Lock()
			defer mu.Unlock()
			if statuses[a.StatusCode]++; a.StatusCode == http.StatusOK {
				won = a.text("access_token")
			} else if a.text("error") != "invalid_grant" {
				t.Errorf("a loser heard %s", a.body)
			}
		})
		if statuses[http.StatusOK] != 1 || statuses[http.StatusBadRequest] != 7 {
			t.Fatalf("statuses %v", statuses)
		}
		if h.active(won) {
			t.Error("the family of a code that came twice lives")
		}
	}
}

// race runs do n times concurrently.
func race(n int, do func()) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			do()
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

func TestP6_TheEphemeralStoreHoldsNoUsableCode(t *testing.T) {
	spy := &ephemeralSpy{}
	h := newHarnessWith(t, ports{ephemeral: func(f broker.Ephemeral) broker.Ephemeral { spy.Ephemeral = f; return spy }})
	code := h.browser().code(ask())
	for _, put := range spy.puts {
		if strings.Contains(put, code) {
			t.Errorf("stored: %s", put)
		}
	}
	if len(spy.puts) == 0 || !strings.HasPrefix(spy.puts[0], "code "+h.keyring.Hash(purposeCode, []byte(code))) {
		t.Errorf("puts %q", spy.puts)
	}
	if _, err := h.handler.provider.Store.(*store).authorization(withUnitOnly(h.ctx()), h.keyring.Hash(purposeCode,
		[]byte(code))); err == nil {
		t.Error("the stored hash works as a code")
	}
}

func withUnitOnly(ctx context.Context) context.Context {
	ctx, _ = withUnit(ctx)
	return ctx
}

type ephemeralSpy struct {
	broker.Ephemeral
	mu   sync.Mutex
	puts []string
}

func (s *ephemeralSpy) Put(ctx context.Context, store, key string, v []byte, expires time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts = append(s.puts, store+" "+key+" "+string(v))
	return s.Ephemeral.Put(ctx, store, key, v, expires)
}

func TestP7_NoTwoReadersShareASession(t *testing.T) {
	record := codeRecord{ID: "f", Client: "c", Scopes: []string{"openid"}, Session: session{Account: "ana"}}
	a, b := record.request(broker.Client{}), record.request(broker.Client{})
	a.Session.(*session).IDTokenClaims().Subject = "eve"
	a.Form.Set("redirect_uri", "https://evil.example")
	if a.Session == b.Session || b.Session.GetSubject() != "ana" || b.Form.Get("redirect_uri") != "" {
		t.Error("two requests write into one session")
	}
	s := a.Session.(*session)
	first := s.IDTokenClaims()
	if second := s.IDTokenClaims(); s.Clone() == fosite.Session(s) || first != second {
		t.Error("Clone must copy, IDTokenClaims must not")
	}
}

// Who used the header is asked for it again; who did not hears the error alone
// (RFC 6749 §5.2): libraries take a challenge for the whole of the answer.
func TestP8_A401SaysHowToAuthenticate(t *testing.T) {
	h := newHarness(t)
	r := newRequest(http.MethodPost, "/token", url.Values{"grant_type": {clients.GrantClient}})
	r.SetBasicAuth("app", "wrong")
	a := h.wants(h.send(r), http.StatusUnauthorized, "invalid_client")
	if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic realm=") {
		t.Errorf("WWW-Authenticate %q", a.Header.Get("WWW-Authenticate"))
	}
	key := newHeldKey(t, "k", signing.ES256)
	for name, shown := range map[string][]string{
		"a secret in the body": {"client_id", "app", "client_secret", "wrong"},
		"an assertion": {"client_assertion_type", assertionType, "client_assertion", key.signed(t, h.proof("app"),
			nil)},
		"nothing": {"client_id", "app"},
	} {
		for _, path := range []string{pathToken, pathRevoke, pathIntrospect, pathPush, pathDeviceAuthorization} {
			form := form(append([]string{"grant_type", clients.GrantClient, "token", "x"}, shown...)...)
			a := h.wants(h.send(newRequest(http.MethodPost, path, form)), http.StatusUnauthorized, "invalid_client")
			if got := a.Header.Values("WWW-Authenticate"); len(got) != 0 {
				t.Errorf("%s, %s: WWW-Authenticate %q", name, path, got)
			}
		}
	}
}

func TestP9_ScopesAreComparedByCase(t *testing.T) {
	h := newHarness(t)
	for _, scope := range []string{"OpenID", "openid PROFILE", "Openid photos"} {
		h.appHears(h.browser().authorize(ask("scope", scope)), "invalid_scope")
	}
	h.wants(h.token("grant_type", "Client_Credentials"), http.StatusBadRequest, "unsupported_grant_type")
	h.appHears(h.browser().authorize(ask("response_type", "CODE")), "unsupported_response_type")
}

func TestP10_EdDSASignsAndIsKnownAgain(t *testing.T) {
	h := newHarness(t)
	key, err := h.handler.keys.Signer(signing.EdDSA)
	h.must(err)
	token, err := key.Sign(idToken{Issuer: issuer, Subject: "ana", Audience: "app"})
	h.must(err)
	if _, err := h.handler.readHint(token); err != nil {
		t.Error(err)
	}
}

func TestP11_ASessionComesBackAsItWas(t *testing.T) {
	was := session{Account: "ana", Session: "s", Nonce: "n", Authn: broker.Authn{Method: broker.ByPassword,
		AMR: []string{"pwd"}, Epoch: 1<<53 + 1,
		AuthTime: time.Date(2026, 11, 20, 9, 0, 0, 123456789, time.UTC)}}
	b, err := json.Marshal(codeRecord{Session: was})
	if err != nil {
		t.Fatal(err)
	}
	var is codeRecord
	if err := json.Unmarshal(b, &is); err != nil || !reflect.DeepEqual(is.Session, was) {
		t.Errorf("%+v, want %+v (%v)", is.Session, was, err)
	}
}

func TestP12_NothingComesTwice(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	for _, name := range []string{"scope", "state", "nonce", "code_challenge", "response_type", "prompt"} {
		q := ask("prompt", "login")
		q.Add(name, q.Get(name))
		heard := h.appHears(b.get("/authorize?"+q.Encode()), "invalid_request")
		if name == "state" && heard.Has("state") {
			t.Error("one of two states was chosen")
		}
	}
	for _, name := range []string{"client_id", "redirect_uri"} {
		q := ask()
		q.Add(name, "https://evil.example/")
		h.page(b.get("/authorize?"+q.Encode()), broker.RequestInvalid)
	}
	form := url.Values{"grant_type": {clients.GrantClient}, "scope": {"photos", "openid"}}
	r := newRequest(http.MethodPost, "/token", form)
	r.SetBasicAuth("app", h.secret)
	h.wants(h.send(r), http.StatusBadRequest, "invalid_request")
}

func TestP13_OnlyThePortOfALoopbackAddressIsFree(t *testing.T) {
	h := newHarness(t)
	h.client(broker.Client{ID: "cli", Name: "CLI", AuthMethods: []string{"none"}, Native: true, FirstParty: true,
		RedirectURIs: []string{"http://127.0.0.1:1234/cb", "http://[::1]/cb", "http://localhost:1234/cb"}})
	b := h.browser()
	for uri, good := range map[string]bool{
		"http://127.0.0.1:9/cb": true, "http://[::1]:9/cb": true, "http://localhost:1234/cb": true,
		"http://localhost:9/cb": false, "http://eve@127.0.0.1:9/cb": false, "http://127.0.0.1:9/cb#x": false,
		"http://127.0.0.1:9/cb?x=1": false,
		"http://127.0.0.2:1234/cb":  false, "https://127.0.0.1:9/cb": false,
	} {
		a := b.authorize(ask("client_id", "cli", "redirect_uri", uri))
		if good && !strings.HasPrefix(a.Header.Get("Location"), uri+"?") {
			t.Errorf("%s: %d %s", uri, a.StatusCode, a.Header.Get("Location"))
		} else if !good {
			h.page(a, broker.RedirectURIMismatch)
		}
	}
}

func TestC1_NoGetterOfTheConfigWrites(t *testing.T) {
	cfg := newConfig(issuer, nil)
	was := *cfg
	v := reflect.ValueOf(cfg)
	for i := range v.NumMethod() {
		if name := v.Type().Method(i).Name; strings.HasPrefix(name, "Get") && name != "GetHTTPClient" {
			v.Method(i).Call([]reflect.Value{reflect.ValueOf(context.Background())})
		}
	}
	before, after := reflect.ValueOf(was), v.Elem()
	for i := range before.NumField() {
		name := before.Type().Field(i).Name
		if before.Field(i).Kind() == reflect.Func || before.Field(i).Kind() == reflect.Interface {
			if before.Field(i).IsNil() != after.Field(i).IsNil() {
				t.Errorf("%s was filled in on first use", name)
			}
		}
	}
	for _, name := range []string{"AccessTokenLifespan", "RefreshTokenLifespan", "AuthorizeCodeLifespan",
		"IDTokenLifespan", "ScopeStrategy", "AudienceMatchingStrategy",
		"JWKSFetcherStrategy", "ClientSecretsHasher", "RedirectSecureChecker", "RefreshTokenScopes",
		"ClientAuthenticationStrategy", "MinParameterEntropy", "TokenEntropy"} {
		if name != "ClientAuthenticationStrategy" && before.FieldByName(name).IsZero() {
			t.Errorf("%s is left to fosite", name)
		}
	}
	if cfg.AuthorizeCodeLifespan != time.Minute {
		t.Errorf("a code lives %v", cfg.AuthorizeCodeLifespan)
	}
}
