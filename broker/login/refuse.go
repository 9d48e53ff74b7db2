package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/text"
	"gatehouse/broker/web"
)

func itoa(n int) string { return strconv.Itoa(n) }

// banner reports whether a code is shown above the sign-in page, because another try or method makes sense.
// Other codes get a page of their own.
func banner(c broker.Code) bool {
	switch c {
	case broker.StateInvalid, broker.Cancelled, broker.ConnectionUnavailable, broker.ConnectionDisabled,
		broker.UpstreamRejected,
		broker.UpstreamMisconfigured, broker.NoEmailClaim, broker.ConsentDeclined, broker.RateLimited, broker.Busy,
		broker.Unavailable:
		return true
	}
	return false
}

// maxCause is the longest cause in an audit event, in bytes.
const maxCause = 600

// leaveNotice stores a refusal as a notice in the login and returns Conflict, so that the login is shown with
// it. It records the cause under the reference that the person sees: what an upstream said is there and in the log
// only. An error that is not a Code is returned unchanged.
func (s *service) leaveNotice(ctx context.Context, v visit, l broker.Login, connection string, err error) error {
	code := broker.CodeOf(err)
	if code == broker.Internal || ctx.Err() != nil {
		return err
	}
	ref := ""
	if banner(code) || connection != "" {
		ref = broker.NewReference()
		s.Log.InfoContext(ctx, "refused", "code", string(code), "reference", ref, "connection", connection, "err", err)
		e := v.event(broker.Event{Verb: broker.EventRefused, Code: code, Client: l.ClientID, Connection: connection,
			Reference: ref})
		if cause := err.Error(); cause != string(code) {
			e.Detail = map[string]string{"cause": strings.ToValidUTF8(cause[:min(len(cause), maxCause)], "")}
		}
		if err := s.Store.Record(ctx, e); err != nil {
			return err
		}
	}
	_, err = s.change(ctx, l.ID, func(l *broker.Login) error {
		*l = l.Noticed(code, connection, ref)
		return nil
	})
	if err != nil {
		return err
	}
	return broker.Conflict
}

// fallBack drops what led to a refusal and leaves its notice on the first page.
func (s *service) fallBack(ctx context.Context, v visit, sc scene) (broker.Login, error) {
	connection := ""
	if sc.Claims != nil {
		connection = sc.Claims.Connection
	}
	l, err := s.replace(ctx, sc.Login, sc.Restarted())
	if err != nil {
		return l, err
	}
	if err := s.leaveNotice(ctx, v, l, connection, sc.No); err != nil && broker.CodeOf(err) != broker.Conflict {
		return l, err
	}
	return s.logins.Get(ctx, l.ID)
}

// refused responds to a POST with a refusal that belongs to its login.
func (d *Handler) refused(w http.ResponseWriter, r *http.Request, v visit, id string, err error) error {
	code := broker.CodeOf(err)
	if code == broker.Internal || code == broker.LoginUnknown || code == broker.LoginElsewhere {
		return err
	}
	l, e := d.service.open(r.Context(), v, id)
	if e != nil {
		return e
	}
	d.refuse(w, d.inLogin(r, l), scene{Login: l}, code, "", err)
	return nil
}

// barred is a refusal with the restriction of an account that the login does not name. Its owner has just
// authenticated and may see what to do.
type barred struct {
	error
	by *broker.Restriction
}

func (b barred) Unwrap() error { return b.error }

// rule returns the rule that refuses the person of a scene, nil if none does.
func rule(sc scene, cause error) *broker.Restriction {
	if b, ok := errors.AsType[barred](cause); ok {
		return b.by
	}
	return sc.Rule
}

// setBy returns who set the rule and when, for the audit log.
func setBy(l *broker.Restriction) map[string]string {
	if l == nil {
		return nil
	}
	return map[string]string{"only": l.Only, "set_by": l.SetBy, "set_at": l.SetAt.UTC().Format(time.RFC3339)}
}

// methods returns buttons for the live connections that a rule allows.
func (d *Handler) methods(r *http.Request, id string, l *broker.Restriction) (list []web.Action, first string) {
	if l == nil {
		return nil, ""
	}
	p := d.toolkit.Printer(r)
	for _, connection := range l.Connections {
		c, err := d.service.Store.Connection(r.Context(), connection)
		if err != nil || c.Usable() != nil {
			continue
		}
		if first == "" {
			first = c.Name
		}
		list = append(list, web.Action{Href: upstreamPath(id, c.ID) + "?choose=1", Text: p.Text("web.continue_with", c.Name),
			Icon: d.service.Icon(c.Kind)})
	}
	return list, first
}

