package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/text"
)

// Action is a link on a refusal page.
type Action struct {
	Href string
	Text string // in the language of the page
	Icon string // of a provider's button, see Options.Icon of the packages; "" for a plain link
}

// RefusalView is what a handler may add to a refusal's code. Every field is optional.
type RefusalView struct {
	Status     int     // replaces the code's own status
	Connection string  // its display name
	Email      string  // as the upstream sent it; shown only to the person who signed in with it
	Primary    *Action // replaces the code's own action
	Others     []Action
	Mistake    *Mistake     // for the app's developer
	Cause      error        // for the log
	Reference  string       // of the event, if the refusal was logged and recorded before
	Event      broker.Event // Account, Client, Connection, Session, Detail for the audit log
}

type refusalView struct {
	Title, Body string
	Primary     Action
	Others      []Action
	Code        broker.Code
	Reference   string
	Connection  string
	Mistake     *Mistake
	At          time.Time
}

// outage is the Retry-After, in seconds, of a 503 without a time of its own.
const outage = 5

// Fail is the only place that turns an error into a response: its code becomes a metric, a log line, an event
// and a page with a reference. What the error wraps is logged and never shown.
func (k *Toolkit) Fail(w http.ResponseWriter, r *http.Request, err error) {
	v := RefusalView{Cause: err}
	if m, ok := errors.AsType[*Mistake](err); ok {
		v.Mistake = m
	}
	k.refuse(w, r, broker.CodeOf(err), v)
}

// Note is Fail for a refusal that the handler shows on a page of its own. It returns the reference.
func (k *Toolkit) Note(w http.ResponseWriter, r *http.Request, m *Mistake) (ref string) {
	return k.note(k.track(w), r, m.Code, RefusalView{Cause: m, Mistake: m})
}

// note counts, logs and records a refusal.
func (k *Toolkit) note(t *tracked, r *http.Request, code broker.Code, v RefusalView) (ref string) {
	ref = broker.NewReference()
	if m := v.Mistake; m != nil {
		v.Event.Client, v.Event.Detail = m.Client, m.Detail()
	}
	k.Count(code)
	k.logRefusal(t, r, code, ref, v.Cause)
	k.record(r, code, ref, v.Event)
	return ref
}

// Refusal is Fail with details that the handler adds.
func (k *Toolkit) Refusal(w http.ResponseWriter, r *http.Request, code broker.Code, v RefusalView) {
	if v.Cause == nil {
		v.Cause = code
	}
	k.refuse(w, r, code, v)
}

func (k *Toolkit) refuse(w http.ResponseWriter, r *http.Request, code broker.Code, v RefusalView) {
	t := k.track(w)
	ref := v.Reference
	if ref == "" {
		ref = k.note(t, r, code, v)
	} else {
		k.Count(code)
	}
	if t.status != 0 {
		return // the response has begun; a page inside it would be unreadable
	}
	wait := 0
	if retry, ok := errors.AsType[broker.Retry](v.Cause); ok {
		wait = retry.After
		w.Header().Set("Retry-After", strconv.Itoa(wait))
	}
	status := cmp.Or(v.Status, code.Meaning().Status)
	if status == http.StatusServiceUnavailable && wait == 0 {
		w.Header().Set("Retry-After", strconv.Itoa(outage))
	}
	//defence:A15
	maps.Copy(w.Header(), k.headers)
	if t.open && !strings.Contains(r.Header.Get("Accept"), "text/html") {
		k.refuseJSON(w, status, code, ref)
		return
	}
	view := k.refusal(r, code, ref, wait, v)
	p := k.page(r, view)
	if err := k.pages.show(w, r, status, "refusal", p); err != nil {
		k.Log.ErrorContext(r.Context(), "cannot write the refusal page", "err", err)
		http.Error(w, http.StatusText(status)+" "+ref, status)
	}
}

