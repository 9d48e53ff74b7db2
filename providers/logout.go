package providers

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"gatehouse/broker"
)

// The typ header of the tokens that we accept.
const (
	typID     = "JWT"
	typLogout = "logout+jwt"
)

// eventLogout is the event of a logout token (OIDC Back-Channel Logout §2.4).
const eventLogout = "http://schemas.openid.net/event/backchannel-logout"

// maxLogoutID is the longest jti or sid accepted, in bytes.
const maxLogoutID = 255

// Notice verifies a logout token (OIDC Back-Channel Logout §2.6) like an ID token, with the same keys, before it
// uses anything in it (SECURITY.md A18).
func (u *openID) Notice(ctx context.Context, kind broker.NoticeKind, form url.Values) (broker.Notice, error) {
	if kind == broker.NoticeFrontLogout && u.frontLogout {
		return u.frontNotice(ctx, form)
	}
	//defence:A18 A7
	if kind != broker.NoticeLogout || !u.sendsLogout {
		return broker.Notice{}, broker.RequestInvalid.Because(errors.New("this upstream sends no such notice"))
	}
	if len(form["logout_token"]) != 1 {
		return broker.Notice{}, broker.RequestInvalid.Because(errors.New("logout_token is missing or occurs twice"))
	}
	m, err := u.meta.get(ctx)
	if err != nil {
		return broker.Notice{}, err
	}
	t, err := u.verifier.read(ctx, m, typLogout, form.Get("logout_token"), logoutProblem)
	if err != nil {
		if code, coded := errors.AsType[broker.Code](err); !coded || code == broker.UpstreamRejected {
			err = broker.RequestInvalid.Because(fmt.Errorf("logout token: %w", err))
		}
		return broker.Notice{}, err
	}
	issued, _ := t.date("iat")
	return broker.Notice{Kind: kind, Issuer: t.issuer, Subject: t.subject, SID: t.sid(), ID: t.text("jti"),
		// From then on the token is too old, whatever its exp.
		Expires: issued.Add(maxAge + 2*skew)}, nil
}

// frontNotice reads a front-channel logout (OIDC Front-Channel Logout §2). Nothing in it is signed, so it can only
// name a session: knowing its sid is the proof.
func (u *openID) frontNotice(ctx context.Context, form url.Values) (broker.Notice, error) {
	sid, iss := form.Get("sid"), form.Get("iss")
	//defence:A18
	if len(form["sid"]) != 1 || sid == "" || len(sid) > maxLogoutID || len(form["iss"]) > 1 {
		return broker.Notice{}, broker.RequestInvalid.Because(errors.New("sid is missing, too long, or occurs twice"))
	}
	m, err := u.meta.get(ctx)
	if err != nil {
		return broker.Notice{}, err
	}
	//defence:A18
	if iss != "" && !u.ownsIssuer(m, iss) {
		return broker.Notice{}, broker.RequestInvalid.Because(errors.New("another issuer"))
	}
	return broker.Notice{Kind: broker.NoticeFrontLogout, Issuer: m.issuer, SID: sid}, nil
}

// logoutProblem holds the rules of a logout token beyond those of an ID token. A nonce is refused because it
// would make the token pass for an ID token.
func logoutProblem(t idToken) error {
	events, _ := t.document["events"].(document)
	_, happened := events[eventLogout].(document)
	_, nonce := t.document["nonce"]
	id := t.text("jti")
	switch {
	//defence:A18
	case nonce:
		return errors.New("it has a nonce")
	//defence:A18
	case !happened:
		return errors.New("the logout event is missing")
	case id == "" || len(id) > maxLogoutID:
		return errors.New("jti is missing or too long")
	case t.document["sub"] != nil && t.subject == "" || t.document["sid"] != nil && t.sid() == "":
		return errors.New("sub or sid is invalid")
	case t.subject == "" && t.sid() == "":
		return errors.New("it names neither a person nor a session")
	}
	return nil
}

// maxLogoutHint is the longest ID token that is kept for a sign-out, in bytes: it becomes part of a URL.
const maxLogoutHint = 4 << 10

// End returns the URL of the end-session endpoint (OIDC RP-Initiated Logout §2).
func (u *openID) End(ctx context.Context, back, state, hint string) (string, error) {
	m, err := u.meta.get(ctx)
	if err != nil || m.endSession == "" {
		return "", err
	}
	at, err := url.Parse(m.endSession)
	if err != nil {
		return "", err
	}
	q := at.Query()
	q.Set("client_id", u.clientID)
	q.Set("post_logout_redirect_uri", back)
	for name, value := range map[string]string{"state": state, "id_token_hint": hint} {
		if value != "" {
			q.Set(name, value)
		}
	}
	at.RawQuery = q.Encode()
	return at.String(), nil
}

// End returns where to sign out at the upstream, "" if it has no such endpoint.
func (g *guarded) End(ctx context.Context, back, state, hint string) (to string, err error) {
	end, ok := g.Upstream.(broker.Ender)
	if !ok {
		return "", nil
	}
	if r, lazy := g.Upstream.(interface{ ready() bool }); !lazy || r.ready() {
		return end.End(ctx, back, state, hint)
	}
	err = g.gate.pass(ctx, func(ctx context.Context) (err error) {
		to, err = end.End(ctx, back, state, hint)
		return err
	})
	return to, err
}
