package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"gatehouse/broker"
)

// cookiePick asks for the account chooser at the next departure; the sign-out sets it.
const cookiePick = "__Host-gh_pick"

// away sends the browser to an upstream.
func (d *Door) away(w http.ResponseWriter, r *http.Request) error {
	v, l, moved, err := d.here(w, r)
	if err != nil || moved {
		return err
	}
	q := r.URL.Query()
	to := travel{State: broker.NewToken(), Connection: r.PathValue("connection"), Choose: q.Get("choose") == "1", Again: q.Get("again") == "1", Prove: q.Get("prove") == "1"}
	out, err := d.leave(w, r, v, l, to)
	if errors.Is(err, broker.Conflict) {
		return redirect(w, r, loginPath(l.ID))
	}
	if err != nil {
		return err
	}
	if out.Form != nil {
		d.Kit.PostOff(w, d.inLogin(r, l), out.URL, out.Form, "")
		return nil
	}
	return redirect(w, r, out.URL)
}

// leave begins a trip, see depart; the first one after a sign-out asks for the account chooser.
func (d *Door) leave(w http.ResponseWriter, r *http.Request, v visit, l broker.Login, to travel) (broker.Departure, error) {
	_, signedOut := r.Cookie(cookiePick)
	to.Choose = to.Choose || signedOut == nil
	out, err := d.depart(r.Context(), v, l, to)
	if err == nil && signedOut == nil && (!to.Parks || out.Form == nil) { // else it has not left yet
		http.SetCookie(w, &http.Cookie{Name: cookiePick, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	return out, err
}

// posted stores an answer that an upstream had the browser post, and sends the
// browser to our own GET: on the POST, which comes from another site, there is no
// Lax cookie to compare.
func (d *Door) posted(w http.ResponseWriter, r *http.Request) error {
	// Without a trip of ours behind it, a stranger's post is not worth a row.
	if _, err := d.returned(r.Context(), r.PathValue("connection"), r.PostForm); err != nil {
		return err
	}
	handle := broker.NewToken()
	key := d.Ring.Hash("login.handle", []byte(handle))
	// Sealed, because the upstream's code and ID token are in it.
	sealed, err := d.Ring.Seal([]byte(r.PostForm.Encode()), "login.handle", key)
	if err == nil {
		err = d.handles.Put(r.Context(), key, sealed)
	}
	if err != nil {
		return err
	}
	// The state goes along, so that a reload finds its login when the handle is used up.
	q := url.Values{"handle": {handle}, "state": r.PostForm["state"]}
	return redirect(w, r, "/callback/"+url.PathEscape(r.PathValue("connection"))+"?"+q.Encode())
}

// back takes the browser back from an upstream and leads on to wherever its login is.
func (d *Door) back(w http.ResponseWriter, r *http.Request) error {
	ctx, v := r.Context(), d.visit(r)
	answer, lost, err := d.answer(r)
	if err != nil {
		return err
	}
	l, known, err := d.arrive(ctx, v, r.PathValue("connection"), answer, lost)
	if known != nil {
		return d.Answer(w, r.WithContext(context.WithValue(ctx, arrivalKey{}, known)), l.ID)
	}
	if errors.Is(err, broker.LoginElsewhere) && len(v.browser) == 0 {
		return d.strange(w, r, l)
	}
	if err != nil && (l.ID == "" || !errors.Is(err, broker.Conflict)) {
		return err
	}
	if l, err = d.open(ctx, v, l.ID); err != nil {
		return err
	}
	if l.Spent() {
		return redirect(w, r, loginPath(l.ID))
	}
	sc, err := d.settle(ctx, v, l)
	if err == nil && sc.No == nil && sc.Step == broker.StepDone && l.Notice == "" {
		return d.done(w, r, sc.Login)
	}
	if err != nil && !errors.Is(err, broker.Conflict) {
		return err
	}
	return redirect(w, r, loginPath(l.ID))
}

// strange answers a callback in a browser that shows no key. Whether it keeps none,
// or is another one than the sign-in was begun in, is seen when it has been given one.
func (d *Door) strange(w http.ResponseWriter, r *http.Request, l broker.Login) error {
	q := r.URL.Query()
	if q.Has("copy") {
		return d.blocked(w, r, l.ID)
	}
	d.Kit.EnsureBrowser(w, r)
	q.Set("copy", "1")
	return redirect(w, r, "/callback/"+url.PathEscape(r.PathValue("connection"))+"?"+q.Encode())
}

// answer is what the upstream sent: in the query, or under a one-shot handle. A
// handle that is used up or too old has lost it.
func (d *Door) answer(r *http.Request) (answer url.Values, lost bool, err error) {
	q := r.URL.Query()
	handle := q.Get("handle")
	if handle == "" {
		return q, false, nil
	}
	for _, key := range d.Ring.Hashes("login.handle", []byte(handle)) {
		sealed, err := d.handles.Take(r.Context(), key)
		if errors.Is(err, broker.NotFound) {
			continue
		}
		var plain []byte
		if err == nil {
			plain, err = d.Ring.Open(sealed, "login.handle", key)
		}
		if err == nil {
			answer, err = url.ParseQuery(string(plain))
		}
		return answer, false, err
	}
	return q, true, nil
}
