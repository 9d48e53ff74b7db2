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
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stack is one deployment under measurement: the binary, its stores and its upstream.
type stack struct {
	engine, binary, dir string
	issuer              string
	env                 []string
	broker              *exec.Cmd
	stores              []*exec.Cmd // PostgreSQL and Redis
	upstream            *upstream
	clients             map[string]client // by ID token alg, and jwtAccess
	rows                int               // inserted by growth
}

// client is the output of `clients add --json`.
type client struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

const (
	appRedirect = "https://app.example.test/callback"
	connection  = "upstream"
	people      = 100 // people at the upstream
	guarded     = 16  // people with a password; tries are counted by account, so workers must not share one
	password    = "a password of the bench"
	jwtAccess   = "JWT ES256" // the client whose access tokens are JWTs
)

func person(i int) string { return fmt.Sprintf("person%d@example.test", i) }

// regular returns one of the people at the upstream, a different one for the next n.
func (s *stack) regular(n int) string {
	if s.rows > 0 {
		return person(people + guarded + n*7919%s.rows)
	}
	return person(n % people)
}

// openStack starts and seeds a deployment. more are additional settings.
func openStack(ctx context.Context, dir, engine, binary string, more ...string) (_ *stack, err error) {
	s := &stack{engine: engine, binary: binary, clients: map[string]client{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp(dir, engine+"-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(s.dir, 0o711); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s.issuer = "http://localhost:" + port
	s.env = append([]string{"GATEHOUSE_ISSUER=" + s.issuer, "GATEHOUSE_LISTEN=127.0.0.1:" + port,
		"GATEHOUSE_OPERATIONS_LISTEN=off",
		"GATEHOUSE_DATA_DIR=" + filepath.Join(s.dir, "data"),
		"GATEHOUSE_UPSTREAM_NETWORKS=127.0.0.0/8", "GATEHOUSE_TRUSTED_PROXIES=127.0.0.1", "GATEHOUSE_REGISTRATION=silent"},
		more...)
	if engine == "postgres" { // with SQLite the first start creates the keyring
		keyring := filepath.Join(s.dir, "keyring.json")
		if _, err := s.tool(ctx, "", "keys", "create", keyring); err != nil {
			return nil, err
		}
		s.env = append(s.env, "GATEHOUSE_KEYRING="+keyring)
		if err := s.startStores(ctx); err != nil {
			return nil, err
		}
	}
	if s.upstream, err = startUpstream(); err != nil {
		return nil, err
	}
	if err := s.seed(ctx); err != nil {
		return nil, err
	}
	return s, s.startBroker(ctx)
}

func (s *stack) seed(ctx context.Context) error {
	if _, err := s.tool(ctx, "", "migrate"); err != nil {
		return err
	}
	if err := s.connect(ctx, connection, s.upstream.issuer, s.upstream); err != nil {
		return err
	}
	for alg, flags := range map[string][]string{"RS256": {"--id-token-alg", "RS256"}, "ES256": {"--id-token-alg", "ES256"},
		jwtAccess: {"--id-token-alg", "ES256", "--access-token", "jwt"}} {
		out, err := s.tool(ctx, "", append([]string{"clients", "add", "--json", "--name", "Bench " + alg, "--redirect-uri",
			appRedirect, "--first-party",
			"--grant", "authorization_code", "--grant", "refresh_token", "--grant", "client_credentials"}, flags...)...)
		if err != nil {
			return err
		}
		var c client
		if err := json.Unmarshal(out, &c); err != nil {
			return err
		}
		s.clients[alg] = c
	}
	for i := range guarded {
		if _, err := s.tool(ctx, password, "accounts", "add", person(people+i), "--name", "Password Person",
			"--password-file", "-"); err != nil {
			return err
		}
	}
	return nil
}

// connect adds a connection to an issuer, with the client that u accepts.
func (s *stack) connect(ctx context.Context, id, issuer string, u *upstream) error {
	_, err := s.tool(ctx, u.secret, "connections", "add", id, "--kind", "oidc", "--name", "The "+id, "--issuer", issuer,
		"--client-id", u.clientID, "--client-secret-file", "-")
	if err == nil { // it may be a draft; an older binary has no flag for it
		_, err = s.tool(ctx, "", "connections", "enable", id)
	}
	return err
}

// database returns the URL of PostgreSQL; empty for SQLite.
func (s *stack) database() string {
	for _, e := range s.env {
		if url, ok := strings.CutPrefix(e, "GATEHOUSE_DATABASE="); ok {
			return url
		}
	}
	return ""
}

// sql runs statements directly on the database, with its command line tool.
func (s *stack) sql(ctx context.Context, statements string) error {
	cmd := exec.CommandContext(ctx, "sqlite3", "-bail", "-batch", filepath.Join(s.dir, "data", "gatehouse.db"))
	if url := s.database(); url != "" {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql")
		if len(found) == 0 {
			return errors.New("psql is not installed")
		}
		cmd = exec.CommandContext(ctx, found[len(found)-1], "-qX", "-v", "ON_ERROR_STOP=1", url)
	}
	cmd.Stdin = strings.NewReader(statements)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, brief(string(out)))
	}
	return nil
}

// tool runs a command of the binary against this deployment.
func (s *stack) tool(ctx context.Context, input string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Env, cmd.Stdin = append(cmd.Environ(), s.env...), strings.NewReader(input)
	out, err := cmd.Output()
	if bad, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("gatehouse %s: %w\n%s", strings.Join(args, " "), err, bad.Stderr)
	}
	return out, err
}

