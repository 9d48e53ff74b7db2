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

// Start parks an app's request, or what the account page asks for, and answers
// where the browser goes: to a path of ours or, with a GET that names a connection,
// to its upstream at once. Only Request, ClientID, Locale, Hint, Connection,
// Fresh, MaxAge and Pick of l are read; of the account page also Purpose, For and
// Email. The caller has validated all of it and answers a GET, or a POST of a
// browser that has its key.
func (d *Door) Start(w http.ResponseWriter, r *http.Request, l broker.Login) (target string, err error) {
	v := d.visit(r)
	if l.Connection != "" && r.Method == http.MethodGet {
		return d.startAway(w, r, v, l)
	}
	l, err = d.park(w, r, v, l)
	switch {
	case err != nil:
		return "", err
	case l.Connection == "":
		return loginPath(l.ID), nil
	default:
		return departPath(l.ID, l.Connection), nil
	}
}

// startAway begins a login and its first trip in one.
func (d *Door) startAway(w http.ResponseWriter, r *http.Request, v visit, l broker.Login) (target string, err error) {
	to := travel{State: broker.NewToken(), Connection: l.Connection, Parks: true}
	l, err = d.prepare(r.Context(), v, d.Kit.EnsureBrowser(w, r), l, len(v.browser) > 0, d.tripKey(to.State))
	if err != nil {
		return "", err
	}
	out, err := d.leave(w, r, v, l, to)
	switch {
	case errors.Is(err, broker.Conflict):
		return loginPath(l.ID), nil
	case err == nil && out.Form != nil:
		return departPath(l.ID, l.Connection), nil // a form is posted from a page of its own
	}
	return out.URL, err
}

// park begins a login for the browser. One that is new here has no other open.
func (d *Door) park(w http.ResponseWriter, r *http.Request, v visit, l broker.Login) (broker.Login, error) {
	return d.begin(r.Context(), v, d.Kit.EnsureBrowser(w, r), l, len(v.browser) > 0)
}

// Finish spends a login and answers the parked request with the session that it
// made. A spent one, opened again by the same browser, is answered with the
// session it made, and makes no other. It answers InteractionRequired while
// anything is left to ask: the browser then belongs to /login/{id}, which shows
// what. LoginUnknown and LoginElsewhere are final.
func (d *Door) Finish(w http.ResponseWriter, r *http.Request, id string) (broker.Session, broker.Account, url.Values, error) {
	v := d.visit(r)
	done, err := d.finish(r.Context(), v, id)
	if err != nil {
		return broker.Session{}, broker.Account{}, nil, err
	}
	if done.Token == "" {
		return done.Session, done.Account, inLanguage(done.Login), nil
	}
	//defence:B17
	old, _, err := d.Kit.Held(r)
	//defence:E13
	if err == nil && old.ID != done.Session.ID {
		err = d.Kit.EndSession(w, r, old)
	}
	if err != nil && !errors.Is(err, broker.NotFound) {
		return broker.Session{}, broker.Account{}, nil, err
	}
	if err := d.spendLogin(r.Context(), done); err != nil {
		return broker.Session{}, broker.Account{}, nil, err
	}
	d.Kit.SetSession(w, done.Token, done.Session.ExpiresAt)
	//defence:E2
	d.Kit.SetKnown(w, r, done.Account)
	if c := done.Session.Authn.Connection; c != "" {
		d.Kit.SetLastUsed(w, c)
	}
	return done.Session, done.Account, inLanguage(done.Login), nil
}

// inLanguage is the parked request in the language that was chosen on the way,
// which goes before the one that the app asked for.
func inLanguage(l broker.Login) url.Values {
	request := maps.Clone(l.Request)
	if request != nil && l.Locale != "" {
		request.Set("ui_locales", l.Locale)
	}
	return request
}

// Abandon ends a login for an error and answers the parked request that the error
// is for. A login that ended before stays as it is.
func (d *Door) Abandon(_ http.ResponseWriter, r *http.Request, id string) (url.Values, error) {
	l, err := d.open(r.Context(), d.visit(r), id)
	if err != nil {
		return nil, err
	}
	if !app(l) {
		return nil, broker.LoginUnknown
	}
	if l.Spent() {
		return l.Request, nil
	}
	_, err = d.change(r.Context(), id, func(l *broker.Login) error {
		*l = l.Restarted()
		l.SpentAt = d.Now()
		return nil
	})
	if errors.Is(err, broker.Conflict) {
		err = nil // spent in another tab; the app gets the answer that comes first
	}
	return l.Request, err
}

