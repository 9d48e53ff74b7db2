package login

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"gatehouse/broker"
)

// hashState is the purpose under which a trip's state is hashed: the shelf holds
// nothing that completes a sign-in.
const hashState = "login.state"

// travel is how the browser goes to an upstream.
type travel struct {
	State      string // new and unguessable: it comes back with the browser
	Connection string
	Choose     bool // the account chooser there: "Use a different account", or after a sign-out
	Again      bool // ask once more for the e-mail address
	Prove      bool // prove the owner of the link that waits, see Login.Claims
	Parks      bool // the login is stored nowhere yet: the trip takes it along
}

func (s *service) tripKey(state string) string { return s.Ring.Hash(hashState, []byte(state)) }

// depart begins a trip of a login that v has open, or of one that it parks. What the
// upstream or the connection says against it is left as a notice and answered as
// broker.Conflict: the login shows it.
func (s *service) depart(ctx context.Context, v visit, l broker.Login, to travel) (broker.Departure, error) {
	var away broker.Departure
	if l.Spent() {
		return away, broker.Conflict
	}
	c, up, err := s.upstream(ctx, to.Connection)
	if err == nil {
		t := s.trip(l, c, v, to)
		if to.Prove {
			if t.Proves, err = s.proves(ctx, v, l); err != nil {
				return away, err
			}
		}
		if away, err = up.Begin(ctx, t); err == nil && (!to.Parks || away.Form == nil) {
			t.State = "" // the browser brings it back
			if to.Parks {
				t.Parked = &l
			}
			return away, s.trips.Put(ctx, s.tripKey(to.State), t)
		}
	}
	if to.Parks { // it waits for a page after all
		if err := s.logins.Put(ctx, l.ID, l); err != nil {
			return away, err
		}
	}
	if err == nil {
		return away, nil
	}
	return away, s.say(ctx, v, l, to.Connection, err)
}

// trip is a trip and where it lies.
type trip struct {
	broker.Trip
	key string
}

// unpark stores a login that a trip took along, and takes it out of there: from here on
// what is stored counts, whoever changes it. One that is stored already stays as it is.
func (s *service) unpark(ctx context.Context, t trip) error {
	if t.Parked == nil {
		return nil
	}
	err := s.logins.Put(ctx, t.Login, *t.Parked)
	if err != nil && !errors.Is(err, broker.Conflict) {
		return err
	}
	//defence:C3
	_, err = s.trips.Change(ctx, t.key, func(t *broker.Trip) error { t.Parked = nil; return nil })
	if errors.Is(err, broker.NotFound) || errors.Is(err, broker.Conflict) {
		return nil // gone, or somebody else does the same
	}
	return err
}

// trip is what goes with the browser: the app's wishes about freshness, and
// whatever spares the person from typing the address again.
func (s *service) trip(l broker.Login, c broker.Connection, v visit, to travel) broker.Trip {
	t := broker.Trip{
		Login: l.ID, Connection: c.ID,
		State: to.State, Nonce: broker.NewToken(), Verifier: broker.NewToken(),
		Callback: s.Callback(c.ID), Locale: s.locale(v, l),
		Fresh: l.Fresh, MaxAge: l.MaxAge, Choose: to.Choose || l.Pick, Again: to.Again,
		StartedAt: s.Now(),
	}
	if t.Choose {
		return t // a hint would choose for the person
	}
	if t.LoginHint = l.Email; t.LoginHint == "" {
		t.LoginHint = l.Hint
	}
	if _, domain, ok := strings.Cut(t.LoginHint, "@"); ok && c.Routes(t.LoginHint) {
		t.DomainHint = domain
	}
	return t
}

// upstream opens a live connection; it is asked when a trip begins and again when it ends.
func (s *service) upstream(ctx context.Context, id string) (broker.Connection, broker.Upstream, error) {
	c, err := s.Connections.Connection(ctx, id)
	if errors.Is(err, broker.NotFound) {
		return c, nil, broker.ConnectionDisabled
	}
	if err == nil {
		//defence:B17
		err = c.Usable()
	}
	if err != nil {
		return c, nil, err
	}
	up, err := s.Upstreams.Open(ctx, c)
	return c, up, err
}

