package credential

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
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
	m, secret, err := c.Issue(ctx(t), someone, "ana@example.com")
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
	m, secret, err := c.Issue(ctx(t), someone, "ana@example.com")
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
	m, secret, err = c.Issue(ctx(t), someone, "ana@example.com")
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
	m, secret, err := c.Issue(ctx(t), someone, "ana@example.com")
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
	a, secret, err := c.Issue(ctx(t), someone, "ana@example.com")
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
		_, _, err := c.Issue(ctx(t), someone, "ana@example.com")
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
	if _, _, err := c.Issue(ctx(t), someone, "bob@example.com"); err != nil {
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
	var sent, gets atomic.Int64
	var all, looked sync.WaitGroup
	looked.Add(people)
	// All have read the first record before the first one writes it.
	m.onGet = func() {
		if gets.Add(1) <= people {
			looked.Done()
			looked.Wait()
		}
	}
	for range people {
		all.Go(func() {
			if _, _, err := c.Issue(ctx(t), someone, "ana@example.com"); err == nil {
				sent.Add(1)
			}
		})
	}
	all.Wait()
	if sent.Load() != 1 {
		t.Errorf("%d codes went out", sent.Load())
	}
}

// someone requests codes from a browser that has signed in before.
var someone = Requester{Browser: "b", Known: true}

func TestE2_C7_ABrowserAndANetworkGetTwentyCodesAnHour(t *testing.T) {
	for name, c := range map[string]struct {
		by   func(i int) Requester
		want int
	}{
		"one browser behind many networks": {func(i int) Requester {
			return Requester{Browser: "b", Network: strconv.Itoa(i)}
		}, 20},
		"one network with many browsers": {func(i int) Requester {
			return Requester{Browser: strconv.Itoa(i), Network: "n"}
		}, 20},
		"one browser that knows them all": {func(int) Requester { return someone }, 20},
		"many that know theirs": {func(i int) Requester {
			return Requester{Browser: strconv.Itoa(i), Network: "n", Known: true}
		}, 500},
	} {
		t.Run(name, func(t *testing.T) {
			codes, _, clk := codes(t)
			clk.pass(45 * time.Minute)
			try := func(from int) (sent, refused int) {
				for i := range 500 {
					_, _, err := codes.Issue(ctx(t), c.by(from+i), fmt.Sprintf("p%d@example.com", from+i))
					switch r, limited := errors.AsType[broker.Retry](err); {
					case err == nil:
						sent++
					case limited && r.Code == broker.RateLimited && r.After > 0 && r.After <= 3600:
						refused++
					default:
						t.Fatal(err)
					}
					clk.pass(time.Second)
				}
				return sent, refused
			}
			if sent, refused := try(0); sent != c.want || refused != 500-c.want {
				t.Errorf("%d codes, %d refusals", sent, refused)
			}
			clk.pass(20 * time.Minute) // into the next full hour
			if sent, _ := try(1000); c.want == 20 && sent != 0 {
				t.Errorf("%d more in the same sixty minutes", sent)
			}
			clk.pass(time.Hour)
			if sent, _ := try(2000); sent != c.want {
				t.Errorf("%d codes an hour later", sent)
			}
		})
	}
}

func TestE2_C20_AddressesOfOneMailboxShareItsLimit(t *testing.T) {
	for _, spellings := range [][]string{
		{"victim@example.com", "victim+1@example.com", "victim+2@example.com", "victim+a+b@example.com"},
		{"v.ictim@gmail.com", "vi.ctim+x@gmail.com", "victim@googlemail.com", "v.i.c.t.i.m@gmail.com"},
	} {
		codes, _, clk := codes(t)
		for i, email := range spellings {
			_, _, err := codes.Issue(ctx(t), someone, email)
			if limited := errors.Is(err, broker.RateLimited); limited != (i >= broker.MailedPerHour) {
				t.Errorf("%s: %v", email, err)
			}
			clk.pass(time.Minute)
		}
	}
	codes, _, _ := codes(t)
	for _, email := range []string{"a.b@example.com", "ab@example.com", "+a@example.com", "+b@example.com"} {
		if _, _, err := codes.Issue(ctx(t), someone, email); err != nil {
			t.Errorf("%s has a mailbox of its own: %v", email, err)
		}
	}
}

func TestE2_ARequesterBeyondItsLimitUsesUpNoCodeOfOthers(t *testing.T) {
	codes, _, clk := codes(t)
	by := Requester{Browser: "flood", Network: "flood"}
	for i := range 40 {
		_, _, _ = codes.Issue(ctx(t), by, fmt.Sprintf("p%d@example.com", i))
	}
	for range 10 {
		clk.pass(time.Minute)
		if _, _, err := codes.Issue(ctx(t), by, "victim@example.com"); !errors.Is(err, broker.RateLimited) {
			t.Fatal(err)
		}
	}
	if _, _, err := codes.Issue(ctx(t), Requester{Browser: "b", Network: "n"}, "victim@example.com"); err != nil {
		t.Error(err)
	}
}
