package oidc

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/web"
)

// askWait bounds how long a sign-out page waits for the sign-out URL of the upstream.
const askWait = 2 * time.Second

// maxApps bounds how many logouts are read for one page.
const maxApps = 100

// offerTime is how many seconds the page after an app's sign-out offers the upstream's,
// before it continues to the app.
const offerTime = 6

// backLife is how long a sign-out at the upstream may take to return.
const backLife = 10 * time.Minute

// signedoutView is the signed-out page (UX.md E-19).
type signedoutView struct {
	Apps   []string
	Late   []string // apps that have not accepted their logout token yet
	Frames []string // of the apps with front-channel logout (Front-Channel Logout §2)
	Target template.URL
	Next   string // the name of what Target leads to
	// Reference of the report that App sent an unregistered address to return to; empty if it did not.
	Reference string
	App       string
	// Upstream is the name of an upstream that the person may sign out of too, at End; empty for none.
	Upstream string
	End      template.URL
}

// appsOf returns the apps of a session that are notified of its end.
func (d *Handler) appsOf(ctx context.Context, s broker.Session) ([]broker.Client, error) {
	all, err := d.store.ClientsOf(ctx, s.ID)
	var apps []broker.Client
	for _, c := range all {
		if c.BackchannelLogoutURI != "" || c.FrontchannelLogoutURI != "" {
			apps = append(apps, c)
		}
	}
	return apps, err
}

func names(apps []broker.Client) (all []string) {
	for _, c := range apps {
		all = append(all, c.Name)
	}
	return all
}

// frames returns the URLs that the page loads, with iss and sid and nothing else.
func (d *Handler) frames(apps []broker.Client, session string) (all []string) {
	for _, c := range apps {
		if c.FrontchannelLogoutURI != "" {
			all = append(all, withQuery(c.FrontchannelLogoutURI, url.Values{"iss": {d.issuer}, "sid": {session}}))
		}
	}
	return all
}

// part ends the session. Then it loads the apps with front-channel logout in frames, and
// continues to the upstream, if the person chose that, and to the app that asked.
func (d *Handler) part(w http.ResponseWriter, r *http.Request, s broker.Session, l leaving, upstream bool) error {
	apps, err := d.appsOf(r.Context(), s)
	if err != nil {
		return err
	}
	posted := r.Method == http.MethodPost // the person was asked, about the upstream too
	target, next := l.Target, l.App
	through, name := "", ""
	if upstream || !posted {
		if through, name, err = d.through(r.Context(), s, l); err != nil {
			return err
		}
	}
	if posted && through != "" {
		target, next = through, name
	}
	if err := d.signOut(w, r, s); err != nil {
		return err
	}
	d.hurry()
	view := d.signedout(w, r, l)
	view.Frames, view.Next = d.frames(apps, s.ID), next
	wait := web.FrameTime
	if !posted && through != "" {
		view.Upstream, wait = name, offerTime
		if view.End, err = d.toolkit.Target(through); err != nil {
			return err
		}
	}
	switch {
	case len(view.Frames) > 0, len(apps) > 0 && target == "", posted && target == "" && view.Reference != "",
		view.Upstream != "":
		if view.Target, err = d.toolkit.Target(target); err != nil {
			return err
		}
		view.Apps, view.Late = d.notified(r.Context(), apps, s.ID)
		d.pages.ShowFrames(w, r, "signedout", view, view.Frames, view.Target, wait)
	case target != "" && posted:
		d.toolkit.HandOff(w, r, target, next)
	case target != "":
		toApp(w, target)
	case posted:
		seeOther(w, inLanguage(pathEndSession, d.toolkit.Locale(r)))
	default:
		d.pages.Show(w, r, http.StatusOK, "signedout", view)
	}
	return nil
}

// patience is how long the signed-out page waits for the apps, so that it can name those
// that have not responded (UX.md E-19).
const patience = 1600 * time.Millisecond

// notified returns the names of the apps that know of the sign-out, and of those that have
// not responded.
func (d *Handler) notified(ctx context.Context, apps []broker.Client, session string) (told, late []string) {
	waiting, err := d.unnotified(ctx, session)
	if err != nil {
		d.log.ErrorContext(ctx, "the apps that know of a sign-out cannot be read", "session", session, "err", err)
	}
	for _, c := range apps {
		_, waits := waiting[c.ID]
		if waits || err != nil && c.BackchannelLogoutURI != "" {
			late = append(late, c.Name)
		} else {
			told = append(told, c.Name)
		}
	}
	return told, late
}

// unnotified returns the clients that still must be told of the session's end, after each
// was tried or the time is up.
func (d *Handler) unnotified(ctx context.Context, session string) (map[string]bool, error) {
	for wait := patience / 32; ; wait *= 2 {
		left, err := d.store.Logouts(ctx, session, maxApps)
		clients, untried := map[string]bool{}, false
		for _, l := range left {
			clients[l.ClientID] = true
			untried = untried || l.Attempts == 0
		}
		if err != nil || !untried || wait > d.patience/2 {
			return clients, err
		}
		if d.pause(ctx, wait) != nil {
			return clients, nil // the browser disconnected
		}
	}
}

// through returns the upstream's end-session URL, which redirects back to us and then to
// the app, "" if there is none.
func (d *Handler) through(ctx context.Context, s broker.Session, l leaving) (target, next string, err error) {
	handle := broker.NewToken()
	name, target, err := d.upstreamEnd(ctx, s, handle)
	if err != nil || target == "" {
		return "", "", err
	}
	if l.Target == "" {
		return target, name, nil
	}
	return target, name, d.backs.Put(ctx, handle, leaving{Target: l.Target, App: l.App})
}

// upstreamEnd returns the name of the upstream of a session and its sign-out URL. Both are
// empty if it has none, or does not respond in time.
func (d *Handler) upstreamEnd(ctx context.Context, s broker.Session, state string) (name, address string, err error) {
	if s.Authn.Method != broker.ByUpstream {
		return "", "", nil
	}
	c, err := d.store.Connection(ctx, s.Authn.Connection)
	if errors.Is(err, broker.NotFound) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	up, err := d.upstreams.Open(ctx, c)
	if err != nil {
		return "", "", nil // a broken connection must not prevent sign-out
	}
	end, ok := up.(broker.Ender)
	if !ok {
		return "", "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	if address, err = end.End(ctx, d.issuer+pathEndSession, state, d.upstreamHint(ctx, s)); err != nil || address == "" {
		return "", "", nil
	}
	return c.Name, address, nil
}

// upstreamHint returns the upstream's ID token of a session, or "" if there is none: the upstream may ask the person
// then.
func (d *Handler) upstreamHint(ctx context.Context, s broker.Session) (hint string) {
	sealed, err := d.hints.Get(ctx, s.ID)
	if err == nil {
		err = d.keyring.OpenJSON(sealed, &hint, broker.HintPurpose, s.Authn.Connection)
	}
	if err != nil {
		return ""
	}
	return hint
}

// returned finds the target of a browser that returns from the upstream's sign-out.
func (d *Handler) returned(ctx context.Context, state string) (leaving, error) {
	if state == "" || len(state) > maxOf("state") {
		return leaving{}, nil
	}
	l, err := d.backs.Get(ctx, state)
	if errors.Is(err, broker.NotFound) {
		err = nil
	}
	return l, err
}
