package storetest

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/broker"
)

func auditTests() []test {
	full := func() broker.Event {
		return broker.Event{
			ID: broker.NewID(), At: moment(), Verb: broker.EventRefused, Code: broker.WrongPassword, Account: broker.NewID(),
			Actor:  "operator",
			Client: "app", Connection: "google", Session: "sid", Reference: broker.NewID(),
			Address: "192.0.2.1", UserAgent: "ż",
			Detail: map[string]string{"a": "ł"},
		}
	}
	return []test{
		{"an event comes back as it was recorded", func(t *testing.T, b Backend) {
			e := full()
			ok(t, b.AuditLog.Record(within(t), e))
			same(t, got(b.AuditLog.Events(within(t), broker.EventFilter{Account: e.Account}))(t), []broker.Event{e})
			same(t, got(b.AuditLog.Events(within(t), broker.EventFilter{Reference: e.Reference}))(t), []broker.Event{e})
		}},
		{"recording nothing succeeds, and invalid text is made valid", func(t *testing.T, b Backend) {
			ok(t, b.AuditLog.Record(within(t)))
			e := broker.Event{Account: broker.NewID(), UserAgent: "\xff\x00", Detail: map[string]string{"x": "\xff\x00"}}
			ok(t, b.AuditLog.Record(within(t), e))
			list := got(b.AuditLog.Events(within(t), broker.EventFilter{Account: e.Account}))(t)
			if len(list) != 1 || list[0].UserAgent != "\uFFFD\uFFFD" || list[0].ID == "" {
				t.Fatalf("recorded %+v", list)
			}
		}},
		{"events are selected by every field together, newest first", selectEvents},
	}
}

func selectEvents(t *testing.T, b Backend) {
	who := broker.NewID()
	var all []broker.Event
	for i := range 6 {
		e := broker.Event{ID: fmt.Sprint(who, i), At: moment().Add(time.Duration(i) * time.Second), Account: who,
			Verb: broker.EventSignedIn, Client: "odd"}
		if i%2 == 0 {
			e.Client = "even"
		}
		if i == 4 {
			e.Verb = broker.EventSignedOut
		}
		all = append(all, e)
	}
	ok(t, b.AuditLog.Record(within(t), all...))
	for _, c := range []struct {
		f    broker.EventFilter
		want []int
	}{
		{broker.EventFilter{}, []int{5, 4, 3, 2, 1, 0}},
		{broker.EventFilter{Limit: 2}, []int{5, 4}},
		{broker.EventFilter{Client: "even"}, []int{4, 2, 0}},
		{broker.EventFilter{Client: "even", Verb: broker.EventSignedIn}, []int{2, 0}},
		{broker.EventFilter{Since: all[2].At, Before: all[5].At}, []int{4, 3, 2}},
	} {
		c.f.Account = who
		var order []int
		for _, e := range got(b.AuditLog.Events(within(t), c.f))(t) {
			order = append(order, int(e.ID[len(e.ID)-1]-'0'))
		}
		same(t, order, c.want)
	}
}

func outboxTests() []test {
	mail := func() broker.Mail {
		return broker.Mail{
			ID: broker.NewID(), To: "ana@example.com", Subject: "Kod 123456", Text: "tekst", HTML: "<p>ż</p>",
			CreatedAt: moment(),
			ExpiresAt: moment().Add(time.Hour), NextAt: moment(),
		}
	}
	return []test{
		{"a due mail is leased as queued, and not again during the lease", func(t *testing.T, b Backend) {
			m, until := mail(), moment().Add(time.Minute)
			ok(t, b.Outbox.Queue(within(t), m))
			due := got(b.Outbox.DueMail(within(t), moment(), until, 10))(t)
			m.NextAt = until
			same(t, due, []broker.Mail{m})
			if again := got(b.Outbox.DueMail(within(t), moment(), until, 10))(t); len(again) != 0 {
				t.Fatalf("leased twice: %+v", again)
			}
			same(t, len(got(b.Outbox.DueMail(within(t), until, until.Add(time.Minute), 10))(t)), 1)
			ok(t, b.Outbox.MailSent(within(t), m.ID))
			ok(t, b.Outbox.MailSent(within(t), m.ID))
			same(t, len(got(b.Outbox.DueMail(within(t), until.Add(time.Hour/2), until.Add(time.Hour), 10))(t)), 0)
		}},
		{"a failed mail keeps the reason and waits; an expired one is never leased", func(t *testing.T, b Backend) {
			m, next := mail(), moment().Add(10*time.Minute)
			ok(t, b.Outbox.Queue(within(t), m))
			got(b.Outbox.DueMail(within(t), moment(), moment().Add(time.Minute), 10))(t)
			ok(t, b.Outbox.MailFailed(within(t), m.ID, "450 later\xff", next))
			same(t, len(got(b.Outbox.DueMail(within(t), next.Add(-time.Microsecond), next, 10))(t)), 0)
			due := got(b.Outbox.DueMail(within(t), next, next.Add(time.Minute), 10))(t)
			if len(due) != 1 || due[0].Attempts != 1 || due[0].LastError != "450 later\uFFFD" {
				t.Fatalf("due %+v", due)
			}
			same(t, len(got(b.Outbox.DueMail(within(t), m.ExpiresAt, m.ExpiresAt.Add(time.Minute), 10))(t)), 0)
			ok(t, b.Outbox.MailSent(within(t), m.ID))
		}},
		{"no mail is leased twice at once, and leases respect the limit", func(t *testing.T, b Backend) {
			for range 30 {
				ok(t, b.Outbox.Queue(within(t), mail()))
			}
			leased := make([][]broker.Mail, 8)
			for _, err := range race(8, func(i int) (err error) {
				leased[i], err = b.Outbox.DueMail(within(t), moment(), moment().Add(time.Minute), 5)
				return err
			}) {
				ok(t, err)
			}
			seen := map[string]bool{}
			for _, mails := range leased {
				for _, m := range mails {
					if seen[m.ID] || len(mails) > 5 {
						t.Fatalf("leased twice, or too many: %s, %d", m.ID, len(mails))
					}
					seen[m.ID] = true
				}
			}
		}},
	}
}

