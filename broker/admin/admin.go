// Package admin holds the operations of operators and administrators, each once. The
// command line calls them, and so will the API and the console.
//
// Every operation is a method of Service that takes a context, the Actor and an input. An
// operation that changes something validates its input, runs one transaction, and writes
// its Event with the actor in that transaction. With DryRun in its input it runs the same
// transaction and rolls it back, so that the Result says what would happen.
package admin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/egress"
	"gatehouse/broker/mail"
	"gatehouse/broker/seal"
	"gatehouse/broker/signing"
)

// Operator is the id of the Actor at the command line of the server.
const Operator = "operator"

// Actor is who performs an operation.
type Actor struct {
	ID string // as in Event.Actor: Operator, or the id of an account
}

// Store is what the operations read and write.
type Store interface {
	broker.Accounts
	broker.Identities
	broker.Consents
	broker.Clients
	broker.Connections
	broker.Grants
	broker.Logouts
	broker.SigningKeys
	broker.AuditLog
	broker.Atomic
	SealedValues
}

// SealedValues are the values that the keyring protects.
type SealedValues interface {
	// SealedWith counts the stored values and sessions that need each key of the keyring.
	SealedWith(ctx context.Context) (map[string]int, error)
	// Reseal seals every value with the primary key, and returns how many it changed.
	Reseal(ctx context.Context) (int, error)
}

// Hasher hashes an acceptable password, and returns WeakPassword for another one.
type Hasher interface {
	Hash(ctx context.Context, password string) (string, error)
}

// Service performs the operations. Fill the fields; it is safe for concurrent use.
type Service struct {
	Store     Store
	Passwords Hasher
	Mail      *mail.Mailer
	Keyring   *seal.Keyring
	// KeyringFile is the path of the keyring file, empty if there is none.
	KeyringFile string
	Signing     *signing.Keys
	Gate        *access.Gate
	// Egress decides which URIs of a client can be called.
	Egress *egress.Client
	// Weakness returns what is wrong with a secret that a person chose, in words that
	// follow "the secret", or "". The secret must have at least least characters.
	Weakness func(secret string, least int) string
	// ClientRegistration reports whether apps may register themselves.
	ClientRegistration bool
	// PasswordSignIn reports whether people may sign in with a password.
	PasswordSignIn bool
	// Networks are the networks outside the public Internet that the configuration opens.
	Networks []netip.Prefix
	// Check tries connections over the network.
	Check ConnectionCheck
	Now   func() time.Time
	// Pause waits until running servers follow a change of keys; nil: on the real clock.
	Pause func(context.Context, time.Duration) error
}

// Result is what an operation did, or in a dry run would do.
type Result[T any] struct {
	Value T
	// Events are the entries of the audit log. There is none if nothing had to change.
	Events []broker.Event
}

// Problem is a refusal in the words of an administrator. It wraps its Code.
type Problem struct {
	Code  broker.Code
	Field string // the field of the input, in the spelling of a flag; empty for none
	Text  string
}

func (p Problem) Error() string { return p.Text }

// Unwrap returns the Code.
func (p Problem) Unwrap() error { return p.Code }

func invalid(field, format string, args ...any) error {
	return Problem{broker.RequestInvalid, field, fmt.Sprintf(format, args...)}
}

func missing(field, format string, args ...any) error {
	return Problem{broker.NotFound, field, fmt.Sprintf(format, args...)}
}

func conflict(field, format string, args ...any) error {
	return Problem{broker.Conflict, field, fmt.Sprintf(format, args...)}
}

// MaxList is the most that one operation lists.
const MaxList = 1000

// CheckLimit validates the limit of a list.
func CheckLimit(n int) error {
	if n < 1 || n > MaxList {
		return invalid("limit", "must be a number from 1 to %d", MaxList)
	}
	return nil
}

// act is one run of an operation that changes something.
type act struct {
	actor  Actor
	dryRun bool
}

// errDryRun rolls the transaction of a dry run back.
var errDryRun = errors.New("admin: dry run")

// change runs do in one transaction together with the Event, and returns the Event as it
// was written. A dry run does the same and rolls it back.
func (s *Service) change(ctx context.Context, by act, e broker.Event,
	do func(ctx context.Context) error) (broker.Event, error) {
	e.ID, e.At, e.Actor = broker.NewID(), s.Now(), by.actor.ID
	err := s.Store.Atomic(ctx, func(ctx context.Context) error {
		if err := do(ctx); err != nil {
			return err
		}
		if err := s.Store.Record(ctx, e); err != nil {
			return err
		}
		if by.dryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return e, err
}

// changed is the Result of a change with one Event, or its error.
func changed[T any](v T, e broker.Event, err error) (Result[T], error) {
	if err != nil {
		return Result[T]{}, err
	}
	return Result[T]{Value: v, Events: []broker.Event{e}}, nil
}

// detail is the Detail of an Event that says what changed.
func detail(what string) map[string]string { return map[string]string{"change": what} }

// State is the word for a thing that can be disabled.
func State(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}