// refuse shows a refusal with a useful action, and the link back to the app.
func (d *Handler) refuse(w http.ResponseWriter, r *http.Request, sc scene, code broker.Code, connection string,
	cause error) {
	p, l := d.toolkit.Printer(r), sc.Login
	again := web.Action{Href: loginPath(l.ID) + "/restart", Text: p.Text("login.other_ways")}
	view := web.RefusalView{Cause: cause, Event: broker.Event{Account: l.AccountID, Client: l.ClientID}}
	if code == l.Notice {
		view.Reference = l.NoticeRef
	}
	if connection == "" && l.Claims != nil {
		connection = l.Claims.Connection
	}
	if connection == "" {
		connection = l.Authn.Connection
	}
	if l.Claims != nil {
		view.Email = l.Claims.Email
	}
	c, err := d.service.Store.Connection(r.Context(), connection)
	upstream := connection != "" && err == nil && c.Usable() == nil
	if upstream {
		view.Connection, view.Event.Connection = c.Name, c.ID
	}
	primary := web.Action{Href: again.Href, Text: p.Text("web.start_again")}
	if l.Purpose == broker.PurposeLink { // the person is signed in and returns to the account page
		again = web.Action{Href: l.Purpose.Ends(), Text: p.Text("login.depart.back")}
		primary = again
	}
	switch code {
	case broker.MicrosoftRequired, broker.SSORequired:
		view.Event.Detail = setBy(rule(sc, cause))
		var list []web.Action
		if list, view.Connection = d.methods(r, l.ID, rule(sc, cause)); len(list) > 0 && l.Purpose != broker.PurposeLink {
			again.Text = p.Text("login.someone_else") // no other method is allowed for this account
			primary, view.Others = list[0], append(list[1:], again)
		}
	case broker.AccountDisabled, broker.MembershipSuspended:
		primary.Text = p.Text("login.someone_else")
	case broker.StartAgain, broker.NoMethod:
	default:
		if upstream {
			primary = web.Action{Href: upstreamPath(l.ID, c.ID) + "?choose=1", Text: p.Text("login.different_account")}
			view.Others = append(d.approval(r, code, c), again)
		}
	}
	if l.Purpose == broker.PurposeReauthenticate {
		view.Others = append(view.Others, web.Action{Href: l.Purpose.Ends(), Text: p.Text("login.depart.back")})
	}
	view.Primary = &primary
	if l.Request != nil && code.Meaning().OAuth != "" {
		back := appPath(l.ID) + "&error=" + url.QueryEscape(string(code))
		text := p.Text("login.back_plain")
		if name := d.service.app(r.Context(), l).Name; name != "" {
			text = p.Text("login.back", name)
		}
		view.Others = append(view.Others, web.Action{Href: back, Text: text})
	}
	d.toolkit.Refusal(w, r, code, view)
}

// approver is an upstream whose organisations approve an app before their people may use it.
type approver interface{ Approval() string }

// approval links the page on which an administrator approves this app, after a refusal that waits for it.
func (d *Handler) approval(r *http.Request, code broker.Code, c broker.Connection) []web.Action {
	if code != broker.AdminApproval {
		return nil
	}
	up, err := d.service.Upstreams.Open(r.Context(), c)
	a, ok := up.(approver)
	if err != nil || !ok || a.Approval() == "" {
		return nil
	}
	return []web.Action{{Href: a.Approval(), Text: d.toolkit.Printer(r).Text("login.admin_approves")}}
}

// notice is a refusal shown above a page, with the action that resolves it.
type notice struct {
	Kind, Title, Text string
	Href, Action      string
	Code, Ref         string
}

// noticeOf returns the notice of a login with its texts, nil if there is none.
func (d *Handler) noticeOf(r *http.Request, sc scene) *notice {
	code := sc.Notice
	if code == "" {
		return nil
	}
	p := d.toolkit.Printer(r)
	c, err := d.service.Store.Connection(r.Context(), sc.NoticeFor)
	upstream := sc.NoticeFor != "" && err == nil
	args := text.Args{"connection": "", "email": "", "product": d.toolkit.Site.Name, "wait": "", "ref": sc.NoticeRef}
	if upstream {
		args["connection"] = c.Name
	}
	n := &notice{Kind: "err", Code: string(code), Ref: sc.NoticeRef, Title: say(p, code, "title", args),
		Text: say(p, code, "body", args)}
	if code == broker.Cancelled {
		n.Kind = "info"
	}
	if !upstream || c.Usable() != nil {
		return n
	}
	n.Href, n.Action = upstreamPath(sc.ID, c.ID), p.Text("web.try_again")
	switch code {
	case broker.StateInvalid:
		n.Action = p.Text("web.start_again")
	case broker.NoEmailClaim, broker.ConsentDeclined:
		n.Href, n.Action = n.Href+"?again=1", p.Text("login.allow_email")
	case broker.LinkConflict:
		n.Title, n.Text = p.Text("login.notice.not_theirs", c.Name), p.Text("login.notice.not_theirs_body")
		n.Href, n.Action = n.Href+"?choose=1&prove=1", p.Text("login.use_different", c.Name)
	}
	return n
}

// say returns a text of a code. A text with unknown values has a variant ".plain".
func say(p text.Printer, code broker.Code, part string, args text.Args) string {
	key := "error." + string(code) + "." + part
	if !p.Fills(key, args) && p.Has(key+".plain") {
		key += ".plain"
	}
	return p.Text(key, args)
}