func keyTests() []test {
	key := func(age time.Duration) broker.SigningKey {
		return broker.SigningKey{ID: broker.NewID(), Alg: "ES256", State: broker.KeyNext, Private: []byte{0, 1, 0xff},
			CreatedAt: moment().Add(-age), ActiveAt: moment()}
	}
	return []test{
		{"signing keys come back, the oldest first, and change only from the state seen", func(t *testing.T, b Backend) {
			young, old := key(time.Minute), key(time.Hour)
			ok(t, b.Keys.AddSigningKey(within(t), young))
			ok(t, b.Keys.AddSigningKey(within(t), old))
			answers(t, b.Keys.AddSigningKey(within(t), old), broker.Conflict)
			same(t, got(b.Keys.SigningKeys(within(t)))(t), []broker.SigningKey{old, young})
			next := young
			next.State, next.ActiveAt, next.RetireAt = broker.KeyActive, moment().Add(time.Hour), moment().Add(2*time.Hour)
			ok(t, b.Keys.ChangeSigningKey(within(t), next, broker.KeyNext))
			answers(t, b.Keys.ChangeSigningKey(within(t), young, broker.KeyNext), broker.Conflict)
			answers(t, b.Keys.ChangeSigningKey(within(t), key(0), broker.KeyNext), broker.Conflict)
			same(t, got(b.Keys.SigningKeys(within(t)))(t), []broker.SigningKey{old, next})
			ok(t, b.Keys.DeleteSigningKey(within(t), old.ID))
			ok(t, b.Keys.DeleteSigningKey(within(t), old.ID))
			same(t, got(b.Keys.SigningKeys(within(t)))(t), []broker.SigningKey{next})
		}},
	}
}

func replayTests() []test {
	return []test{
		{"an id is marked once, within its kind", func(t *testing.T, b Backend) {
			same(t, got(b.ReplayCache.IsUsed(within(t), "jti", "a"))(t), false)
			ok(t, b.ReplayCache.MarkUsed(within(t), "jti", "a", moment()))
			answers(t, b.ReplayCache.MarkUsed(within(t), "jti", "a", moment().Add(time.Hour)), broker.Conflict)
			same(t, got(b.ReplayCache.IsUsed(within(t), "jti", "a"))(t), true)
			same(t, got(b.ReplayCache.IsUsed(within(t), "revoked", "a"))(t), false)
			ok(t, b.ReplayCache.MarkUsed(within(t), "revoked", "a", moment()))
			same(t, got(b.ReplayCache.IsUsed(within(t), "jti", "a\x00"))(t), false)
		}},
		{"F8: of many concurrent marks, one wins", func(t *testing.T, b Backend) {
			id := broker.NewID()
			oneWinner(t, race(20, func(int) error { return b.ReplayCache.MarkUsed(within(t), "race", id, moment()) }),
				broker.Conflict)
		}},
	}
}

func leaseTests() []test {
	return []test{
		{"a lease has one holder, who may prolong it until it expires", func(t *testing.T, b Backend) {
			at := func(minutes int) time.Time { return moment().Add(time.Duration(minutes) * time.Minute) }
			for _, c := range []struct {
				holder     string
				now, until int
				want       bool
			}{
				{"a", 0, 2, true}, {"b", 1, 3, false}, {"a", 1, 4, true}, {"b", 3, 5, false}, {"b", 4, 6, true}, {"a", 5, 7, false},
			} {
				same(t, got(b.Leases.Lease(within(t), "chore", c.holder, at(c.now), at(c.until)))(t), c.want)
			}
			same(t, got(b.Leases.Lease(within(t), "another chore", "a", at(5), at(7)))(t), true)
		}},
	}
}
