package seal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// secretOf returns a secret that looks random and is the same for the same seed.
func secretOf(seed byte) []byte {
	secret := make([]byte, secretSize)
	for i := range secret {
		secret[i] = seed + byte(i*37) + 128
	}
	return secret
}

func documentOf(ids string, seed byte) string {
	var keys []string
	for i, id := range strings.Fields(ids) {
		keys = append(keys, fmt.Sprintf(`{"id":%q,"created":"2026-11-22T12:00:00Z","secret":%q}`, id,
			base64.RawURLEncoding.EncodeToString(secretOf(seed+byte(i)))))
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

func keySetOf(t testing.TB, ids string, seed byte) *Keyring {
	t.Helper()
	return must[*Keyring](t)(Parse([]byte(documentOf(ids, seed))))
}

func TestG15_AKeyringThatIsNotOneIsRefused(t *testing.T) {
	good := documentOf("k1", 1)
	secret := base64.RawURLEncoding.EncodeToString(secretOf(1))
	with := func(s string) string { return strings.Replace(good, secret, s, 1) }
	encode := base64.RawURLEncoding.EncodeToString
	documents := map[string]string{
		"nothing":               "",
		"no JSON":               "changeme",
		"no keys":               `{"keys":[]}`,
		"null":                  "null",
		"an unknown member":     `{"keys":[],"password":"x"}`,
		"something behind":      good + good,
		"a short secret":        with(encode(secretOf(1)[:16])),
		"a long secret":         with(encode(append(secretOf(1), 1))),
		"zero bytes":            with(encode(make([]byte, 32))),
		"a typed secret":        with(encode([]byte("The quick brown fox jumps, 2026!"))),
		"a repeated word":       with(encode([]byte("changemechangemechangemechangeme"))),
		"padded base64":         with(secret + "="),
		"an empty secret":       with(""),
		"two keys with one id":  documentOf("k1 k1", 1),
		"one key under two ids": strings.ReplaceAll(documentOf("k1 k2", 1), encode(secretOf(2)), secret),
		"an empty id": documentOf("k1", 1)[:len(`{"keys":[{"id":"`)] +
			documentOf("k1", 1)[len(`{"keys":[{"id":"k1`):],
		"an id with a dot":       documentOf("k.1", 1),
		"an id in capitals":      documentOf("K1", 1),
		"an id that is too long": documentOf("k1234567890123456", 1),
	}
	for name, doc := range documents {
		_, err := Parse([]byte(doc))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), secret[:8]) || strings.Contains(err.Error(), "changeme") {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
	if _, err := Parse([]byte(good)); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

func TestAKeyringSurvivesItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "keyring.json")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("no file: %v", err)
	}
	k := must[*Keyring](t)(LoadOrCreate(path, noon))
	info := must[fs.FileInfo](t)(os.Stat(path))
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %04o", info.Mode().Perm())
	}
	if folder := must[fs.FileInfo](t)(os.Stat(filepath.Dir(path))); folder.Mode().Perm() != 0o700 {
		t.Errorf("folder mode %04o", folder.Mode().Perm())
	}
	sealed := must[[]byte](t)(k.Seal([]byte("x")))
	again := must[*Keyring](t)(LoadOrCreate(path, noon.Add(time.Hour)))
	if _, err := again.Open(sealed); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := again.Rotate(noon); err != nil {
		t.Fatal(err)
	}
	if err := again.Save(path); err != nil {
		t.Fatal(err)
	}
	if loaded := must[*Keyring](t)(Load(path)); !slices.Equal(loaded.IDs(), again.IDs()) ||
		!loaded.Created(loaded.Primary()).Equal(noon) {
		t.Errorf("loaded %v, saved %v", loaded.IDs(), again.IDs())
	}
	entries := must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(path)))
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestG17_AKeyringThatOthersMayReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	if err := fresh(t).Save(path); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o620, 0o660, 0o601, 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for name, load := range map[string]func() error{
			"Load":         func() error { _, err := Load(path); return err },
			"LoadOrCreate": func() error { _, err := LoadOrCreate(path, noon); return err },
		} {
			if err := load(); err == nil || !strings.Contains(err.Error(), "chmod 600 '"+path+"'") {
				t.Errorf("%s, mode %04o: %v", name, mode, err)
			}
		}
	}
	for _, mode := range []os.FileMode{0o600, 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err != nil {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	if _, err := Load(filepath.Dir(path)); err == nil {
		t.Error("a folder was loaded")
	}
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(large); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a large file: %v", err)
	}
}

