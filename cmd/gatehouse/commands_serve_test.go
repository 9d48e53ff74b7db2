package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// printed is what a running command has printed so far.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}
func (p *printed) String() string { p.mu.Lock(); defer p.mu.Unlock(); return p.text.String() }

// running is a command that runs until it is stopped.
type running struct {
	t        *testing.T
	out, err printed
	stop     context.CancelFunc
	ended    chan int
}

// runs starts a command and waits until it has printed the words.
func (o *operator) runs(until string, args ...string) *running {
	o.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{t: o.t, stop: stop, ended: make(chan int, 1)}
	o.t.Cleanup(stop)
	go func() {
		term := o.terminal(strings.NewReader(""), &r.out, &r.err)
		term.program = "./gatehouse"
		r.ended <- run(ctx, args, term)
	}()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(r.out.String(), until); time.Sleep(
		10 * time.Millisecond) {
		select {
		case code := <-r.ended:
			o.t.Fatalf("%q ended with %d:\n%s%s", args, code, r.out.String(), r.err.String())
		default:
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("%q did not print %q:\n%s%s", args, until, r.out.String(), r.err.String())
		}
	}
	return r
}

// ends interrupts the command.
func (r *running) ends() {
	r.t.Helper()
	r.stop()
	select {
	case code := <-r.ended:
		if code != success {
			r.t.Errorf("it ended with %d:\n%s", code, r.err.String())
		}
	case <-time.After(20 * time.Second):
		r.t.Fatal("it did not end")
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestServeWithoutAConfigurationSaysWhatANewcomerDoesNext(t *testing.T) {
	dir := t.TempDir()
	listen, operations := freeAddress(t), freeAddress(t)
	o := &operator{t: t, dir: dir, vars: map[string]string{"GATEHOUSE_LISTEN": listen,
		"GATEHOUSE_OPERATIONS_LISTEN": operations, "GATEHOUSE_DATA_DIR": filepath.Join(dir, "data")}}
	issuer := "http://localhost" + listen[strings.LastIndex(listen, ":"):]
	r := o.runs("Gatehouse serves "+issuer, "serve")
	status, body := get(t, "http://"+listen+"/.well-known/openid-configuration") // by another name: refused
	if status != http.StatusMisdirectedRequest {
		t.Errorf("by its address: %d %s", status, body)
	}
	if status, body = get(t, issuer+"/.well-known/openid-configuration"); status != http.StatusOK ||
		!strings.Contains(body, fmt.Sprintf("%q", issuer)) {
		t.Errorf("discovery: %d %s", status, body)
	}
	for _, path := range []string{"/healthz/live", "/healthz/ready", "/metrics"} {
		if status, _ := get(t, "http://"+operations+path); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
	steps := []string{"  ./gatehouse accounts add you@example.com", "  ./gatehouse connections add google",
		"  ./gatehouse clients add"}
	for _, step := range append(steps, "Next, in another terminal", filepath.Join(dir, "data", "gatehouse.db"),
		filepath.Join(dir, "data", "mailbox")) {
		if !strings.Contains(r.out.String(), step) {
			t.Errorf("it does not say %q:\n%s", step, r.out.String())
		}
	}
	r.ends()

	// What was done is not asked for again; and the same as JSON.
	o.config = o.file("empty.yaml", "")
	o.does("accounts", "add", "ana@example.test")
	r = o.runs("}", "serve", "--json", "--config", o.config)
	var v struct {
		Issuer string
		Next   []string
	}
	if err := json.Unmarshal([]byte(r.out.String()), &v); err != nil || v.Issuer != issuer || len(v.Next) != 2 ||
		!strings.HasSuffix(v.Next[0], " --config "+o.config) {
		t.Errorf("%v: %s", err, r.out.String())
	}
	r.ends()
	o.doesWith("s", "connections", "add", "hub", "--live", "--kind", "github", "--name", "Hub", "--client-id", "c",
		"--client-secret-file", "-")
	o.does("clients", "add", "--name", "Wiki", "--redirect-uri", "https://wiki.example.test/")
	r = o.runs("Gatehouse serves", "serve")
	r.ends()
	if strings.Contains(r.out.String(), "another terminal") {
		t.Errorf("it still asks for more:\n%s", r.out.String())
	}
}

func TestAWrongStartStopsWithOneMessageThatSaysWhatToFix(t *testing.T) {
	o := newOperator(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	listen := "listen: " + freeAddress(t)
	o.keyring("kown", time.Now())
	garbage := o.file("garbage.db", strings.Repeat("this is no database\n", 100))
	folder := t.TempDir()
	for name, tc := range map[string]struct {
		says  []string
		lines []string
	}{
		"two wrong settings": {[]string{"issuer (line 3): plain http is for localhost only: use https",
			"registration (line 4): write one of"}, []string{"issuer: http://login.example.com", "registration: maybe"}},
		"an unknown setting": {[]string{"isuer (line 3): unknown setting"}, []string{"isuer: x"}},
		"a taken port": {[]string{"address already in use; choose another address with `listen`"},
			[]string{"listen: " + taken.Addr().String()}},
		"a taken operations": {[]string{"choose another address with `operations.listen`"},
			[]string{listen, "GATEHOUSE_OPERATIONS_LISTEN=" + taken.Addr().String()}},
		"no database": {[]string{"file is not a database", "see `database`"},
			[]string{listen, "database: sqlite:" + garbage}},
		"a folder": {[]string{"is a directory", "database: "}, []string{listen, "database: sqlite:" + folder}},
		"no PostgreSQL": {[]string{"connection refused", "see `database`"},
			[]string{listen, "database: postgres://gatehouse@127.0.0.1:1/gatehouse", "keyring: " + o.keyringFile()}},
		"no keyring file": {[]string{"the keyring /nowhere/ring.json is missing"},
			[]string{listen, "database: postgres://gatehouse@127.0.0.1:1/gatehouse", "keyring: /nowhere/ring.json"}},
		"no certificate": {[]string{"/nowhere/tls.crt", "see `tls.cert` and `tls.key`"},
			[]string{listen, "issuer: https://login.example.com", "tls: {cert: /nowhere/tls.crt, key: /nowhere/tls.key}"}},
		"a wrong connection": {[]string{"connections[0] (hub):", "client_id is missing"},
			[]string{listen, "connections: [{id: hub, kind: github, name: Hub}]"}},
		"a wrong client": {[]string{"clients[0] (wiki):", "parameter of the response"},
			[]string{listen, `clients: [{id: wiki, name: Wiki, public: true, redirect_uris: ["https://` +
				`wiki.example.test/?code=1"]}]`}},
	} {
		o.vars = map[string]string{}
		o.configure(slices.DeleteFunc(slices.Clone(tc.lines), func(line string) bool {
			name, value, isVar := strings.Cut(line, "=")
			if isVar = isVar && strings.HasPrefix(name, "GATEHOUSE_"); isVar {
				o.vars[name] = value
			}
			return isVar
		})...)
		got := o.in("", "serve")
		if got.code != failure || got.out != "" || !strings.HasPrefix(got.err, "gatehouse serve: ") || strings.Count(got.err,
			"gatehouse serve:") != 1 {
			t.Errorf("%s: exit %d\n%s%s", name, got.code, got.out, got.err)
		}
		for _, says := range tc.says {
			if !strings.Contains(got.err, says) {
				t.Errorf("%s: want %q in:\n%s", name, says, got.err)
			}
		}
	}
}

// ringFile is a keyring of its own.
func (o *operator) keyringFile() string {
	o.t.Helper()
	other := &operator{t: o.t, dir: o.t.TempDir()}
	other.keyring("kown", time.Now())
	return filepath.Join(other.dir, "data", "keyring.json")
}

func TestTheDemoPrintsATourAndWritesWhatAScriptNeeds(t *testing.T) {
	o := &operator{t: t, dir: t.TempDir()}
	data := filepath.Join(o.dir, "demo")
	r := o.runs("Ctrl-C ends it", "demo", "--addr", "localhost:0", "--data", data)
	text, err := os.ReadFile(filepath.Join(data, "demo.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Issuer, App, Mailbox string
		Clients              []struct {
			ID           string   `json:"client_id"`
			Secret       string   `json:"client_secret"`
			RedirectURIs []string `json:"redirect_uris"`
			AuthMethod   string   `json:"token_endpoint_auth_method"`
		}
		Accounts    []struct{ Email, Password, Note string }
		Connections []struct{ ID, Kind, Name, Issuer string }
		Personas    []struct{ Connection, Login, Email, Note string }
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	for _, part := range []string{v.Issuer, v.App, v.Mailbox, v.Accounts[0].Password, data} {
		if part == "" || !strings.Contains(r.out.String(), part) {
			t.Errorf("the tour does not name %q:\n%s", part, r.out.String())
		}
	}
	for _, address := range []string{v.Issuer + "/.well-known/openid-configuration", v.App, v.Mailbox} {
		if status, _ := get(t, address); status != http.StatusOK {
			t.Errorf("%s: %d", address, status)
		}
	}
	app, native := v.Clients[0], v.Clients[1]
	if len(v.Clients) != 2 || app.AuthMethod != "client_secret_basic" || app.Secret == "" || native.AuthMethod != "none" ||
		native.Secret != "" || !strings.HasPrefix(native.RedirectURIs[0], "http://127.0.0.1/") {
		t.Errorf("its clients: %+v", v.Clients)
	}
	for _, p := range v.Personas {
		if !slices.ContainsFunc(v.Connections, func(c struct{ ID, Kind, Name, Issuer string }) bool {
			return c.ID == p.Connection && c.Issuer != "" && c.Kind != ""
		}) || p.Login == "" || p.Note == "" {
			t.Errorf("%+v has no connection", p)
		}
	}
	o.config = filepath.Join(data, "gatehouse.yaml")
	if out := o.does("accounts", "list"); !strings.Contains(out, v.Accounts[0].Email) { // beside the running demo
		t.Errorf("its accounts:\n%s", out)
	}
	o.does("check")
	for _, p := range v.Personas { // the README explains sign-ins with them
		claims := filepath.Join(data, "claims", p.Connection+"-"+p.Login+".json")
		if out := o.does("explain", "--connection", p.Connection, "--claims", claims); strings.Contains(out,
			"another issuer") {
			t.Errorf("explain does not know the claims of %+v:\n%s", p, out)
		}
	}
	r.ends()
	if r.err.String() != "" {
		t.Errorf("beside the tour it says: %s", r.err.String())
	}
	o.isRefused("is not empty", "demo", "--addr", "localhost:0", "--data", data)
	o.isRefused("loopback host", "demo", "--addr", "0.0.0.0:0")

	t.Chdir(o.dir)
	r = o.runs("}\n", "demo", "--addr", "localhost:0", "--json")
	again := v
	if err := json.Unmarshal([]byte(r.out.String()), &again); err != nil || again.Issuer == "" || len(again.Clients) != 2 {
		t.Errorf("%v:\n%s", err, r.out.String())
	}
	folder := "gatehouse-demo-" + again.Issuer[strings.LastIndex(again.Issuer, ":")+1:]
	if !exists(filepath.Join(folder, "gatehouse.yaml")) {
		t.Errorf("without --data there is no %s", folder)
	}
	r.ends()
	if exists(folder) {
		t.Errorf("%s is still there after the end", folder)
	}
}

func TestTheDemosAddressesStayTheSameAndAKilledDemoIsCleanedUp(t *testing.T) {
	t.Chdir(t.TempDir())
	port := freePorts(t, 3)
	addr := fmt.Sprintf("localhost:%d", port)
	left := fmt.Sprintf("gatehouse-demo-%d", port)
	if err := errors.Join(os.Mkdir(left, 0o700),
		os.WriteFile(filepath.Join(left, "gatehouse.yaml"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	o := &operator{t: t}
	r := o.runs("Ctrl-C ends it", "demo", "--addr", addr)
	for _, part := range []string{"http://" + addr, fmt.Sprint("http://127.0.0.1:", port+1),
		fmt.Sprint("http://127.0.0.1:", port+2), "--config " + left} {
		if !strings.Contains(r.out.String(), part) {
			t.Errorf("the tour does not name %s:\n%s", part, r.out.String())
		}
	}
	r.ends()
}

// freePorts returns the first of n neighbouring ports of which each is free.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 50 {
		first, err := strconv.Atoi(freeAddress(t)[len("127.0.0.1:"):])
		if err != nil {
			t.Fatal(err)
		}
		free := true
		for port := first; port < first+n; port++ {
			l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
			if free = free && err == nil; err == nil {
				l.Close()
			}
		}
		if free {
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

func TestAHangupDoesNotEndTheServer(t *testing.T) {
	dir := t.TempDir()
	operations := freeAddress(t)
	o := &operator{t: t, dir: dir, vars: map[string]string{"GATEHOUSE_LISTEN": freeAddress(t),
		"GATEHOUSE_OPERATIONS_LISTEN": operations, "GATEHOUSE_DATA_DIR": filepath.Join(dir, "data")}}
	r := o.runs("Gatehouse serves", "serve")
	hangUp := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		hangUp()
		if status, _ := get(t, "http://"+operations+"/healthz/live"); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+operations+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host: %v, %v", res, err)
	}
	r.ends()
	hangUp() // a signal of before may arrive only now, too
}
