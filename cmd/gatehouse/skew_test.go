package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/storage"
	"gatehouse/storage/storetest"
)

// What one replica issued is valid at another whose clock differs, even by more than a
// ready replica may differ. A code is valid for a minute, so less than that is tolerated.
func TestH5_ReplicasWhoseClocksDifferServeEveryKindOfApp(t *testing.T) {
	for _, ahead := range []time.Duration{-50 * time.Second, -storage.MaxSkew, storage.MaxSkew, 50 * time.Second} {
		q := newSeparateCluster(t, ahead)
		for _, app := range q.variants() {
			if app.signs != nil && ahead.Abs() > storage.MaxSkew {
				continue // an assertion from the far future is none (FAPI 2.0 §5.3.2.1)
			}
			t.Run(fmt.Sprintf("%v, %s", ahead, app.name), func(t *testing.T) {
				c := q.cell(t, "", false)
				c.app = app
				g := c.grows("password")
				c.replica = 1
				c.allWorks(g)
				d := q.cell(t, "", false) // and the other way round
				d.app, d.replica = app, 1
				g = d.grows("password")
				d.replica = 0
				d.allWorks(g)
			})
		}
	}
}

func TestH5_AReplicaWhoseClockIsOffTakesItselfOut(t *testing.T) {
	for off, want := range map[time.Duration]int{0: http.StatusOK, 3 * time.Second: http.StatusOK,
		-3 * time.Second: http.StatusOK,
		2 * time.Minute:  http.StatusServiceUnavailable, -2 * time.Minute: http.StatusServiceUnavailable} {
		file := filepath.Join(t.TempDir(), "gatehouse.yaml")
		text := "issuer: http://localhost:8080\ndatabase: env:DATABASE\nkeyring: " + (&operator{t: t}).keyringFile() + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		database := storetest.Postgres(t, os.Getenv("GATEHOUSE_TEST_POSTGRES"))
		cfg, err := config.Load(file, func() []string { return []string{"DATABASE=" + database} })
		if err != nil {
			t.Fatal(err)
		}
		h, err := openApp(t.Context(), cfg, slog.New(slog.DiscardHandler), func() time.Time { return time.Now().Add(off) })
		if err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		h.operations().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/healthz/ready", nil))
		if rec.Code != want {
			t.Errorf("a clock that is off by %v: %d %s", off, rec.Code, rec.Body)
		}
		rec = httptest.NewRecorder()
		h.operations().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/healthz/live", nil))
		if rec.Code != http.StatusOK { // a restart would not help
			t.Errorf("it is not alive: %d", rec.Code)
		}
		if err := h.close(); err != nil {
			t.Error(err)
		}
	}
}
