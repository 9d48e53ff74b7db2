package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const startSecret = "planted-in-the-configuration-1234567890"

// start runs serve, which must end by itself, and returns its output.
func (o *operator) start() outcome {
	o.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	got := o.until(ctx, strings.NewReader(""), "serve", "--json")
	if ctx.Err() != nil {
		o.t.Errorf("it went on serving")
	}
	return got
}

// givesUp fails unless the start ended with one message that says each of want,
// shows no secret and no stack, and nothing of a server that got going.
func (o *operator) givesUp(want ...string) {
	o.t.Helper()
	got := o.start()
	got.err = regexp.MustCompile(`(?m)^\{.*\}\n`).ReplaceAllString(got.err, "") // lines of the log
	if got.code != failure || got.out != "" || strings.Count(got.err, "gatehouse serve: ") != 1 ||
		!strings.HasPrefix(got.err, "gatehouse serve: ") {
		o.t.Errorf("exit %d, want %d and one message:\n%s%s", got.code, failure, got.out, got.err)
	}
	for _, w := range want {
		if !strings.Contains(got.err, w) {
			o.t.Errorf("the message does not say %q:\n%s", w, got.err)
		}
	}
	for _, never := range []string{startSecret, "goroutine ", "panic", "%!", "<nil>", ".go:"} {
		if strings.Contains(got.err, never) {
			o.t.Errorf("the message has %q:\n%s", never, got.err)
		}
	}
	if len(got.err) > 3000 {
		o.t.Errorf("the message has %d bytes", len(got.err))
	}
}

func TestG15_AWrongConfigurationStopsTheStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().String()
	const listen = "listen: localhost:0\nissuer: http://localhost\n"
	client := func(lines string) string {
		return listen + "clients:\n  - id: app\n    name: App\n    redirect_uris: [https://app.example.com/cb]\n" + lines
	}
	for name, c := range map[string]struct {
		file string
		vars map[string]string
		want []string
	}{
		"no YAML":              {file: "issuer: [", want: []string{"YAML"}},
		"another kind of YAML": {file: "- a\n- b\n", want: []string{"config"}},
		"bytes":                {file: "\x00\xff\xfe\x01", want: []string{"config"}},
		"a billion laughs": {
			file: "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c," +
				"*c,*c]\nproduct: {name: *d}\n", want: []string{"config"}},
		"an unknown key": {file: listen + "isuer: x\n", want: []string{"isuer"}},
		"a key twice":    {file: listen + "listen: localhost:1\n", want: []string{"listen", "twice"}},
		"many problems, all at once": {
			file: "issuer: ftp://x\nlisten: nowhere\ndatabase_pool: -1\nregistration: maybe\nlog: {level: loud}\n",
			want: []string{"issuer", "listen", "database_pool", "registration", "log.level"}},
		"a huge file": {file: strings.Repeat("# x\n", 1<<19), want: []string{"1 MiB"}},
		"plain http on the internet": {file: "issuer: http://login.example.com\nlisten: localhost:0\n",
			want: []string{"issuer", "https"}},
		"an issuer with a path": {file: "issuer: https://login.example.com/x\nlisten: localhost:0\n",
			want: []string{"issuer"}},
		"https without a proxy": {file: "issuer: https://login.example.com\nlisten: localhost:0\n",
			want: []string{"trusted_proxies"}},
		"a port that is taken": {file: "listen: " + port + "\n", want: []string{port, "`listen`"}},
		"operations' port is taken": {file: listen + "operations: {listen: " + port + "}\n",
			want: []string{port, "operations.listen"}},
		"an unknown database": {file: listen + "database: mysql://localhost/x\n", want: []string{"database",
			"postgres://"}},
		"a password in the file": {file: listen + "database: postgres://u:" + startSecret +
			"@db.example.com/x\nkeyring: env:RING\n", want: []string{"database", "env:NAME"}},
		"a keyring that is away": {vars: map[string]string{"GATEHOUSE_DATABASE": "postgres://u:" + startSecret +
			"@127.0.0.1:1/x?connect_timeout=2", "GATEHOUSE_KEYRING": "RING"}, file: listen, want: []string{"keyring RING"}},
		"a Redis that is away": {vars: map[string]string{"GATEHOUSE_REDIS": "redis://u:" + startSecret +
			"@127.0.0.1:1"}, file: listen, want: []string{"redis"}},
		"a Redis of no kind": {file: listen + "redis: http://127.0.0.1\n", want: []string{"redis"}},
		"PostgreSQL, no keyring": {vars: map[string]string{"GATEHOUSE_DATABASE": "postgres://u@127.0.0.1:1/x"},
			file: listen, want: []string{"keyring"}},
		"a variable that is empty": {file: listen + "keyring: env:NOSUCHRING\n", want: []string{"NOSUCHRING"}},
		"a keyring that is none": {file: listen + "keyring: env:RING\n", vars: map[string]string{"RING": startSecret},
			want: []string{"keyring"}},
		"a number that is none": {file: listen, vars: map[string]string{"GATEHOUSE_DATABASE_POOL": "many"},
			want: []string{"GATEHOUSE_DATABASE_POOL"}},
		"a certificate alone": {file: "issuer: https://localhost\nlisten: localhost:0\ntls: {cert: x.pem}\n",
			want: []string{"tls.key"}},
		"certificates that are away": {
			file: "issuer: https://localhost\nlisten: localhost:0\ntls: {cert: x.pem, key: y.pem}\n", want: []string{"x.pem"}},
		"a mail server that is none": {file: listen, vars: map[string]string{"GATEHOUSE_MAIL_SMTP": "imap://u:" +
			startSecret + "@x", "GATEHOUSE_MAIL_FROM": "a@b.example"}, want: []string{"mail.smtp"}},
		"a sender of two lines": {file: listen + "mail: {from: \"a@b.example\\r\\nBcc: c@d.example\"}\n",
			want: []string{"mail.from"}},
		"every network trusted": {file: listen + "trusted_proxies: [everybody]\n", want: []string{"trusted_proxies"}},
		"an unknown kind": {file: listen + "connections:\n  - {id: x, kind: myspace, name: X, client_id: y}\n",
			want: []string{"connections[0]", "myspace"}},
		"a bad connection id": {
			file: listen + "connections:\n  - {id: \"../x\", kind: google, name: X, client_id: y}\n",
			want: []string{"connections[0]"}},
		"a default secret": {file: client("    secret: env:S\n"), vars: map[string]string{"S": "changeme"},
			want: []string{"clients[0].secret"}},
		"a short secret": {file: client("    secret: env:S\n"), vars: map[string]string{"S": "Zx9!vb7Qw2"},
			want: []string{"clients[0].secret", "32"}},
		"a secret in the file": {file: client("    secret: " + startSecret + "\n"), want: []string{"clients[0].secret",
			"env:NAME"}},
		"a wildcard redirect": {
			file: listen + "clients:\n  - {id: app, name: App, public: true, redirect_uris: [\"https://*.example.com/cb\"]}\n",
			want: []string{"clients[0]", "wildcard"}},
		"a script as redirect": {
			file: listen + "clients:\n  - {id: app, name: App, public: true, redirect_uris: [\"javascript:alert(1)\"]}\n",
			want: []string{"clients[0]", "https"}},
		"a public app without PKCE": {
			file: listen +
				"clients:\n  - {id: app, name: App, public: true, pkce: off, redirect_uris: [\"https://" +
				"app.example.com/cb\"]}\n", want: []string{"clients[0]", "PKCE"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOperator(t)
			o.vars = c.vars
			text := c.file
			if !strings.Contains(text, "operations:") && strings.HasPrefix(text, "listen") {
				text += "operations: {listen: \"off\"}\n"
			}
			if strings.HasPrefix(text, "listen") || strings.HasPrefix(text, "issuer: h") {
				text += "data_dir: " + filepath.Join(o.dir, "data") + "\n"
			}
			o.config = o.file("wrong.yaml", text)
			o.givesUp(c.want...)
		})
	}
}

func TestAWrongPlaceStopsTheStart(t *testing.T) {
	o := newOperator(t)
	o.config = filepath.Join(o.dir, "nosuch.yaml")
	o.givesUp("nosuch.yaml")
	o.config = o.dir
	o.givesUp(o.dir)
	o.configure("listen: localhost:0", "issuer: http://localhost")
	o.file("data", "a file where the folder should be")
	o.givesUp(filepath.Join(o.dir, "data"))
}

