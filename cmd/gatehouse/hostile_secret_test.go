package main

import (
	"encoding/json"
	"testing"
)

// records are the lines of the log; each must be JSON by itself (SECURITY.md G16).
func (s *siege) records(t *testing.T) (all []map[string]any) {
	t.Helper()
	for _, line := range s.heard.lines() {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("a line of the log is no JSON: %q", line)
		}
		all = append(all, r)
	}
	return all
}
