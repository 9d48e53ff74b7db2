package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	rotationRate    = 200 // requests per second
	rotationWorkers = 24
	rotationTail    = 40 * time.Second // a replica follows within 30
)

// rotation changes the signing keys of two replicas under load. The app reads the JWKS once, after the next keys
// were published, like an app that caches it for an hour of the day before they sign. Only the database can end
// that day early.
func (s *stack) rotation(ctx context.Context) error {
	second, err := s.startSecond(ctx)
	if err != nil {
		return err
	}
	defer stop(second.cmd, syscall.SIGTERM)
	h := second.across(s.issuer)
	defer h.CloseIdleConnections()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	load, err := s.startLoad(ctx, h)
	if err != nil {
		return err
	}
	old := load.known.Load()
	if _, err := s.tool(ctx, "", "keys", "rotate-signing"); err != nil {
		return err
	}
	if _, err := s.until(ctx, second, func(set keySet) bool { return len(set) == 2*len(*old) }); err != nil {
		return fmt.Errorf("the next keys were not published: %w", err)
	}
	cached, err := s.keys(ctx, newBrowser(s, second.at))
	if err != nil {
		return err
	}
	load.known.Store(&cached)
	if err := s.dayIsOver(ctx); err != nil {
		return err
	}
	wait(ctx, rotationTail)
	load.end()
	fresh := 0
	for kid, n := range load.kids {
		if (*old)[kid] == nil {
			fresh += n
		}
	}
	if len(load.failures) > 0 {
		return fmt.Errorf("rotation: %d of %d failed: %w", len(load.failures), load.total, load.failures[0])
	}
	if fresh == 0 {
		return errors.New("rotation: no token was signed with a new key")
	}
	fmt.Printf("rotation on 2 replicas, %.0f per s, %d tokens, %d by the new keys: failures 0, must be 0: ok\n",
		float64(load.total)/load.took.Seconds(), load.total, fresh)
	return s.emergency(ctx, second, cached)
}

// emergency withdraws all keys and waits until no replica publishes them.
func (s *stack) emergency(ctx context.Context, second *replica, old keySet) error {
	if _, err := s.tool(ctx, "", "keys", "rotate-signing", "--emergency", "--yes"); err != nil {
		return err
	}
	took, err := s.until(ctx, second, func(set keySet) bool {
		for kid := range set {
			if old[kid] != nil {
				return false
			}
		}
		return len(set) > 0
	})
	if err != nil {
		return fmt.Errorf("the old keys were not withdrawn: %w", err)
	}
	fmt.Printf("emergency rotation: withdrawn on 2 replicas after %.1f s, must be 60: %s\n", took.Seconds(),
		verdict(took.Seconds(), 60))
	return nil
}

// replica is a second process on the same stores.
type replica struct {
	cmd  *exec.Cmd
	port string
	at   *http.Client // connects to this replica only
}

func (s *stack) startSecond(ctx context.Context) (*replica, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	r := &replica{cmd: exec.CommandContext(ctx, s.binary, "serve"), port: port,
		at: dialling(func() string { return port })}
	r.cmd.Env = append(slices.Concat(r.cmd.Environ(), s.env), "GATEHOUSE_LISTEN=127.0.0.1:"+port)
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if set, err := s.keys(ctx, newBrowser(s, r.at)); err == nil && len(set) > 0 {
			return r, nil
		}
	}
	stop(r.cmd, syscall.SIGKILL)
	return nil, errors.New("the second replica is not responding")
}

// across spreads connections over both replicas, like a load balancer.
func (r *replica) across(issuer string) *http.Client {
	_, first, _ := strings.Cut(strings.TrimPrefix(issuer, "http://"), ":")
	var n atomic.Int64
	return dialling(func() string { return []string{first, r.port}[n.Add(1)%2] })
}

func dialling(port func() string) *http.Client {
	h := newHTTP(2 * rotationWorkers)
	h.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port())
	}
	return h
}

// until polls the keys of both replicas until pleases accepts them, and returns how long that took.
func (s *stack) until(ctx context.Context, second *replica, pleases func(keySet) bool) (time.Duration, error) {
	first := newHTTP(1)
	defer first.CloseIdleConnections()
	began := time.Now()
	for time.Since(began) < 90*time.Second {
		good := 0
		for _, h := range []*http.Client{first, second.at} {
			set, err := s.keys(ctx, newBrowser(s, h))
			if err != nil {
				return 0, err
			}
			if pleases(set) {
				good++
			}
		}
		if good == 2 {
			return time.Since(began), nil
		}
		wait(ctx, 100*time.Millisecond)
	}
	return 0, errors.New("the keys did not change within 90 seconds")
}

// dayIsOver makes the next keys sign now, by changing their row in the database.
func (s *stack) dayIsOver(ctx context.Context) error {
	return s.sql(ctx, "update signing_keys set active_at = created_at where state = 'next'")
}

// load refreshes tokens at a steady rate and verifies each ID token with the keys that the app holds.
type load struct {
	known    atomic.Pointer[keySet]
	mu       sync.Mutex
	kids     map[string]int
	total    int
	failures []error
	took     time.Duration
	end      func()
}

func (s *stack) startLoad(ctx context.Context, h *http.Client) (*load, error) {
	l := &load{kids: map[string]int{}}
	known, err := s.keys(ctx, newBrowser(s, h))
	if err != nil {
		return nil, err
	}
	l.known.Store(&known)
	var people []*refresher
	for i := range rotationWorkers {
		p := &refresher{b: newBrowser(s, h), alg: []string{"RS256", "ES256"}[i%2]}
		if p.held, err = p.b.federated(ctx, p.alg, person(i)); err != nil {
			return nil, err
		}
		people = append(people, p)
	}
	var all sync.WaitGroup
	done, began := make(chan struct{}), time.Now()
	for i, p := range people {
		all.Go(func() {
			const every = rotationWorkers * time.Second / rotationRate
			wait(ctx, time.Duration(i)*every/rotationWorkers)
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-ctx.Done():
					return
				case <-tick.C:
					id, err := p.refresh(ctx)
					l.note(id, err)
				}
			}
		})
	}
	l.end = func() {
		close(done)
		all.Wait()
		l.took = time.Since(began)
	}
	return l, nil
}

func (l *load) note(id string, err error) {
	known := *l.known.Load()
	if err == nil {
		err = known.verify(id)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total++; err != nil {
		l.failures = append(l.failures, err)
		return
	}
	l.kids[kidOf(id)]++
}

func kidOf(token string) string {
	head, _, _ := strings.Cut(token, ".")
	var header struct{ Kid string }
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil || json.Unmarshal(raw, &header) != nil {
		return ""
	}
	return header.Kid
}

// refresher is one person whose app refreshes tokens.
type refresher struct {
	b    *browser
	alg  string
	held tokens
}

func (p *refresher) refresh(ctx context.Context) (string, error) {
	var next tokens
	if err := p.b.token(ctx, "/token", p.alg, url.Values{"grant_type": {"refresh_token"},
		"refresh_token": {p.held.Refresh}}, &next); err != nil {
		return "", err
	}
	p.held = next
	return next.ID, nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
