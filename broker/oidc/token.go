package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/limit"
	"gatehouse/broker/web"
)

// token is the token endpoint (RFC 6749 §3.2).
func (d *Handler) token(w http.ResponseWriter, r *http.Request) error {
	ctx, u := withUnit(r.Context())
	ar, p, err := d.accessRequest(ctx, r, u)
	if err == nil {
		err = d.consumeProof(ctx, p)
	}
	var resp fosite.AccessResponder
	if err == nil {
		resp, err = d.provider.NewAccessResponse(ctx, ar)
	}
	if err == nil {
		err = d.persistGrant(ctx, u, d.issued(r, u, ar))
	}
	if err != nil {
		return d.refuse(w, r, u, err)
	}
	resp.SetTokenType(tokenType(u.key))
	d.allowOrigin(w, r, u.client)
	return writeJSON(w, http.StatusOK, resp.ToMap())
}

// accessRequest reads and validates a token request.
func (d *Handler) accessRequest(ctx context.Context, r *http.Request,
	u *unit) (ar fosite.AccessRequester, p proof, err error) {
	if err := tokenForm(r); err != nil {
		return nil, p, err
	}
	p, err = d.proof(r, pathToken)
	if err != nil {
		// Only a known client may let a page of another origin read the reason.
		if _, unknown := d.provider.AuthenticateClient(ctx, r, r.PostForm); unknown != nil {
			err = unknown
		}
		return nil, p, err
	}
	u.key = p.key
	ar, err = d.provider.NewAccessRequest(ctx, r, &session{})
	if err == nil {
		err = narrow(ar, u)
	}
	if err == nil {
		err = requireProof(u, p)
	}
	return ar, p, err
}

// tokenForm refuses what fosite accepts: parameters in the URL, which end up in logs; a
// repeated parameter (FOSITE.md P12); an unknown grant type.
func tokenForm(r *http.Request) error {
	if err := bodyForm(r); err != nil {
		return err
	}
	grant := r.PostForm.Get("grant_type")
	switch {
	case grant == "":
		return fosite.ErrInvalidRequest.WithHint("The grant_type is missing.")
	//defence:A12
	case !slices.Contains(clients.GrantTypes(), grant):
		return fosite.ErrUnsupportedGrantType.WithHintf("The grant types are %s.", strings.Join(clients.GrantTypes(), ", "))
	}
	return nil
}

// bodyForm validates a form with credentials or tokens.
func bodyForm(r *http.Request) error {
	if r.URL.RawQuery != "" {
		return fosite.ErrInvalidRequest.WithHint("Send the parameters in the body, not in the URL.")
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind),
		"application/x-www-form-urlencoded") {
		return fosite.ErrInvalidRequest.WithHint("The body must be application/x-www-form-urlencoded.")
	}
	if name := repeated(r.PostForm); name != "" {
		return fosite.ErrInvalidRequest.WithHint("A parameter comes more than once.")
	}
	for name, values := range r.PostForm {
		if slices.ContainsFunc(values, func(v string) bool { return len(v) > maxOf(name) || !clients.IsText(v) }) {
			return fosite.ErrInvalidRequest.WithHint("A parameter is too long or holds control characters.")
		}
	}
	return nil
}

// narrow restricts the scopes and resources to the requested ones. At a refresh the scopes
// must be a subset of the granted ones (RFC 6749 §6, which fosite ignores); the grant
// keeps all of them. At client_credentials they must be a subset of the registered ones,
// and none may be about a person.
func narrow(ar fosite.AccessRequester, u *unit) error {
	req, ok := ar.(*fosite.AccessRequest)
	if !ok {
		return errors.New("oidc: fosite returned another type of request")
	}
	asked := once(strings.Fields(req.Form.Get("scope")))
	switch {
	case req.GrantTypes.ExactOne(clients.GrantClient):
		if len(asked) == 0 {
			asked = slices.DeleteFunc(slices.Clone(u.client.Scopes), clients.AboutPerson)
		}
		if slices.ContainsFunc(asked, clients.AboutPerson) {
			return fosite.ErrInvalidScope.WithHint("There is no person in a client_credentials grant.")
		}
		req.GrantedScope = asked
	case req.GrantTypes.ExactOne(clients.GrantRefresh) && len(asked) > 0:
		for _, s := range asked {
			//defence:A13
			if !slices.Contains(req.GrantedScope, s) {
				return fosite.ErrInvalidScope.WithHint("The scope was not granted before.")
			}
		}
		req.GrantedScope = asked
	}
	return narrowAudience(u, req)
}

