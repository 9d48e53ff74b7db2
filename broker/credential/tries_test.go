package credential

import (
	"context"
	"crypto/sha256"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/limit"
)

const bad = "a wrong password"

// counted replaces the hash by a fast one that counts. A hash that costs nothing does not count.
func counted(p *Passwords) *atomic.Int64 {
	n := &atomic.Int64{}
	p.hash = func(password, salt []byte, time, memory uint32, _ uint8, _ uint32) []byte {
		if time > 0 && memory > 0 {
			n.Add(1)
		}
		sum := sha256.Sum256(append(slices.Clone(salt), password...))
		return sum[:]
	}
	return n
}

// other returns the verifier of another replica, on the same storage.
func other(p *Passwords, m *memory, c *clock) *Passwords {
	o := NewPasswords(PasswordOptions{Ephemeral: m, Keyring: p.tries.keyring, Now: c.now, Cost: p.cost})
	o.hash = p.hash
	return o
}

func known(a *broker.Account) Target { return Target{Address: a.Email, Account: a, Known: true} }

func limited(t *testing.T, err error) int {
	t.Helper()
	retry, ok := errors.AsType[broker.Retry](err)
	if !ok || retry.Code != broker.RateLimited {
		t.Fatalf("not limited: %v", err)
	}
	return retry.After
}

func TestE2_FiveTriesInAnyWindowThenNoHashAtAll(t *testing.T) {
	p, _, c := passwords(t)
	hashes := counted(p)
	a := account(t, p, "ana", good)
	hashes.Store(0)
	for range PasswordTries {
		if err := p.Check(ctx(t), of(a), bad); code(err) != broker.WrongPassword {
			t.Fatalf("a try: %v", err)
		}
		c.pass(time.Minute)
	}
	if after := limited(t, p.Check(ctx(t), of(a), good)); after != 600 || hashes.Load() != PasswordTries {
		t.Fatalf("the sixth try, with the right password: again after %d s, %d hashes", after, hashes.Load())
	}
	c.pass(10*time.Minute - time.Second)
	if after := limited(t, p.Check(ctx(t), of(a), good)); after != 1 {
		t.Errorf("a second before the first try is forgotten: again after %d s", after)
	}
	c.pass(time.Second)
	if err := p.Check(ctx(t), of(a), bad); code(err) != broker.WrongPassword {
		t.Errorf("when the first try is forgotten: %v", err)
	}
	if after := limited(t, p.Check(ctx(t), of(a), good)); after != 60 {
		t.Errorf("the window slides: again after %d s", after)
	}
}

func TestE2_AThousandTriesAreAtMostTenInAnyWindow(t *testing.T) {
	p, m, c := passwords(t)
	hashes := counted(p)
	a := account(t, p, "ana", good)
	verifiers := []*Passwords{p, other(p, m, c), other(p, m, c)}
	mailed := NewCodes(m, p.tries.keyring, c.now)
	var words, all []time.Time
	var out broker.MailedCode
	wrong := ""
	for i := range 1000 {
		at := Target{Address: []string{"ana@example.com", "ANA@example.com", "ana@EXAMPLE.com"}[i%3], Account: a}
		c.pass(time.Duration(i%29) * time.Second)
		before := hashes.Load()
		if i%3 == 0 {
			_ = verifiers[i%9/3].Check(ctx(t), at, bad)
			if hashes.Load() > before {
				words, all = append(words, c.now()), append(all, c.now())
			}
			continue
		}
		if fresh, secret, err := mailed.Issue(ctx(t), someone, a.Email); err == nil {
			out, wrong = fresh, miss(secret)
		}
		tried := m.counts["code-tries"+out.ID]
		_ = NewCodes(m, p.tries.keyring, c.now).Check(ctx(t), at, &out, wrong)
		if n := m.counts["code-tries"+out.ID]; n > tried && n <= broker.MailedTries {
			all = append(all, c.now())
		}
	}
	if n := most(words); n != PasswordTries {
		t.Errorf("%d passwords were verified in one window, want %d", n, PasswordTries)
	}
	if n := most(all); n > MostTries || n <= PasswordTries {
		t.Errorf("%d tries were verified in one window, want more than %d and at most %d", n, PasswordTries, MostTries)
	}
}

// miss returns a code that differs from s.
func miss(s broker.Secret) string {
	if s.Reveal() == "000000" {
		return "111111"
	}
	return "000000"
}

