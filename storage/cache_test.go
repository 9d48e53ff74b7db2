package storage

import (
	"fmt"
	"testing"
	"time"
)

func TestAValueReadBeforeAChangeIsNotKeptAfterIt(t *testing.T) {
	var s memory[string]
	now := time.Now()
	_, _, changes := s.get("key", now) // a miss: the caller reads the database
	s.forget()                         // the value changes before the caller stores it
	s.put("key", "old", now, changes)
	if v, ok, _ := s.get("key", now); ok {
		t.Fatalf("%q is kept", v)
	}
	_, _, changes = s.get("key", now)
	s.put("key", "new", now, changes)
	if v, ok, _ := s.get("key", now); !ok || v != "new" {
		t.Fatalf("%q, %v", v, ok)
	}
}

func TestTheMemoryOfClientsIsBounded(t *testing.T) {
	var s memory[int]
	for i := range 3 * cacheAtMost {
		s.put(fmt.Sprint(i), i, time.Now(), 0)
	}
	if len(s.kept) > cacheAtMost {
		t.Fatalf("%d are kept", len(s.kept))
	}
}
