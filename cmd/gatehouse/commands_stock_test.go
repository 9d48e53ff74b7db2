package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"gatehouse/broker"
	"gatehouse/broker/admin"
	"gatehouse/broker/clients"
	"gatehouse/broker/text"
	"gatehouse/broker/web"
	"gatehouse/providers/fakeidp"
)

// The tests that do not go through the command line change things with these.

// operate returns the operations that the commands call.
func (h *app) operate() *admin.Service {
	s, err := h.admin()
	if err != nil {
		panic(err)
	}
	return s
}

const demoPassword = fakeidp.DemoPassword

// demoConnections are the demo's connections, as an operator would add them.
func demoConnections() (all []broker.Connection) {
	for _, c := range fakeidp.DemoConnections() {
		all = append(all, broker.Connection{ID: c.ID, Kind: c.Kind, Name: c.Name, ClientID: c.ClientID, Settings: c.Settings})
	}
	return all
}

// demoSettings points a connection at its simulator.
func demoSettings(c *broker.Connection, base string) {
	if c.Settings == nil {
		c.Settings = map[string]string{}
	}
	switch c.Kind {
	case "oidc":
		c.Issuer = base
	case "meta":
		c.Settings["graph_url"] = base
		fallthrough
	default:
		c.Settings["authority"] = base
	}
}

// openAt opens the demo's first listener and the demo.
func (d *demo) openAt(ctx context.Context, addr string, log *slog.Logger) (net.Listener, error) {
	l, err := d.listenFirst(addr)
	if err == nil {
		err = d.open(ctx, log)
	}
	return l, err
}

// putConnection creates a connection by the operation for it, or replaces a stored one.
func (h *app) putConnection(ctx context.Context, c broker.Connection, what string) error {
	if _, err := h.store.Connection(ctx, c.ID); err == nil {
		return h.storeConnection(ctx, c, what)
	}
	in := admin.AddConnection{Live: true, ID: c.ID, Kind: c.Kind, Issuer: c.Issuer, ClientID: c.ClientID,
		Secret: c.Secrets[0],
		Edit: admin.EditConnection{Name: &c.Name, Settings: c.Settings, Domains: c.Domains, Hidden: &c.Hidden,
			Position: &c.Position}}
	_, err := h.operate().AddConnection(ctx, admin.Actor{ID: admin.Operator}, in)
	return err
}

// storeConnection writes a connection as it is, with its Event.
func (h *app) storeConnection(ctx context.Context, c broker.Connection, what string) error {
	c.UpdatedAt = h.now()
	return h.store.Atomic(ctx, func(ctx context.Context) error {
		return errors.Join(h.store.PutConnection(ctx, c),
			h.record(ctx, broker.Event{Verb: broker.EventConnChanged, Connection: c.ID,
				Detail: map[string]string{"change": what}}))
	})
}

// renew writes an account under a new epoch, with its Event and what more writes.
func (h *app) renew(ctx context.Context, a *broker.Account, verb broker.Verb, what string,
	more func(ctx context.Context) error) error {
	seen := a.AuthEpoch
	a.AuthEpoch, a.UpdatedAt = seen+1, h.now()
	return h.store.Atomic(ctx, func(ctx context.Context) error {
		if err := h.store.ChangeAccount(ctx, *a, seen); err != nil {
			return err
		}
		if err := h.record(ctx, broker.Event{Verb: verb, Account: a.ID,
			Detail: map[string]string{"change": what}}); err != nil || more == nil {
			return err
		}
		return more(ctx)
	})
}

// unlink removes an identity by the operation for it.
func (h *app) unlink(ctx context.Context, _ *text.Catalog, a broker.Account, id string) error {
	_, err := h.operate().UnlinkIdentity(ctx, admin.Actor{ID: admin.Operator}, admin.UnlinkIdentity{Account: a.ID,
		Identity: id})
	return err
}

func onOff(disabled bool) string { return admin.State(disabled) }

// record writes an operator's Event.
func (h *app) record(ctx context.Context, e broker.Event) error {
	e.ID, e.At, e.Actor = broker.NewID(), h.now(), admin.Operator
	return h.store.Record(ctx, e)
}

// addClient writes a new client with its secret, empty for one that has none.
func (h *app) addClient(ctx context.Context, c broker.Client, secret string) error {
	if secret != "" {
		c.SecretHashes = []string{clients.HashSecret(h.keyring, c.ID, secret)}
	}
	return h.putClient(ctx, c, "added")
}

// putClient writes a valid client, with its Event.
func (h *app) putClient(ctx context.Context, c broker.Client, what string) error {
	if problems := clients.Validate(c); len(problems) > 0 {
		return fmt.Errorf("%v", problems)
	}
	return h.store.Atomic(ctx, func(ctx context.Context) error {
		return errors.Join(h.store.PutClient(ctx, c),
			h.record(ctx, broker.Event{Verb: broker.EventClientChanged, Client: c.ID,
				Detail: map[string]string{"change": what}}))
	})
}

// verb is one command of the command line.
type verb struct {
	name string // as a person types it, without gatehouse
	node *kong.Node
}

// verbs are the commands, in the order of the help.
func verbs(t *testing.T) (all []verb) {
	t.Helper()
	p, err := newCommandParser(t.Context(), &tool{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range p.Model.Leaves(true) {
		all = append(all, verb{strings.TrimPrefix(fullName(n), "gatehouse "), n})
	}
	return all
}

// args are the names of a command's arguments.
func (v verb) args() (names []string) {
	for _, arg := range v.node.Positional {
		names = append(names, arg.Name)
	}
	return names
}

// parses reports whether a command line parses, without running it.
func parses(t *testing.T, words ...string) error {
	t.Helper()
	p, err := newCommandParser(t.Context(), &tool{})
	if err == nil {
		_, _, err = p.parse(words)
	}
	return err
}

// shellWords splits a line of a shell, as far as the examples go.
func shellWords(line string) (words []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 0 {
			words = append(words, strings.Fields(part)...)
		} else {
			words = append(words, part)
		}
	}
	return words
}

// appTokens is the answer of the token endpoint.
type appTokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Error   string `json:"error"`
	Text    string `json:"error_description"`
}

// shownMail is one mail of the demo's mailbox, as JSON.
type shownMail struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Date    string `json:"date"`
	Text    string `json:"text"`
}

// The views that the tests read.
type (
	accountView    = admin.AccountView
	clientView     = admin.ClientView
	connectionView = admin.ConnectionView
	eventView      = admin.EventView
	explanation    = admin.Explanation
	logoutView     = admin.LogoutView
)

func newServer(handler http.Handler) *http.Server { return web.NewServer(handler) }