// userTypeOf is an operator with a database that is in use.
func userTypeOf(t *testing.T) *operator {
	t.Helper()
	o := newOperator(t, "listen: localhost:0", "issuer: http://localhost")
	o.does("migrate")
	o.does("accounts", "add", "ana@example.test")
	return o
}

func (o *operator) inData(name string) string { return filepath.Join(o.dir, "data", name) }

func (o *operator) sql(statement string) {
	o.t.Helper()
	db, err := sql.Open("sqlite", o.inData("gatehouse.db"))
	if err != nil {
		o.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		o.t.Fatal(err)
	}
}

func TestG17_AWrongDatabaseOrKeyringStopsTheStart(t *testing.T) {
	other := userTypeOf(t)
	otherRing, err := os.ReadFile(other.inData("keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		harm func(o *operator)
		want []string
	}{
		"a keyring that is gone": {func(o *operator) {
			o.must(os.Remove(o.inData("keyring.json")))
		}, []string{"keyring.json", "missing"}},
		"another deployment's": {func(o *operator) {
			o.must(os.WriteFile(o.inData("keyring.json"), otherRing, 0o600))
		}, []string{"another keyring"}},
		"a keyring that is empty": {func(o *operator) { o.must(os.WriteFile(o.inData("keyring.json"), nil, 0o600)) },
			[]string{"keyring"}},
		"a keyring that is garbage": {func(o *operator) {
			o.must(os.WriteFile(o.inData("keyring.json"), []byte(startSecret), 0o600))
		}, []string{"keyring"}},
		"a keyring cut in half": {func(o *operator) {
			o.must(os.WriteFile(o.inData("keyring.json"), otherRing[:len(otherRing)/2], 0o600))
		}, []string{"keyring"}},
		"a keyring that all may read": {func(o *operator) {
			o.must(os.Chmod(o.inData("keyring.json"), 0o644))
		}, []string{"keyring.json"}},
		"a keyring that is a folder": {func(o *operator) {
			o.must(os.Remove(o.inData("keyring.json")))
			o.must(os.Mkdir(o.inData("keyring.json"), 0o700))
		}, []string{"keyring.json"}},
		"a newer schema": {func(o *operator) {
			o.sql(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
			o.sql(`UPDATE deployment SET value = X'39393939' WHERE id = 'floor'`)
		}, []string{"9999"}},
		"a floor that is no number": {func(o *operator) { o.sql(`UPDATE deployment SET value = X'78' WHERE id = 'floor'`) },
			[]string{"storage"}},
		"a database that is none": {func(o *operator) {
			o.must(os.WriteFile(o.inData("gatehouse.db"), bytes.Repeat([]byte(startSecret), 500), 0o600))
			o.run("-wal", "-shm")
		}, []string{"database"}},
		"a database cut in half": {func(o *operator) {
			o.must(os.Truncate(o.inData("gatehouse.db"), 20000))
			o.run("-wal", "-shm")
		}, []string{"storage"}},
		"a table that is gone": {func(o *operator) { o.sql(`DROP TABLE deployment`) }, []string{"storage"}},
		"a database that is away": {func(o *operator) {
			o.vars = map[string]string{"GATEHOUSE_DATABASE": "postgres://u:" + startSecret + "@127.0.0.1:1/x?connect_timeout=2",
				"GATEHOUSE_KEYRING": o.inData("keyring.json")}
		}, []string{"127.0.0.1:1", "`database`"}},
		"a database in a folder": {func(o *operator) {
			o.must(os.Remove(o.inData("gatehouse.db")))
			o.run("-wal", "-shm")
			o.must(os.Mkdir(o.inData("gatehouse.db"), 0o700))
		}, []string{"gatehouse.db"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := userTypeOf(t)
			c.harm(o)
			before := o.sum()
			o.givesUp(c.want...)
			if o.sum() != before {
				t.Error("the start changed the database or the keyring")
			}
		})
	}
}

func (o *operator) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *operator) run(suffixes ...string) {
	for _, s := range suffixes {
		_ = os.Remove(o.inData("gatehouse.db" + s))
	}
}

// sum is a fingerprint of what must never be overwritten.
func (o *operator) sum() [2][32]byte {
	var sums [2][32]byte
	for i, name := range []string{"gatehouse.db", "keyring.json"} {
		b, _ := os.ReadFile(o.inData(name)) // a folder, or nothing, is nothing
		sums[i] = sha256.Sum256(b)
	}
	return sums
}
