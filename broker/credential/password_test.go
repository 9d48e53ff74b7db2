package credential

import (
	"errors"
	"strings"
	"testing"

	"gatehouse/broker"
)

const good = "a quiet green harbour"

// passwords returns a verifier with cheap hashes.
func passwords(t *testing.T) (*Passwords, *memory, *clock) {
	return passwordsAt(t, Cost{Memory: 8, Passes: 1, Lanes: 1})
}

func passwordsAt(t *testing.T, cost Cost) (*Passwords, *memory, *clock) {
	c := newClock()
	m := newMemory(c.now)
	return NewPasswords(PasswordOptions{Ephemeral: m, Keyring: keyring(t), Now: c.now, Cost: cost}), m, c
}

func account(t *testing.T, p *Passwords, id, password string) *broker.Account {
	t.Helper()
	hash, err := p.Hash(ctx(t), password)
	if err != nil {
		t.Fatal(err)
	}
	return &broker.Account{ID: id, Email: id + "@example.com", PasswordHash: hash}
}

// of returns a target for an account, from an unknown browser.
func of(a *broker.Account) Target { return Target{Address: a.Email, Account: a} }

func nobody(address string) Target { return Target{Address: address} }

// The zero Cost is that of production.
func TestAHashIsArgon2idAndOpensForItsPasswordOnly(t *testing.T) {
	p, _, _ := passwordsAt(t, Cost{})
	if !strings.HasPrefix(p.dummy, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the hash of an account without a password: %s", p.dummy)
	}
	a := account(t, p, "ana", good)
	if !strings.HasPrefix(a.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("hash %s", a.PasswordHash)
	}
	if again := account(t, p, "ana", good); again.PasswordHash == a.PasswordHash {
		t.Error("two hashes of one password are equal: there is no salt")
	}
	if err := p.Check(ctx(t), of(a), good); err != nil {
		t.Errorf("its password: %v", err)
	}
	if err := p.Check(ctx(t), of(a), good+"."); code(err) != broker.WrongPassword {
		t.Errorf("another password: %v", err)
	}
}

func TestPasswordsAreComparedInNFC(t *testing.T) {
	p, _, _ := passwords(t)
	a := account(t, p, "ana", "cafe\u0301 und kuchen")
	if err := p.Check(ctx(t), of(a), "caf\u00e9 und kuchen"); err != nil {
		t.Errorf("the composed spelling: %v", err)
	}
}

func TestE18_LengthIsBoundedOnBothSides(t *testing.T) {
	p, _, _ := passwords(t)
	for name, s := range map[string]string{
		"eleven characters": "a2C!e6G(i0k", "eleven of two bytes": "éàüöñçßøåæþ",
		"257 bytes": strings.Repeat("ab1! Zq,x", 40)[:257], "empty": "", "not UTF-8": "\xff\xfe a good enough one"} {
		if err := p.Acceptable(s); !errors.Is(err, broker.WeakPassword) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := strings.Repeat("ab1! Zq,x", 40)[:256]
	a := account(t, p, "ana", long)
	if err := p.Check(ctx(t), of(a), long); err != nil {
		t.Errorf("256 bytes: %v", err)
	}
	if err := p.Check(ctx(t), of(a), long+"x"); code(err) != broker.WrongPassword {
		t.Errorf("a longer one that begins with the password: %v", err)
	}
}

func TestWellKnownPasswordsAreRefused(t *testing.T) {
	p, _, _ := passwords(t)
	refused := map[string]bool{}
	for _, word := range p.guess.words {
		title := strings.ToUpper(word[:1]) + word[1:]
		for _, tail := range []string{"123456789012", "1234567890!", "2024202420", "!!!!!!!!!!!", "@1234567890",
			"0000000000000", "2026!2026!!"} {
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
	for _, one := range []string{"passwordpassword", "P4ssw0rd1234", "Password123!", "qwertyuiop123", "abcdefghijkl",
		"123456789012", "aaaaaaaaaaaa", "abc123abc123", "iloveyou12345",
		"1q2w3e4r5t6y", "1qaz2wsx3edc", "Welcome2026!", "letmein letmein", "poiuytrewqlkjh", "Passw0rd!Passw0rd!",
		"adminadmin123", "summer2026summer"} {
		if err := p.Acceptable(one); err == nil {
			t.Errorf("%q is accepted", one)
		}
	}
	for _, one := range []string{good, "correct horse battery staple", "Tr0ub4dor&3xyz", "kX9#mQ2$vL7p",
		"die katze schläft tief", "мой дядя самых честных", "我喜欢在雨天读书喝热茶呀", "password of my dear uncle"} {
		if err := p.Acceptable(one); err != nil {
			t.Errorf("%q is refused", one)
		}
	}
}

func TestADamagedHashIsAnErrorAndNotAWrongPassword(t *testing.T) {
	p, _, _ := passwords(t)
	hash := account(t, p, "ana", good).PasswordHash
	for _, bad := range []string{"x", "$argon2i$v=19$m=19456,t=2,p=1$AAAA$AAAA",
		strings.Replace(hash, "m=8", "m=4000000", 1), strings.Replace(hash, "t=1", "t=0", 1), hash[:len(hash)-5]} {
		a := &broker.Account{ID: broker.NewID(), Email: "ana@example.com", PasswordHash: bad}
		if err := p.Check(ctx(t), of(a), good); code(err) != broker.Internal {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
