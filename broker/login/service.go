package login

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/web"
)

// The lifetimes of the package's other ephemeral data.
const (
	// upstreamRequestKept exceeds UpstreamRequestLife, so that a late response still finds its login.
	upstreamRequestKept = time.Hour
	postedLife          = time.Minute
	deletionLife        = 90 * 24 * time.Hour
	// maxOpen is how many logins a browser may have open besides its first; one more drops the oldest.
	maxOpen = 9
)

// service holds the operations of the journey. None of them uses HTTP.
type service struct {
	Options
	logins           broker.EphemeralStore[broker.Login]
	upstreamRequests broker.EphemeralStore[[]byte] // by the hash of their state, sealed
	hints            broker.EphemeralStore[string] // see broker.UpstreamHints
	consumed         broker.EphemeralStore[bool]   // by the key of an upstream request: its answer was used
	browsers         broker.EphemeralStore[[]string]
	postedForms      broker.EphemeralStore[[]byte] // by the key of an upstream request, sealed
	deletions        broker.EphemeralStore[deletion]
	newcomers        web.Newcomers
	posters          web.Newcomers
}

func newService(o Options) *service {
	if o.Pause == nil {
		o.Pause = broker.Pause
	}
	return &service{
		Options: o,
		logins: broker.EphemeralStore[broker.Login]{Name: "login", Life: broker.LoginLife, In: o.Ephemeral,
			Now: o.Now},
		hints: broker.EphemeralStore[string]{Name: broker.UpstreamHints, Life: broker.SessionLife, In: o.Ephemeral,
			Now: o.Now},
		upstreamRequests: broker.EphemeralStore[[]byte]{Name: "upstream", Life: upstreamRequestKept,
			In: o.Ephemeral, Now: o.Now},
		consumed: broker.EphemeralStore[bool]{Name: "trip.spent", Life: upstreamRequestKept, In: o.Ephemeral,
			Now: o.Now},
		browsers: broker.EphemeralStore[[]string]{Name: "login.browser", Life: broker.LoginLife, In: o.Ephemeral,
			Now: o.Now},
		postedForms: broker.EphemeralStore[[]byte]{Name: "login.posted", Life: postedLife, In: o.Ephemeral, Now: o.Now},
		deletions: broker.EphemeralStore[deletion]{Name: "login.deletion", Life: deletionLife, In: o.Ephemeral,
			Now: o.Now},
		newcomers: web.Newcomers{In: o.Ephemeral, Now: o.Now},
		posters:   web.Newcomers{Name: "posters", In: o.Ephemeral, Now: o.Now},
	}
}

// visit describes the browser of a request.
type visit struct {
	browser []string // keyed hashes of its browser key, the newest key first; none without a cookie
	// sessions are the keyed hashes of its session cookie; none without one.
	sessions []string
	locale   func() string // of its response
	address  func() string // the client's
	// known reports whether this browser has signed in to the account before, see web.Toolkit.Known.
	known func(broker.Account) bool
	// event completes an Event with its id, its time and the origin of the request.
	event func(broker.Event) broker.Event
}

// current returns the browser's session and its account if they may be used in the app of a login; nil if not,
// for any reason.
func (s *service) current(ctx context.Context, v visit, l broker.Login) (*broker.Session, *broker.Account, error) {
	have, a, err := s.Gate.Session(ctx, v.sessions, l.ClientID)
	switch {
	case broker.Refused(err):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	}
	return &have, &a, nil
}

// scene is a login with the current decision of the rules.
type scene struct {
	broker.Login
	access.Decision
}

// look loads the facts and asks the rules.
func (s *service) look(ctx context.Context, v visit, l broker.Login) (scene, error) {
	d, err := s.Gate.Login(ctx, l, v.sessions)
	return scene{l, d}, err
}

// begin stores a new login for a browser. Its start is truncated to the second, like an upstream's auth_time: a proof
// of the same second must not look older. known reports whether the browser may have other logins open. A new browser
// must first pass the limit of its network address.
func (s *service) begin(ctx context.Context, v visit, browser string, l broker.Login, known bool) (broker.Login,
	error) {
	if browser == "" {
		return l, broker.CookiesBlocked // a HEAD request, which gets no cookie
	}
	now := s.Now().Truncate(time.Second)
	l.ID, l.Browser, l.CreatedAt, l.ExpiresAt = broker.NewID(), browser, now, now.Add(broker.LoginLife)
	if l.MaxAge != nil && *l.MaxAge <= 0 {
		l.Fresh, l.MaxAge = true, nil // OIDC Core §3.1.2.1: max_age=0 is prompt=login
	}
	var err error
	size := len(l.Request.Encode())
	if known {
		err = s.remember(ctx, v, browser, l.ID, size)
	} else {
		//defence:H4
		err = s.newcomers.Allow(ctx, v.address(), size)
	}
	if err != nil {
		return l, err
	}
	return l, s.logins.Put(ctx, l.ID, l)
}