// finished is a session for the browser. Token is empty for one that it has already.
type finished struct {
	broker.Login
	Session broker.Session
	Account broker.Account
	Token   string
	// From is the arrival that Login is of, nil where it is stored as it is.
	From *arrival
}

func (s *service) finish(ctx context.Context, v visit, id string) (finished, error) {
	if a, ok := ctx.Value(arrivalKey{}).(*arrival); ok && a.seen.ID == id {
		return s.finishArrival(ctx, v, a)
	}
	l, err := s.open(ctx, v, id)
	if err != nil {
		return finished{}, err
	}
	return s.conclude(ctx, v, l)
}

// finishArrival makes the session of somebody who has just come back. Where that does
// not go straight through, the login learns who came, and goes its way.
func (s *service) finishArrival(ctx context.Context, v visit, a *arrival) (finished, error) {
	l := a.seen
	a.edit(&l)
	sc, err := s.lookAt(ctx, v, l, a.account)
	if err == nil && sc.No == nil && sc.Step == broker.StepDone {
		done := finished{Login: l, Account: *sc.Facts.Account, From: a}
		if done.Session, done.Token, err = s.bear(ctx, v, sc); err == nil {
			return done, nil
		}
	}
	if err := s.unpark(ctx, a.trip); err != nil {
		return finished{}, err
	}
	l, err = s.change(ctx, l.ID, func(l *broker.Login) error { a.edit(l); return nil })
	if errors.Is(err, broker.Conflict) {
		err = broker.InteractionRequired
	}
	if err != nil {
		return finished{}, err
	}
	return s.conclude(ctx, v, l)
}

// conclude finishes a login as it is stored.
func (s *service) conclude(ctx context.Context, v visit, l broker.Login) (finished, error) {
	if l.Spent() {
		return s.again(ctx, v, l)
	}
	sc, err := s.settle(ctx, v, l)
	if errors.Is(err, broker.Conflict) {
		err = broker.InteractionRequired
	}
	if err == nil && sc.Spent() {
		return s.again(ctx, v, sc.Login)
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
		have, a, err := v.current()
		if err != nil {
			return finished{}, err
		}
		// The account chooser: nothing was proven, so the session there is goes on, or none.
		if have == nil || have.ID != sc.SessionID {
			return finished{}, s.beginAgain(ctx, sc.Login, broker.StartAgain)
		}
		done := finished{Login: sc.Login, Session: *have, Account: *a}
		return done, s.spendLogin(ctx, done)
	}
	done := finished{Login: sc.Login, Account: *sc.Facts.Account}
	done.Session, done.Token, err = s.bear(ctx, v, sc)
	if errors.Is(err, broker.StartAgain) {
		err = s.beginAgain(ctx, sc.Login, err)
	}
	return done, err
}

// beginAgain is for an account or identity that changed after it was proven: the
// proof is worth nothing now, and the person learns it on the first page.
func (s *service) beginAgain(ctx context.Context, l broker.Login, why error) error {
	_, err := s.move(ctx, l, func(l *broker.Login) {
		*l = l.Restarted()
		l.Notice = broker.StartAgain
	})
	if err != nil && !errors.Is(err, broker.Conflict) {
		return err
	}
	return broker.InteractionRequired.Because(why)
}

// echo is how long a browser that lost the answer to a sign-in gets it again.
const echo = time.Minute

