package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/access"
)

// deletion is the view of a data deletion's status. It identifies no person.
type deletion struct {
	At    time.Time
	Found bool
}

// deauthorized unlinks the identity of a person who removed our app at the upstream.
func (d *Handler) deauthorized(w http.ResponseWriter, r *http.Request) error {
	if _, err := d.notice(r, broker.NoticeDeauthorized); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// deleted does the same for a deletion request, and responds with the address of its status page (Meta's data
// deletion callback).
func (d *Handler) deleted(w http.ResponseWriter, r *http.Request) error {
	found, err := d.notice(r, broker.NoticeDeletion)
	if err != nil {
		return err
	}
	code := broker.NewID()
	if err := d.service.deletions.Put(r.Context(), d.service.Keyring.Hash("login.deletion", []byte(code)),
		deletion{At: d.service.Now(), Found: found}); err != nil {
		return err
	}
	status := d.toolkit.Issuer.ResolveReference(&url.URL{Path: "/data-deletion/" + code})
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]string{"url": status.String(), "confirmation_code": code})
}

// notice verifies a notice and unlinks its identity, with an Event and a mail to the owner. A missing identity
// is not an error, because notices may be repeated.
func (d *Handler) notice(r *http.Request, kind broker.NoticeKind) (found bool, err error) {
	c, said, err := d.service.noticed(r, kind)
	if err != nil {
		return false, err
	}
	err = d.service.unlink(r.Context(), d.visit(r), c, said)
	if errors.Is(err, broker.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// noticed returns the verified notice and its connection.
func (s *service) noticed(r *http.Request, kind broker.NoticeKind) (c broker.Connection, said broker.Notice,
	err error) {
	ctx := r.Context()
	if c, err = s.Store.Connection(ctx, r.PathValue("connection")); err != nil {
		return c, said, err
	}
	up, err := s.Upstreams.Open(ctx, c)
	if err != nil {
		return c, said, err
	}
	n, ok := up.(broker.Notifier)
	if !ok {
		return c, said, broker.NotFound
	}
	said, err = n.Notice(ctx, kind, r.PostForm)
	return c, said, err
}

func (s *service) unlink(ctx context.Context, v visit, c broker.Connection, said broker.Notice) error {
	return s.Store.Atomic(ctx, func(ctx context.Context) error {
		i, a, err := s.Store.Identity(ctx, c.ID, said.Issuer, said.Subject)
		if err != nil {
			return err
		}
		// No rule applies: the identity may go even if it is the last sign-in method.
		u := access.Unlinking{Account: a, Identity: i.ID, Connection: c.Name, At: s.Now()}
		if err := access.Unlink(ctx, s.Store, s.Mailer, u); err != nil {
			return err
		}
		e := v.event(broker.Event{Verb: broker.EventIdentityUnlinked, Account: a.ID, Connection: c.ID,
			Detail: map[string]string{"notice": string(said.Kind)}})
		return s.Store.Record(ctx, e)
	})
}

type deletionView struct {
	deletion
}

// deletionStatus shows the state of a deletion request, to anyone with its code.
func (d *Handler) deletionStatus(w http.ResponseWriter, r *http.Request) error {
	for _, key := range d.service.Keyring.Hashes("login.deletion", []byte(r.PathValue("code"))) {
		del, err := d.service.deletions.Get(r.Context(), key)
		if errors.Is(err, broker.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		d.pages.Show(w, r, http.StatusOK, "deletion", deletionView{del})
		return nil
	}
	return broker.NotFound
}
