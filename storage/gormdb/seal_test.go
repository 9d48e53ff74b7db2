package gormdb_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/seal"
	"gatehouse/storage/gormdb"
)

const planted = "planted-secret-7c1e"

// plant stores the secret in every place for one.
func plant(t *testing.T, d *gormdb.DB, id string) {
	t.Helper()
	for _, err := range []error{
		d.PutConnection(t.Context(), broker.Connection{
			ID: id, State: broker.Live, Secrets: []broker.Secret{broker.Secret(planted + id)}}),
		d.AddSigningKey(t.Context(), broker.SigningKey{ID: id, State: broker.KeyNext, Private: []byte(planted + id)}),
		d.Queue(t.Context(), broker.Mail{ID: id, To: "ana@example.com",
			Subject: planted, Text: planted, HTML: planted, ExpiresAt: later()}),
		d.CheckCanary(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func later() time.Time { return time.Now().Add(time.Hour) }

func TestG17_ADumpHoldsNoPlantedSecret(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		at := sqliteFile(t)
		plant(t, open(t, at, gormdb.Options{}), "one")
		files, err := filepath.Glob(strings.TrimPrefix(at, "sqlite:") + "*")
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		var dump []byte
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			dump = append(dump, b...)
		}
		searched(t, dump)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		at := postgresSchema(t)
		plant(t, open(t, at, gormdb.Options{}), "one")
		pool := raw(t, at)
		var dump []byte
		for _, table := range []string{"connections", "signing_keys", "mails", "deployment"} {
			var rows string
			if err := pool.QueryRow(`SELECT string_agg(r::text, ' ') FROM ` + table + ` r`).Scan(&rows); err != nil {
				t.Fatal(err)
			}
			dump = append(dump, rows...)
		}
		searched(t, dump)
	})
}

func searched(t *testing.T, dump []byte) {
	t.Helper()
	if !bytes.Contains(dump, []byte("one")) {
		t.Fatal("the dump does not even hold the row's id")
	}
	for _, trace := range [][]byte{[]byte(planted), []byte(hex.EncodeToString([]byte(planted)))} {
		if bytes.Contains(dump, trace) {
			t.Fatalf("the dump holds %q", trace)
		}
	}
}

// raw opens the database without our code.
func raw(t testing.TB, at string) *sql.DB {
	t.Helper()
	driver, source := "pgx", at
	if path, ok := strings.CutPrefix(at, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_busy_timeout=5000"
	}
	pool, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

func TestG17_CiphertextSwappedBetweenRowsDoesNotOpen(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		at := new(t)
		d := open(t, at, gormdb.Options{})
		plant(t, d, "one")
		plant(t, d, "two")
		for _, c := range []struct{ table, column string }{
			{"connections", "secrets"}, {"signing_keys", "private"}, {"mails", "content"},
		} {
			if _, err := raw(t, at).Exec(`UPDATE ` + c.table +
				` SET ` + c.column + ` = (SELECT o.` + c.column + ` FROM ` + c.table +
				` o WHERE o.id = 'two') WHERE id = 'one'`); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.Connection(t.Context(), "one"); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("connection: %v", err)
		}
		list, err := d.Connections(t.Context())
		if err != nil || len(list) != 2 || list[0].State != broker.Disabled || list[0].Secrets != nil ||
			list[1].State != broker.Live {
			t.Errorf("connections: %+v, %v", list, err)
		}
		if _, err := d.SigningKeys(t.Context()); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("signing keys: %v", err)
		}
		if due, err := d.DueMail(t.Context(), time.Now(), later(), 10); err != nil || len(due) != 1 || due[0].ID != "two" {
			t.Errorf("mails: %v, %v", due, err)
		}
	})
}

