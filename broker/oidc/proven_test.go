package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"

	"gatehouse/broker"
)

// Each test here fails on fosite v0.49.0 with its own strategies, its example
// store or its defaults; the names are those of FOSITE.md.

func TestP1_PKCEDowngrade(t *testing.T) {
	h := newHouse(t)
	secret := h.client(broker.Client{ID: "old", Name: "Old", AuthMethod: "client_secret_post", SkipPKCE: true, FirstParty: true})
	for _, client := range []string{"app", "old"} {
		code := h.browser().code(ask("client_id", client))
		redeem := func(v string) answer {
			form := []string{"code_verifier", v}
			if client == "old" {
				form = append(form, "client_id", client, "client_secret", secret)
			}
			if v == "" {
				form = append([]string{"grant_type", grantCode, "code", code, "redirect_uri", callback}, form[2:]...)
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

func TestP2_ACodeIsSpentOnceByEight(t *testing.T) {
	h := newHouse(t)
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

// race runs do n times at once.
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

func TestP3_P4_P5_NothingIsPushedAndNothingIsMerged(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	for _, uri := range []string{"urn:ietf:params:oauth:request_uri:abc", "https://evil.example/request"} {
		h.appHears(b.get("/authorize?"+ask("request_uri", uri).Encode()), "request_uri_not_supported")
	}
}

func TestP6_TheShelfHoldsNoUsableCode(t *testing.T) {
	spy := &spyFleeting{}
	h := newHouseWith(t, ports{fleeting: func(f broker.Fleeting) broker.Fleeting { spy.Fleeting = f; return spy }})
	code := h.browser().code(ask())
	for _, put := range spy.puts {
		if strings.Contains(put, code) {
			t.Errorf("stored: %s", put)
		}
	}
	if len(spy.puts) == 0 || !strings.HasPrefix(spy.puts[0], "code "+h.ring.Hash(purposeCode, []byte(code))) {
		t.Errorf("puts %q", spy.puts)
	}
	if _, err := h.door.provider.Store.(*store).authorization(withUnitOnly(h.ctx()), h.ring.Hash(purposeCode, []byte(code))); err == nil {
		t.Error("the stored hash works as a code")
	}
}

func withUnitOnly(ctx context.Context) context.Context {
	ctx, _ = withUnit(ctx)
	return ctx
}

type spyFleeting struct {
	broker.Fleeting
	mu   sync.Mutex
	puts []string
}

func (s *spyFleeting) Put(ctx context.Context, shelf, key string, v []byte, expires time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts = append(s.puts, shelf+" "+key+" "+string(v))
	return s.Fleeting.Put(ctx, shelf, key, v, expires)
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

func TestP8_A401SaysHowToAuthenticate(t *testing.T) {
	h := newHouse(t)
	r := newRequest(http.MethodPost, "/token", url.Values{"grant_type": {grantClient}})
	r.SetBasicAuth("app", "wrong")
	a := h.wants(h.send(r), http.StatusUnauthorized, "invalid_client")
	if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic realm=") {
		t.Errorf("WWW-Authenticate %q", a.Header.Get("WWW-Authenticate"))
	}
}

func TestP9_ScopesAreComparedByCase(t *testing.T) {
	h := newHouse(t)
	for _, scope := range []string{"OpenID", "openid PROFILE", "Openid photos"} {
		h.appHears(h.browser().authorize(ask("scope", scope)), "invalid_scope")
	}
	h.wants(h.token("grant_type", "Client_Credentials"), http.StatusBadRequest, "unsupported_grant_type")
	h.appHears(h.browser().authorize(ask("response_type", "CODE")), "unsupported_response_type")
}

func TestP10_EdDSASignsAndIsKnownAgain(t *testing.T) {
	h := newHouse(t)
	key, err := h.door.keys.signer(algEdDSA)
	h.must(err)
	token, err := key.sign(idToken{Issuer: issuer, Subject: "ana", Audience: "app"})
	h.must(err)
	if _, err := h.door.readHint(token); err != nil {
		t.Error(err)
	}
}

func TestP11_ASessionComesBackAsItWas(t *testing.T) {
	was := session{Account: "ana", Session: "s", Nonce: "n", Authn: broker.Authn{Method: broker.ByPassword, AMR: []string{"pwd"}, Epoch: 1<<53 + 1,
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
	h := newHouse(t)
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
	form := url.Values{"grant_type": {grantClient}, "scope": {"photos", "openid"}}
	r := newRequest(http.MethodPost, "/token", form)
	r.SetBasicAuth("app", h.secret)
	h.wants(h.send(r), http.StatusBadRequest, "invalid_request")
}

func TestP13_OnlyThePortOfALoopbackAddressIsFree(t *testing.T) {
	h := newHouse(t)
	h.client(broker.Client{ID: "cli", Name: "CLI", AuthMethod: "none", Native: true, FirstParty: true,
		RedirectURIs: []string{"http://127.0.0.1:1234/cb", "http://[::1]/cb", "http://localhost:1234/cb"}})
	b := h.browser()
	for uri, good := range map[string]bool{
		"http://127.0.0.1:9/cb": true, "http://[::1]:9/cb": true, "http://localhost:1234/cb": true,
		"http://localhost:9/cb": false, "http://eve@127.0.0.1:9/cb": false, "http://127.0.0.1:9/cb#x": false, "http://127.0.0.1:9/cb?x=1": false,
		"http://127.0.0.2:1234/cb": false, "https://127.0.0.1:9/cb": false,
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
	for _, name := range []string{"AccessTokenLifespan", "RefreshTokenLifespan", "AuthorizeCodeLifespan", "IDTokenLifespan", "ScopeStrategy", "AudienceMatchingStrategy",
		"JWKSFetcherStrategy", "ClientSecretsHasher", "RedirectSecureChecker", "RefreshTokenScopes", "ClientAuthenticationStrategy", "MinParameterEntropy", "TokenEntropy"} {
		if name != "ClientAuthenticationStrategy" && before.FieldByName(name).IsZero() {
			t.Errorf("%s is left to fosite", name)
		}
	}
	if cfg.AuthorizeCodeLifespan != time.Minute {
		t.Errorf("a code lives %v", cfg.AuthorizeCodeLifespan)
	}
}

func TestTheStateMayBeMissingOrShort(t *testing.T) {
	h := newHouse(t)
	for _, state := range []string{"-", "x", strings.Repeat("s", 4000)} {
		a := h.browser().authorize(ask("state", state))
		if q := a.location().Query(); q.Get("code") == "" || state != "-" && q.Get("state") != state || state == "-" && q.Has("state") {
			t.Errorf("state %.10q: %.200s", state, a.Header.Get("Location"))
		}
	}
}

func TestARefreshMayAskForLessAndNeverForMore(t *testing.T) {
	h := newHouse(t)
	got := h.signIn("scope", "openid photos offline_access")
	h.wants(h.refresh(got.text("refresh_token"), "scope", "openid email"), http.StatusBadRequest, "invalid_scope")
	less := h.wants(h.refresh(got.text("refresh_token"), "scope", "photos"), http.StatusOK, "")
	if less.text("scope") != "photos" || less.json["id_token"] != nil {
		t.Errorf("%s", less.body)
	}
	h.wants(h.userinfo(less.text("access_token")), http.StatusForbidden, "insufficient_scope")
	if all := h.wants(h.refresh(less.text("refresh_token")), http.StatusOK, ""); all.text("scope") != "openid photos offline_access" {
		t.Errorf("%s", all.body)
	}
}

func TestTheNonceComesFromTheCodeOnly(t *testing.T) {
	h := newHouse(t)
	got := h.signIn()
	again := h.wants(h.refresh(got.text("refresh_token"), "nonce", "injected"), http.StatusOK, "")
	_, claims := h.claims(again.text("id_token"))
	if _, ok := claims["nonce"]; ok || claims["rat"] != nil || claims["auth_time"] == nil {
		t.Errorf("claims %v", claims)
	}
	code := h.browser().code(ask("nonce", "mine"))
	if _, claims = h.claims(h.redeem(code, "nonce", "injected").text("id_token")); claims["nonce"] != "mine" {
		t.Errorf("nonce %v", claims["nonce"])
	}
}

func TestAFailingWriteUndoesTheWholeGrant(t *testing.T) {
	broken := errors.New("the disk is full")
	j := &brokenJournal{}
	h := newHouseWith(t, ports{journal: func(real broker.Journal) broker.Journal { j.Journal = real; return j }})
	code := h.browser().code(ask())
	j.err = broken
	a := h.wants(h.redeem(code), http.StatusInternalServerError, "server_error")
	if strings.Contains(a.body, "token_type") || strings.Contains(a.body, "disk") {
		t.Errorf("%s", a.body)
	}
	j.err = nil
	got := h.wants(h.redeem(code), http.StatusOK, "") // the code was not spent

	j.err = broken
	h.wants(h.refresh(got.text("refresh_token")), http.StatusInternalServerError, "server_error")
	j.err = nil
	h.clock.add(time.Minute)
	h.wants(h.refresh(got.text("refresh_token")), http.StatusOK, "") // it did not rotate

	j.err = broker.Unavailable
	h.wants(h.token("grant_type", grantClient), http.StatusServiceUnavailable, "temporarily_unavailable")
}

type brokenJournal struct {
	broker.Journal
	err error
}

func (j *brokenJournal) Record(ctx context.Context, e ...broker.Event) error {
	if j.err != nil {
		return j.err
	}
	return j.Journal.Record(ctx, e...)
}

func TestTheStoreKeepsToFositesTransactions(t *testing.T) {
	h := newHouse(t)
	s := h.door.provider.Store
	if _, ok := s.(storage.Transactional); !ok {
		t.Fatal("fosite would run every grant without a transaction")
	}
	st := s.(*store)
	ctx, u := withUnit(h.ctx())
	if st.RotateRefreshToken(ctx, "f", "t") == nil || st.Commit(ctx) == nil {
		t.Error("a write outside of a transaction passed")
	}
	u.rotate = true
	if _, err := st.BeginTX(ctx); err != nil || st.RotateRefreshToken(ctx, "f", "t") != nil || st.Rollback(ctx) != nil || u.agreed.rotate {
		t.Error("Rollback kept a write")
	}
	if _, err := st.BeginTX(h.ctx()); err == nil {
		t.Error("a transaction outside of a request")
	}
}

func TestARevocationThatCannotBeWrittenIsNotA200(t *testing.T) {
	f := &brokenFamilies{}
	h := newHouseWith(t, ports{families: func(real broker.Families) broker.Families { f.Families = real; return f }})
	got := h.signIn()
	f.err = broker.Unavailable
	a := h.wants(h.call("/revoke", "token", got.text("access_token")), http.StatusServiceUnavailable, "temporarily_unavailable")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	f.err = errors.New("boom")
	h.wants(h.call("/revoke", "token", got.text("access_token")), http.StatusInternalServerError, "server_error")
}

type brokenFamilies struct {
	broker.Families
	err error
}

func (f *brokenFamilies) EndFamily(ctx context.Context, id string, why broker.Code, at time.Time) error {
	if f.err != nil {
		return f.err
	}
	return f.Families.EndFamily(ctx, id, why, at)
}

func TestAReuseThatCannotBeWrittenAsksToComeAgain(t *testing.T) {
	f := &brokenFamilies{}
	h := newHouseWith(t, ports{families: func(real broker.Families) broker.Families { f.Families = real; return f }})
	got := h.signIn()
	h.wants(h.refresh(got.text("refresh_token")), http.StatusOK, "")
	h.clock.add(time.Minute)
	f.err = errors.New("boom")
	r := newRequest(http.MethodPost, "/token", url.Values{"grant_type": {grantRefresh}, "refresh_token": {got.text("refresh_token")}})
	r.SetBasicAuth("app", h.secret)
	if a := h.send(r); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestTheTokenEndpointSpeaksJSONAlsoWhenItRefuses(t *testing.T) {
	h := newHouse(t)
	body := func(kind, text string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, issuer+"/token", strings.NewReader(text))
		r.Header.Set("Content-Type", kind)
		r.SetBasicAuth("app", h.secret)
		return r
	}
	const form = "application/x-www-form-urlencoded"
	for name, r := range map[string]*http.Request{
		"multipart":     body("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nclient_credentials\r\n--x--\r\n"),
		"JSON":          body("application/json", `{"grant_type":"client_credentials"}`),
		"nothing":       body(form, ""),
		"a broken form": body(form, "grant_type=%zz"),
		"in the URL": func() *http.Request {
			r := newRequest(http.MethodPost, "/token?scope=photos", url.Values{"grant_type": {grantClient}})
			r.SetBasicAuth("app", h.secret)
			return r
		}(),
		"a NUL": body(form, "grant_type=client_credentials&scope=a%00b"),
	} {
		if a := h.send(r); a.StatusCode != http.StatusBadRequest || a.text("error") != "invalid_request" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if a := h.send(body(form, "grant_type=client_credentials&x="+strings.Repeat("x", 70<<10))); a.StatusCode != http.StatusRequestEntityTooLarge || a.text("error") == "" {
		t.Errorf("too large: %d %s", a.StatusCode, a.body)
	}
	h.wants(h.send(body(form, "grant_type=password&username=a&password=b")), http.StatusBadRequest, "unsupported_grant_type")
}
