package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/egress"
	"gatehouse/broker/mail"
	"gatehouse/providers"
)

// finding is one line of `gatehouse check`.
type finding struct {
	What    string `json:"what"`
	OK      bool   `json:"ok"`
	Problem string `json:"problem,omitempty"`
}

// runCheck looks at everything that a start needs and says what to fix. A
// configuration or database that does not open is its one finding.
func runCheck(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		if len(args) != 0 {
			return errUsage
		}
		h, err := t.house(ctx)
		if err != nil {
			return err
		}
		found := []finding{{What: "configuration", OK: true}, {What: "keyring", OK: true}, {What: "database", OK: true}}
		found = append(found, finding1("clock, "+h.store.FleetingIn(), h.store.Alive(ctx)), finding1("mail", h.checkMail(ctx)))
		connections, err := h.store.Connections(ctx)
		if err != nil {
			return err
		}
		for _, c := range connections {
			found = append(found, finding1("connection "+c.ID, h.checkConnection(ctx, c)))
		}
		bad := 0
		err = t.print(found, func(w io.Writer) {
			for _, f := range found {
				state := "ok"
				if !f.OK {
					state = f.Problem
				}
				fmt.Fprintf(w, "%s\t%s\n", f.What, state)
			}
		})
		for _, f := range found {
			if !f.OK {
				bad++
			}
		}
		if bad > 0 {
			return fmt.Errorf("%d of %d checks failed", bad, len(found))
		}
		return err
	}
}

func finding1(what string, err error) finding {
	if err != nil {
		return finding{What: what, Problem: err.Error()}
	}
	return finding{What: what, OK: true}
}

// checkMail opens a connection to the mail server, if there is one.
func (h *house) checkMail(ctx context.Context) error {
	transport, err := h.transport()
	if err != nil {
		return err
	}
	smtp, ok := transport.(*mail.SMTP)
	if !ok {
		return nil
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(smtp.Host, strconv.Itoa(smtp.Port)))
	if err != nil {
		return err
	}
	return conn.Close()
}

// checkConnection asks a live connection where it would send a browser, which
// needs its discovery document.
func (h *house) checkConnection(ctx context.Context, c broker.Connection) error {
	if c.State != broker.Live {
		return nil
	}
	for _, p := range providers.Problems(c) {
		return fmt.Errorf("%s", p)
	}
	out, err := egress.New(egress.Options{Allow: h.cfg.UpstreamNetworks})
	if err != nil {
		return err
	}
	up, err := h.upstreams(out).Open(ctx, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	_, err = up.Begin(ctx, broker.Trip{Connection: c.ID, State: broker.NewToken(), Nonce: broker.NewToken(), Verifier: broker.NewToken(), Callback: h.callback(c.ID), StartedAt: h.now()})
	return err
}
