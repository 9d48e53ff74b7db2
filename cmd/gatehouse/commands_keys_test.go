package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// keyring puts a key in front of the operator's keyring, older than a test can wait.
func (o *operator) keyring(id string, created time.Time) {
	o.t.Helper()
	path := filepath.Join(o.dir, "data", "keyring.json")
	var keyring struct {
		Keys []map[string]any `json:"keys"`
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &keyring)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		o.t.Fatal(err)
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	keyring.Keys = append([]map[string]any{{"id": id, "created": created.UTC().Truncate(time.Second),
		"secret": base64.RawURLEncoding.EncodeToString(secret)}}, keyring.Keys...)
	if text, err = json.Marshal(keyring); err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// freeKeys ends the lease of the process that changed the signing keys last.
func (o *operator) freeKeys(h *app) { o.t.Helper(); o.leaseKeys(h, h.now()) }

// leaseKeys gives the lease of the signing keys to another process, until a time within the hour.
func (o *operator) leaseKeys(h *app, until time.Time) {
	o.t.Helper()
	ok, err := h.store.Lease(o.t.Context(), "signing-keys", "another", h.now().Add(time.Hour), until)
	if err != nil || !ok {
		o.t.Fatal(ok, err)
	}
}

type keysShown struct {
	Signing []struct{ Kid, Alg, State string }
	Keyring []struct {
		ID      string
		Primary bool
		Uses    int
	}
}

// states are the ids of the signing keys by their state.
func (o *operator) states() (by map[string][]string) {
	o.t.Helper()
	var v keysShown
	o.shows(&v, "keys", "list")
	by = map[string][]string{}
	for _, k := range v.Signing {
		by[k.State] = append(by[k.State], k.Kid)
	}
	return by
}

func TestTheKeyringRotatesWhileAServerRuns(t *testing.T) {
	t.Parallel() // it waits until the server looks at the file
	w := newHarness(t)
	o := operatorOf(w)
	b := w.signedIn("ben@example.test", "Ben Carter")
	started := newBrowser(t)
	started.open(w.file.App + "/login")
	started.click("Continue with Google")
	demo := w.file.Clients[0]
	old := w.h.keyring.Primary()
	sealed := func() map[string]int {
		n, err := w.h.store.SealedWith(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	works := func(when string) {
		t.Helper()
		if !w.remembers(b) || !w.refreshes(b) || w.token(demo.ID, demo.Secret) != "" {
			t.Errorf("%s: session %v, refresh %v, client secret %q", when, w.remembers(b), w.refreshes(b),
				w.token(demo.ID, demo.Secret))
		}
	}
	works("before")
	before := sealed()[old]

	known := len(w.h.keyring.IDs())
	var waits []time.Duration
	o.pause = func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		works("before the server reads the file")
		for len(waits) == 1 && len(w.h.keyring.IDs()) == known { // it follows the file by itself
			if err := broker.Pause(t.Context(), 10*time.Millisecond); err != nil {
				return err
			}
		}
		_, err := w.h.keyring.Reload(w.h.cfg.Keyring) // for the second time the test need not wait
		works("after the server has read it")
		return err
	}
	got := o.in("", "keys", "rotate", "--wait", "3s", "--json")
	if !slices.Equal(waits, []time.Duration{3 * time.Second, 3 * time.Second}) {
		t.Errorf("it waited for %v", waits)
	}
	var v struct {
		Primary  string
		Resealed int
	}
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || got.code != success || v.Resealed < 5 {
		t.Fatalf("exit %d, %v: %s%s", got.code, err, got.out, got.err)
	}
	if w.h.keyring.Primary() != v.Primary || v.Primary == old {
		t.Errorf("the server uses %s, not %s", w.h.keyring.Primary(), v.Primary)
	}
	works("after")
	w.signedIn("ana@example.test", "Ana Silva")
	started.click("Ana") // an attempt from before the rotation goes on
	started.press("Link and sign in", "password", demoPassword)
	w.returned(started, "Ana Silva")
	now := sealed()
	if now[v.Primary] < v.Resealed || now[old] >= before {
		t.Errorf("sealed with %v, before %d with %s", now, before, old)
	}
	// What is left under the old key are hashes: of clients' secrets and of sessions.
	o.isRefused("a secret of the client courts-booking is hashed with "+old, "keys", "retire", old)
}

func TestAnOldKeyIsRetiredOnlyWhenNothingNeedsIt(t *testing.T) {
	o := newOperator(t)
	o.keyring("kold", time.Now().Add(-90*24*time.Hour))
	var c clientView
	o.shows(&c, "clients", "add", "--id", "wiki", "--name", "Wiki", "--redirect-uri", "https://wiki.example.test/")
	o.doesWith("s", "connections", "add", "hub", "--live", "--kind", "github", "--name", "Hub", "--client-id", "c",
		"--client-secret-file", "-")
	o.isRefused("kold is the primary key; rotate the keyring first", "keys", "retire", "kold")
	o.isRefused(`no key "kbogus"`, "keys", "retire", "kbogus")

	o.keyring("knew", time.Now().Add(-31*24*time.Hour)) // rotated a month ago
	o.isRefused("the client wiki is hashed with kold", "keys", "retire", "kold")
	o.does("clients", "secret", "wiki")
	o.isRefused("the client wiki is hashed with kold", "keys", "retire", "kold") // the one before is good still
	o.does("clients", "secret", "wiki")
	o.isRefused("still need kold", "keys", "retire", "kold")
	if _, err := o.store().store.Reseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.does("keys", "retire", "kold")
	var v keysShown
	if o.shows(&v, "keys", "list"); len(v.Keyring) != 1 || v.Keyring[0].ID != "knew" || !v.Keyring[0].Primary {
		t.Errorf("the keyring: %+v", v.Keyring)
	}
	o.does("connections", "show", "hub")

	o.does("keys", "rotate", "--wait", "0s")
	o.does("clients", "secret", "wiki")
	o.does("clients", "secret", "wiki")
	o.isRefused("refresh tokens from the time of knew may live until", "keys", "retire", "knew")
}

func TestAKeyringOfTheEnvironmentIsRotatedWhereItIsKept(t *testing.T) {
	o := newOperator(t)
	o.keyring("kenv", time.Now())
	text, err := os.ReadFile(filepath.Join(o.dir, "data", "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	o.vars = map[string]string{"RING": string(text)}
	o.configure("keyring: env:RING")
	o.does("migrate")
	o.isRefused("comes from the environment", "keys", "rotate")
	o.isRefused("comes from the environment", "keys", "retire", "kenv")
	o.does("keys", "list")
}

func TestAKeyringForPostgreSQLIsMadeOnRequestAndNeverOverwritten(t *testing.T) {
	o := newOperator(t)
	keyring := filepath.Join(o.dir, "elsewhere", "keyring.json")
	o.does("keys", "create", keyring)
	info, err := os.Stat(keyring)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	was, err := os.ReadFile(keyring)
	if err != nil {
		t.Fatal(err)
	}
	o.isRefused("exists already", "keys", "create", keyring)
	if is, err := os.ReadFile(keyring); err != nil || string(is) != string(was) {
		t.Errorf("it was overwritten: %v", err)
	}
	o.configure("keyring: " + keyring)
	o.does("migrate")
	var v keysShown
	if o.shows(&v, "keys", "list"); len(v.Keyring) != 1 || !strings.Contains(string(was), v.Keyring[0].ID) {
		t.Errorf("another keyring is in use: %+v", v.Keyring)
	}
}

func TestAKeyringIsMadeOnceAndNeverBesideADatabaseThatStands(t *testing.T) {
	o := newOperator(t)
	keyring := filepath.Join(o.dir, "data", "keyring.json")
	o.does("check") // changes nothing
	if entries, err := os.ReadDir(filepath.Join(o.dir, "data")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("check made %v", entries)
	}
	o.does("migrate")
	info, err := os.Stat(keyring)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	was, err := os.ReadFile(keyring)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		o.does("migrate")
	}
	if is, err := os.ReadFile(keyring); err != nil || string(is) != string(was) {
		t.Errorf("it changed by itself, %v", err)
	}
	if err := os.Rename(keyring, keyring+".lost"); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"migrate", "serve", "accounts list", "check"} {
		got := o.in("", strings.Fields(line)...)
		if got.code != failure || !strings.Contains(got.out+got.err, "is missing; restore its backup") {
			t.Errorf("%s: exit %d\n%s%s", line, got.code, got.out, got.err)
		}
	}
	if _, err := os.Stat(keyring); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a fresh keyring took the place of the lost one: %v", err)
	}
	o.keyring("kother", time.Now())
	o.isRefused("sealed with another keyring", "accounts", "list")
	if err := os.Rename(keyring+".lost", keyring); err != nil {
		t.Fatal(err)
	}
	o.does("accounts", "list")
	if err := os.Chmod(keyring, 0o644); err != nil {
		t.Fatal(err)
	}
	o.isRefused("run chmod 600", "accounts", "list")
}

func TestA22_SigningKeysRotateOnScheduleAndImmediatelyInAnEmergency(t *testing.T) {
	o := newOperator(t)
	h := o.store()
	if err := h.signingKeys().Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := o.states()
	if len(first["active"]) != 3 {
		t.Fatalf("the keys: %v", first)
	}
	o.leaseKeys(h, h.now().Add(30*time.Minute))
	o.pause = func(context.Context, time.Duration) error { o.freeKeys(h); return nil } // the other process is done
	told := o.in("", "keys", "rotate-signing")
	if told.code != success {
		t.Fatalf("exit %d\n%s", told.code, told.err)
	}
	if !strings.Contains(told.err, "waiting 11s until another process is done with the signing keys") {
		t.Errorf("it did not say why it waited: %q", told.err)
	}
	second := o.states()
	if !slices.Equal(first["active"], second["active"]) || len(second["next"]) != 3 {
		t.Errorf("after rotate-signing: %v", second)
	}
	o.freeKeys(h)
	if out := o.does("keys", "rotate-signing", "--emergency"); !strings.Contains(out, "withdrawn") {
		t.Errorf("it says %q", out)
	}
	third := o.states()
	if len(third["active"]) != 3 || len(third["next"]) != 0 || len(third["retired"]) != 0 ||
		slices.ContainsFunc(third["active"], func(kid string) bool {
			return slices.Contains(first["active"], kid) || slices.Contains(second["next"], kid)
		}) {
		t.Errorf("after an emergency: %v, before %v and %v", third, first, second)
	}
	var events []eventView
	o.shows(&events, "audit", "--verb", "key.changed")
	events = slices.DeleteFunc(events, func(e eventView) bool { return e.Actor != "operator" })
	if len(events) != 2 || events[0].Detail["signing"] != "emergency" || events[1].Detail["signing"] != "rotated" {
		t.Errorf("events %+v", events)
	}
}
