package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
	"gatehouse/broker/egress"
	"gatehouse/broker/mail"
	"gatehouse/broker/web"
	"gatehouse/config"
	"gatehouse/storage"
	"gatehouse/storage/redisdb"
)

type finding = admin.Finding

// inspection checks everything that a start needs, and goes on after a problem.
type inspection struct {
	*app
	found []finding
}

// see records the outcome of one check.
func (i *inspection) see(what, note string, err error) {
	f := finding{What: what, OK: err == nil, Note: note}
	if err != nil {
		f.Problem, f.Note = explain(err), ""
	}
	i.found = append(i.found, f)
}

type checkCmd struct{}

// Run reports every problem and changes nothing: it creates no keyring and no database, and
// migrates none.
func (*checkCmd) Run(ctx context.Context, t *tool) error {
	i := &inspection{app: &app{log: newLog(t.err, slog.LevelError), now: time.Now}}
	var err error
	if i.cfg, err = t.validate(); err != nil {
		i.misconfigured(err)
	} else {
		i.see("configuration", "", nil)
	}
	if i.cfg != nil {
		i.everything(ctx)
	}
	if i.store != nil {
		defer i.close()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	bad := 0
	for _, f := range i.found {
		if !f.OK {
			bad++
		}
	}
	err = t.print(i.found, func(w io.Writer) {
		for _, f := range i.found {
			row(w, f.What, f.Verdict(), f.Problem+f.Warning+f.Note)
		}
	})
	if bad > 0 {
		return fmt.Errorf("%d of %d checks failed", bad, len(i.found))
	}
	return err
}

// misconfigured records each wrong setting.
func (i *inspection) misconfigured(err error) {
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		i.see("configuration", "", err)
	}
	for _, p := range problems {
		where := strings.TrimSpace("configuration " + p.Key)
		if p.From != "" {
			where += " (" + p.From + ")"
		}
		i.see(where, "", errors.New(p.Fix))
	}
}

func (i *inspection) everything(ctx context.Context) {
	if i.cfg.TLS.Cert != "" {
		note, err := i.certificate()
		i.see("certificate", note, err)
	}
	if i.cfg.CreateKeyring && !exists(i.cfg.Keyring) && !i.cfg.DatabaseExists() {
		i.see("keyring", "none yet: the first start creates "+i.cfg.Keyring, nil)
	} else {
		var err error
		i.keyring, err = openKeyring(i.cfg, i.now())
		i.see("keyring", "", err)
	}
	i.database(ctx)
	if i.cfg.Redis != "" {
		i.see("redis", "", i.redis(ctx))
	}
	note := ""
	if i.cfg.Mail.SMTP == "" {
		note = "no server: mails are files in " + i.cfg.Mail.Folder
	}
	i.see("mail", note, i.checkMail(ctx))
	i.connections(ctx)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// certificate loads the certificate and its key, and says when it expires.
func (i *inspection) certificate() (note string, _ error) {
	end, err := web.CertificateEnd(i.cfg.TLS.Cert, i.cfg.TLS.Key)
	if err == nil && i.now().After(end) {
		err = fmt.Errorf("it expired on %s UTC", admin.Date(end))
	}
	return "valid until " + admin.Date(end) + " UTC", err
}

// database opens the store if it can be used as it is.
func (i *inspection) database(ctx context.Context) {
	if path, sqlite := i.cfg.SQLite(); sqlite && !exists(path) {
		i.see("database", "none yet: the first start creates "+path, nil)
		return
	}
	o := storage.Options{Database: i.cfg.Database.Reveal(), Pool: 1, Now: i.now, Log: i.log}
	if i.keyring != nil {
		o.Sealer = i.keyring
	}
	store, err := storage.Open(ctx, o)
	if err != nil {
		i.see("database", "", err)
		return
	}
	schema, err := store.MigrationStatus(ctx)
	switch {
	case err == nil && schema.Database < schema.Binary:
		i.see("database", fmt.Sprintf("has schema %d, and this version %d: serve and migrate migrate it",
			schema.Database, schema.Binary), nil)
	case err == nil && i.keyring == nil:
		i.see("database", "its secrets are not checked: the keyring is missing", store.DB.Ready(ctx))
	default:
		if err == nil {
			err = store.Ready(ctx)
		}
		i.see("database", "", err)
		if err == nil {
			i.see("clock", "", store.Alive(ctx))
			i.store = store
			return
		}
	}
	_ = store.Close()
}

func (i *inspection) redis(ctx context.Context) error {
	db, err := redisdb.Open(ctx, redisdb.Options{URL: i.cfg.Redis.Reveal(), Pool: 1, Now: i.now, Log: i.log})
	if err != nil {
		return err
	}
	return errors.Join(db.CheckPolicy(ctx), db.Close())
}

// checkMail logs in to the mail server, if one is configured, and sends nothing.
func (h *app) checkMail(ctx context.Context) error {
	if h.cfg.Mail.SMTP == "" {
		return nil
	}
	transport, err := h.transport()
	if err != nil {
		return err
	}
	if server, ok := transport.(*mail.SMTP); ok {
		err = server.Check(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w; see `mail.smtp`", err)
	}
	return nil
}

// connections checks the connections of the database with the configuration's
// declarations applied.
func (i *inspection) connections(ctx context.Context) {
	var stored []broker.Connection
	if i.store != nil {
		var err error
		if stored, err = i.store.Connections(ctx); err != nil {
			i.see("connections", "", err)
		}
	}
	all := admin.Declared(stored, i.declaredConnections(), i.now())
	out, err := egress.New(egress.Options{Allow: i.cfg.UpstreamNetworks})
	if err != nil {
		i.see("connections", "", err)
		return
	}
	check := i.connectionCheck(out)
	for _, c := range all {
		if slices.ContainsFunc(i.found, func(f finding) bool {
			return strings.HasPrefix(f.What, "configuration connections[") && strings.HasSuffix(f.What, "("+c.ID+")")
		}) {
			continue // it was reported already
		}
		switch c.State {
		case broker.Live:
			i.see("connection "+c.ID, "", check.Try(ctx, c, all))
		case broker.Draft:
			i.seeDraft(c.ID, check.Try(ctx, c, all))
		default:
			i.see("connection "+c.ID, "not checked: it is "+string(c.State), nil)
		}
	}
}

// seeDraft records the outcome for a draft. A failure is only a warning, because people cannot use it yet.
func (i *inspection) seeDraft(id string, err error) {
	f := finding{What: "connection " + id, OK: true}
	if err != nil {
		f.Warning = "it is a draft, and no sign-in can work: " + explain(err)
	} else {
		f.Note = "it is a draft, and its provider answers; connections enable " + id + " puts it on the sign-in page"
	}
	i.found = append(i.found, f)
}
