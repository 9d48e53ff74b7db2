package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// room is how many bytes of garbage may lie before the collector runs, however little
// lives beside it. What lives here is a few megabytes and what requests leave is a
// multiple of that each second, so at Go's own measure, as much garbage as lives, the
// collector takes a tenth of all time or more.
const room = 32 << 20

// giveRoom holds the collector to room where the operator has not chosen with GOGC.
func giveRoom() {
	const unset = 100
	if chosen := debug.SetGCPercent(unset); chosen != unset {
		debug.SetGCPercent(chosen)
		return
	}
	keepRoom()
}

// keepRoom holds from one collection to the next. A heap of the size of room or more
// is left to Go's own measure.
func keepRoom() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(int(max(100, room*100/max(room/8, live[0].Value.Uint64()))))
	runtime.AddCleanup(new([64]byte), func(int) { keepRoom() }, 0) // the next collection finds it gone
}
