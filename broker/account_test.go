package broker_test

import (
	"testing"
	"time"

	"gatehouse/broker"
)

func TestAnIdentityIsOutdatedByAnotherAddressOrAnHour(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	i := broker.Identity{Email: "ana@example.com", SeenAt: now}
	for _, row := range []struct {
		email string
		after time.Duration
		want  bool
	}{
		{"ana@example.com", 0, false},
		{"ana@example.com", time.Hour - time.Second, false},
		{"ana@example.com", time.Hour, true},
		{"ana@example.org", 0, true},
		{"", 0, true},
	} {
		if got := i.Outdated(row.email, now.Add(row.after)); got != row.want {
			t.Errorf("%q after %v: %v", row.email, row.after, got)
		}
	}
}
