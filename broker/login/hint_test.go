package login_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/broker"
)

func TestG17_TheUpstreamsIDTokenIsKeptSealedWithTheSession(t *testing.T) {
	g := newFixture(t)
	a := g.account(ana, "")
	g.linked(a, "google", "g1")
	claims := verified("g1", ana)
	claims.LogoutHint = "planted-id-token"
	g.claims("code", claims)
	b := g.browser()
	path, _ := b.begin()
	b.through(path, "google", "code").atApp(t, ana)
	sessions, err := g.db.SessionsOf(context.Background(), a.ID)
	must(t, err)
	if len(sessions) != 1 {
		t.Fatalf("%d sessions", len(sessions))
	}
	hints := broker.EphemeralStore[string]{Name: broker.UpstreamHints, Life: broker.SessionLife, In: g.fleet, Now: g.time}
	sealed, err := hints.Get(context.Background(), sessions[0].ID)
	must(t, err)
	var hint string
	must(t, g.keyring.OpenJSON(sealed, &hint, broker.HintPurpose, "google"))
	if hint != "planted-id-token" {
		t.Error(hint)
	}
	if err := g.keyring.OpenJSON(sealed, &hint, broker.HintPurpose, "corp"); err == nil {
		t.Error("another connection opens it")
	}
	files, err := filepath.Glob(g.path + "*")
	must(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		if bytes.Contains(b, []byte("planted-id-token")) {
			t.Errorf("%s holds it in plain", file)
		}
	}
	g.wait(broker.SessionLife + time.Second)
	if _, err := hints.Get(context.Background(), sessions[0].ID); err == nil {
		t.Error("it outlives the session")
	}
}
