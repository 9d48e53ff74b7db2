package gormdb_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/broker/seal"
	"gatehouse/storage/gormdb"
	"gatehouse/storage/storetest"
)

// pooled returns the URL of a PgBouncer in front of a database.
func pooled(t *testing.T, database, mode string) string {
	t.Helper()
	target, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	dir := t.TempDir()
	password, _ := target.User.Password()
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "pgbouncer.ini")
	schema := target.Query().Get("search_path")
	text := fmt.Sprintf("[databases]\n* = host=%s port=%s connect_query='set search_path to %s'\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\n"+
		"unix_socket_dir =\nauth_type = trust\nauth_file = %s\npool_mode = %s\nignore_startup_parameters = search_path\n",
		target.Hostname(), target.Port(), schema, addr.Port, users, mode)
	for name, content := range map[string]string{config: text,
		users: fmt.Sprintf("%q %q\n", target.User.Username(), password)} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("pgbouncer", "-q", config)
	if os.Geteuid() == 0 { // it refuses to run as root
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", addr.String())
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	target.Host = addr.String()
	return target.String()
}

func TestAPoolerInTransactionModeIsRefusedAndInSessionModeServes(t *testing.T) {
	server := os.Getenv("GATEHOUSE_TEST_POSTGRES")
	if server == "" {
		t.Skip("GATEHOUSE_TEST_POSTGRES is not set")
	}
	if _, err := exec.LookPath("pgbouncer"); err != nil {
		t.Skip("pgbouncer is not installed")
	}
	database := storetest.Postgres(t, server)
	keyring, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "keyring.json"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for mode, refused := range map[string]bool{"transaction": true, "statement": true, "session": false} {
		db, err := gormdb.Open(context.Background(), gormdb.Options{URL: pooled(t, database, mode), Pool: 3, Sealer: keyring,
			Now: time.Now})
		if refused != (err != nil && strings.Contains(err.Error(), "set pool_mode = session")) {
			t.Errorf("pool_mode = %s: %v", mode, err)
		}
		if err != nil {
			continue
		}
		if err := db.Migrate(t.Context()); err != nil {
			t.Errorf("pool_mode = %s: %v", mode, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