func TestAMailThatDoesNotOpenDelaysNoOther(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		at := new(t)
		d := open(t, at, gormdb.Options{})
		for _, id := range []string{"bad", "good"} {
			m := broker.Mail{ID: id, ExpiresAt: later(), NextAt: time.Now().Add(-time.Hour)}
			if err := d.Queue(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		const swap = `UPDATE mails SET content = (SELECT content FROM mails WHERE id = 'good') WHERE id = 'bad'`
		if _, err := raw(t, at).Exec(swap); err != nil {
			t.Fatal(err)
		}
		due, err := d.DueMail(t.Context(), time.Now(), later(), 10)
		if err != nil || len(due) != 1 || due[0].ID != "good" {
			t.Fatalf("due %v, %v", due, err)
		}
	})
}

func TestTheCanaryDetectsAnotherKeyring(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		at, ours := new(t), keyring(t)
		open(t, at, gormdb.Options{Sealer: ours})
		errs := make(chan error)
		for range 4 { // replicas that start together
			go func() { errs <- open(t, at, gormdb.Options{Sealer: ours}).CheckCanary(context.Background()) }()
		}
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		err := open(t, at, gormdb.Options{}).CheckCanary(t.Context())
		if err == nil || !strings.Contains(err.Error(), "another keyring") {
			t.Fatalf("another keyring: %v", err)
		}
	})
}

func TestWithoutAKeyringNothingSecretIsStored(t *testing.T) {
	d, err := gormdb.Open(t.Context(), gormdb.Options{URL: sqliteFile(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"connection": d.PutConnection(t.Context(), broker.Connection{ID: "c", Secrets: []broker.Secret{"s"}}),
		"key":        d.AddSigningKey(t.Context(), broker.SigningKey{ID: "k"}),
		"mail":       d.Queue(t.Context(), broker.Mail{ID: "m"}),
		"canary":     d.CheckCanary(t.Context()),
	} {
		if err == nil || !strings.Contains(err.Error(), "keyring") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAKeyIsRotatedOnlineAndRetiredWhenUnused(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		keyring := keyring(t)
		d := open(t, new(t), gormdb.Options{Sealer: keyring})
		old := keyring.Primary()
		for i := range 120 { // more than a batch
			plant(t, d, "id"+string(rune('a'+i/26))+string(rune('a'+i%26)))
		}
		client := broker.Client{ID: "app", SecretHashes: []string{keyring.Hash("client", []byte("x"))}}
		account := broker.Account{ID: "a", Email: "a"}
		s := broker.Session{ID: "s", AccountID: "a"}
		if err := errors.Join(d.PutClient(t.Context(), client), d.CreateAccount(t.Context(), account),
			d.CreateSession(t.Context(), keyring.Hash("session", []byte("x")), s), keyring.Rotate(time.Now())); err != nil {
			t.Fatal(err)
		}
		counts(t, d, map[string]int{old: 3*120 + 1 + 2})
		if n, err := d.Reseal(t.Context()); err != nil || n != 3*120+1 {
			t.Fatalf("resealed %d, %v", n, err)
		}
		counts(t, d, map[string]int{old: 2, keyring.Primary(): 3*120 + 1})
		if n, err := d.Reseal(t.Context()); err != nil || n != 0 {
			t.Fatalf("resealed again %d, %v", n, err)
		}
		client.SecretHashes = nil
		if err := errors.Join(d.PutClient(t.Context(), client), d.EndSession(t.Context(), "s", time.Now()),
			keyring.Retire(old)); err != nil {
			t.Fatal(err)
		}
		counts(t, d, map[string]int{keyring.Primary(): 3*120 + 1})
		if c, err := d.Connection(t.Context(), "idaa"); err != nil || c.Secrets[0].Reveal() != planted+"idaa" {
			t.Fatalf("after the old key left: %v", err)
		}
		if err := d.CheckCanary(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func counts(t *testing.T, d *gormdb.DB, want map[string]int) {
	t.Helper()
	got, err := d.SealedWith(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("counted %v, want %v", got, want)
	}
	for k, n := range want {
		if got[k] != n {
			t.Fatalf("counted %v, want %v", got, want)
		}
	}
}
