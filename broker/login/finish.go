package login

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"time"

	"gatehouse/broker"
)

// Start stores a login with an app's request, or for the account page. It returns where to send the browser: a
// path of ours or, for a GET that names a connection, directly the upstream. It reads only Request, ClientID,
// Locale, Hint, Connection, Fresh, MaxAge and Pick of l; for the account page also Purpose, For and Email. The
// caller has validated all of it and handles a GET, or a POST of a browser that has a key.
func (d *Handler) Start(w http.ResponseWriter, r *http.Request, l broker.Login) (target string, err error) {
	v := d.visit(r)
	if l, err = d.start(w, r, v, l); err != nil {
		return "", err
	}
	switch {
	case l.Connection == "":
		return loginPath(l.ID), nil
	case r.Method != http.MethodGet:
		return upstreamPath(l.ID, l.Connection), nil
	}
	out, err := d.leave(w, r, v, l, redirectOptions{Connection: l.Connection, URLOnly: true})
	switch {
	case errors.Is(err, broker.Conflict):
		return loginPath(l.ID), nil
	case err == nil && out.Form != nil:
		return upstreamPath(l.ID, l.Connection), nil // a form is posted from a page of its own
	}
	return out.URL, err
}

// start stores a new login for the browser. A browser without a key has no other login open.
func (d *Handler) start(w http.ResponseWriter, r *http.Request, v visit, l broker.Login) (broker.Login, error) {
	return d.service.begin(r.Context(), v, d.toolkit.EnsureBrowser(w, r), l, len(v.browser) > 0)
}

// Finish consumes a login and returns its session with the app's request. If the same browser opens a consumed login
// again, it returns the session of that login. It returns InteractionRequired while a step is left, which /login/{id}
// shows. LoginUnknown and LoginElsewhere are final.
func (d *Handler) Finish(w http.ResponseWriter, r *http.Request, id string) (broker.FinishedLogin, error) {
	v := d.visit(r)
	done, err := d.service.finish(r.Context(), v, id)
	if err == nil {
		err = d.deliver(w, r, v, done)
	}
	if err != nil {
		return broker.FinishedLogin{}, err
	}
	return done.signIn(), nil
}

// deliver consumes the login and sets the browser's session cookie. It does nothing if the browser has that
// session already.
func (d *Handler) deliver(w http.ResponseWriter, r *http.Request, v visit, done finished) error {
	if done.Token == "" {
		return nil
	}
	//defence:B17 = broker.Session{}, broker.Account{}, broker.NotFound
	old, _, err := d.service.Gate.HeldSession(r.Context(), v.sessions)
	//defence:E13
	if err == nil && old.ID != done.Session.ID {
		err = d.toolkit.EndSession(w, r, old)
	}
	if err != nil && !errors.Is(err, broker.NotFound) {
		return err
	}
	if err := d.service.consume(r.Context(), done); err != nil {
		return err
	}
	d.toolkit.SetSession(w, done.Token, done.Session.ExpiresAt)
	//defence:E2
	d.toolkit.SetKnown(w, r, done.Account)
	if c := done.Session.Authn.Connection; c != "" {
		d.toolkit.SetLastUsed(w, c)
	}
	return nil
}

// signIn returns the result for the app's request. A language chosen in the login replaces the requested one.
func (f finished) signIn() broker.FinishedLogin {
	request := maps.Clone(f.Login.Request)
	if request != nil && f.Login.Locale != "" {
		request.Set("ui_locales", f.Login.Locale)
	}
	return broker.FinishedLogin{Session: f.Session, Account: f.Account, Request: request}
}

// Abandon ends a login because of an error and returns the app's request, to respond with the error. A login
// that has already ended stays unchanged.
func (d *Handler) Abandon(_ http.ResponseWriter, r *http.Request, id string) (url.Values, error) {
	l, err := d.service.open(r.Context(), d.visit(r), id)
	if err != nil {
		return nil, err
	}
	if l.Request == nil {
		return nil, broker.LoginUnknown
	}
	if l.IsConsumed() {
		return l.Request, nil
	}
	_, err = d.service.change(r.Context(), id, func(l *broker.Login) error {
		*l = l.Abandoned(d.service.Now())
		return nil
	})
	if errors.Is(err, broker.Conflict) {
		err = nil // finished in another tab; the app gets the first response
	}
	return l.Request, err
}

// finished is a session for the browser. Token is empty if the browser has it already.
type finished struct {
	broker.Login
	Session broker.Session
	Account broker.Account
	Token   string
	// callback is a result that is not stored in the login yet; nil if the login is up to date.
	callback *callbackResult
}

