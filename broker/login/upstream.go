package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/limit"
)

// hashState is the purpose of the hashed state of upstream requests: storage must not contain anything that
// completes a sign-in.
const hashState = "login.state"

// The purposes of sealed values: upstream requests, and the responses to them that were posted.
const (
	purposeUpstream = "login.upstream"
	purposePosted   = "login.posted"
)

// redirectOptions are options of an upstream request.
type redirectOptions struct {
	Connection string
	Choose     bool   // show the upstream's account chooser: "Use a different account", or after a sign-out
	AskEmail   bool   // ask once more for the e-mail address
	Prompt     string // what the upstream needs, after it refused without asking
	Prove      bool   // confirm the pending link of the login with another identity of its owner
	// URLOnly: the response can only redirect. If the upstream wants a form, nothing is stored.
	URLOnly bool
}

// maxBegun is how many upstream requests one browser may begin in an hour, for which they are kept (SECURITY.md H4).
// A new browser that is redirected immediately was counted as a newcomer.
const maxBegun = 100

// beginUpstream stores an upstream request of a stored login, and returns where to send the browser. A refusal
// by the connection or the upstream becomes a notice in the login, and Conflict is returned: the login shows it.
func (s *service) beginUpstream(ctx context.Context, v visit, l broker.Login, o redirectOptions) (out broker.Redirect,
	err error) {
	if l.IsConsumed() {
		return out, broker.Conflict
	}
	proves := ""
	if o.Prove {
		if proves, err = s.proves(ctx, v, l); err != nil {
			return out, err
		}
	}
	c, up, err := s.upstream(ctx, o.Connection)
	if err != nil {
		return out, s.leaveNotice(ctx, v, l, o.Connection, err)
	}
	t := s.upstreamRequest(l, c, v, o)
	t.LinkTarget = proves
	if out, err = up.Begin(ctx, t); err != nil {
		return out, s.leaveNotice(ctx, v, l, o.Connection, err)
	}
	if o.URLOnly && out.Form != nil {
		return out, nil
	}
	//defence:H4
	if len(v.browser) > 0 || !o.URLOnly {
		begun := limit.Window{Name: "upstream.begun", Width: upstreamRequestKept, Most: maxBegun, In: s.Ephemeral, Now: s.Now}
		if err := begun.Allow(ctx, l.Browser); err != nil {
			return out, s.leaveNotice(ctx, v, l, o.Connection, err)
		}
	}
	key := s.Keyring.Hash(hashState, []byte(t.State))
	t.State = "" // the browser returns it
	t.MaxPost = out.MaxPost
	// Sealed, because nonce and verifier complete a sign-in.
	plain, err := json.Marshal(t)
	if err != nil {
		return out, err
	}
	//defence:G17 = plain, nil
	sealed, err := s.Keyring.Seal(plain, purposeUpstream, key)
	if err != nil {
		return out, err
	}
	return out, s.upstreamRequests.Put(ctx, key, sealed)
}

