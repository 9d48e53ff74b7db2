package admin_test

import (
	"testing"
	"time"
)

func TestNoOperationMovesThePersonsUpdatedAtUnlessItChangesTheProfile(t *testing.T) {
	f := newFixture(t)
	a := f.account("ana@example.test")
	f.connection("hub")
	f.link(a, "hub", "one")
	f.Now = func() time.Time { return noon().Add(time.Hour) }
	_, all := changes(f)
	for _, name := range []string{"SetPassword", "DisableAccount", "EnableAccount", "SignOutAccount", "RestrictAccount",
		"UnrestrictAccount", "UnlinkIdentity"} {
		if _, err := all[name](t.Context(), helper(), false); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if now, err := f.store.Account(t.Context(), a.ID); err != nil || !now.UpdatedAt.Equal(noon()) {
			t.Errorf("%s: %v, %v", name, now.UpdatedAt, err)
		}
	}
}
