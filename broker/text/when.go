package text

import "time"

// Shape is how a time is shown.
type Shape string

// The shapes.
const (
	Clock  Shape = "clock"  // 15:04
	Date   Shape = "date"   // 2 Jan 2006
	Moment Shape = "moment" // both
)

// When is a time as the argument of a text. A plain text has it in UTC, and says so. Markup has a time element, which a
// script shows in the reader's zone.
type When struct {
	At    time.Time
	Shape Shape
}

func (p Printer) when(w When, markup bool) string {
	at := w.At.UTC()
	s := at.Format(p.Text("web.date_layout"))
	switch clock := at.Format("15:04 UTC"); w.Shape {
	case Clock:
		s = clock
	case Moment:
		s += ", " + clock
	}
	if !markup {
		return s
	}
	return `<time datetime="` + at.Format(time.RFC3339) + `" data-shape="` + string(w.Shape) + `">` + s + `</time>`
}