// upstreamRequest passes on the app's requirements of freshness, and hints that save the person from typing the
// address again.
func (s *service) upstreamRequest(l broker.Login, c broker.Connection, v visit,
	o redirectOptions) broker.UpstreamRequest {
	t := broker.UpstreamRequest{
		Login: l.ID, Connection: c.ID,
		State: broker.NewToken(), Nonce: broker.NewToken(), Verifier: broker.NewToken(),
		Callback: s.Callback(c.ID), Locale: s.locale(v, l),
		Fresh: l.Fresh, MaxAge: l.MaxAge, Choose: o.Choose || l.Pick, Rerequest: o.AskEmail, Prompt: o.Prompt,
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

// upstream opens a live connection. It is called at the beginning of an upstream request and again at its end.
func (s *service) upstream(ctx context.Context, id string) (broker.Connection, broker.Upstream, error) {
	c, err := s.Store.Connection(ctx, id)
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

// callbackResult is a linked person whose login has not been updated yet: where nothing
// is left to ask, the login is changed once, when it is consumed.
type callbackResult struct {
	claims   broker.Claims
	authn    broker.Authn
	decision access.Decision // Facts.Linked is whose identity it is
	seen     broker.Seen     // the stored login that it came back to
}

// applyTo returns the login with what the callback has proven, instead of everything proven before.
func (c callbackResult) applyTo(l broker.Login) broker.Login {
	return l.Returned(c.claims).BoundTo(c.decision.Facts.Linked.ID, c.authn)
}

// handleCallback processes an upstream's response and returns the login. On an error only its ID may be used.
// Conflict means that nothing new was proven: the login shows what it waits for. If the response was lost, only
// its state is known. For a linked person who continues to an app it returns a result, and the login as it was
// before; finishCallback stores both.
func (s *service) handleCallback(ctx context.Context, v visit, connection string, answer url.Values,
	lost bool) (l broker.Login, known *callbackResult, err error) {
	t, key, err := s.pending(ctx, connection, answer)
	if err != nil {
		return l, nil, err
	}
	// Check the browser before the state: another browser's callback is refused and consumes nothing
	// (SECURITY.md B1).
	l, seen, err := s.openSeen(ctx, v, t.Login)
	switch {
	case errors.Is(err, broker.LoginUnknown):
		return l, nil, broker.StateInvalid
	case err != nil:
		return l, nil, err
	case l.IsConsumed():
		return l, nil, broker.Conflict
	}
	if err = s.consumeState(ctx, key, t, lost); err != nil {
		if late := errors.Is(err, broker.StateInvalid); late || errors.Is(err, broker.Conflict) {
			err = s.repeated(ctx, v, t, late)
		}
		return l, nil, err
	}
	claims, err := s.exchange(ctx, t, answer)
	needed, prompt := errors.AsType[broker.PromptNeeded](err)
	switch {
	case prompt && t.Prompt == "" && t.LinkTarget == "":
		return l, nil, promptAgain{l.ID, connection, needed.Prompt}
	case prompt: // it asked the person and refuses still; apps must not take it for their own prompt=none
		return l, nil, s.leaveNotice(ctx, v, l, connection, broker.UpstreamRejected.Because(err))
	case err != nil:
		return l, nil, s.leaveNotice(ctx, v, l, connection, err)
	case t.LinkTarget != "":
		return l, nil, s.confirmLink(ctx, v, l, t, claims)
	}
	if l, known, err = s.recordClaims(ctx, v, l, claims); known != nil {
		known.seen = seen
	}
	return l, known, err
}

// pending returns the upstream request of a response. It must belong to the connection in the path: a response
// of one upstream must not reach another's token endpoint (RFC 9700 §4.4.2, SECURITY.md B3).
func (s *service) pending(ctx context.Context, connection string, answer url.Values) (t broker.UpstreamRequest,
	key string, err error) {
	state := answer["state"]
	if len(state) != 1 || state[0] == "" || len(state[0]) > 512 {
		return t, "", broker.StateInvalid
	}
	for _, key := range s.Keyring.Hashes(hashState, []byte(state[0])) {
		sealed, err := s.upstreamRequests.Get(ctx, key)
		if errors.Is(err, broker.NotFound) {
			continue
		}
		var plain []byte
		if err == nil {
			plain, err = s.Keyring.Open(sealed, purposeUpstream, key)
		}
		if err == nil {
			err = json.Unmarshal(plain, &t)
		}
		//defence:B3
		if err == nil && t.Connection != connection {
			err = broker.StateInvalid
		}
		t.State = state[0]
		return t, key, err
	}
	return t, "", broker.StateInvalid
}

// consumeState marks an upstream request as used. One of several callers gets nil, the others get Conflict. It
// returns StateInvalid if the request has expired, or the response was lost and never used.
func (s *service) consumeState(ctx context.Context, key string, t broker.UpstreamRequest, lost bool) error {
	if s.Now().Sub(t.StartedAt) > broker.UpstreamRequestLife {
		return broker.StateInvalid
	}
	if !lost {
		//defence:B19
		return s.consumed.Put(ctx, key, true)
	}
	_, err := s.consumed.Get(ctx, key)
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

// repeated handles a late or repeated callback. A reload while the first one still runs waits for it and leads
// to the same result.
func (s *service) repeated(ctx context.Context, v visit, t broker.UpstreamRequest, late bool) error {
	for waited := time.Duration(0); ; waited += interval {
		l, err := s.open(ctx, v, t.Login)
		if err != nil {
			return err
		}
		if l.IsConsumed() || l.Claims != nil || l.AccountID != "" || (l.Notice != "" && !late) {
			return broker.Conflict
		}
		if late || waited >= patience {
			return s.leaveNotice(ctx, v, l, t.Connection, broker.StateInvalid)
		}
		if err := s.Pause(ctx, interval); err != nil {
			return err
		}
	}
}

// exchange returns the claims of the upstream's response. It reads the connection again, because it may have
// been disabled since (SECURITY.md B17).
func (s *service) exchange(ctx context.Context, t broker.UpstreamRequest, answer url.Values) (broker.Claims, error) {
	c, up, err := s.upstream(ctx, t.Connection)
	if err != nil {
		return broker.Claims{}, err
	}
	claims, err := up.Finish(ctx, t, answer)
	if err != nil {
		return claims, err
	}
	if claims.Subject == "" || claims.Issuer == "" {
		return claims, broker.UpstreamRejected.Because(errors.New("the upstream's response names no subject"))
	}
	// Enforce the rules of broker.Claims, whatever the provider returned.
	claims.Connection = c.ID
	if now := s.Now(); claims.AuthTime.After(now) {
		claims.AuthTime = now // the upstream's clock is fast
	}
	email, err := broker.CanonicalEmail(
		//defence:C14 = claims.Name
		claims.Email)
	if claims.Email == "" || err != nil {
		claims.Level = broker.None
	}
	if claims.Level == broker.None {
		email = ""
	}
	claims.Email, claims.Name = email, cleanName(claims.Name)
	claims.GivenName, claims.FamilyName = cleanName(claims.GivenName), cleanName(claims.FamilyName)
	if claims.LogoutHint == "" {
		return claims, nil
	}
	claims.LogoutHint, err = s.Keyring.SealJSON(claims.LogoutHint, broker.HintPurpose, c.ID)
	return claims, err
}

// recordClaims stores the claims in the login, instead of all that was there, and the account if the identity
// has one.
func (s *service) recordClaims(ctx context.Context, v visit, seen broker.Login, claims broker.Claims) (broker.Login,
	*callbackResult, error) {
	d, err := s.Gate.Login(ctx, seen.Returned(claims), v.sessions)
	if err != nil {
		return seen, nil, err
	}
	apply := func(l broker.Login) broker.Login { return l.Returned(claims) }
	if d.Step == broker.StepBind {
		known := callbackResult{claims: claims, authn: vouched(claims, d.Identity.ID, *d.Facts.Linked), decision: d}
		if seen.Request != nil {
			return seen, &known, nil
		}
		apply = known.applyTo
	}
	l, err := s.change(ctx, seen.ID, func(l *broker.Login) error { *l = apply(*l); return nil })
	return l, nil, err
}

// maxName is the longest name in bytes.
const maxName = 200

// cleanName returns a name on one line, without what is not seen: a name is shown inside our own sentences, which an
// override would reorder.
func cleanName(s string) string {
	s = broker.VisibleName(strings.Join(strings.Fields(s), " "))
	s = strings.Join(strings.Fields(s), " ") // a word may have been invisible
	for len(s) > maxName {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return strings.TrimSpace(s)
}

// fullName joins the parts that are given.
func fullName(given, familyName string) string { return strings.TrimSpace(given + " " + familyName) }

// splitName guesses given and family name if the upstream gave only one name; the person sees the guess and may
// change it.
func splitName(name, given, familyName string) (string, string) {
	if given != "" || familyName != "" {
		return given, familyName
	}
	i := strings.LastIndex(name, " ")
	if i < 0 {
		return name, ""
	}
	return name[:i], name[i+1:]
}