func (s *stack) startBroker(ctx context.Context) error {
	s.broker = exec.CommandContext(ctx, s.binary, "serve")
	var noise bytes.Buffer
	s.broker.Env, s.broker.Stderr = append(s.broker.Environ(), s.env...), &noise
	if err := s.broker.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if res, err := http.Get(s.issuer + "/.well-known/openid-configuration"); err == nil {
			_, _ = io.Copy(io.Discard, res.Body) // so that the connection can be reused
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	stop(s.broker, syscall.SIGKILL)
	s.broker = nil
	return fmt.Errorf("the broker is not responding:\n%s", noise.String())
}

// startStores starts PostgreSQL with its defaults, fsync included, and Redis.
func (s *stack) startStores(ctx context.Context) error {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return errors.New("PostgreSQL is not installed")
	}
	bin, home := filepath.Dir(found[len(found)-1]), filepath.Join(s.dir, "pg")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	as, err := unprivileged(home)
	if err != nil {
		return err
	}
	pgPort, err := freePort()
	if err != nil {
		return err
	}
	redisPort, err := freePort()
	if err != nil {
		return err
	}
	initdb := command(ctx, as, home, bin+"/initdb", "-D", "data", "-U", "gatehouse", "-A", "trust", "-E", "UTF8",
		"--no-locale")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s.stores = append(s.stores,
		command(ctx, as, home, bin+"/postgres", "-D", "data", "-p", pgPort, "-c", "listen_addresses=127.0.0.1", "-c",
			"unix_socket_directories="+home, "-c", "max_connections=200"),
		command(ctx, nil, s.dir, "redis-server", "--bind", "127.0.0.1", "--port", redisPort, "--save", "",
			"--maxmemory-policy", "noeviction"))
	said, err := os.Create(filepath.Join(s.dir, "postgres.log"))
	if err != nil {
		return err
	}
	defer said.Close() // the server has its own handle
	s.stores[0].Stderr = said
	for _, cmd := range s.stores {
		if err := cmd.Start(); err != nil {
			return err
		}
	}
	s.env = append(s.env, "GATEHOUSE_DATABASE=postgres://gatehouse@127.0.0.1:"+pgPort+"/postgres?sslmode=disable",
		"GATEHOUSE_REDIS=redis://127.0.0.1:"+redisPort+"/0")
	ready := func() error {
		out, err := command(ctx, as, home, bin+"/psql", "-h", "127.0.0.1", "-p", pgPort, "-U", "gatehouse", "-c", "select 1",
			"postgres").CombinedOutput()
		if err != nil {
			log, _ := os.ReadFile(said.Name())
			return fmt.Errorf("psql: %w\n%s\nPostgreSQL's log:\n%s", err, out, log)
		}
		return nil
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if err := ready(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// unprivileged returns the user for PostgreSQL, which refuses to run as root.
func unprivileged(home string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(home, uid, gid)
}

func command(ctx context.Context, as *syscall.Credential, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
	return cmd
}

func (s *stack) close() {
	if s.broker != nil {
		stop(s.broker, syscall.SIGTERM)
	}
	for _, cmd := range s.stores {
		if cmd.Process != nil {
			stop(cmd, syscall.SIGINT)
		}
	}
	if s.upstream != nil {
		s.upstream.close()
	}
}

// stop signals a process and waits for it.
func stop(cmd *exec.Cmd, signal os.Signal) {
	_ = cmd.Process.Signal(signal) // it may have exited already
	_ = cmd.Wait()                 // the exit status of a stopped server is meaningless
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// build builds the binary as released, from the module in the working directory.
func build(ctx context.Context, dir string) (string, error) {
	out := filepath.Join(dir, "gatehouse")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", out,
		"gatehouse/cmd/gatehouse")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, text)
	}
	return out, nil
}
