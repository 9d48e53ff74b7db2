package login

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"gatehouse/broker"
)

// maxLinkTries is how many wrong proofs one link confirmation allows (SECURITY.md C6).
const maxLinkTries = 5

// linkConfirmation identifies what a link page shows: this login, this identity, this owner. The form sends it
// back, so that a proof given on one page cannot link what another page shows (SECURITY.md C3).
func (s *service) linkConfirmation(l broker.Login, owner *broker.Account) string {
	if l.Claims == nil {
		return ""
	}
	//defence:C3 ./cmd/gatehouse:TestModel
	parts := []string{l.ID, l.Claims.Connection, l.Claims.Issuer, l.Claims.Subject}
	if owner != nil {
		parts = append(parts, owner.ID)
	}
	return s.Keyring.Hash("login.ceremony", []byte(strings.Join(parts, "\x00")))
}

// linkProof is the owner's input on the link page. It is used in one request and not stored.
type linkProof struct {
	Shown    string // the link confirmation that the page showed
	Password string
	Code     string // mailed
	Factor   string
}

// link links the pending identity to the account that has its address, once its owner gave every proof that the
// page requires.
func (s *service) link(ctx context.Context, v visit, id string, in linkProof) error {
	sc, err := s.linking(ctx, v, id, in.Shown)
	if err != nil {
		return err
	}
	owner, amr := *sc.Facts.Owner, []string(nil)
	if sc.Proof.Code && (sc.Code == nil || sc.Code.Email != owner.Email) {
		return broker.Conflict // no code was sent: the page offers to send one
	}
	if sc.Proof.Password {
		if in.Password == "" {
			return blank{broker.WrongPassword}
		}
		if err := s.attempt(ctx, sc); err != nil {
			return err
		}
		if err := s.checkPassword(ctx, v, sc, owner.Email, &owner, in.Password); err != nil {
			return err
		}
		amr = append(amr, "pwd")
	}
	if sc.Proof.Code {
		if err := s.Codes.Check(ctx, v.target(owner.Email, &owner), sc.Code, in.Code); err != nil {
			return err
		}
		amr = append(amr, "otp")
	}
	if sc.Proof.Factor {
		if err := s.Factors.Check(ctx, owner.ID, in.Factor); err != nil {
			return wrongFactor(err)
		}
		amr = append(amr, amrFactor...)
	}
	return s.attach(ctx, v, sc, owner, amr)
}

func (s *service) linking(ctx context.Context, v visit, id, shown string) (scene, error) {
	sc, err := s.expect(ctx, v, id, broker.StepLink)
	if err == nil && s.linkConfirmation(sc.Login, sc.Facts.Owner) != shown {
		err = broker.Conflict
	}
	return sc, err
}

// own links the pending identity to an account under another address, once its owner gave address and password.
// An address without an account costs the same as a wrong password, with the same response.
func (s *service) own(ctx context.Context, v visit, id, shown, email, password string) error {
	sc, err := s.expect(ctx, v, id, broker.StepOwn)
	if err == nil && s.linkConfirmation(sc.Login, nil) != shown {
		err = broker.Conflict
	}
	if err != nil {
		return err
	}
	if email, err = broker.CanonicalEmail(email); err != nil {
		return err
	}
	if password == "" {
		return blank{broker.WrongPassword}
	}
	if err := s.attempt(ctx, sc); err != nil {
		return err
	}
	owner, err := broker.Found(s.Store.AccountByEmail(ctx, email))
	if err != nil {
		return err
	}
	//defence:E1 C7
	if err := s.checkPassword(ctx, v, sc, email, owner, password); err != nil {
		return err
	}
	// If the link needs more than the password, the link page asks for all proofs. Only the account of this password
	// is stored.
	d, err := s.Gate.LinkProofs(ctx, sc.Login, sc.Decision, *owner)
	if err != nil {
		return err
	}
	if d.No != nil {
		return barred{d.No, d.Rule}
	}
	if d.Proof.Code || d.Proof.Factor {
		_, err = s.replace(ctx, sc.Login, sc.LinkingTo(owner.ID))
		return err
	}
	return s.attach(ctx, v, sc, *owner, []string{"pwd"})
}

// attempt counts a proof before it is checked. One too many ends the link confirmation: the claims are dropped
// and the login begins again.
func (s *service) attempt(ctx context.Context, sc scene) error {
	n, err := s.Ephemeral.Count(ctx, "login.proofs", s.linkConfirmation(sc.Login, nil), sc.ExpiresAt)
	//defence:C6 = true
	if err != nil || n <= maxLinkTries {
		return err
	}
	_, err = s.replace(ctx, sc.Login, sc.Restarted().Noticed(broker.RateLimited, "", ""))
	if err != nil {
		return err
	}
	return broker.Conflict
}