func TestProcessesThatStartTogetherShareOneKeyring(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	var wait sync.WaitGroup
	ids := make([]string, 16)
	for i := range ids {
		wait.Go(func() {
			if k, err := LoadOrCreate(path, noon); err == nil {
				ids[i] = k.Primary()
			} else {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if slices.Sort(ids); ids[0] != ids[15] || ids[0] == "" {
		t.Fatalf("different keyrings: %v", ids)
	}
}

func TestG17_RotationWhileTheServerRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	server := must[*Keyring](t)(LoadOrCreate(path, noon))
	sealed, hash := must[[]byte](t)(server.Seal([]byte("x"))), server.Hash("session", []byte("x"))
	if changed, err := server.Reload(path); changed || err != nil {
		t.Fatalf("an unchanged file: %v, %v", changed, err)
	}
	stop := make(chan struct{})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				own, err := server.Seal([]byte("y"))
				if err == nil {
					_, err = server.Open(own)
				}
				if err == nil {
					_, err = server.Open(sealed)
				}
				if err != nil || !server.Same(hash, "session", []byte("x")) {
					t.Errorf("while rotating: %v", err)
					return
				}
			}
		})
	}
	for range 5 {
		command := must[*Keyring](t)(Load(path))
		if err := errors.Join(command.Rotate(noon), command.Save(path)); err != nil {
			t.Fatal(err)
		}
		if changed, err := server.Reload(path); !changed || err != nil || server.Primary() != command.Primary() {
			t.Fatalf("reloaded: %v, %v", changed, err)
		}
	}
	close(stop)
	work.Wait()
	if len(server.IDs()) != 6 {
		t.Errorf("keys %v", server.IDs())
	}
}

func TestAReloadNeverLosesTheKeysInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	write := func(doc string, mode os.FileMode) {
		t.Helper()
		os.Remove(path)
		if err := os.WriteFile(path, []byte(doc), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(documentOf("k1 k2", 1), 0o600)
	server := must[*Keyring](t)(Load(path))
	bad := map[string]func(){
		"another keyring":          func() { write(documentOf("k7", 9), 0o600) },
		"the same id, another key": func() { write(documentOf("k1", 9), 0o600) },
		"a broken file":            func() { write(`{"keys":[`, 0o600) },
		"an open file":             func() { write(documentOf("k1", 1), 0o644) },
		"no file":                  func() { os.Remove(path) },
	}
	for name, change := range bad {
		change()
		if changed, err := server.Reload(path); err == nil || changed || !slices.Equal(server.IDs(), []string{"k1", "k2"}) {
			t.Errorf("%s: %v, %v, keys %v", name, changed, err, server.IDs())
		}
	}
	write(documentOf("k1", 1), 0o600)
	if changed, err := server.Reload(path); err != nil || !changed || !slices.Equal(server.IDs(), []string{"k1"}) {
		t.Errorf("a retired key: %v, %v, keys %v", changed, err, server.IDs())
	}
}

func TestSavingNeverLosesAKeyOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	must[*Keyring](t)(LoadOrCreate(path, noon))
	first, second := must[*Keyring](t)(Load(path)), must[*Keyring](t)(Load(path))
	if err := errors.Join(first.Rotate(noon), second.Rotate(noon), first.Save(path)); err != nil {
		t.Fatal(err)
	}
	if err := second.Save(path); err == nil || !strings.Contains(err.Error(), "load it again") {
		t.Fatalf("saved over another's key: %v", err)
	}
	if kept := must[*Keyring](t)(Load(path)); kept.Primary() != first.Primary() {
		t.Fatal("the first one's key is gone")
	}
	if err := errors.Join(first.Rotate(noon), first.Save(path)); err != nil {
		t.Fatalf("saved a second time: %v", err)
	}
	if err := os.WriteFile(path+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := first.Save(path); err == nil || !strings.Contains(err.Error(), "rm '"+path+".lock'") {
		t.Fatalf("saved beside another: %v", err)
	}
}