func (s *service) finish(ctx context.Context, v visit, id string) (finished, error) {
	l, err := s.open(ctx, v, id)
	if err != nil {
		return finished{}, err
	}
	return s.conclude(ctx, v, l)
}

// finishCallback creates the session of a linked person who has just returned. If that fails, it stores the
// result in the login, which then continues.
func (s *service) finishCallback(ctx context.Context, v visit, seen broker.Login, known callbackResult) (finished,
	error) {
	l := known.applyTo(seen)
	d, err := s.Gate.Bound(ctx, l, known.decision.Facts.Linked)
	d.Identity = known.decision.Identity
	sc := scene{l, d}
	if err == nil && sc.No == nil && sc.Step == broker.StepDone {
		done := finished{Login: l, Account: *sc.Facts.Account, callback: &known}
		if done.Session, done.Token, err = s.createSession(ctx, v, sc); err == nil {
			return done, nil
		}
	}
	l, err = s.change(ctx, seen.ID, func(l *broker.Login) error { *l = known.applyTo(*l); return nil })
	if errors.Is(err, broker.Conflict) {
		err = broker.InteractionRequired
	}
	if err != nil {
		return finished{}, err
	}
	return s.conclude(ctx, v, l)
}

// conclude finishes a stored login.
func (s *service) conclude(ctx context.Context, v visit, l broker.Login) (finished, error) {
	if l.IsConsumed() {
		return s.resume(ctx, v, l)
	}
	sc, err := s.advance(ctx, v, l)
	if errors.Is(err, broker.Conflict) {
		err = broker.InteractionRequired
	}
	if err == nil && sc.IsConsumed() {
		return s.resume(ctx, v, sc.Login)
	}
	if err == nil && sc.No != nil {
		err = broker.InteractionRequired.Because(sc.No)
	}
	if err == nil && sc.Step != broker.StepDone {
		err = broker.InteractionRequired
	}
	if err != nil {
		return finished{}, err
	}
	if sc.SessionID != "" {
		return s.keepSession(ctx, v, sc)
	}
	done := finished{Login: sc.Login, Account: *sc.Facts.Account}
	done.Session, done.Token, err = s.createSession(ctx, v, sc)
	if errors.Is(err, broker.StartAgain) {
		err = s.dropProof(ctx, sc.Login, err)
	}
	return done, err
}

// keepSession finishes a login that continues the browser's session (the account chooser): nothing was proven,
// so no session is created.
func (s *service) keepSession(ctx context.Context, v visit, sc scene) (finished, error) {
	have, a, err := s.current(ctx, v, sc.Login)
	if err != nil {
		return finished{}, err
	}
	if have == nil || have.ID != sc.SessionID {
		return finished{}, s.dropProof(ctx, sc.Login, broker.StartAgain)
	}
	done := finished{Login: sc.Login, Session: *have, Account: *a}
	return done, s.consume(ctx, done)
}

// dropProof handles an account or identity that changed after it was proven: the proof is void, and the first
// page says so.
func (s *service) dropProof(ctx context.Context, l broker.Login, why error) error {
	_, err := s.replace(ctx, l, l.Restarted().Noticed(broker.StartAgain, "", ""))
	if err != nil && !errors.Is(err, broker.Conflict) {
		return err
	}
	return broker.InteractionRequired.Because(why)
}

// replayWindow is how long a finished login may be replayed to the same browser.
const replayWindow = time.Minute

// resume returns the session of a consumed login, while it is active. A browser without a session may have left
// before the response (a double click): within replayWindow it gets the same session again.
func (s *service) resume(ctx context.Context, v visit, l broker.Login) (finished, error) {
	have, a, err := s.current(ctx, v, l)
	switch {
	case err != nil:
		return finished{}, err
	case l.SessionID == "":
		return finished{}, broker.InteractionRequired
	case have != nil && have.ID == l.SessionID:
		return finished{Login: l, Session: *have, Account: *a}, nil
	case have != nil || s.Now().Sub(l.ConsumedAt) > replayWindow:
		return finished{}, broker.InteractionRequired
	}
	sc, err := s.look(ctx, v, l)
	if err != nil {
		return finished{}, err
	}
	if sc.No != nil || sc.Step != broker.StepDone {
		return finished{}, broker.InteractionRequired
	}
	for try := range maxSessionsPerProof {
		token, hash, err := s.sessionToken(l, try)
		if err != nil {
			return finished{}, err
		}
		there, _, err := s.Store.Session(ctx, []string{hash})
		if errors.Is(err, broker.NotFound) {
			break
		}
		if err != nil {
			return finished{}, err
		}
		if there.ID == l.SessionID && there.EndedAt.IsZero() {
			return finished{Login: l, Session: there, Account: *sc.Facts.Account, Token: token}, nil
		}
	}
	return finished{}, broker.InteractionRequired
}