// attach writes the link, its Event and its mail in one transaction, and makes the owner the login's account.
// The proofs were given in this request and amr names them. They are not stored, so they cannot link again
// (SECURITY.md C4).
func (s *service) attach(ctx context.Context, v visit, sc scene, owner broker.Account, amr []string) error {
	i, err := s.insert(ctx, v, sc, owner)
	if err != nil {
		return err
	}
	authn := vouched(*sc.Claims, i.ID, owner)
	if len(amr) > 0 {
		authn.AMR, authn.AuthTime = broker.Methods([]string{"fed"}, append(slices.Clone(sc.Claims.AMR), amr...)...), s.Now()
	}
	authn.Factor = sc.Proof.Factor
	_, err = s.replace(ctx, sc.Login, sc.BoundTo(owner.ID, authn))
	return err
}

// join links without confirmation, if Resolve says so. A signed-in person who requested it continues their
// session: nothing was proven.
func (s *service) join(ctx context.Context, v visit, sc scene) (broker.Login, error) {
	if sc.Purpose != broker.PurposeLink {
		if err := s.attach(ctx, v, sc, *sc.Facts.Owner, nil); err != nil {
			return sc.Login, err
		}
		return s.logins.Get(ctx, sc.ID)
	}
	if _, err := s.insert(ctx, v, sc, *sc.Facts.Acting); err != nil {
		if errors.Is(err, broker.LinkConflict) {
			err = broker.Conflict // the next look shows whose it is
		}
		return sc.Login, err
	}
	return s.replace(ctx, sc.Login, sc.Continued(*sc.Session))
}

// insert links in one transaction. If another request was faster, it returns that link if it is the same one (a
// double click), else LinkConflict.
func (s *service) insert(ctx context.Context, v visit, sc scene, owner broker.Account) (broker.Identity, error) {
	i := identity(*sc.Claims, owner.ID, s.Now())
	err := s.Store.Atomic(ctx, func(ctx context.Context) error {
		if err := s.stillMay(ctx, sc, owner); err != nil {
			return err
		}
		if err := s.Store.Link(ctx, i); err != nil {
			return err
		}
		e := v.event(broker.Event{Verb: broker.EventIdentityLinked, Account: owner.ID, Actor: owner.ID,
			Client: sc.ClientID, Connection: i.Connection})
		if err := s.Store.Record(ctx, e); err != nil {
			return err
		}
		return s.mailLinked(ctx, v, sc, owner, i)
	})
	if errors.Is(err, broker.NotFound) {
		return i, broker.Conflict // account or connection are gone; the next look says so
	}
	if !errors.Is(err, broker.Conflict) {
		return i, err
	}
	there, a, err := s.Store.Identity(ctx, i.Connection, i.Issuer, i.Subject)
	if err == nil && a.ID == owner.ID {
		return there, nil
	}
	if err == nil || errors.Is(err, broker.NotFound) {
		err = broker.LinkConflict
	}
	return i, err
}

// stillMay asks the rules again inside the transaction of the link. It locks the row of a restricted account
// first, so that of two concurrent first binds the second sees the first.
func (s *service) stillMay(ctx context.Context, sc scene, seen broker.Account) error {
	now, err := s.Store.Account(ctx, seen.ID)
	if err != nil {
		return err
	}
	if now.AuthEpoch != seen.AuthEpoch || now.Disabled {
		return broker.StartAgain // the proof was for the account as it was
	}
	if now.Restriction != nil {
		if err := s.Store.ChangeAccount(ctx, now, now.AuthEpoch); err != nil {
			return err
		}
	}
	return s.Gate.MayLink(ctx, *sc.Claims, now, sc.ClientID)
}

func identity(c broker.Claims, account string, now time.Time) broker.Identity {
	return broker.Identity{ID: broker.NewID(), AccountID: account, Connection: c.Connection, Issuer: c.Issuer,
		Subject: c.Subject, Email: c.Email, LinkedAt: now, SeenAt: now}
}

// proves identifies the link confirmation that a sign-in with another identity of the same owner is to prove.
func (s *service) proves(ctx context.Context, v visit, l broker.Login) (string, error) {
	sc, err := s.look(ctx, v, l)
	if err != nil {
		return "", err
	}
	if sc.Step != broker.StepLink || !sc.Proof.Other {
		return "", broker.Conflict
	}
	return s.linkConfirmation(l, sc.Facts.Owner), nil
}

// confirmLink finishes a link whose owner just signed in with an identity that they already have. That identity must
// be theirs, and the upstream request must have begun for this link.
func (s *service) confirmLink(ctx context.Context, v visit, l broker.Login, t broker.UpstreamRequest,
	by broker.Claims) error {
	sc, err := s.look(ctx, v, l)
	if err != nil {
		return err
	}
	if sc.Step != broker.StepLink || !sc.Proof.Other || s.linkConfirmation(l, sc.Facts.Owner) != t.LinkTarget {
		return broker.Conflict
	}
	_, a, err := s.Store.Identity(ctx, by.Connection, by.Issuer, by.Subject)
	if errors.Is(err, broker.NotFound) || err == nil && a.ID != sc.Facts.Owner.ID {
		return s.leaveNotice(ctx, v, l, by.Connection, broker.LinkConflict)
	}
	if err != nil {
		return err
	}
	return s.attach(ctx, v, sc, *sc.Facts.Owner, nil)
}