// say leaves a refusal in the login and answers Conflict, so that the login is
// shown with it. An error that is no Code goes on to the operator.
func (s *service) say(ctx context.Context, v visit, l broker.Login, connection string, err error) error {
	code := broker.CodeOf(err)
	if code == broker.Internal || ctx.Err() != nil {
		return err
	}
	ref := ""
	if banner(code) {
		ref = reference()
		s.Log.InfoContext(ctx, "refused", "code", string(code), "reference", ref, "connection", connection, "err", err)
		e := v.event(broker.Event{Verb: broker.EventRefused, Code: code, Client: l.ClientID, Connection: connection, Reference: ref})
		if err := s.Journal.Record(ctx, e); err != nil {
			return err
		}
	}
	_, err = s.change(ctx, l.ID, func(l *broker.Login) error {
		l.Notice, l.NoticeFor, l.NoticeRef = code, connection, ref
		return nil
	})
	if err != nil {
		return err
	}
	return broker.Conflict
}

// arrival is somebody known who came back in a login that does not say so yet: where
// nothing is left to ask, the login is changed once, when it is spent.
type arrival struct {
	seen    broker.Login // as it was before, stored or in its trip
	edit    func(*broker.Login)
	account *broker.Account // whose it is; a session is born only while its epoch stands
	trip    trip
}

type arrivalKey struct{}

// arrive takes the browser back from an upstream and answers the login, of which an
// error leaves the id alone for certain. Conflict means: nothing new was proven, show
// what the login waits for. Of an answer that is lost, only its state is left. For
// somebody who is known and goes on to an app it answers an arrival, and the login as
// it was: Finish stores both.
func (s *service) arrive(ctx context.Context, v visit, connection string, answer url.Values, lost bool) (broker.Login, *arrival, error) {
	t, err := s.returned(ctx, connection, answer)
	if err != nil {
		return broker.Login{}, nil, err
	}
	// The browser first, the state after it: another browser's callback is refused
	// and burns nothing (SECURITY.md B1).
	l, err := s.loginOf(ctx, v, t)
	if errors.Is(err, broker.LoginUnknown) {
		return broker.Login{}, nil, broker.StateInvalid
	}
	if err != nil {
		return l, nil, err
	}
	if l.Spent() {
		return l, nil, broker.Conflict
	}
	if err := s.spend(ctx, t, lost); err != nil {
		if late := errors.Is(err, broker.StateInvalid); late || errors.Is(err, broker.Conflict) {
			err = s.stale(ctx, v, t, late)
		}
		return l, nil, err
	}
	claims, err := s.exchange(ctx, t.Trip, answer)
	switch {
	case err != nil:
		if err := s.unpark(ctx, t); err != nil {
			return l, nil, err
		}
		return l, nil, s.say(ctx, v, l, connection, err)
	case t.Proves != "":
		return l, nil, s.proved(ctx, v, l, t.Trip, claims)
	}
	return s.admit(ctx, v, l, t, claims)
}

// loginOf is the login of a trip, for the browser that it was begun in. A browser that
// shows no key is led back to it by its page, so it is stored for that one.
func (s *service) loginOf(ctx context.Context, v visit, t trip) (broker.Login, error) {
	if t.Parked == nil {
		return s.open(ctx, v, t.Login)
	}
	if len(v.browser) == 0 {
		if err := s.unpark(ctx, t); err != nil {
			return broker.Login{}, err
		}
	}
	//defence:B1
	return *t.Parked, v.holds(*t.Parked)
}

// returned finds the trip of an answer. The path names the connection and the
// trip must be its own: an answer of one upstream never reaches another's token
// endpoint (RFC 9700 §4.4.2, SECURITY.md B3).
func (s *service) returned(ctx context.Context, connection string, answer url.Values) (trip, error) {
	state := answer["state"]
	if len(state) != 1 || state[0] == "" || len(state[0]) > 512 {
		return trip{}, broker.StateInvalid
	}
	for _, key := range s.Ring.Hashes(hashState, []byte(state[0])) {
		t, err := s.trips.Get(ctx, key)
		if errors.Is(err, broker.NotFound) {
			continue
		}
		//defence:B3
		if err == nil && t.Connection != connection {
			err = broker.StateInvalid
		}
		t.State = state[0]
		return trip{t, key}, err
	}
	return trip{}, broker.StateInvalid
}