// once removes duplicates.
func once(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// issued returns the event of a new grant.
func (d *Handler) issued(r *http.Request, u *unit, ar fosite.AccessRequester) broker.Event {
	e := broker.Event{Verb: broker.EventTokenIssued, Client: u.client.ID,
		Detail: map[string]string{"grant": strings.Join(ar.GetGrantTypes(), " "),
			"scope": strings.Join(ar.GetGrantedScopes(), " ")}}
	if who, ok := ar.GetSession().(*session); ok && who.Account != "" {
		e.Account, e.Session, e.Connection = who.Account, who.Session, who.Authn.Connection
		e.Detail["grant_id"] = ar.GetID()
	}
	return d.toolkit.Event(r, e)
}

// refuse writes an error of a token endpoint as JSON (RFC 6749 §5.2). It revokes a reused
// grant, even if the client has disconnected.
func (d *Handler) refuse(w http.ResponseWriter, r *http.Request, u *unit, err error) error {
	answer, code := verdict(err, u.why)
	d.allowError(w, r, u.client)
	if waits(answer) {
		return writeJSON(w, answer.CodeField, map[string]string{"error": answer.ErrorField,
			"error_description": answer.DescriptionField})
	}
	ctx := context.WithoutCancel(r.Context())
	grantID, account := "", u.stored.AccountID
	if f := u.agreed.begin; f != nil {
		account = f.AccountID
	}
	switch {
	case code == broker.CodeReused && u.agreed.begin != nil:
		//defence:A5
		grantID = u.agreed.begin.ID
	case code == broker.TokenReused:
		grantID = u.stored.ID
	}
	refused := d.toolkit.Event(r, broker.Event{Verb: broker.EventTokenRefused, Code: code, Client: u.client.ID,
		Account: account, Detail: map[string]string{}})
	if m, ok := errors.AsType[*web.Mistake](err); ok {
		refused.Client, refused.Detail = m.Client, m.Detail()
	}
	refused.Detail["error"], refused.Detail["grant"] = answer.ErrorField, grantOf(r.PostForm)
	switch {
	case grantID != "":
		ended := d.toolkit.Event(r, broker.Event{Verb: broker.EventGrantRevoked, Code: code, Client: u.client.ID,
			Account: account,
			Detail:  map[string]string{"grant_id": grantID}})
		if err := d.end(ctx, u.client, grantID, code, refused, ended); err != nil {
			// Not invalid_grant: the grant may still be valid, so the client must try again.
			return broker.Unavailable.Because(err)
		}
	case answer.CodeField < 500 && (u.client.ID != "" || d.firstOf(ctx, refused)):
		if err := d.store.Record(ctx, refused); err != nil {
			d.log.ErrorContext(ctx, "the refusal could not be recorded in the audit log", "err", err)
		}
	}
	d.toolkit.Count(code)
	d.logRefusal(r, answer, code, err)
	// Only for a client that used the header (RFC 6749 §5.2): others cannot respond to the
	// challenge.
	if answer.CodeField == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="`+d.issuer+`", charset="UTF-8"`)
	}
	if answer.CodeField == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	return writeJSON(w, answer.CodeField, map[string]string{"error": answer.ErrorField,
		"error_description": printable(answer.GetDescription())})
}

// refusalWidth is the time in which one error of a client that did not authenticate is recorded. The log has all
// of them.
const refusalWidth = time.Minute

// firstOf reports whether an error that anyone can cause is to be recorded: strangers must not fill the database.
func (d *Handler) firstOf(ctx context.Context, e broker.Event) bool {
	w := limit.Window{Name: "refused", Width: refusalWidth, Most: 1, In: d.newcomers.In, Now: d.now}
	return e.Code == broker.ClientUnknown &&
		//defence:H4
		w.Allow(ctx, "client "+e.Client) == nil
}

// grantOf returns a known grant type, or nothing: a stranger's text must not reach the
// audit log.
func grantOf(form url.Values) string {
	if g := form.Get("grant_type"); slices.Contains(clients.GrantTypes(), g) {
		return g
	}
	return ""
}

func (d *Handler) logRefusal(r *http.Request, answer *fosite.RFC6749Error, code broker.Code, err error) {
	log := d.log.InfoContext
	if answer.CodeField >= 500 {
		log = d.log.ErrorContext
	}
	log(r.Context(), "token refused", "error", answer.ErrorField, "code", string(code), "route", r.Pattern, "err",
		causes(err))
	d.logCause(r.Context(), err)
}

// logCause logs, for debugging, what an OAuth error says in full.
func (d *Handler) logCause(ctx context.Context, err error) {
	if e, ok := errors.AsType[*fosite.RFC6749Error](err); ok {
		d.log.DebugContext(ctx, "the cause of an OAuth error", "error", e.ErrorField, "description",
			printable(e.GetDescription()), "debug", printable(e.DebugField), "err", causes(e.Unwrap()))
	}
}

// verdict returns the OAuth error for the client and the Code for us. A lost race or a
// refusal by the gate is invalid_grant, never a server error (FOSITE.md P2).
func verdict(err error, why broker.Code) (*fosite.RFC6749Error, broker.Code) {
	code, named := errors.AsType[broker.Code](err)
	spoken, isOAuth := errors.AsType[*fosite.RFC6749Error](err)
	if _, mistake := errors.AsType[*web.Mistake](err); mistake && isOAuth {
		named = false // the code is that of the mistake, and the error says it better
	}
	switch {
	case named && code.Meaning().Status == http.StatusServiceUnavailable:
		return fosite.ErrTemporarilyUnavailable, code
	case named && code.Meaning().Status < 500 && code != broker.Conflict:
		return fosite.ErrInvalidGrant, code
	case isOAuth && spoken.CodeField < 500:
		if why == "" {
			why = broker.RequestInvalid
		}
		if spoken.ErrorField == fosite.ErrInvalidClient.ErrorField {
			why = broker.ClientUnknown
		}
		return spoken, why
	}
	return fosite.ErrServerError, broker.Internal
}

// causes returns the chain of an error without fosite's hints, which repeat the request.
func causes(err error) string {
	var chain []string
	for ; err != nil; err = errors.Unwrap(err) {
		chain = append(chain, err.Error())
	}
	return strings.Join(chain, ": ")
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache") // RFC 6749 §5.1
	w.WriteHeader(status)
	// An error means that the client has disconnected.
	_, _ = w.Write(append(body, '\n'))
	return nil
}
