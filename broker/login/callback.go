package login

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

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
		AskEmail: q.Get("again") == "1", Prove: q.Get("prove") == "1", Prompt: promptIn(q.Get("prompt"))})
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

// promptAgain leads back to an upstream that refused without asking the person.
type promptAgain struct{ login, connection, prompt string }

func (promptAgain) Error() string { return "the upstream must ask the person" }

// promptIn returns a prompt that an upstream may need, "" for anything else.
func promptIn(query string) string {
	if slices.Contains([]string{broker.PromptLogin, broker.PromptConsent, broker.PromptSelect}, query) {
		return query
	}
	return ""
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
	connection := r.PathValue("connection")
	if err := d.service.keepPosted(r.Context(), connection, d.toolkit.Address(r), r.PostForm); err != nil {
		return err
	}
	q := url.Values{"posted": {"1"}, "state": r.PostForm["state"]}
	return redirect(w, r, "/callback/"+url.PathEscape(connection)+"?"+q.Encode())
}

// callback handles the browser's return from an upstream. It responds to the app if nothing is left to ask, else
// it redirects to the login's page.
func (d *Handler) callback(w http.ResponseWriter, r *http.Request) error {
	ctx, v := r.Context(), d.visit(r)
	if q := r.URL.Query(); q.Has("admin_consent") && !q.Has("state") {
		return redirect(w, r, "/login") // an administrator comes back; the next sign-in shows what they approved
	}
	answer, lost, err := d.answer(r)
	if err != nil {
		return err
	}
	l, known, err := d.service.handleCallback(ctx, v, r.PathValue("connection"), answer, lost)
	again, asks := errors.AsType[promptAgain](err)
	switch {
	case asks:
		return redirect(w, r, upstreamPath(again.login, again.connection)+"?prompt="+again.prompt)
	case known != nil:
		done, err := d.service.finishCallback(ctx, v, l, *known)
		return d.respond(w, r, v, l.ID, done, err)
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

// answer returns the upstream's response: the query, or the stored form of that state. lost is true if the form
// has expired, or was never stored.
func (d *Handler) answer(r *http.Request) (answer url.Values, lost bool, err error) {
	q := r.URL.Query()
	if !q.Has("posted") {
		return q, false, nil
	}
	answer, err = d.service.postedAnswer(r.Context(), q.Get("state"))
	if errors.Is(err, broker.NotFound) {
		return q, true, nil
	}
	return answer, false, err
}
