package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestTheCollectorLeavesRoomForGarbageBesideASmallHeapAndNoneBesideALargeOne(t *testing.T) {
	percent := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	was := debug.SetGCPercent(77)
	if giveRoom(); percent() != 77 {
		t.Error("the operator's word does not hold")
	}
	debug.SetGCPercent(was)

	after := func(want func(int) bool, what string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !want(percent()); runtime.Gosched() {
			if runtime.GC(); time.Now().After(end) {
				t.Fatalf("%s: %d", what, percent())
			}
		}
	}
	giveRoom()
	after(func(p int) bool { return p > 100 }, "a small heap")
	large := make([]byte, 512<<20)
	after(func(p int) bool { return p == 100 }, "a large heap")
	runtime.KeepAlive(large)
	after(func(p int) bool { return p > 100 }, "a small heap again")
}
