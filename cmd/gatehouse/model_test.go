package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/providers/fakeidp"
)

var (
	modelSteps = flag.Int("model.steps", 0, "steps of each model run; 0 for those of the check")
	modelSeed  = flag.Uint64("model.seed", 0, "seed of the model runs; 0 for those of the check")
)

// TestModel lets random people, attackers, apps and an operator act on two
// replicas of the broker. It keeps its own records of what every browser really
// proved, and compares the database, the responses, the audit log and the log with
// them. Repeat a run with -model.seed and -model.steps.
func TestModel(t *testing.T) {
	for _, place := range []struct {
		name         string
		postgres     bool
		registration string
		steps        [2]int // of the first and of the second seed
	}{
		{"sqlite", false, "form", [2]int{9000, 5000}},
		{"postgres", true, "silent", [2]int{4000, 2000}},
	} {
		t.Run(place.name, func(t *testing.T) {
			runs := []struct {
				seed  uint64
				steps int
			}{{1, place.steps[0] / modelShare}, {2, place.steps[1] / modelShare}}
			for i := range runs {
				if *modelSteps > 0 {
					runs[i].steps = *modelSteps
				}
				if *modelSeed > 0 {
					runs[i].seed = *modelSeed
				}
			}
			if *modelSeed > 0 {
				runs = runs[:1]
			}
			steps, counts := 0, map[string]int{}
			for _, r := range runs {
				t.Logf("seed %d, %d steps", r.seed, r.steps)
				m := newModel(t, r.seed, place.postgres, place.registration)
				m.run(r.steps)
				steps += r.steps
				for what, n := range m.counts {
					counts[what] += n
				}
			}
			if !t.Failed() {
				covered(t, steps, counts)
			}
		})
	}
}

// model is the simulated people and apps, and what is known without asking the broker.
type model struct {
	t    *testing.T
	ctx  context.Context
	rng  *rand.Rand
	seed uint64
	*clock
	issuer   string
	brokers  []*app // two replicas, and the operator's shell
	handlers []http.Handler
	raw      *sql.DB
	log      *modelLog
	sims     map[string]*fakeidp.Server
	live     map[string]bool // connections
	conns    []string

	people   []*person
	browsers []*window
	apps     []*modelApp

	accounts         []*holder
	byID             map[string]*holder
	byPassword       map[string]*holder
	idents           map[ident]*bond
	sessions         map[string]*sitting
	cookies          map[string]*sitting
	logins           map[string]*ledger          // by id and browser
	wants            map[string]want             // by login id
	inside           map[string]*linkRequest     // by login id
	upstreamRequests map[string]*upstreamRequest // by state
	upCodes          map[string]*upCode
	grants           map[string]*grant
	codes            []*code
	refreshes        []*refresh
	accesses         []*accessToken
	pending          map[string]*sent // authorization requests, by the app's state
	inbox            map[string][]mailed

	n       int // steps so far
	seq     int // requests so far
	serial  int
	focus   *window
	next    act0 // what is known of the request to come
	cur     act0
	secrets map[string]bool
	counts  map[string]int
	trail   []string
}

// run takes the steps, and compares everything at intervals.
func (m *model) run(steps int) {
	defer func() {
		if m.t.Failed() {
			m.t.Logf("go test ./cmd/gatehouse -run '%s' -model.seed %d -model.steps %d\nthe last steps:\n%s", m.t.Name(), m.seed,
				steps, strings.Join(m.trail, "\n"))
		}
	}()
	for m.n = 1; m.n <= steps; m.n++ {
		m.step()
		if m.n%250 == 0 {
			m.lookAtEverything()
		}
		if m.n%200 == 0 {
			m.newFaces()
		}
		if m.n%20000 == 0 {
			fmt.Printf("model: seed %d, %d steps, %v\n", m.seed, m.n, m.counts)
		}
		if m.t.Failed() {
			return
		}
	}
	m.lookAtEverything()
	m.t.Log(m.n-1, "steps", m.counts)
}

// covered fails if something never happened: a model that sees nothing finds nothing.
// It counts all runs on a database together, because the rarest events happen a few
// times in ten thousand steps.
func covered(t *testing.T, steps int, counts map[string]int) {
	t.Helper()
	often := []string{"session", "session by password", "session by upstream", "link", "code redeemed", "code reused",
		"refreshed", "userinfo", "refusal",
		"stale form", "state replayed", "foreign state", "lock", "wrong password", "family ended", "mixed up"}
	seldom := []string{"account", "mailed code right", "refresh reused", "unlink", "first bind of a lock",
		"another after a link", "signed out", "session replaced",
		"linked inside", "unlinked inside"}
	if steps >= 9000 {
		often = append(often, seldom...)
	}
	for _, what := range often {
		if counts[what] == 0 && steps >= 4000 {
			t.Errorf("in %d steps there was no %s: %v", steps, what, counts)
		}
	}
}

// fail reports an error with the number of the step.
func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Errorf("step %d: "+format, append([]any{m.n}, args...)...)
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("step %d: %v", m.n, err)
	}
}

func (m *model) say(format string, args ...any) {
	m.trail = append(m.trail, fmt.Sprintf("%6d %s ", m.n, m.now().UTC().Format("02T15:04:05"))+fmt.Sprintf(format,
		args...))
	if len(m.trail) > 700 {
		m.trail = m.trail[len(m.trail)-700:]
	}
}

// chance reports true with a probability in percent.
func (m *model) chance(percent float64) bool { return m.rng.Float64()*100 < percent }

func pick[T any](m *model, all []T) T { return all[m.rng.IntN(len(all))] }

// late picks one of the last few: older ones have mostly expired.
func late[T any](m *model, all []T) T {
	n := min(len(all), 6)
	return all[len(all)-1-m.rng.IntN(n)]
}

func (m *model) count(what string) { m.counts[what]++ }

// step is one action of a random person, app or operator.
func (m *model) step() {
	switch r := m.rng.Float64() * 100; {
	case r < 7:
		m.timePasses()
	case r < 78:
		m.somebodyBrowses()
	case r < 85:
		m.somebodyReplays()
	case r < 97:
		m.anAppActs()
	default:
		m.theOperatorActs()
	}
	if m.chance(10) {
		m.switchesBackOn()
	}
}

func (m *model) timePasses() {
	d := time.Duration(1+m.rng.IntN(9)) * time.Second
	switch r := m.rng.Float64() * 100; {
	case r < 1:
		d = time.Duration(1+m.rng.IntN(3)) * time.Hour
	case r < 9:
		d = time.Duration(120+m.rng.IntN(600)) * time.Second
	case r < 40:
		d = time.Duration(10+m.rng.IntN(80)) * time.Second
	}
	m.wait(d)
}

func (m *model) wait(d time.Duration) {
	m.say("%s pass", d)
	m.advance(d)
}
