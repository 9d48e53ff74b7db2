package oidc

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

const (
	pathRegister = "/register"

	// usedInitial is the kind of consumed initial access tokens in the replay cache.
	usedInitial = "registration"
)

// consumeInitial consumes one use of the token in the transaction of its client. It
// inserts, so that no two clients share a use. It returns errNoToken if none is left.
func (d *Handler) consumeInitial(ctx context.Context, t clients.InitialToken) error {
	for n := range t.Uses {
		//defence:A20
		err := d.store.MarkUsed(ctx, usedInitial, t.ID+"."+strconv.Itoa(n), time.Unix(t.Expires, 0))
		if !errors.Is(err, broker.Conflict) {
			return err
		}
	}
	return errNoToken
}

// refusedMetadata is an error response of RFC 7591 §3.2.2.
type refusedMetadata struct{ name, text string }

func (e refusedMetadata) Error() string { return "oidc: " + e.name + ": " + e.text }

// refused returns the problems of a client as one error, or nil.
func refused(problems []clients.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	e := refusedMetadata{name: "invalid_client_metadata"}
	for _, p := range problems {
		if p.Field == "redirect_uris" {
			e.name = "invalid_redirect_uri"
		}
		if len(e.text) < 1000 {
			e.text += p.String() + ". "
		}
	}
	e.text = strings.TrimSpace(printable(e.text))
	return e
}

// register is the client registration endpoint (RFC 7591 §3). It requires an initial
// access token and fetches no URI of the request (SECURITY.md A20).
func (d *Handler) register(w http.ResponseWriter, r *http.Request) error {
	token, err := headerToken(r)
	if err != nil {
		return d.noToken(w, false)
	}
	initial, ok := clients.OpenInitialToken(d.keyring, token, d.now())
	if !ok {
		return d.noToken(w, true)
	}
	m, err := readMetadata(r)
	if err != nil {
		return d.refuseMetadata(w, r, "", err)
	}
	now := d.now()
	c := broker.Client{ID: strings.ToLower(broker.NewID()), CreatedAt: now}
	access := clients.NewRegistrationToken(d.keyring, &c)
	secret, err := d.describe(&c, m)
	if err != nil {
		return d.refuseMetadata(w, r, "", err)
	}
	err = d.store.Atomic(r.Context(), func(ctx context.Context) error {
		if err := d.consumeInitial(ctx, initial); err != nil {
			return err
		}
		return d.keep(ctx, r, c, "registered")
	})
	if errors.Is(err, errNoToken) {
		return d.noToken(w, true)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, d.clientInformation(c, secret, access))
}

// registrationURI returns the endpoint for discovery, empty if registration is off.
func (d *Handler) registrationURI() string {
	if !d.registers {
		return ""
	}
	return d.issuer + pathRegister
}

// keep stores a client with its Event.
func (d *Handler) keep(ctx context.Context, r *http.Request, c broker.Client, what string) error {
	if err := d.store.PutClient(ctx, c); err != nil {
		return err
	}
	return d.store.Record(ctx, d.toolkit.Event(r,
		broker.Event{Verb: broker.EventClientChanged, Client: c.ID, Detail: map[string]string{"change": what}}))
}

// describe copies the metadata into the client, gives it a secret if it needs one, and
// validates the result.
func (d *Handler) describe(c *broker.Client, m clients.Metadata) (broker.Secret, error) {
	before := *c
	problems := m.Into(c)
	var secret broker.Secret
	switch {
	case !clients.TakesSecret(*c):
		c.SecretHashes = nil
	case len(c.SecretHashes) == 0:
		s, hash := clients.NewSecret(d.keyring, c.ID)
		secret, c.SecretHashes = s, []string{hash}
	}
	c.FirstParty, c.UpdatedAt = false, d.now()
	//defence:A14 A20 A17
	problems = append(append(problems, clients.Beyond(before, *c)...), clients.Unreachable(*c, d.egress)...)
	return secret, refused(append(problems, clients.Validate(*c)...))
}

// registered finds the client of a registration access token (RFC 7592 §3). It does not
// reveal which clients exist.
func (d *Handler) registered(ctx context.Context, id, token string) (broker.Client, error) {
	c, err := d.client(ctx, id)
	if errors.Is(err, broker.ClientUnknown) {
		return c, errNoToken
	}
	//defence:A20
	if err == nil && !clients.IsRegistrationToken(d.keyring, c, token) {
		err = errNoToken
	}
	return c, err
}

