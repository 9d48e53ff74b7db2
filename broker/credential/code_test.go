package credential

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/broker"
)

func codes(t *testing.T) (*Codes, *memory, *clock) {
	c := newClock()
	m := newMemory(c.now)
	return NewCodes(m, keyring(t), c.now), m, c
}

func TestACodeOpensOnceTypedInAnyUsualWay(t *testing.T) {
	c, _, _ := codes(t)
	m, secret, err := c.Issue(ctx(t), "ana@example.com")
	if err != nil {
		t.Fatal(err)
	}
	s := secret.Reveal()
	if len(s) != broker.CodeDigits || strings.Contains(m.Hash, s) || secret.String() == s {
		t.Fatalf("code %q in %+v", s, m)
	}
	for _, typed := range []string{s, " " + s[:3] + " " + s[3:] + "\t", s[:3] + "-" + s[3:], s[:3] + "\u00a0" + s[3:]} {
		if err := c.Check(ctx(t), nobody(m.Email), &m, typed); err != nil {
			t.Errorf("%q: %v", typed, err)
		}
	}
}

func TestE3_AMailedCodeHasFiveTries(t *testing.T) {
	c, mem, clk := codes(t)
	m, secret, err := c.Issue(ctx(t), "ana@example.com")
	if err != nil {
		t.Fatal(err)
	}
	wrong := "000000"
	if secret.Reveal() == wrong {
		wrong = "111111"
	}
	for _, typed := range []string{"", "12345", "abcdef", "12345678", strings.Repeat("1", 4000)} {
		if err := c.Check(ctx(t), nobody(m.Email), &m, typed); code(err) != broker.CodeWrong {
			t.Errorf("%.10q: %v", typed, err)
		}
	}
	var left []int
	for range 4 {
		w, _ := errors.AsType[WrongCode](c.Check(ctx(t), nobody(m.Email), &m, wrong))
		left = append(left, w.Left)
	}
	if !slices.Equal(left, []int{4, 3, 2, 1}) {
		t.Errorf("tries left %v", left)
	}
	if err := c.Check(ctx(t), nobody(m.Email), &m, wrong); code(err) != broker.CodeExpired {
		t.Errorf("the fifth wrong try: %v", err)
	}
	if err := c.Check(ctx(t), nobody(m.Email), &m, secret.Reveal()); code(err) != broker.CodeExpired {
		t.Errorf("the right code after five tries: %v", err)
	}
	clk.pass(time.Minute)
	m, secret, err = c.Issue(ctx(t), "ana@example.com")
	if err != nil {
		t.Fatal(err)
	}
	mem.calls = nil
	if err := c.Check(ctx(t), nobody(m.Email), &m, secret.Reveal()); err != nil ||
		!slices.Equal(mem.calls[len(mem.calls)-3:], []string{"put", "count", "take"}) {
		t.Errorf("the right code: %v after %v, want it counted like a wrong one", err, mem.calls)
	}
	clk.pass(broker.MailedLife)
	if err := c.Check(ctx(t), nobody(m.Email), &m, secret.Reveal()); code(err) != broker.CodeExpired {
		t.Errorf("the right code too late: %v", err)
	}
	if err := c.Check(ctx(t), nobody("ana@example.com"), nil, "123456"); code(err) != broker.CodeExpired {
		t.Errorf("no code: %v", err)
	}
}

func TestE3_OfAHundredConcurrentGuessesFiveCount(t *testing.T) {
	c, mem, clk := codes(t)
	m, secret, err := c.Issue(ctx(t), "ana@example.com")
	if err != nil {
		t.Fatal(err)
	}
	var compared atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		replica := NewCodes(mem, c.keyring, clk.now)
		all.Go(func() {
			if _, ok := errors.AsType[WrongCode](replica.Check(ctx(t), nobody(m.Email), &m, miss(secret))); ok {
				compared.Add(1)
			}
		})
	}
	all.Wait()
	if compared.Load() != broker.MailedTries-1 { // the fifth returns CodeExpired
		t.Errorf("%d guesses returned WrongCode", compared.Load())
	}
	if err := c.Check(ctx(t), nobody(m.Email), &m, secret.Reveal()); code(err) != broker.CodeExpired {
		t.Errorf("the right code after them: %v", err)
	}
}

func TestACodeBelongsToItsAddressAndItsID(t *testing.T) {
	c, _, clk := codes(t)
	a, secret, err := c.Issue(ctx(t), "ana@example.com")
	if err != nil {
		t.Fatal(err)
	}
	clk.pass(time.Minute)
	moved := a
	moved.Email = "bob@example.com"
	renamed := a
	renamed.ID = broker.NewID()
	for _, m := range []broker.MailedCode{moved, renamed} {
		if err := c.Check(ctx(t), nobody(m.Email), &m, secret.Reveal()); code(err) != broker.CodeWrong {
			t.Errorf("moved to %s %s: %v", m.ID, m.Email, err)
		}
	}
}

func TestE2_AtMostThreeCodesAnHourAndThirtySecondsBetween(t *testing.T) {
	c, _, clk := codes(t)
	issue := func() error {
		_, _, err := c.Issue(ctx(t), "ana@example.com")
		return err
	}
	if err := issue(); err != nil {
		t.Fatal(err)
	}
	clk.pass(10 * time.Second)
	if r, _ := errors.AsType[broker.Retry](issue()); r.Code != broker.CodeTooSoon || r.After != 20 {
		t.Errorf("after 10 s: %+v", r)
	}
	clk.pass(50 * time.Minute)
	for range 2 {
		if err := issue(); err != nil {
			t.Fatal(err)
		}
		clk.pass(31 * time.Second)
	}
	if r, _ := errors.AsType[broker.Retry](issue()); r.Code != broker.RateLimited || r.After < 1 {
		t.Errorf("the fourth in an hour: %+v", r)
	}
	if _, _, err := c.Issue(ctx(t), "bob@example.com"); err != nil {
		t.Errorf("another address: %v", err)
	}
	clk.pass(9 * time.Minute) // the first one is more than an hour old
	if err := issue(); err != nil {
		t.Errorf("when the first is an hour old: %v", err)
	}
	clk.pass(time.Minute)
	if r, _ := errors.AsType[broker.Retry](issue()); r.Code != broker.RateLimited {
		t.Errorf("the hour slides: %+v", r)
	}
}

func TestE2_ConcurrentRequestsForACodeSendOne(t *testing.T) {
	c, m, _ := codes(t)
	const people = 20
	var sent atomic.Int64
	var all, looked sync.WaitGroup
	looked.Add(people)
	// All have read the record before the first one writes it.
	m.onGet = func() { looked.Done(); looked.Wait() }
	for range people {
		all.Go(func() {
			if _, _, err := c.Issue(ctx(t), "ana@example.com"); err == nil {
				sent.Add(1)
			}
		})
	}
	all.Wait()
	if sent.Load() != 1 {
		t.Errorf("%d codes went out", sent.Load())
	}
}