// remember bounds the list of a browser's open logins, so that one browser cannot fill the store (SECURITY.md
// B1, H4). Cookies can be invented, so a browser without a list counts as new, whatever it sent.
func (s *service) remember(ctx context.Context, v visit, browser, id string, size int) error {
	//defence:H4
	if size > web.RowSize {
		if err := s.newcomers.Allow(ctx, v.address(), size); err != nil {
			return err
		}
	}
	var dropped []string
	_, err := s.browsers.Change(ctx, browser, func(open *[]string) error {
		*open, dropped = append(*open, id), nil
		//defence:B1 H4
		if n := len(*open) - maxOpen; n > 0 {
			dropped = slices.Clone((*open)[:n])
			*open = slices.Clone((*open)[n:])
		}
		return nil
	})
	if errors.Is(err, broker.NotFound) {
		//defence:H4 = nil
		err = s.newcomers.Allow(ctx, v.address(), size)
		if err == nil {
			err = s.browsers.Put(ctx, browser, []string{id})
		}
	}
	if errors.Is(err, broker.Conflict) {
		return nil // another tab of this browser was quicker; its login is counted
	}
	//defence:B1 H4
	for _, old := range dropped {
		if _, err := s.logins.Take(ctx, old); err != nil && !errors.Is(err, broker.NotFound) {
			return err
		}
	}
	return err
}

// open reads a login. It returns LoginElsewhere unless the login was begun in this browser.
func (s *service) open(ctx context.Context, v visit, id string) (broker.Login, error) {
	l, _, err := s.openSeen(ctx, v, id)
	return l, err
}

// openSeen is open that also returns the stored form, so that a change need not read it again.
func (s *service) openSeen(ctx context.Context, v visit, id string) (broker.Login, broker.Seen, error) {
	l, seen, err := s.logins.GetSeen(ctx, id)
	if errors.Is(err, broker.NotFound) {
		return l, nil, broker.LoginUnknown
	}
	if err != nil {
		return l, nil, err
	}
	//defence:B1
	//defence:B1 ./cmd/gatehouse:TestModel
	if !slices.Contains(v.browser, l.Browser) {
		return l, seen, broker.LoginElsewhere
	}
	return l, seen, nil
}

// adopt copies a login without any proof for the browser that opened it: a shared link passes on a request,
// never a person.
func (s *service) adopt(ctx context.Context, v visit, browser string, l broker.Login) (broker.Login, error) {
	if l.HasProof() || l.IsConsumed() {
		return l, broker.LoginElsewhere
	}
	return s.begin(ctx, v, browser, l.Restarted(), true)
}

// advance asks the rules and carries out the steps that have no page.
func (s *service) advance(ctx context.Context, v visit, l broker.Login) (scene, error) {
	for try := 0; ; try++ {
		sc, err := s.look(ctx, v, l)
		if err != nil || sc.IsConsumed() {
			return sc, err
		}
		switch sc.Step {
		case broker.StepBind:
			l, err = s.bind(ctx, sc)
		case broker.StepJoin:
			l, err = s.join(ctx, v, sc)
		case broker.StepCreate:
			l, err = s.create(ctx, v, sc, fromClaims(sc.Login, s.Now(), s.locale(v, sc.Login)))
		default:
			return sc, nil
		}
		if errors.Is(err, broker.Conflict) && try < 3 {
			if l, err = s.logins.Get(ctx, sc.ID); errors.Is(err, broker.NotFound) {
				err = broker.LoginUnknown
			}
		}
		if err != nil {
			return sc, err
		}
	}
}

// bind makes the owner of a linked identity the login's account.
func (s *service) bind(ctx context.Context, sc scene) (broker.Login, error) {
	a := *sc.Facts.Linked
	return s.replace(ctx, sc.Login, sc.BoundTo(a.ID, vouched(*sc.Claims, sc.Identity.ID, a)))
}

// expect returns Conflict if a login does not wait for one of the steps: the caller then shows the step that it
// does wait for.
func (s *service) expect(ctx context.Context, v visit, id string, steps ...broker.Step) (scene, error) {
	l, err := s.open(ctx, v, id)
	if err != nil {
		return scene{Login: l}, err
	}
	sc, err := s.look(ctx, v, l)
	if err == nil && (sc.IsConsumed() || sc.No != nil || !slices.Contains(steps, sc.Step)) {
		err = broker.Conflict
	}
	return sc, err
}

// replace stores next if the stored login still equals seen, else it returns Conflict. A decision about the old state
// must not apply to a new one.
func (s *service) replace(ctx context.Context, seen, next broker.Login) (broker.Login, error) {
	return s.change(ctx, seen.ID, func(l *broker.Login) error {
		if !same(*l, seen) {
			return broker.Conflict
		}
		next.Locale = l.Locale // another tab may have changed it
		*l = next
		return nil
	})
}

// change edits a login that is not consumed.
func (s *service) change(ctx context.Context, id string, edit func(*broker.Login) error) (broker.Login, error) {
	l, err := s.logins.Change(ctx, id, func(l *broker.Login) error {
		if l.IsConsumed() {
			return broker.Conflict
		}
		return edit(l)
	})
	if errors.Is(err, broker.NotFound) {
		return l, broker.LoginUnknown
	}
	return l, err
}

// same compares everything that decisions depend on, which excludes notice and language.
func same(a, b broker.Login) bool {
	for _, l := range []*broker.Login{&a, &b} {
		l.Notice, l.NoticeFor, l.NoticeRef, l.Locale = "", "", "", ""
	}
	return reflect.DeepEqual(a, b)
}

// vouched returns the authentication by an upstream. Its time is the upstream's or none: auth_time is never
// invented.
func vouched(c broker.Claims, identity string, a broker.Account) broker.Authn {
	return broker.Authn{Method: broker.ByUpstream, Connection: c.Connection, Identity: identity, UserType: c.UserType,
		AMR: broker.Methods([]string{"fed"}, c.AMR...), ACR: c.ACR, AuthTime: c.AuthTime, Epoch: a.AuthEpoch,
		UpstreamSID: c.SID}
}
