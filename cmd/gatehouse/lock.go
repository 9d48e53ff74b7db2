package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gatehouse/broker"
)

// lockView is a lock as the command line shows it.
type lockView struct {
	Only        string    `json:"only"`
	Connections []string  `json:"connections"`
	Guests      bool      `json:"guests"`
	Personal    bool      `json:"personal"`
	SetBy       string    `json:"set_by"`
	SetAt       time.Time `json:"set_at"`
}

func viewLock(l *broker.Lock) *lockView {
	if l == nil {
		return nil
	}
	return &lockView{l.Only, l.Connections, l.Guests, l.Personal, l.SetBy, l.SetAt}
}

func (l lockView) String() string {
	text := fmt.Sprintf("only %s, through %s", l.Only, strings.Join(l.Connections, ", "))
	if l.Guests {
		text += ", guests too"
	}
	if l.Personal {
		text += ", personal accounts too"
	}
	return text + fmt.Sprintf("; set by %s on %s", l.SetBy, date(l.SetAt))
}

// microsoftKinds are what "ONLY Microsoft" means.
var microsoftKinds = []string{"microsoft", "adfs"}

func lockAccount(fs *flag.FlagSet) action {
	only := fs.String("only", "", "`WAY` in: microsoft, for every live Entra ID and AD FS connection of now; or ids of connections, separated by commas")
	guests := fs.Bool("guests", false, "accept guests of the directory too")
	personal := fs.Bool("personal", false, "accept personal Microsoft accounts too")
	return func(ctx context.Context, t *tool, args []string) error {
		if *only == "" {
			return misuse("--only is missing")
		}
		h, a, err := t.account(ctx, args[0])
		if err != nil {
			return err
		}
		lock := broker.Lock{Only: *only, Guests: *guests, Personal: *personal, SetBy: "operator", SetAt: h.now()}
		if lock.Connections, err = h.lockable(ctx, *only); err != nil {
			return err
		}
		bound, err := h.bound(ctx, a, lock)
		if err != nil {
			return err
		}
		a.Lock = &lock
		err = h.renew(ctx, &a, broker.EventAccountLocked, lock.Only+" through "+strings.Join(lock.Connections, " "), nil)
		if err != nil {
			return err
		}
		return t.print(viewAccount(a), func(w io.Writer) {
			fmt.Fprintf(w, "%s: %s\nevery session and token of the account has ended\n", a.Email, viewLock(a.Lock))
			if !bound {
				fmt.Fprintln(w, "no identity of these connections is linked yet: at the next sign-in through one of them the account's password and a mailed code link it")
			}
		})
	}
}

// lockable names the connections of a lock, each live now: a name proves nothing
// later, and one that nobody can use would shut its owner out.
func (h *house) lockable(ctx context.Context, only string) ([]string, error) {
	all, err := h.store.Connections(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	if only == broker.OnlyMicrosoft {
		for _, c := range all {
			if slices.Contains(microsoftKinds, c.Kind) && c.Usable() == nil {
				ids = append(ids, c.ID)
			}
		}
		if ids == nil {
			return nil, errors.New("there is no live connection of the kind microsoft or adfs; see connections list and connections add")
		}
		return ids, nil
	}
	for _, id := range strings.Split(only, ",") {
		i := slices.IndexFunc(all, func(c broker.Connection) bool { return c.ID == id })
		switch {
		case i < 0:
			return nil, fmt.Errorf("there is no connection %q; see connections list", id)
		case all[i].Usable() != nil:
			return nil, fmt.Errorf("connection %s is %s, so nobody could come in through it; see connections enable", id, all[i].State)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// bound tells whether the account has an identity that its lock lets in. A lock
// that would leave no way in is refused: without one of them, and without a
// password, nothing could prove a first one (DESIGN.md §6).
func (h *house) bound(ctx context.Context, a broker.Account, lock broker.Lock) (bool, error) {
	ids, err := h.store.IdentitiesOf(ctx, a.ID)
	if err != nil {
		return false, err
	}
	has := slices.ContainsFunc(ids, func(i broker.Identity) bool { return lock.Allows(i.Connection) })
	if !has && !a.HasPassword() {
		return false, fmt.Errorf("this would leave no way into %s: no identity of %s is linked, and without a password none can be; "+
			"set one (accounts password), or have the person link it first", a.Email, strings.Join(lock.Connections, ", "))
	}
	return has, nil
}

func unlockAccount(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, a, err := t.account(ctx, args[0])
		if err != nil {
			return err
		}
		if a.Lock != nil {
			was := a.Lock.Only
			a.Lock, a.UpdatedAt = nil, h.now()
			err = h.store.Atomic(ctx, func(ctx context.Context) error {
				if err := h.store.ChangeAccount(ctx, a, a.AuthEpoch); err != nil {
					return err
				}
				return h.record(ctx, broker.Event{Verb: broker.EventAccountUnlocked, Account: a.ID, Detail: map[string]string{"change": was}})
			})
		}
		if err != nil {
			return err
		}
		return t.print(viewAccount(a), func(w io.Writer) { fmt.Fprintf(w, "%s may come in by every way again\n", a.Email) })
	}
}