// spend marks a trip as used; of many that try, one gets nil and the others Conflict.
// StateInvalid where it is too late for that, or the answer was lost and never used.
func (s *service) spend(ctx context.Context, t trip, lost bool) error {
	if s.Now().Sub(t.StartedAt) > broker.TripLife {
		return broker.StateInvalid
	}
	if !lost {
		//defence:B19
		return s.spent.Put(ctx, t.key, true)
	}
	_, err := s.spent.Get(ctx, t.key)
	switch {
	case err == nil:
		return broker.Conflict
	case errors.Is(err, broker.NotFound):
		return broker.StateInvalid
	}
	return err
}

// How long a second callback waits for the first one to finish.
const (
	patience = 3 * time.Second
	interval = 50 * time.Millisecond
)

// stale answers a callback that is late or comes twice. A reload while the first
// one still talks to the upstream waits for it and lands where it lands.
func (s *service) stale(ctx context.Context, v visit, t trip, late bool) error {
	for waited := time.Duration(0); ; waited += interval {
		l, err := s.open(ctx, v, t.Login)
		if errors.Is(err, broker.LoginUnknown) && t.Parked != nil {
			l, err = *t.Parked, nil
		}
		if err != nil {
			return err
		}
		if l.Spent() || l.Claims != nil || l.AccountID != "" || (l.Notice != "" && !late) {
			return broker.Conflict
		}
		if late || waited >= patience {
			if err := s.unpark(ctx, t); err != nil {
				return err
			}
			return s.say(ctx, v, l, t.Connection, broker.StateInvalid)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(interval):
		}
	}
}

// exchange asks the upstream who came back. The connection is read again: one
// that was switched off meanwhile is not asked (SECURITY.md B17).
func (s *service) exchange(ctx context.Context, t broker.Trip, answer url.Values) (broker.Claims, error) {
	c, up, err := s.upstream(ctx, t.Connection)
	if err != nil {
		return broker.Claims{}, err
	}
	claims, err := up.Finish(ctx, t, answer)
	if err != nil {
		return claims, err
	}
	if claims.Subject == "" || claims.Issuer == "" {
		return claims, broker.UpstreamRejected.Because(errors.New("the upstream named nobody"))
	}
	claims.Connection = c.ID
	return tidy(claims), nil
}

// tidy holds claims to what the hall says of them, whoever wrote the provider.
func tidy(c broker.Claims) broker.Claims {
	//defence:C14
	email, err := broker.CanonicalEmail(c.Email)
	if c.Email == "" || err != nil {
		email, c.Level = "", broker.None
	}
	if c.Level == broker.None {
		email = ""
	}
	c.Email = email
	c.Name, c.GivenName, c.FamilyName = cleanName(c.Name), cleanName(c.GivenName), cleanName(c.FamilyName)
	return c
}

// admit puts the claims into the login, in place of whatever was there, and the
// account with them where the identity has one.
func (s *service) admit(ctx context.Context, v visit, l broker.Login, t trip, claims broker.Claims) (broker.Login, *arrival, error) {
	fresh := func(l *broker.Login) {
		l.Claims, l.Code, l.Proven, l.Chosen, l.Wish = &claims, nil, "", "", broker.WishNone
		l.AccountID, l.Authn, l.SessionID = "", broker.Authn{}, ""
	}
	seen := l
	fresh(&l)
	sc, err := s.look(ctx, v, l)
	if err != nil {
		return seen, nil, err
	}
	edit := fresh
	if sc.Step == broker.StepBind {
		bound := binding(sc)
		edit = func(l *broker.Login) { fresh(l); bound(l) }
		if app(l) {
			return seen, &arrival{seen, edit, sc.Facts.Linked, t}, nil
		}
	}
	if err := s.unpark(ctx, t); err != nil {
		return seen, nil, err
	}
	now, err := s.change(ctx, l.ID, func(l *broker.Login) error { edit(l); return nil })
	if err != nil {
		return seen, nil, err
	}
	return now, nil, nil
}