// maxSessionsPerProof bounds how many consecutive sessions one proof may create.
const maxSessionsPerProof = 10

// sessionToken derives the token, and its hash, of the session that a login's proof creates. The proof is the login,
// the account and how it was authenticated.
func (s *service) sessionToken(l broker.Login, try int) (token, hash string, err error) {
	//defence:E13
	proof, err := json.Marshal([]any{l.ID, l.CreatedAt, l.AccountID, l.Authn, try})
	if err != nil {
		return "", "", err
	}
	token, hash = s.Toolkit.NewSession(proof)
	return token, hash, nil
}

// createSession inserts session and audit event in one transaction, conditional on the
// account's epoch. It is idempotent per proof: after a crash or a double click the same
// proof returns the same session.
func (s *service) createSession(ctx context.Context, v visit, sc scene) (broker.Session, string, error) {
	for try := range maxSessionsPerProof {
		token, hash, err := s.sessionToken(sc.Login, try)
		if err != nil {
			return broker.Session{}, "", err
		}
		session, err := s.insertSession(ctx, v, sc, hash)
		if err == nil {
			return session, token, nil
		}
		there, _, e := s.Store.Session(ctx, []string{hash})
		if e != nil {
			return session, "", err
		}
		if there.EndedAt.IsZero() {
			return there, token, nil
		}
		// The same proof was given before, and its session ended: create a new one.
	}
	return broker.Session{}, "", broker.StartAgain
}

func (s *service) insertSession(ctx context.Context, v visit, sc scene, hash string) (broker.Session, error) {
	now := s.Now()
	session := broker.Session{ID: broker.NewID(), AccountID: sc.AccountID, Authn: sc.Authn, CreatedAt: now,
		ExpiresAt: now.Add(broker.SessionLife)}
	event := v.event(broker.Event{Verb: broker.EventSignedIn, Account: sc.AccountID, Actor: sc.AccountID,
		Client: sc.ClientID, Connection: sc.Authn.Connection, Session: session.ID,
		Detail: map[string]string{"method": string(sc.Authn.Method)}})
	session.UserAgent, session.Address = event.UserAgent, event.Address
	if sc.Claims == nil || sc.Authn.Identity == "" ||
		(sc.Identity != nil && !sc.Identity.Outdated(sc.Claims.Email, now)) {
		err := s.Store.CreateSession(ctx, hash, session, event)
		s.keepHint(ctx, session, sc.Claims, err)
		return session, err
	}
	err := s.Store.Atomic(ctx, func(ctx context.Context) error {
		if err := s.Store.CreateSession(ctx, hash, session, event); err != nil {
			return err
		}
		return s.Store.SeeIdentity(ctx, sc.Authn.Identity, sc.Claims.Email, now)
	})
	s.keepHint(ctx, session, sc.Claims, err)
	return session, err
}

// keepHint keeps the upstream's ID token for the sign-out of a session that was created. Without it the upstream may
// ask the person, so a failure must not prevent the sign-in.
func (s *service) keepHint(ctx context.Context, session broker.Session, c *broker.Claims, failed error) {
	if failed != nil || c == nil || c.LogoutHint == "" || session.Authn.Method != broker.ByUpstream {
		return
	}
	if err := s.hints.Put(ctx, session.ID, c.LogoutHint); err != nil {
		s.Log.WarnContext(ctx, "the upstream's ID token was not kept for the sign-out", "session", session.ID, "err", err)
	}
}

// consume marks the login as finished, after the session is committed. A login that
// another request finished with the same session stays as it is.
func (s *service) consume(ctx context.Context, done finished) error {
	var seen broker.Seen
	if done.callback != nil {
		seen = done.callback.seen
	}
	_, err := s.logins.ChangeSeen(ctx, done.ID, seen, func(l *broker.Login) error {
		switch {
		case l.IsConsumed() && l.SessionID == done.Session.ID:
			return nil
		case done.callback != nil &&
			//defence:C3
			!l.IsConsumed():
			*l = done.callback.applyTo(*l)
		case done.callback != nil || !same(*l, done.Login):
			return broker.InteractionRequired // restarted, bound to another account or finished in the meantime
		}
		*l = l.Consumed(done.Session.ID, s.Now())
		return nil
	})
	if errors.Is(err, broker.NotFound) {
		return broker.LoginUnknown
	}
	if errors.Is(err, broker.Conflict) {
		return broker.InteractionRequired.Because(err)
	}
	return err
}
