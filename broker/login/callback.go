package login

import (
	"errors"
	"net/http"
	"net/url"

	"gatehouse/broker"
)

// awayPage redirects the browser to an upstream.
func (d *Handler) awayPage(w http.ResponseWriter, r *http.Request) error {
	v, l, moved, err := d.here(w, r)
	if err != nil || moved {
		return err
	}
	q := r.URL.Query()
	out, err := d.leave(w, r, v, l, redirectOptions{Connection: r.PathValue("connection"), Choose: q.Get("choose") == "1",
		AskEmail: q.Get("again") == "1", Prove: q.Get("prove") == "1"})
	if errors.Is(err, broker.Conflict) {
		return redirect(w, r, loginPath(l.ID))
	}
	if err != nil {
		return err
	}
	if out.Form != nil {
		d.toolkit.PostOff(w, d.inLogin(r, l), out.URL, out.Form, "")
		return nil
	}
	return redirect(w, r, out.URL)
}

// leave begins an upstream request, see beginUpstream. The first one after a sign-out requests the account
// chooser.
func (d *Handler) leave(w http.ResponseWriter, r *http.Request, v visit, l broker.Login,
	o redirectOptions) (broker.Redirect, error) {
	signedOut := d.toolkit.AsksForAccount(r)
	o.Choose = o.Choose || signedOut
	out, err := d.service.beginUpstream(r.Context(), v, l, o)
	begun := err == nil && (!o.URLOnly || out.Form == nil)
	if begun && signedOut {
		d.toolkit.DontAskForAccount(w)
	}
	return out, err
}

// posted stores a response that the browser posts from an upstream, and redirects to our own GET. The POST is
// cross-site, so it carries no Lax cookie to compare.
func (d *Handler) posted(w http.ResponseWriter, r *http.Request) error {
	// A post without a known upstream request is not stored.
	if _, _, err := d.service.pending(r.Context(), r.PathValue("connection"), r.PostForm); err != nil {
		return err
	}
	handle := broker.NewToken()
	key := d.service.Keyring.Hash("login.handle", []byte(handle))
	// Sealed, because it contains the upstream's code and ID token.
	sealed, err := d.service.Keyring.Seal([]byte(r.PostForm.Encode()), "login.handle", key)
	if err == nil {
		err = d.service.handles.Put(r.Context(), key, sealed)
	}
	if err != nil {
		return err
	}
	// Keep the state, so that a reload finds its login when the handle has been used.
	q := url.Values{"handle": {handle}, "state": r.PostForm["state"]}
	return redirect(w, r, "/callback/"+url.PathEscape(r.PathValue("connection"))+"?"+q.Encode())
}

// callback handles the browser's return from an upstream. It responds to the app if nothing is left to ask, else
// it redirects to the login's page.
func (d *Handler) callback(w http.ResponseWriter, r *http.Request) error {
	ctx, v := r.Context(), d.visit(r)
	answer, lost, err := d.answer(r)
	if err != nil {
		return err
	}
	l, known, err := d.service.handleCallback(ctx, v, r.PathValue("connection"), answer, lost)
	switch {
	case known != nil:
		done, err := d.service.finishCallback(ctx, v, l, *known)
		return d.respond(w, r, l.ID, done, err)
	case errors.Is(err, broker.LoginElsewhere) && len(v.browser) == 0:
		return d.unknownBrowser(w, r, l)
	case err != nil && !errors.Is(err, broker.Conflict):
		return err
	}
	if l, err = d.service.open(ctx, v, l.ID); err != nil {
		return err
	}
	if l.IsConsumed() {
		return redirect(w, r, loginPath(l.ID))
	}
	sc, err := d.service.advance(ctx, v, l)
	if err == nil && sc.No == nil && sc.Step == broker.StepDone && l.Notice == "" {
		return d.done(w, r, sc.Login)
	}
	if err != nil && !errors.Is(err, broker.Conflict) {
		return err
	}
	return redirect(w, r, loginPath(l.ID))
}

// unknownBrowser handles a callback in a browser without a key. It sets a key and redirects once more. Then the
// browser either blocks cookies or is not the one that began the sign-in.
func (d *Handler) unknownBrowser(w http.ResponseWriter, r *http.Request, l broker.Login) error {
	q := r.URL.Query()
	if q.Has("copy") {
		return d.blocked(w, r, l.ID)
	}
	d.toolkit.EnsureBrowser(w, r)
	q.Set("copy", "1")
	return redirect(w, r, "/callback/"+url.PathEscape(r.PathValue("connection"))+"?"+q.Encode())
}

// answer returns the upstream's response: the query, or what the one-shot handle refers to. lost is true if the
// handle was used before or has expired.
func (d *Handler) answer(r *http.Request) (answer url.Values, lost bool, err error) {
	q := r.URL.Query()
	handle := q.Get("handle")
	if handle == "" {
		return q, false, nil
	}
	for _, key := range d.service.Keyring.Hashes("login.handle", []byte(handle)) {
		sealed, err := d.service.handles.Take(r.Context(), key)
		if errors.Is(err, broker.NotFound) {
			continue
		}
		var plain []byte
		if err == nil {
			plain, err = d.service.Keyring.Open(sealed, "login.handle", key)
		}
		if err == nil {
			answer, err = url.ParseQuery(string(plain))
		}
		return answer, false, err
	}
	return q, true, nil
}
