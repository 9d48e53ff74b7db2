package credential

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/broker"
)

const good = "a quiet green harbour"

func passwords(t *testing.T) (*Passwords, *memory, *clock) {
	m, c := newMemory(), newClock()
	return NewPasswords(m, ring(t), c.now), m, c
}

func account(t *testing.T, p *Passwords, id, password string) *broker.Account {
	t.Helper()
	hash, err := p.Hash(ctx(t), password)
	if err != nil {
		t.Fatal(err)
	}
	return &broker.Account{ID: id, Email: id + "@example.com", PasswordHash: hash}
}

func TestAHashIsArgon2idAndOpensForItsPasswordOnly(t *testing.T) {
	p, _, _ := passwords(t)
	a := account(t, p, "ana", good)
	if !strings.HasPrefix(a.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("hash %s", a.PasswordHash)
	}
	if again := account(t, p, "ana", good); again.PasswordHash == a.PasswordHash {
		t.Error("two hashes of one password are equal: there is no salt")
	}
	if err := p.Check(ctx(t), a.Email, a, good); err != nil {
		t.Errorf("its password: %v", err)
	}
	if err := p.Check(ctx(t), a.Email, a, good+"."); code(err) != broker.WrongPassword {
		t.Errorf("another password: %v", err)
	}
}

func TestPasswordsAreComparedInNFC(t *testing.T) {
	p, _, _ := passwords(t)
	a := account(t, p, "ana", "cafe\u0301 und kuchen")
	if err := p.Check(ctx(t), a.Email, a, "caf\u00e9 und kuchen"); err != nil {
		t.Errorf("the composed spelling: %v", err)
	}
}

func TestE18_LengthIsBoundedOnBothSides(t *testing.T) {
	p, _, _ := passwords(t)
	for name, s := range map[string]string{
		"eleven characters": "a2C!e6G(i0k", "eleven of two bytes": "éàüöñçßøåæþ", "257 bytes": strings.Repeat("ab1! Zq,x", 40)[:257], "empty": "", "not UTF-8": "\xff\xfe a good enough one"} {
		if err := p.Acceptable(s); !errors.Is(err, broker.WeakPassword) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := strings.Repeat("ab1! Zq,x", 40)[:256]
	a := account(t, p, "ana", long)
	if err := p.Check(ctx(t), a.Email, a, long); err != nil {
		t.Errorf("256 bytes: %v", err)
	}
	if err := p.Check(ctx(t), a.Email, a, long+"x"); code(err) != broker.WrongPassword {
		t.Errorf("a longer one that begins with the password: %v", err)
	}
}

func TestPasswordsThatEverybodyTriesAreRefused(t *testing.T) {
	p, _, _ := passwords(t)
	refused := map[string]bool{}
	for _, word := range p.guess.words {
		title := strings.ToUpper(word[:1]) + word[1:]
		for _, tail := range []string{"123456789012", "1234567890!", "2024202420", "!!!!!!!!!!!", "@1234567890", "0000000000000", "2026!2026!!"} {
			for _, one := range []string{word + tail, title + tail, tail + word} {
				if err := p.Acceptable(one); err == nil {
					t.Fatalf("%q is accepted", one)
				}
				refused[one] = true
			}
		}
	}
	if len(refused) < 1000 {
		t.Errorf("only %d well-known passwords are refused", len(refused))
	}
	for _, one := range []string{"passwordpassword", "P4ssw0rd1234", "Password123!", "qwertyuiop123", "abcdefghijkl", "123456789012", "aaaaaaaaaaaa", "abc123abc123", "iloveyou12345",
		"1q2w3e4r5t6y", "1qaz2wsx3edc", "Welcome2026!", "letmein letmein", "poiuytrewqlkjh", "Passw0rd!Passw0rd!", "adminadmin123", "summer2026summer"} {
		if err := p.Acceptable(one); err == nil {
			t.Errorf("%q is accepted", one)
		}
	}
	for _, one := range []string{good, "correct horse battery staple", "Tr0ub4dor&3xyz", "kX9#mQ2$vL7p", "die katze schläft tief", "мой дядя самых честных", "我喜欢在雨天读书喝热茶呀", "password of my dear uncle"} {
		if err := p.Acceptable(one); err != nil {
			t.Errorf("%q is refused", one)
		}
	}
}

func TestE2_FiveTriesInAWindowThenNoHashAtAll(t *testing.T) {
	p, _, c := passwords(t)
	a := account(t, p, "ana", good)
	for range Tries {
		if err := p.Check(ctx(t), a.Email, a, "a wrong password"); code(err) != broker.WrongPassword {
			t.Fatalf("a try: %v", err)
		}
	}
	c.pass(5 * time.Minute)
	// With the queue full a hash would be Busy: RateLimited proves that none was tried.
	full := fill(p.queue)
	err := p.Check(ctx(t), a.Email, a, good)
	full()
	retry, ok := errors.AsType[broker.Retry](err)
	if !ok || retry.Code != broker.RateLimited || retry.After != 600 {
		t.Fatalf("the sixth try, with the right password: %#v", err)
	}
	c.pass(10 * time.Minute)
	if err := p.Check(ctx(t), a.Email, a, good); err != nil {
		t.Errorf("in the next window: %v", err)
	}
}

func TestE2_EverySpellingAndEveryInstanceSharesOneCount(t *testing.T) {
	p, m, c := passwords(t)
	a := account(t, p, "ana", good)
	other := NewPasswords(m, p.ring, c.now)
	checked := 0
	for i := range 1000 {
		v := []*Passwords{p, other}[i%2]
		key := []string{"ana@example.com", "ANA@example.com", "ana@EXAMPLE.com"}[i%3]
		if err := v.Check(ctx(t), key, a, "a wrong password"); code(err) == broker.WrongPassword {
			checked++
		}
	}
	if checked != Tries {
		t.Errorf("%d real verifications, want %d", checked, Tries)
	}
}

func TestE2_ParallelTriesCannotOutrunTheCount(t *testing.T) {
	p, _, _ := passwords(t)
	a := account(t, p, "ana", good)
	var checked atomic.Int64
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if code(p.Check(ctx(t), a.Email, a, "a wrong password")) == broker.WrongPassword {
				checked.Add(1)
			}
		})
	}
	all.Wait()
	if checked.Load() > Tries {
		t.Errorf("%d real verifications", checked.Load())
	}
}

