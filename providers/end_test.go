package providers

import (
	"net/url"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

func TestASessionOfTheUpstreamIsKeptInTheClaims(t *testing.T) {
	r := oidcFixture(t)
	for sid, want := range map[any]string{"up-1": "up-1", nil: "", 7: "", strings.Repeat("s", 256): ""} {
		r.faulty("sid", func(f *fakeidp.Fault) { f.SetClaim("sid", sid) }, func(r *fixture) {
			if c := r.signsIn("vera"); c.SID != want {
				t.Errorf("%v is %q, want %q", sid, c.SID, want)
			}
		})
	}
}

func TestTheEndSessionURLNamesTheClientAndTheReturnURI(t *testing.T) {
	for kind, has := range map[string]bool{fakeidp.KindOIDC: true, fakeidp.KindMicrosoft: true, fakeidp.KindADFS: true,
		fakeidp.KindGoogle: false, fakeidp.KindFacebook: false, fakeidp.KindGitHub: false} {
		settings := map[string]string{}
		if kind == fakeidp.KindMicrosoft {
			settings["tenant"], settings["any_tenant"] = entraCommon, "true"
		}
		r := newFixture(t, fakeidp.Options{Kind: kind}, settings)
		to, err := r.open().(broker.Ender).End(t.Context(), "https://broker.example/end_session", "the-state", "the-token")
		if err != nil || has != (to != "") {
			t.Errorf("%s: %q, %v", kind, to, err)
			continue
		}
		if u, err := url.Parse(to); has && (err != nil || !strings.HasPrefix(to, r.idp.BaseURL()) ||
			u.Query().Get("client_id") != r.conn.ClientID ||
			u.Query().Get("post_logout_redirect_uri") != "https://broker.example/end_session" ||
			u.Query().Get("state") != "the-state" || u.Query().Get("id_token_hint") != "the-token") {
			t.Errorf("%s: %q", kind, to)
		}
	}
}

func TestTheIDTokenIsKeptForTheSignOutOnlyWhereItIsOfUse(t *testing.T) {
	r := oidcFixture(t)
	if c := r.signsIn("vera"); strings.Count(c.LogoutHint, ".") != 2 {
		t.Errorf("%q", c.LogoutHint)
	}
	r.faulty("long", func(f *fakeidp.Fault) { f.SetClaim("more", strings.Repeat("x", maxLogoutHint)) }, func(r *fixture) {
		if c := r.signsIn("vera"); c.LogoutHint != "" {
			t.Errorf("a token of %d bytes does not fit into a URL", len(c.LogoutHint))
		}
	})
	google := newFixture(t, fakeidp.Options{Kind: fakeidp.KindGoogle}, nil)
	if c := google.signsIn("ana"); c.LogoutHint != "" {
		t.Errorf("Google has no end-session endpoint: %q", c.LogoutHint)
	}
}

func TestALogoutTokenMayTellOfMoreThanTheLogout(t *testing.T) {
	r := oidcFixture(t)
	if _, err := r.postLogoutToken(typLogout, map[string]any{"events": map[string]any{eventLogout: map[string]any{},
		"revoke_offline_access": true}}); err != nil {
		t.Error(err)
	}
}