// refusal chooses the texts. A text with a connection or address has a variant ".plain" for when neither is
// known.
func (k *Toolkit) refusal(r *http.Request, code broker.Code, ref string, wait int, v RefusalView) refusalView {
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
	view := refusalView{Title: say("title"), Body: say("body"), Code: code, Reference: ref, Connection: v.Connection,
		Mistake: v.Mistake, At: k.Now().UTC(), Others: v.Others}
	if v.Primary != nil {
		view.Primary = *v.Primary
	} else {
		view.Primary = k.defaultAction(r, code, p)
	}
	if k.Site.SupportURL != "" {
		view.Others = append(slices.Clone(view.Others), Action{Href: k.Site.SupportURL, Text: p.Text("web.help")})
	}
	return view
}

// defaultAction returns the action for a code if the handler gave none.
func (k *Toolkit) defaultAction(r *http.Request, code broker.Code, p text.Printer) Action {
	const start = "/login"
	switch code {
	case broker.CookiesBlocked, broker.Busy, broker.Unavailable, broker.RateLimited, broker.CodeTooSoon,
		broker.ConnectionUnavailable:
		if at := self(r); at != nil {
			key := "web.try_again"
			if code == broker.CookiesBlocked {
				key = "web.check_again"
			}
			return Action{Href: at.String(), Text: p.Text(key)}
		}
	case broker.ClientUnknown, broker.RedirectURIMismatch, broker.RequestInvalid, broker.RequestURIInvalid,
		broker.NotFound,
		broker.MethodNotAllowed, broker.LoginUnknown:
		return Action{Href: start, Text: p.Text("web.go_home", k.Site.Name)}
	case broker.Misdirected:
		// The configured origin, never the host of the request.
		return Action{Href: k.origin + start, Text: p.Text("web.go_home", k.Site.Name)}
	}
	return Action{Href: start, Text: p.Text("web.start_again")}
}

// Wait formats a number of seconds for people: "30 seconds", "15 minutes".
func Wait(p text.Printer, seconds int) string {
	if seconds < 90 {
		return p.Text("web.seconds", seconds)
	}
	return p.Text("web.minutes", (seconds+59)/60)
}

// refuseJSON is for programs, on routes of HandleOpen.
func (k *Toolkit) refuseJSON(w http.ResponseWriter, status int, code broker.Code, ref string) {
	name := code.Meaning().OAuth
	if name == "" {
		name = "invalid_request"
	}
	if status >= 500 && code.Meaning().OAuth == "" {
		name = "server_error"
	}
	body, err := json.Marshal(map[string]string{"error": name, "error_description": describe(code), "reference": ref})
	if err != nil {
		body = []byte(`{"error":"server_error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// describe returns the code, with the cure for an error of configuration that no page explains.
func describe(code broker.Code) string {
	if code == broker.Misdirected {
		return string(code) + ": use the host of the issuer, or list this host in internal_hosts"
	}
	return string(code)
}

func (k *Toolkit) logRefusal(t *tracked, r *http.Request, code broker.Code, ref string, cause error) {
	log := k.Log.InfoContext
	if code.Meaning().Status >= 500 {
		log = k.Log.ErrorContext
	}
	log(r.Context(), "refused", "code", string(code), "reference", ref, "request_id", t.id, "route", r.Pattern, "err",
		cause.Error())
}

// record writes the audit event. It leaves out what any client can cause without limit, and what reports that
// storage is failing.
func (k *Toolkit) record(r *http.Request, code broker.Code, ref string, e broker.Event) {
	switch code {
	case broker.NotFound, broker.MethodNotAllowed, broker.Misdirected, broker.TooLarge, broker.Busy, broker.Unavailable,
		broker.RateLimited:
		return
	}
	e.Code, e.Reference = code, ref
	if e.Verb == "" {
		e.Verb = broker.EventRefused
		switch code {
		case broker.ClientUnknown, broker.RedirectURIMismatch, broker.RequestInvalid, broker.RequestURIInvalid,
			broker.CrossOrigin, broker.Conflict, broker.Internal:
			e.Verb = broker.EventRequestRefused
		}
	}
	// Record the event even if the client has disconnected.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 2*time.Second)
	defer cancel()
	if err := k.Store.Record(ctx, k.Event(r, e)); err != nil {
		k.Log.ErrorContext(ctx, "cannot record the refusal in the audit log", "reference", ref, "err", err)
	}
}
