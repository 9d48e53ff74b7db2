package admin

// Finding is one line of a check of everything that a start needs.
type Finding struct {
	What    string `json:"what"`
	OK      bool   `json:"ok"`
	Problem string `json:"problem,omitempty"`
	Warning string `json:"warning,omitempty"` // what to repair, though a start works
	Note    string `json:"note,omitempty"`
}

// Verdict is the word for the outcome in a table.
func (f Finding) Verdict() string {
	switch {
	case !f.OK:
		return "WRONG"
	case f.Warning != "":
		return "warning"
	}
	return "ok"
}
