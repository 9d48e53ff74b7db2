package access

import (
	"cmp"
	"context"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/mail"
)

// UnlinkStore is the storage that Unlink changes.
type UnlinkStore interface {
	broker.Accounts
	broker.Identities
	broker.Connections
}

// Unlinking names an identity to unlink.
type Unlinking struct {
	Account    broker.Account // as read
	Identity   string         // id
	Connection string         // its name, for the mail
	Locale     string         // of the mail, if the account has none
	At         time.Time
	// May returns why the identity must stay. It gets the account's identities and all connections; nil if no
	// rule applies.
	May func(identities []broker.Identity, connections []broker.Connection) error
}

// Unlink removes an identity in the transaction of ctx, with the sessions and grants created with it, and queues
// a mail to the owner. The caller records the Event in the same transaction. It returns NotFound if the identity
// does not exist, and the error of May.
func Unlink(ctx context.Context, store UnlinkStore, mailer *mail.Mailer, u Unlinking) error {
	if u.May != nil {
		if err := u.mayUnlink(ctx, store); err != nil {
			return err
		}
	}
	if err := store.Unlink(ctx, u.Identity, u.At); err != nil {
		return err
	}
	return mailer.Queue(ctx, mail.Unlinked{To: u.Account.Email, Connection: u.Connection, At: u.At,
		Locale: cmp.Or(u.Account.Locale, u.Locale)})
}

// mayUnlink locks the account's row before it asks the rule, so that of two concurrent unlinks the second sees
// the result of the first.
func (u Unlinking) mayUnlink(ctx context.Context, store UnlinkStore) error {
	a := u.Account
	if err := store.ChangeAccount(ctx, a, a.AuthEpoch); err != nil {
		return err
	}
	identities, err := store.IdentitiesOf(ctx, a.ID)
	if err != nil {
		return err
	}
	connections, err := store.Connections(ctx)
	if err != nil {
		return err
	}
	return u.May(identities, connections)
}
