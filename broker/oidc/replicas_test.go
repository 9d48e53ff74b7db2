package oidc

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gatehouse/broker"
	"gatehouse/storage/storetest"
)

// replica is another process on the same stores.
func (h *harness) replica(p ports) *harness {
	h.t.Helper()
	r := *h
	r.open(p)
	return &r
}

// fleet runs a test on two replicas that share SQLite, or PostgreSQL and Redis.
func fleet(t *testing.T, run func(t *testing.T, one, two *harness)) {
	for name, made := range map[string]func(t *testing.T) *harness{
		"SQLite": func(t *testing.T) *harness {
			return newHarnessAt(t, sqliteFile(t), "", ports{})
		},
		"PostgreSQL and Redis": func(t *testing.T) *harness {
			return newHarnessAt(t, storetest.Postgres(t, os.Getenv("GATEHOUSE_TEST_POSTGRES")),
				storetest.Redis(t, os.Getenv("GATEHOUSE_TEST_REDIS")), ports{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			one := made(t)
			run(t, one, one.replica(ports{}))
		})
	}
}

// onBoth does the same n times at once, on two replicas by turns. It answers what
// succeeded, and how often each status and error came.
func onBoth(n int, one, two *harness, do func(at *harness) answer) (won []answer, said map[string]int) {
	var mu sync.Mutex
	said, turn := map[string]int{}, 0
	race(n, func() {
		mu.Lock()
		at := []*harness{one, two}[turn%2]
		turn++
		mu.Unlock()
		a := do(at)
		mu.Lock()
		defer mu.Unlock()
		if said[fmt.Sprint(a.StatusCode, a.text("error"))]++; a.StatusCode < 300 {
			won = append(won, a)
		}
	})
	return won, said
}

func TestA5_ACodeIsConsumedOnceByAFleet(t *testing.T) {
	rounds := map[string]int{"SQLite": 10, "PostgreSQL and Redis": 90}
	fleet(t, func(t *testing.T, one, two *harness) {
		for round := range rounds[filepath.Base(strings.ReplaceAll(t.Name(), "_", " "))] {
			code := one.browser().code(ask())
			won, said := onBoth(50, one, two, func(at *harness) answer { return at.redeem(code) })
			if len(won) != 1 || said["400invalid_grant"] != 49 {
				t.Fatalf("round %d: %v", round, said)
			}
			for _, h := range []*harness{one, two} {
				if h.active(won[0].text("access_token")) || h.active(won[0].text("refresh_token")) {
					t.Fatalf("round %d: what the first one got lives", round)
				}
				h.wants(h.refresh(won[0].text("refresh_token")), http.StatusBadRequest, "invalid_grant")
				h.wants(h.userinfo(won[0].text("access_token")), http.StatusUnauthorized, "invalid_token")
			}
		}
	})
}

func TestA6_ReuseIsSeenByEveryReplicaAndAfterARestart(t *testing.T) {
	fleet(t, func(t *testing.T, one, two *harness) {
		first := one.signIn().text("refresh_token")
		second := two.wants(two.refresh(first), http.StatusOK, "")
		one.clock.add(broker.RefreshGrace + 1)
		after := one.replica(ports{})
		after.wants(after.refresh(first), http.StatusBadRequest, "invalid_grant")
		for _, h := range []*harness{one, two, after, one.replica(ports{})} {
			h.wants(h.refresh(second.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
			h.wants(h.userinfo(second.text("access_token")), http.StatusUnauthorized, "invalid_token")
			if h.active(second.text("access_token")) || h.active(second.text("refresh_token")) {
				t.Error("the family lives")
			}
		}
	})
}

func TestA6_ConcurrentRefreshesOnReplicasGetOneSuccessor(t *testing.T) {
	fleet(t, func(t *testing.T, one, two *harness) {
		token := one.signIn().text("refresh_token")
		got, turn := make(chan string, 20), make(chan *harness, 20)
		for range 10 {
			turn <- one
			turn <- two
		}
		race(20, func() { got <- (<-turn).refresh(token).text("refresh_token") })
		close(got)
		successor := ""
		for s := range got {
			if s == "" || successor != "" && s != successor {
				t.Fatalf("successors %q and %q", successor, s)
			}
			successor = s
		}
		one.wants(two.refresh(successor), http.StatusOK, "")
	})
}
