package login

import (
	"context"
	"errors"
	"net/http"

	"gatehouse/broker"
)

// loggedOut handles an upstream's notice that a person's session there has ended (OIDC Back-Channel Logout §2.7,
// Front-Channel Logout §2). It uses no cookie: the upstream sends the one, and a frame in its page the other.
func (d *Handler) loggedOut(w http.ResponseWriter, r *http.Request) error {
	kind := broker.NoticeLogout
	if r.Method != http.MethodPost {
		kind, r.PostForm = broker.NoticeFrontLogout, r.URL.Query()
	}
	c, said, err := d.service.noticed(r, kind)
	if err != nil {
		return err
	}
	if err := d.service.endFor(r.Context(), d.visit(r), c, said); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// endFor ends the sessions that a logout selects, each with its Event, and marks the logout as used, in one
// transaction. It looks only at identities of the connection that signed it: an upstream must not sign out
// another's people (SECURITY.md A18).
func (s *service) endFor(ctx context.Context, v visit, c broker.Connection, said broker.Notice) error {
	return s.Store.Atomic(ctx, func(ctx context.Context) error {
		var err error
		if said.ID != "" {
			err = s.Store.MarkUsed(ctx, "logout", c.ID+" "+said.ID, said.Expires)
		}
		//defence:A18
		if errors.Is(err, broker.Conflict) {
			return broker.RequestInvalid.Because(errors.New("this logout was used before"))
		}
		if err != nil {
			return err
		}
		over := broker.UpstreamSession{Connection: c.ID, SID: said.SID}
		if said.Subject != "" {
			i, _, err := s.Store.Identity(ctx, c.ID, said.Issuer, said.Subject)
			if errors.Is(err, broker.NotFound) {
				return nil // unknown identity: it has no sessions
			}
			if err != nil {
				return err
			}
			over.Identity = i.ID
		}
		ended, err := s.Store.EndUpstreamSessions(ctx, over, s.Now())
		if err != nil {
			return err
		}
		for _, one := range ended {
			e := v.event(broker.Event{Verb: broker.EventUpstreamLogout, Account: one.AccountID, Connection: c.ID,
				Session: one.ID})
			if err := s.Store.Record(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
}