func TestE2_ASuccessGivesBackItsOwnTryAndNoOther(t *testing.T) {
	p, _, _ := passwords(t)
	a := account(t, p, "ana", good)
	for range 3 * Tries {
		if err := p.Check(ctx(t), a.Email, a, good); err != nil {
			t.Fatalf("the owner signs in often: %v", err)
		}
	}
	wrong := 0
	for range 20 {
		if code(p.Check(ctx(t), a.Email, a, "a wrong password")) == broker.WrongPassword {
			wrong++
		}
		_ = p.Check(ctx(t), a.Email, a, good)
	}
	if wrong != Tries {
		t.Errorf("between the owner's successes there were %d guesses, want %d", wrong, Tries)
	}
}

func TestE1_AnUnknownAddressCostsTheSameWork(t *testing.T) {
	p, m, _ := passwords(t)
	known := account(t, p, "ana", good)
	without := &broker.Account{ID: "bob"}
	count := func(key string, a *broker.Account) (string, broker.Code) {
		m.calls = nil
		hashes := 0
		// Every hash takes a place in the queue: with one place fewer each time, the number of hashes shows.
		p.slots = make(chan struct{}, 1)
		err := p.Check(ctx(t), key, a, "a wrong password")
		select {
		case p.slots <- struct{}{}:
			<-p.slots
		default:
			hashes = -1
		}
		return strings.Join(m.calls, " ") + strconv.Itoa(hashes), code(err)
	}
	calls, answer := count("ana@example.com", known)
	for name, a := range map[string]*broker.Account{"nobody": nil, "an account without a password": without} {
		got, ans := count(name+"@example.com", a)
		if got != calls || ans != answer {
			t.Errorf("%s: %s %s, the known account: %s %s", name, got, ans, calls, answer)
		}
		full := fill(p.queue)
		if err := p.Check(ctx(t), name+"2@example.com", a, "a wrong password"); code(err) != broker.Busy {
			t.Errorf("%s: no hash was tried: %v", name, err)
		}
		full()
	}
	for range Tries {
		_ = p.Check(ctx(t), "eve@example.com", nil, "a wrong password")
	}
	if err := p.Check(ctx(t), "eve@example.com", nil, "a wrong password"); code(err) != broker.RateLimited {
		t.Errorf("an unknown address is not limited like a known one: %v", err)
	}
}

func TestE18_ManyAtOnceAreRefusedNotQueuedForever(t *testing.T) {
	p, _, _ := passwords(t)
	defer fill(p.queue)()
	retry, ok := errors.AsType[broker.Retry](p.Check(ctx(t), "x@example.com", nil, "whatever it is"))
	if !ok || retry.Code != broker.Busy || retry.After == 0 {
		t.Fatalf("with a full queue: %#v", retry)
	}
}

func TestE18_AWaitForASlotEnds(t *testing.T) {
	p, _, _ := passwords(t)
	p.wait = time.Millisecond
	defer fill(p.slots)()
	if err := p.Check(ctx(t), "x@example.com", nil, "whatever it is"); code(err) != broker.Busy {
		t.Fatalf("with every slot taken: %v", err)
	}
	gone, cancel := context.WithCancel(ctx(t))
	cancel()
	p.wait = time.Hour
	if err := p.Check(gone, "y@example.com", nil, "whatever it is"); code(err) != broker.Busy {
		t.Fatalf("after the browser has gone: %v", err)
	}
	if len(p.queue) != 0 {
		t.Error("a place in the queue was kept")
	}
}

func fill(c chan struct{}) (drain func()) {
	n := 0
	for len(c) < cap(c) {
		c <- struct{}{}
		n++
	}
	return func() {
		for range n {
			<-c
		}
	}
}

func TestADamagedHashIsAnErrorAndNotAWrongPassword(t *testing.T) {
	p, _, _ := passwords(t)
	hash := account(t, p, "ana", good).PasswordHash
	for _, bad := range []string{"x", "$argon2i$v=19$m=19456,t=2,p=1$AAAA$AAAA", strings.Replace(hash, "m=19456", "m=4000000", 1), strings.Replace(hash, "t=2", "t=0", 1), hash[:len(hash)-5]} {
		a := &broker.Account{ID: broker.NewID(), PasswordHash: bad}
		if err := p.Check(ctx(t), "ana@example.com", a, good); code(err) != broker.Internal {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