// again answers a spent login with the session it made, while that lives. A
// browser that has no session yet went away from the answer that brought it (a
// double click): it gets the same one again, for a moment.
func (s *service) again(ctx context.Context, v visit, l broker.Login) (finished, error) {
	have, a, err := v.current()
	switch {
	case err != nil:
		return finished{}, err
	case l.SessionID == "":
		return finished{}, broker.InteractionRequired
	case have != nil && have.ID == l.SessionID:
		return finished{Login: l, Session: *have, Account: *a}, nil
	case have != nil || s.Now().Sub(l.SpentAt) > echo:
		return finished{}, broker.InteractionRequired
	}
	sc, err := s.look(ctx, v, l)
	if err != nil {
		return finished{}, err
	}
	if sc.No != nil || sc.Step != broker.StepDone {
		return finished{}, broker.InteractionRequired
	}
	for try := range births {
		token, hash, err := s.birth(l, try)
		if err != nil {
			return finished{}, err
		}
		there, _, err := s.Sessions.Session(ctx, []string{hash})
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

// births is how many sessions a proof that looks the same may be worth, one after
// the other: each was ended before the next began.
const births = 10

// birth is the token of the session that a login's proof is worth, and its hash.
// The proof is this login, this account, authenticated like this.
func (s *service) birth(l broker.Login, try int) (token, hash string, err error) {
	//defence:E13
	proof, err := json.Marshal([]any{l.ID, l.CreatedAt, l.AccountID, l.Authn, try})
	if err != nil {
		return "", "", err
	}
	token, hash = s.Kit.NewSession(proof)
	return token, hash, nil
}

// bear writes the session and its Event in one transaction, exact about the
// account's epoch. Whoever finishes the same proof again, after a crash or by a
// double click, gets the same token and so the same session, never a second one.
func (s *service) bear(ctx context.Context, v visit, sc scene) (broker.Session, string, error) {
	for try := range births {
		token, hash, err := s.birth(sc.Login, try)
		if err != nil {
			return broker.Session{}, "", err
		}
		session, err := s.insertSession(ctx, v, sc, hash)
		if err == nil {
			return session, token, nil
		}
		there, _, e := s.Sessions.Session(ctx, []string{hash})
		if e != nil {
			return session, "", err
		}
		if there.EndedAt.IsZero() {
			return there, token, nil
		}
		// A proof that looks the same was given, and its session ended: this is a new one.
	}
	return broker.Session{}, "", broker.StartAgain
}

func (s *service) insertSession(ctx context.Context, v visit, sc scene, hash string) (broker.Session, error) {
	now := s.Now()
	session := broker.Session{ID: broker.NewID(), AccountID: sc.AccountID, Authn: sc.Authn, UserAgent: v.agent, Address: v.address,
		CreatedAt: now, ExpiresAt: now.Add(broker.SessionLife)}
	//defence:H6
	return session, s.Atomic.Atomic(ctx, func(ctx context.Context) error {
		if err := s.Sessions.CreateSession(ctx, hash, session); err != nil {
			return err
		}
		if sc.Claims != nil && sc.Authn.Identity != "" {
			if err := s.Identities.SeeIdentity(ctx, sc.Authn.Identity, sc.Claims.Email, now); err != nil {
				return err
			}
		}
		return s.Journal.Record(ctx, v.event(broker.Event{Verb: broker.EventSignedIn, Account: sc.AccountID, Actor: sc.AccountID,
			Client: sc.ClientID, Connection: sc.Authn.Connection, Session: session.ID,
			Detail: map[string]string{"method": string(sc.Authn.Method)}}))
	})
}

// spendLogin marks the login as finished, after the session is committed. One
// that somebody finished with the same session is fine as it is.
func (s *service) spendLogin(ctx context.Context, done finished) error {
	spend := func(l *broker.Login) {
		l.SpentAt, l.SessionID = s.Now(), done.Session.ID
		l.Claims, l.Code, l.Notice = nil, nil, ""
	}
	if done.From != nil && done.From.trip.Parked != nil {
		l := done.Login
		spend(&l)
		//defence:C3
		if err := s.logins.Put(ctx, l.ID, l); !errors.Is(err, broker.Conflict) {
			return err
		}
	}
	_, err := s.logins.Change(ctx, done.ID, func(l *broker.Login) error {
		switch {
		case l.Spent() && l.SessionID == done.Session.ID:
			return nil
		//defence:C3
		case done.From != nil && !l.Spent():
			done.From.edit(l) // in place of whatever was there, as every answer of an upstream
		case done.From != nil || !same(*l, done.Login):
			return broker.InteractionRequired // restarted, bound anew or finished meanwhile
		}
		spend(l)
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