// registration is the client configuration endpoint (RFC 7592 §2).
func (d *Handler) registration(w http.ResponseWriter, r *http.Request) error {
	token, err := headerToken(r)
	if err != nil {
		return d.noToken(w, false)
	}
	id := r.PathValue("id")
	c, err := d.registered(r.Context(), id, token)
	if err == nil {
		switch r.Method {
		case http.MethodPut:
			return d.reregister(w, r, token)
		case http.MethodDelete:
			err = d.unregister(r, id, token)
			if err == nil {
				w.WriteHeader(http.StatusNoContent)
			}
		default:
			return writeJSON(w, http.StatusOK, d.clientInformation(c, "", token))
		}
	}
	if errors.Is(err, errNoToken) {
		return d.noToken(w, true)
	}
	return err
}

// reregister replaces a client's registration (RFC 7592 §2.2). It reads the client again
// in the transaction, so that it keeps an operator's concurrent change, above all
// disabling the client.
func (d *Handler) reregister(w http.ResponseWriter, r *http.Request, token string) error {
	id := r.PathValue("id")
	m, err := readMetadata(r)
	if err != nil {
		return d.refuseMetadata(w, r, id, err)
	}
	var c broker.Client
	var secret broker.Secret
	err = d.store.Atomic(r.Context(), func(ctx context.Context) error {
		//defence:A20
		if c, err = d.registered(ctx, id, token); err != nil {
			return err
		}
		if err := d.same(c, m); err != nil {
			return err
		}
		if secret, err = d.describe(&c, m); err != nil {
			return err
		}
		return d.keep(ctx, r, c, "changed by itself")
	})
	switch {
	case errors.Is(err, errNoToken):
		return d.noToken(w, true)
	case err != nil:
		return d.refuseMetadata(w, r, id, err)
	}
	return writeJSON(w, http.StatusOK, d.clientInformation(c, secret, token))
}

// same checks that the body of an update is for this client.
func (d *Handler) same(c broker.Client, m clients.Metadata) error {
	if m.ClientID != c.ID {
		return refusedMetadata{"invalid_client_metadata", "client_id: must be the one of this client."}
	}
	if m.ClientSecret == "" {
		return nil
	}
	for _, hash := range c.SecretHashes {
		if clients.SameSecret(d.keyring, c.ID, m.ClientSecret, hash) {
			return nil
		}
	}
	return refusedMetadata{"invalid_client_metadata", "client_secret: is not the one of this client; leave it out."}
}

func (d *Handler) unregister(r *http.Request, id, token string) error {
	return d.store.Atomic(r.Context(), func(ctx context.Context) error {
		if _, err := d.registered(ctx, id, token); err != nil {
			return err
		}
		if err := d.store.DeleteClient(ctx, id); err != nil {
			return err
		}
		return d.store.Record(ctx, d.toolkit.Event(r,
			broker.Event{Verb: broker.EventClientChanged, Client: id, Detail: map[string]string{"change": "removed by itself"}}))
	})
}

// refuseMetadata returns the problem to the client and records it. The caller holds a
// token, so it cannot flood the audit log.
func (d *Handler) refuseMetadata(w http.ResponseWriter, r *http.Request, client string, err error) error {
	no, ok := errors.AsType[refusedMetadata](err)
	if !ok {
		return err
	}
	e := broker.Event{Verb: broker.EventRequestRefused, Code: broker.RequestInvalid, Client: client,
		Detail: map[string]string{"error": no.name}}
	if err := d.store.Record(r.Context(), d.toolkit.Event(r, e)); err != nil {
		return err
	}
	d.toolkit.Count(broker.RequestInvalid)
	return writeJSON(w, http.StatusBadRequest, map[string]string{"error": no.name, "error_description": no.text})
}

// noToken writes the response of RFC 6750 §3. shown reports whether there was a token,
// which is then invalid.
func (d *Handler) noToken(w http.ResponseWriter, shown bool) error {
	value := `Bearer realm="` + d.issuer + `"`
	if !shown {
		w.Header().Set("WWW-Authenticate", value)
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	w.Header().Set("WWW-Authenticate", value+`, error="invalid_token"`)
	return writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
}

// headerToken returns the bearer token of the header. It reads no other place.
func headerToken(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || len(r.Header.Values("Authorization")) > 1 || token == "" ||
		len(token) > 1024 {
		return "", errNoToken
	}
	return strings.TrimSpace(token), nil
}
