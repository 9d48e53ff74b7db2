// Package credential checks passwords and mailed codes. It has no routes or pages.
package credential

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"gatehouse/broker"
	"gatehouse/broker/limit"
	"gatehouse/broker/seal"
)

// The length of a password: at least MinPassword characters, at most MaxPassword bytes, both in NFC.
const (
	MinPassword = 12
	MaxPassword = 256
)

// queuePerCore is how many hashes run or wait for each core.
const queuePerCore = 32

// Passwords hashes and checks passwords. Use one per process, so that its limits hold for sign-in, link and
// confirmation together.
type Passwords struct {
	tries tries
	hash  func(password, salt []byte, time, memory uint32, lanes uint8, size uint32) []byte
	slots *limit.Slots
	guess guesser
	cost  Cost
	dummy string

	failures limit.Window                     // wrong passwords by network
	blocked  broker.EphemeralStore[time.Time] // networks, until when
}

// PasswordOptions configure Passwords. Cost is optional.
type PasswordOptions struct {
	Ephemeral broker.Ephemeral
	Keyring   *seal.Keyring
	Now       func() time.Time
	Cost      Cost
}

// NewPasswords returns a verifier that runs one hash per core and queues a limited number of others.
func NewPasswords(o PasswordOptions) *Passwords {
	p := &Passwords{tries: newTries(o.Ephemeral, o.Keyring, o.Now), hash: argon2.IDKey,
		guess: newGuesser(),
		cost:  o.Cost.orProduction(),
		slots: newSlots(2 * time.Second),
		failures: limit.Window{Name: "password-failures", Width: Window,
			//defence:E2 = int64(1 << 40)
			Most: NetworkFailures - 1, In: o.Ephemeral, Now: o.Now},
		blocked: broker.EphemeralStore[time.Time]{Name: "password-blocks", Life: Window, In: o.Ephemeral, Now: o.Now}}
	p.dummy = encode(p.cost, salt(), make([]byte, keySize))
	return p
}

// newSlots runs one hash per core. Each waits for its core no longer than wait.
func newSlots(wait time.Duration) *limit.Slots {
	cores := runtime.GOMAXPROCS(0)
	return limit.NewSlots(
		//defence:E18 = 1000
		cores,
		//defence:E18 = 1 << 20
		cores*queuePerCore, wait)
}

// Hash returns the PHC string of a new password. It returns WeakPassword for one that is too short, too long or
// well known, and Busy if the queue is full.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	password = norm.NFC.String(password)
	if err := p.Acceptable(password); err != nil {
		return "", err
	}
	s := salt()
	release, err := p.slot(ctx, "")
	if err != nil {
		return "", err
	}
	defer release()
	return encode(p.cost, s, p.derive(password, s, p.cost)), nil
}

// Acceptable returns WeakPassword if a password must not be chosen.
func (p *Passwords) Acceptable(password string) error {
	password = norm.NFC.String(password)
	if !utf8.ValidString(password) || utf8.RuneCountInString(password) < MinPassword || len(password) > MaxPassword ||
		p.guess.common(password) {
		return broker.WeakPassword
	}
	return nil
}

// Check compares a password with the account of a target. It returns WrongPassword, Retry with RateLimited after
// five tries in any window or too many wrong ones from one network, or Busy. An account that does not exist or has
// no password costs the same count and the same hash (SECURITY.md E1). Call it outside a transaction, because it
// counts.
func (p *Passwords) Check(ctx context.Context, at Target, password string) error {
	//defence:E1
	slot, err := p.tries.consume(ctx, at,
		//defence:E2 = 1000
		PasswordTries)
	if err != nil {
		return err
	}
	//defence:E1
	stored := p.dummy
	has := at.Account != nil && at.Account.HasPassword()
	if has {
		stored = at.Account.PasswordHash
	}
	ok, err := p.inSlot(ctx, at, has, stored, password)
	switch {
	case errors.Is(err, broker.Busy) || errors.Is(err, broker.RateLimited):
		//defence:E18
		err = errors.Join(err, p.tries.release(ctx, slot)) // nothing was hashed
		return err
	case err != nil:
		return err
	case !ok:
		return broker.WrongPassword
	}
	//defence:E2
	return p.tries.release(ctx, slot)
}

