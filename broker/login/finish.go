package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"gatehouse/broker"
)

// Start parks an app's request and answers the path that its browser goes to.
// Only Request, ClientID, Locale, Hint, Connection, Fresh, MaxAge and Pick of l
// are read. The caller has validated the request and answers a GET.
func (d *Door) Start(w http.ResponseWriter, r *http.Request, l broker.Login) (path string, err error) {
	l, err = d.begin(r.Context(), d.Kit.EnsureBrowser(w, r), l)
	if err != nil {
		return "", err
	}
	if l.Connection != "" {
		return departPath(l.ID, l.Connection), nil
	}
	return loginPath(l.ID), nil
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
		return done.Session, done.Account, done.Request, nil
	}
	if done.Old != nil {
		if err := d.Kit.EndSession(w, r, *done.Old); err != nil {
			return broker.Session{}, broker.Account{}, nil, err
		}
	}
	if err := d.spendLogin(r.Context(), done); err != nil {
		return broker.Session{}, broker.Account{}, nil, err
	}
	d.Kit.SetSession(w, done.Token, done.Session.ExpiresAt)
	if c := done.Session.Authn.Connection; c != "" {
		d.Kit.SetLastUsed(w, c)
	}
	return done.Session, done.Account, done.Request, nil
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
	Old     *broker.Session // this browser's session before, to be ended
}

func (s *service) finish(ctx context.Context, v visit, id string) (finished, error) {
	l, err := s.open(ctx, v, id)
	if err != nil {
		return finished{}, err
	}
	if l.Spent() {
		return s.again(v, l)
	}
	sc, err := s.settle(ctx, v, l)
	if errors.Is(err, broker.Conflict) {
		err = broker.InteractionRequired
	}
	if err == nil && sc.Spent() {
		return s.again(v, sc.Login)
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
	have, a, err := v.current()
	if err != nil {
		return finished{}, err
	}
	if have != nil && have.ID == sc.SessionID {
		// The account chooser: nothing was proven, so the session there is goes on.
		done := finished{Login: sc.Login, Session: *have, Account: *a}
		return done, s.spendLogin(ctx, done)
	}
	done := finished{Login: sc.Login, Account: *sc.Facts.Account, Old: have}
	if done.Session, done.Token, err = s.bear(ctx, v, sc); err != nil {
		return finished{}, err
	}
	if have != nil && have.ID == done.Session.ID {
		done.Old = nil
	}
	return done, nil
}

// again answers a spent login with the session it made, while that lives.
func (s *service) again(v visit, l broker.Login) (finished, error) {
	have, a, err := v.current()
	if err != nil {
		return finished{}, err
	}
	if have == nil || l.SessionID == "" || have.ID != l.SessionID {
		return finished{}, broker.InteractionRequired
	}
	return finished{Login: l, Session: *have, Account: *a}, nil
}

// born is a session's token before the browser has it. It is sealed, and lives
// as long as the login.
type born struct {
	Sealed []byte
	Hash   string
}

// bear writes the session and its Event in one transaction, exact about the
// account's epoch. Whoever finishes the same proof again, after a crash or by a
// double click, gets the same token and so the same session, never a second one.
func (s *service) bear(ctx context.Context, v visit, sc scene) (broker.Session, string, error) {
	token, hash, err := s.token(ctx, sc.Login)
	if err != nil {
		return broker.Session{}, "", err
	}
	now := s.Now()
	session := broker.Session{ID: broker.NewID(), AccountID: sc.AccountID, Authn: sc.Authn, UserAgent: v.agent, Address: v.address,
		CreatedAt: now, ExpiresAt: now.Add(broker.SessionLife)}
	err = s.Atomic.Atomic(ctx, func(ctx context.Context) error {
		if err := s.Sessions.CreateSession(ctx, hash, session); err != nil {
			return err
		}
		return s.Journal.Record(ctx, v.event(broker.Event{Verb: broker.EventSignedIn, Account: sc.AccountID, Actor: sc.AccountID,
			Client: sc.ClientID, Connection: sc.Authn.Connection, Session: session.ID,
			Detail: map[string]string{"method": string(sc.Authn.Method)}}))
	})
	if err == nil {
		return session, token, nil
	}
	if there, _, e := s.Sessions.Session(ctx, []string{hash}); e == nil && there.EndedAt.IsZero() {
		return there, token, nil
	}
	if errors.Is(err, broker.StartAgain) {
		err = broker.InteractionRequired.Because(err) // the epoch rose meanwhile; Next says so too
	}
	return session, "", err
}

// token makes the session's token, or answers the one made before for this very proof.
func (s *service) token(ctx context.Context, l broker.Login) (token, hash string, err error) {
	proof, err := json.Marshal([]any{l.ID, l.CreatedAt, l.AccountID, l.Authn})
	if err != nil {
		return "", "", err
	}
	key := s.Ring.Hash("login.birth", proof)
	token, hash = s.Kit.NewSession()
	sealed, err := s.Ring.Seal([]byte(token), "login.birth", key)
	if err != nil {
		return "", "", err
	}
	err = s.births.Put(ctx, key, born{sealed, hash})
	if !errors.Is(err, broker.Conflict) {
		return token, hash, err
	}
	b, err := s.births.Get(ctx, key)
	if err != nil {
		return "", "", err
	}
	plain, err := s.Ring.Open(b.Sealed, "login.birth", key)
	return string(plain), b.Hash, err
}

// spendLogin marks the login as finished, after the session is committed. One
// that somebody finished with the same session is fine as it is.
func (s *service) spendLogin(ctx context.Context, done finished) error {
	_, err := s.logins.Change(ctx, done.ID, func(l *broker.Login) error {
		if l.SessionID == done.Session.ID && l.Spent() {
			return nil
		}
		if !same(*l, done.Login) {
			return broker.InteractionRequired // restarted or bound anew meanwhile
		}
		l.SpentAt, l.SessionID = s.Now(), done.Session.ID
		l.Claims, l.Code, l.Notice = nil, nil, ""
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
