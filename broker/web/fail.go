package web

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/text"
)

// Action is a link that a refusal offers.
type Action struct {
	Href string
	Text string // in the language of the page
}

// RefusalView is what a room knows of a refusal beyond its code. All of it is optional.
type RefusalView struct {
	Status     int     // in place of the code's own
	Connection string  // its name as people see it
	Email      string  // as the upstream gave it, for the person who just brought it
	Primary    *Action // in place of the code's own
	Others     []Action
	Cause      error        // for the log
	Event      broker.Event // Account, Client, Connection, Session, Detail for the audit log
}

type refusalView struct {
	Title, Body string
	Primary     Action
	Others      []Action
	Code        broker.Code
	Reference   string
	Connection  string
	At          time.Time
}

// Fail is the only place where an error leaves the house: one code becomes a
// metric, a log line, an event and a page with a reference to find them by. What
// an error wraps beside its code is for the log alone.
func (k *Kit) Fail(w http.ResponseWriter, r *http.Request, err error) {
	k.refuse(w, r, broker.CodeOf(err), RefusalView{Cause: err})
}

// Refusal is Fail for a room that knows more than the code.
func (k *Kit) Refusal(w http.ResponseWriter, r *http.Request, code broker.Code, v RefusalView) {
	if v.Cause == nil {
		v.Cause = code
	}
	k.refuse(w, r, code, v)
}

func (k *Kit) refuse(w http.ResponseWriter, r *http.Request, code broker.Code, v RefusalView) {
	t, ref := k.track(w), newReference()
	k.Count(code)
	k.logRefusal(t, r, code, ref, v.Cause)
	k.record(r, code, ref, v.Event)
	if t.status != 0 {
		return // the answer had begun; a page inside it would help nobody
	}
	wait := 0
	if retry, ok := errors.AsType[broker.Retry](v.Cause); ok {
		wait = retry.After
		w.Header().Set("Retry-After", strconv.Itoa(wait))
	}
	status := v.Status
	if status == 0 {
		status = code.Meaning().Status
	}
	//defence:A15 A24 E17
	k.secure(w.Header())
	if t.open && !strings.Contains(r.Header.Get("Accept"), "text/html") {
		k.refuseJSON(w, status, code, ref)
		return
	}
	view := k.refusal(r, code, ref, wait, v)
	p := k.page(r, view)
	if err := k.pages.show(w, r, status, "refusal", p); err != nil {
		k.Log.ErrorContext(r.Context(), "the refusal page failed", "err", err)
		http.Error(w, http.StatusText(status)+" "+ref, status)
	}
}

// refusal chooses the words. A text that names the connection or the address has
// a twin under ".plain" for when we know neither.
func (k *Kit) refusal(r *http.Request, code broker.Code, ref string, wait int, v RefusalView) refusalView {
	p := k.Printer(r)
	args := text.Args{"connection": v.Connection, "email": v.Email, "product": k.Site.Name, "ref": ref, "wait": ""}
	if wait > 0 {
		args["wait"] = Wait(p, wait)
	}
	say := func(part string) string {
		key := "error." + string(code) + "." + part
		if !p.Fills(key, args) && p.Has(key+".plain") {
			key += ".plain"
		}
		return p.Text(key, args)
	}
	view := refusalView{Title: say("title"), Body: say("body"), Code: code, Reference: ref, Connection: v.Connection, At: k.Now().UTC(), Others: v.Others}
	if v.Primary != nil {
		view.Primary = *v.Primary
	} else {
		view.Primary = k.wayOut(r, code, p)
	}
	if k.Site.SupportURL != "" {
		view.Others = append(slices.Clone(view.Others), Action{k.Site.SupportURL, p.Text("web.help")})
	}
	return view
}

// wayOut is the action that works for a code when the room named none.
func (k *Kit) wayOut(r *http.Request, code broker.Code, p text.Printer) Action {
	const start = "/login"
	switch code {
	case broker.CookiesBlocked, broker.Busy, broker.Unavailable, broker.RateLimited, broker.CodeTooSoon, broker.ConnectionUnavailable:
		if at := self(r); at != nil {
			key := "web.try_again"
			if code == broker.CookiesBlocked {
				key = "web.check_again"
			}
			return Action{at.String(), p.Text(key)}
		}
	case broker.ClientUnknown, broker.RedirectURIMismatch, broker.RequestInvalid, broker.NotFound, broker.MethodNotAllowed, broker.LoginUnknown:
		return Action{start, p.Text("web.go_home", k.Site.Name)}
	case broker.Misdirected:
		// The one origin that serves us; never what the request called itself.
		return Action{k.origin + start, p.Text("web.go_home", k.Site.Name)}
	}
	return Action{start, p.Text("web.start_again")}
}

// Wait says a number of seconds as a person would: "30 seconds", "15 minutes".
func Wait(p text.Printer, seconds int) string {
	if seconds < 90 {
		return p.Text("web.seconds", seconds)
	}
	return p.Text("web.minutes", (seconds+59)/60)
}

// refuseJSON is for programs that call a route open to them.
func (k *Kit) refuseJSON(w http.ResponseWriter, status int, code broker.Code, ref string) {
	name := code.Meaning().OAuth
	if name == "" {
		name = "invalid_request"
	}
	if status >= 500 && code.Meaning().OAuth == "" {
		name = "server_error"
	}
	body, err := json.Marshal(map[string]string{"error": name, "error_description": string(code), "reference": ref})
	if err != nil {
		body = []byte(`{"error":"server_error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

func (k *Kit) logRefusal(t *tracked, r *http.Request, code broker.Code, ref string, cause error) {
	log := k.Log.InfoContext
	if code.Meaning().Status >= 500 {
		log = k.Log.ErrorContext
	}
	log(r.Context(), "refused", "code", string(code), "reference", ref, "request_id", t.id, "route", r.Pattern, "err", cause.Error())
}

// record writes the event. What any stranger can cause without limit, and what
// says that storage is in trouble, stays out of the database.
func (k *Kit) record(r *http.Request, code broker.Code, ref string, e broker.Event) {
	switch code {
	case broker.NotFound, broker.MethodNotAllowed, broker.Misdirected, broker.TooLarge, broker.Busy, broker.Unavailable, broker.RateLimited:
		return
	}
	e.Code, e.Reference = code, ref
	if e.Verb == "" {
		e.Verb = broker.EventRefused
		switch code {
		case broker.ClientUnknown, broker.RedirectURIMismatch, broker.RequestInvalid, broker.CrossOrigin, broker.Conflict, broker.Internal:
			e.Verb = broker.EventRequestRefused
		}
	}
	// The person may have closed the page; the event is written all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 2*time.Second)
	defer cancel()
	if err := k.Journal.Record(ctx, k.Event(r, e)); err != nil {
		k.Log.ErrorContext(ctx, "the refusal is not in the audit log", "reference", ref, "err", err)
	}
}

// newReference is what a person reads out to support: eight characters that are
// hard to mistake, such as 7F3K-2QWD.
func newReference() string {
	const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b[:4]) + "-" + string(b[4:])
}