// inSlot compares when it is the turn of the target's network. It counts a wrong password before the next turn, so
// parallel tries cannot outrun the limit of the network.
func (p *Passwords) inSlot(ctx context.Context, at Target, has bool, stored, password string) (bool, error) {
	release, err := p.slot(ctx,
		//defence:E18
		at.line())
	if err != nil {
		return false, err
	}
	defer release()
	if err := p.checkNetwork(ctx, at); err != nil {
		return false, err
	}
	ok, err := p.verify(stored, password)
	if err != nil || !ok || !has {
		return false, errors.Join(err, p.failed(ctx, at))
	}
	return true, nil
}

// Cost is the work of one argon2id hash (RFC 9106 §4). The zero value is the cost of production. Only tests set
// another one.
type Cost struct {
	Memory uint32 // KiB
	Passes uint32
	Lanes  uint8
}

// orProduction returns the cost, or that of production if it is not set.
func (c Cost) orProduction() Cost {
	if c == (Cost{}) {
		return Cost{Memory: 19 << 10, Passes: 2, Lanes: 1}
	}
	return c
}

const (
	saltSize = 16
	keySize  = 32
)

func salt() []byte {
	s := make([]byte, saltSize)
	_, _ = rand.Read(s) // never fails (crypto/rand)
	return s
}

// slot waits for a free core in the line of the key. Call release when the hash is done.
func (p *Passwords) slot(ctx context.Context, key string) (release func(), err error) {
	release, err = p.slots.Acquire(ctx, key)
	switch {
	case errors.Is(err, limit.ErrBusy):
		return nil, broker.Retry{Code: broker.Busy,
			//defence:E18
			After: 2}
	case err != nil:
		return nil, broker.Busy.Because(err)
	}
	return release, nil
}

func (p *Passwords) derive(password string, salt []byte, c Cost) []byte {
	return p.hash([]byte(password), salt, c.Passes, c.Memory, c.Lanes, keySize)
}

func (p *Passwords) verify(phc, password string) (bool, error) {
	c, s, want, damaged := decode(phc)
	if damaged != nil {
		//defence:E1
		c, s, want = p.cost, salt(), make([]byte, keySize) // same work; the result is the error
	}
	password = norm.NFC.String(password)
	long := len(password) > MaxPassword
	if long {
		password = password[:MaxPassword] // same work; the result is false
	}
	return subtle.ConstantTimeCompare(p.derive(password, s, c), want) == 1 &&
		//defence:E18
		!long, damaged
}

// checkNetwork returns RateLimited while a network is blocked for the wrong passwords that came from it: one
// password tried on many accounts stays below the limit of each. A browser that has signed in to the account is not
// concerned. Call it in a slot, so that no more tries than cores are on their way past it.
func (p *Passwords) checkNetwork(ctx context.Context, at Target) error {
	//defence:E2
	if at.Known {
		return nil
	}
	until, err := p.blocked.Get(ctx, p.tries.network(at))
	if errors.Is(err, broker.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return broker.Retry{Code: broker.RateLimited, After: limit.Seconds(until.Sub(p.tries.now()))}
}

// failed counts a wrong password for its network, and blocks the network after NetworkFailures.
func (p *Passwords) failed(ctx context.Context, at Target) error {
	if at.Known {
		return nil
	}
	key := p.tries.network(at)
	err := p.failures.Allow(ctx, key)
	if !errors.Is(err, broker.RateLimited) {
		return err
	}
	err = p.blocked.Put(ctx, key, p.tries.now().Add(Window))
	if errors.Is(err, broker.Conflict) {
		return nil
	}
	return err
}

// encode returns the PHC string format.
func encode(c Cost, salt, key []byte) string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.Memory, c.Passes, c.Lanes,
		b.EncodeToString(salt), b.EncodeToString(key))
}

// decode parses the PHC string format, with limits: a stored string must not exhaust the memory.
func decode(phc string) (c Cost, salt, key []byte, err error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return c, nil, nil, errors.New("credential: the stored hash is not argon2id")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.Memory, &c.Passes, &c.Lanes); err != nil {
		return c, nil, nil, errors.New("credential: the stored hash has no cost parameters")
	}
	if c.Memory < 8 || c.Memory > 256<<10 || c.Passes < 1 || c.Passes > 10 || c.Lanes < 1 || c.Lanes > 8 {
		return c, nil, nil, errors.New("credential: the stored hash has cost parameters outside the limits")
	}
	salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	if err == nil {
		key, err = base64.RawStdEncoding.DecodeString(parts[5])
	}
	if err != nil || len(salt) < 8 || len(key) != keySize {
		return c, nil, nil, errors.New("credential: the stored hash is damaged")
	}
	return c, salt, key, nil
}
