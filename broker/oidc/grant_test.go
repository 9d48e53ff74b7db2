package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite/storage"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

func TestTheStateMayBeMissingOrShort(t *testing.T) {
	h := newHarness(t)
	for _, state := range []string{"-", "x", strings.Repeat("s", 4000)} {
		a := h.browser().authorize(ask("state", state))
		if q := a.location().Query(); q.Get("code") == "" || state != "-" && q.Get("state") != state || state == "-" &&
			q.Has("state") {
			t.Errorf("state %.10q: %.200s", state, a.Header.Get("Location"))
		}
	}
}

func TestARefreshMayAskForLessAndNeverForMore(t *testing.T) {
	h := newHarness(t)
	got := h.signIn("scope", "openid photos offline_access")
	h.wants(h.refresh(got.text("refresh_token"), "scope", "openid email"), http.StatusBadRequest, "invalid_scope")
	less := h.wants(h.refresh(got.text("refresh_token"), "scope", "photos"), http.StatusOK, "")
	if less.text("scope") != "photos" || less.json["id_token"] != nil {
		t.Errorf("%s", less.body)
	}
	h.wants(h.userinfo(less.text("access_token")), http.StatusForbidden, "insufficient_scope")
	if all := h.wants(h.refresh(less.text("refresh_token")), http.StatusOK, ""); all.text(
		"scope") != "openid photos offline_access" {
		t.Errorf("%s", all.body)
	}
}

func TestTheNonceComesFromTheCodeOnly(t *testing.T) {
	h := newHarness(t)
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
	j := &brokenAuditLog{}
	f := &brokenGrants{}
	h := newHarnessWith(t, ports{auditLog: func(real broker.AuditLog) broker.AuditLog { j.AuditLog = real; return j },
		grants: func(real broker.Grants) broker.Grants { f.Grants = real; return f }})
	code := h.browser().code(ask())
	j.err = broken
	a := h.wants(h.redeem(code), http.StatusInternalServerError, "server_error")
	if strings.Contains(a.body, "token_type") || strings.Contains(a.body, "disk") {
		t.Errorf("%s", a.body)
	}
	j.err = nil
	got := h.wants(h.redeem(code), http.StatusOK, "") // the code was not consumed

	f.err = broken
	h.wants(h.refresh(got.text("refresh_token")), http.StatusInternalServerError, "server_error")
	f.err = broker.Unavailable
	h.wants(h.refresh(got.text("refresh_token")), http.StatusServiceUnavailable, "temporarily_unavailable")
	f.err = nil
	h.clock.add(time.Minute)
	h.wants(h.refresh(got.text("refresh_token")), http.StatusOK, "") // it did not rotate
}

type brokenAuditLog struct {
	broker.AuditLog
	err error
}

func (j *brokenAuditLog) Record(ctx context.Context, e ...broker.Event) error {
	if j.err != nil {
		return j.err
	}
	return j.AuditLog.Record(ctx, e...)
}

func TestTheStoreKeepsToFositesTransactions(t *testing.T) {
	h := newHarness(t)
	s := h.handler.provider.Store
	if _, ok := s.(storage.Transactional); !ok {
		t.Fatal("fosite would run every grant without a transaction")
	}
	st := s.(*store)
	ctx, u := withUnit(h.ctx())
	if st.RotateRefreshToken(ctx, "f", "t") == nil || st.Commit(ctx) == nil {
		t.Error("a write outside of a transaction passed")
	}
	u.rotate = true
	if _, err := st.BeginTX(ctx); err != nil || st.RotateRefreshToken(ctx, "f", "t") != nil || st.Rollback(ctx) != nil ||
		u.agreed.rotate {
		t.Error("Rollback kept a write")
	}
	if _, err := st.BeginTX(h.ctx()); err == nil {
		t.Error("a transaction outside of a request")
	}
}

func TestARevocationThatCannotBeWrittenIsNotA200(t *testing.T) {
	f := &brokenGrants{}
	h := newHarnessWith(t, ports{grants: func(real broker.Grants) broker.Grants { f.Grants = real; return f }})
	got := h.signIn()
	f.err = broker.Unavailable
	a := h.wants(h.call("/revoke", "token", got.text("access_token")), http.StatusServiceUnavailable,
		"temporarily_unavailable")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	f.err = errors.New("boom")
	h.wants(h.call("/revoke", "token", got.text("access_token")), http.StatusInternalServerError, "server_error")
}

type brokenGrants struct {
	broker.Grants
	err error
}

func (f *brokenGrants) Rotate(ctx context.Context, id string, from, to int64, at time.Time) error {
	if f.err != nil {
		return f.err
	}
	return f.Grants.Rotate(ctx, id, from, to, at)
}

func (f *brokenGrants) RevokeGrant(ctx context.Context, id string, why broker.Code, at time.Time) error {
	if f.err != nil {
		return f.err
	}
	return f.Grants.RevokeGrant(ctx, id, why, at)
}

func TestAReuseThatCannotBeWrittenAsksToComeAgain(t *testing.T) {
	f := &brokenGrants{}
	h := newHarnessWith(t, ports{grants: func(real broker.Grants) broker.Grants { f.Grants = real; return f }})
	got := h.signIn()
	h.wants(h.refresh(got.text("refresh_token")), http.StatusOK, "")
	h.clock.add(time.Minute)
	f.err = errors.New("boom")
	r := newRequest(http.MethodPost, "/token", url.Values{"grant_type": {clients.GrantRefresh},
		"refresh_token": {got.text("refresh_token")}})
	r.SetBasicAuth("app", h.secret)
	if a := h.send(r); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestTheTokenEndpointSpeaksJSONAlsoWhenItRefuses(t *testing.T) {
	h := newHarness(t)
	body := func(kind, text string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, issuer+"/token", strings.NewReader(text))
		r.Header.Set("Content-Type", kind)
		r.SetBasicAuth("app", h.secret)
		return r
	}
	const form = "application/x-www-form-urlencoded"
	for name, r := range map[string]*http.Request{
		"multipart": body("multipart/form-data; boundary=x",
			"--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nclient_credentials\r\n--x--\r\n"),
		"JSON":          body("application/json", `{"grant_type":"client_credentials"}`),
		"nothing":       body(form, ""),
		"a broken form": body(form, "grant_type=%zz"),
		"in the URL": func() *http.Request {
			r := newRequest(http.MethodPost, "/token?scope=photos", url.Values{"grant_type": {clients.GrantClient}})
			r.SetBasicAuth("app", h.secret)
			return r
		}(),
		"a NUL": body(form, "grant_type=client_credentials&scope=a%00b"),
	} {
		if a := h.send(r); a.StatusCode != http.StatusBadRequest || a.text("error") != "invalid_request" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if a := h.send(body(form, "grant_type=client_credentials&x="+strings.Repeat("x",
		70<<10))); a.StatusCode != http.StatusRequestEntityTooLarge || a.text("error") == "" {
		t.Errorf("too large: %d %s", a.StatusCode, a.body)
	}
	h.wants(h.send(body(form, "grant_type=password&username=a&password=b")), http.StatusBadRequest,
		"unsupported_grant_type")
}