// most returns the largest number of moments within one Window.
func most(at []time.Time) (n int) {
	first := 0
	for i := range at {
		for at[i].Sub(at[first]) >= Window {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

func TestE2_PasswordsAndCodesShareOneBudget(t *testing.T) {
	p, m, c := passwords(t)
	counted(p)
	a := account(t, p, "ana", good)
	mailed := NewCodes(m, p.tries.keyring, c.now)
	out, secret, err := mailed.Issue(ctx(t), someone, a.Email)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_ = mailed.Check(ctx(t), of(a), &out, miss(secret))
	}
	for range 2 {
		_ = p.Check(ctx(t), of(a), bad)
	}
	limited(t, p.Check(ctx(t), of(a), good))
	if err := mailed.Check(ctx(t), of(a), &out, secret.Reveal()); err != nil {
		t.Errorf("a code may go on where passwords stop: %v", err)
	}
	c.pass(time.Minute)
	if out, secret, err = mailed.Issue(ctx(t), someone, a.Email); err != nil {
		t.Fatal(err)
	}
	for range broker.MailedTries {
		_ = mailed.Check(ctx(t), of(a), &out, miss(secret))
	}
	c.pass(time.Minute)
	if out, secret, err = mailed.Issue(ctx(t), someone, a.Email); err != nil {
		t.Fatal(err)
	}
	limited(t, mailed.Check(ctx(t), of(a), &out, secret.Reveal()))
}

func TestE2_ParallelTriesCannotOutrunTheCount(t *testing.T) {
	p, m, c := passwords(t)
	hashes := counted(p)
	a := account(t, p, "ana", good)
	hashes.Store(0)
	replicas := []*Passwords{p, other(p, m, c), other(p, m, c)}
	var all sync.WaitGroup
	for i := range 90 {
		all.Go(func() { _ = replicas[i%3].Check(ctx(t), of(a), bad) })
	}
	all.Wait()
	if hashes.Load() != PasswordTries {
		t.Errorf("%d real verifications", hashes.Load())
	}
}

func TestE2_ATurnOfTheKeyringGivesNoSecondBudget(t *testing.T) {
	p, _, c := passwords(t)
	counted(p)
	a := account(t, p, "ana", good)
	for range PasswordTries {
		_ = p.Check(ctx(t), of(a), bad)
	}
	if err := p.tries.keyring.Rotate(c.now()); err != nil {
		t.Fatal(err)
	}
	limited(t, p.Check(ctx(t), of(a), good))
}

func TestE2_ASuccessGivesBackItsOwnTryAndNoOther(t *testing.T) {
	p, _, _ := passwords(t)
	counted(p)
	a := account(t, p, "ana", good)
	for range 3 * PasswordTries {
		if err := p.Check(ctx(t), of(a), good); err != nil {
			t.Fatalf("the owner signs in often: %v", err)
		}
	}
	wrong := 0
	for range 20 {
		if code(p.Check(ctx(t), of(a), bad)) == broker.WrongPassword {
			wrong++
		}
		_ = p.Check(ctx(t), of(a), good)
	}
	if wrong != PasswordTries {
		t.Errorf("between the owner's successes there were %d guesses, want %d", wrong, PasswordTries)
	}
}

func TestE2_StrangersAndKnownBrowsersHaveSeparateBudgets(t *testing.T) {
	p, m, c := passwords(t)
	hashes := counted(p)
	a, b := account(t, p, "ana", good), account(t, p, "bob", good)
	hashes.Store(0)
	for range 30 {
		_ = p.Check(ctx(t), of(a), bad)
	}
	if err := p.Check(ctx(t), known(a), good); err != nil {
		t.Fatalf("the owner at a known browser: %v", err)
	}
	limited(t, p.Check(ctx(t), of(a), good))
	for range 30 {
		_ = other(p, m, c).Check(ctx(t), known(a), bad)
	}
	limited(t, p.Check(ctx(t), known(a), good))
	if n := hashes.Load(); n != 2*PasswordTries+1 {
		t.Errorf("%d hashes, want five for strangers, five for known browsers and the owner's", n)
	}
	for range 30 {
		_ = p.Check(ctx(t), known(b), bad)
	}
	if err := p.Check(ctx(t), of(b), good); err != nil {
		t.Errorf("guesses at a known browser shut the owner out elsewhere: %v", err)
	}
}

func TestE1_E2_EverySortOfAccountCostsTheSameWork(t *testing.T) {
	p, m, _ := passwords(t)
	hashes := counted(p)
	ana := account(t, p, "ana", good)
	costlier := *ana
	costlier.ID, costlier.PasswordHash = "dora", strings.Replace(ana.PasswordHash, "m=8,t=1", "m=65536,t=3", 1)
	damaged := *ana
	damaged.ID, damaged.PasswordHash = "carl", "$2y$10$abcdefghijklmnopqrstuv"
	work := func(at Target) (calls string, n int64) {
		m.calls = nil
		hashes.Store(0)
		for range PasswordTries + 2 {
			_ = p.Check(ctx(t), at, bad)
		}
		return strings.Join(m.calls, " "), hashes.Load()
	}
	calls, n := work(of(ana))
	if n != PasswordTries {
		t.Fatalf("%d hashes", n)
	}
	for name, at := range map[string]Target{"nobody": nobody("eve@example.com"),
		"an account without a password": of(&broker.Account{ID: "bob", Email: "bob@example.com"}),
		"a hash with other costs":       of(&costlier), "a hash of another kind": of(&damaged)} {
		if c, h := work(at); c != calls || h != n {
			t.Errorf("%s: %d hashes after %s\nwant %d after %s", name, h, c, n, calls)
		}
	}
	if a, b := limited(t, p.Check(ctx(t), of(ana), bad)),
		limited(t, p.Check(ctx(t), nobody("eve@example.com"), bad)); a != b {
		t.Errorf("again after %d s and %d s", a, b)
	}
}

func TestE18_ConcurrentHashesNeverExceedTheCores(t *testing.T) {
	const people = 2000
	p, _, _ := passwords(t)
	most := queuePerCore * runtime.GOMAXPROCS(0)
	if most >= people {
		t.Fatalf("a queue of %d is no bound", most)
	}
	p.slots = newSlots(time.Hour) // so that only the queue's limit refuses requests
	var running, peak atomic.Int64
	gate := make(chan struct{})
	p.hash = func(_, _ []byte, _, _ uint32, _ uint8, size uint32) []byte {
		now := running.Add(1)
		defer running.Add(-1)
		for old := peak.Load(); now > old && !peak.CompareAndSwap(old, now); old = peak.Load() {
		}
		<-gate
		return make([]byte, size)
	}
	answers := make(chan error, people)
	for range people {
		at := nobody(broker.NewID() + "@example.com")
		at.Network = at.Address
		go func() { answers <- p.Check(ctx(t), at, bad) }()
	}
	for range people - most {
		retry, ok := errors.AsType[broker.Retry](<-answers)
		if !ok || retry.Code != broker.Busy || retry.After < 1 {
			t.Fatalf("beyond the queue: %+v", retry)
		}
	}
	close(gate)
	for range most {
		if err := <-answers; code(err) != broker.WrongPassword {
			t.Fatalf("in the queue: %v", err)
		}
	}
	if n := peak.Load(); n < 1 || n > int64(runtime.GOMAXPROCS(0)) {
		t.Errorf("%d hashes ran at once, want at most %d", n, runtime.GOMAXPROCS(0))
	}
}

func TestE18_BusyCostsNoTry(t *testing.T) {
	p, _, _ := passwords(t)
	counted(p)
	a := account(t, p, "ana", good)
	p.slots = limit.NewSlots(1, 1, time.Hour)
	empty, err := p.slots.Acquire(ctx(t), "k")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * PasswordTries {
		retry, ok := errors.AsType[broker.Retry](p.Check(ctx(t), of(a), good))
		if !ok || retry.Code != broker.Busy || retry.After < 1 {
			t.Fatalf("with a full queue: %+v", retry)
		}
	}
	empty()
	if err := p.Check(ctx(t), of(a), good); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

func TestE18_AWaitForASlotEnds(t *testing.T) {
	p, _, _ := passwords(t)
	p.slots = limit.NewSlots(1, 32, time.Millisecond)
	if _, err := p.slots.Acquire(ctx(t), "k"); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(ctx(t), nobody("x@example.com"), bad); code(err) != broker.Busy {
		t.Fatalf("with every slot taken: %v", err)
	}
	gone, cancel := context.WithCancel(ctx(t))
	cancel()
	p.slots = limit.NewSlots(1, 32, time.Hour)
	if _, err := p.slots.Acquire(ctx(t), "k"); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(gone, nobody("y@example.com"), bad); code(err) != broker.Busy {
		t.Fatalf("after the browser has gone: %v", err)
	}
	if p.slots.InUse() != 1 {
		t.Error("a place in the queue was kept")
	}
}

func TestE2_OnePasswordOverManyAccountsOfOneNetworkIsStopped(t *testing.T) {
	p, _, c := passwords(t)
	hashes := counted(p)
	spray := func(network string, known bool, n int) (answered, refused int) {
		for i := range n {
			a := &broker.Account{ID: network + strconv.Itoa(i), Email: strconv.Itoa(i) + "@example.com"}
			at := Target{Address: a.Email, Account: a, Known: known, Network: network}
			before := hashes.Load()
			switch err := p.Check(ctx(t), at, bad); {
			case code(err) == broker.WrongPassword && hashes.Load() > before:
				answered++
			case hashes.Load() == before:
				if after := limited(t, err); after < 1 || after > int(Window/time.Second) {
					t.Fatalf("again after %d s", after)
				}
				refused++
			}
		}
		return answered, refused
	}
	if answered, refused := spray("evil", false, 150); answered != NetworkFailures || refused != 150-NetworkFailures {
		t.Errorf("%d answered, %d refused", answered, refused)
	}
	ana := account(t, p, "ana", good)
	at := of(ana)
	at.Network = "evil"
	limited(t, p.Check(ctx(t), at, good))
	at.Known = true
	if err := p.Check(ctx(t), at, good); err != nil {
		t.Errorf("a browser of that network that ana uses: %v", err)
	}
	at = of(ana)
	at.Network = "home"
	for range PasswordTries { // none of hers was used up by the refusals
		if err := p.Check(ctx(t), at, bad); code(err) != broker.WrongPassword {
			t.Errorf("another network: %v", err)
		}
	}
	if answered, _ := spray("office", true, 200); answered != 200 {
		t.Errorf("%d of 200 tries of known browsers were answered", answered)
	}
	c.pass(Window)
	at.Network = "evil"
	if err := p.Check(ctx(t), at, good); err != nil {
		t.Errorf("a quarter of an hour later: %v", err)
	}
}

func TestE2_ParallelTriesOfOneNetworkCannotOutrunItsLimit(t *testing.T) {
	p, _, _ := passwords(t)
	hashes := counted(p)
	p.slots = limit.NewSlots(2, limit.Unbounded, time.Hour)
	var all sync.WaitGroup
	for i := range 300 {
		at := nobody(strconv.Itoa(i) + "@example.com")
		at.Network = "evil"
		all.Go(func() { _ = p.Check(ctx(t), at, bad) })
	}
	all.Wait()
	if n := hashes.Load(); n < NetworkFailures || n > NetworkFailures+2 {
		t.Errorf("%d hashes", n)
	}
}

func TestE18_AFloodFromOneNetworkKeepsNoPlaceFromOthers(t *testing.T) {
	p, _, _ := passwords(t)
	counted(p)
	ana := account(t, p, "ana", good)
	p.slots = limit.NewSlots(1, 32, time.Hour)
	gate, inner := make(chan struct{}), p.hash
	p.hash = func(password, salt []byte, time, memory uint32, lanes uint8, size uint32) []byte {
		<-gate
		return inner(password, salt, time, memory, lanes, size)
	}
	var all sync.WaitGroup
	var busy atomic.Int64
	for i := range 120 {
		at := nobody(strconv.Itoa(i) + "@example.com")
		at.Network = "flood"
		all.Go(func() {
			if code(p.Check(ctx(t), at, bad)) == broker.Busy {
				busy.Add(1)
			}
		})
	}
	await := func(n int64) {
		for busy.Load() < n {
			runtime.Gosched()
		}
	}
	await(120 - 32)
	for i := range 8 {
		at := of(ana)
		if at.Network = "honest" + strconv.Itoa(i); i >= 4 {
			at.Network, at.Known = "flood", true
		}
		all.Go(func() {
			if err := p.Check(ctx(t), at, good); err != nil {
				t.Errorf("honest sign-in %d: %v", i, err)
			}
		})
		await(120 - 32 + int64(i) + 1)
	}
	close(gate)
	all.Wait()
}
