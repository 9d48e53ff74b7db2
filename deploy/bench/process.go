package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tick is the unit of /proc/PID/stat on every Linux that Go supports: USER_HZ is 100.
const tick = 10 // milliseconds

// cpu returns the CPU milliseconds of a process and its children, including exited ones.
func cpu(pid int) float64 {
	self, reaped, _ := stat(pid)
	total := self + reaped
	for _, child := range children(pid) {
		own, ended, _ := stat(child)
		total += own + ended
	}
	return total
}

// stat returns the CPU time of a process, that of the children it has waited for, and its parent.
func stat(pid int) (self, reaped float64, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0
	}
	// The name in parentheses may contain anything, even ")"; only numbers follow the last ")".
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	n := func(i int) float64 {
		v, _ := strconv.ParseFloat(f[i], 64)
		return v * tick
	}
	parent, _ = strconv.Atoi(f[1])
	return n(11) + n(12), n(13) + n(14), parent
}

func children(pid int) (all []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, s := range stats {
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(s)))
		if _, _, parent := stat(child); parent == pid {
			all = append(all, child)
		}
	}
	return all
}

// resident returns a process's resident memory in MiB.
func resident(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kib, _ := strconv.ParseFloat(f[1], 64)
			return kib / 1024
		}
	}
	return 0
}
