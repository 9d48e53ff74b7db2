// Package errorsx is the part of ory/x that fosite asks for, without its stack
// traces: fosite wraps every declined request, and a trace for each of them is
// a tenth of a token request. See deploy/adr/0001-ory-x.md.
package errorsx

// WithStack returns err as it is.
func WithStack(err error) error { return err }

// Cause follows the Cause chain of err to its end.
func Cause(err error) error {
	for err != nil {
		c, ok := err.(interface{ Cause() error })
		if !ok || c.Cause() == nil {
			return err
		}
		err = c.Cause()
	}
	return err
}

// The carriers below are what fosite's RFC6749Error can be asked for.
type (
	// StatusCodeCarrier has an HTTP status code.
	StatusCodeCarrier interface{ StatusCode() int }
	// RequestIDCarrier has a request id.
	RequestIDCarrier interface{ RequestID() string }
	// ReasonCarrier has a reason to show.
	ReasonCarrier interface{ Reason() string }
	// DebugCarrier has a text for operators.
	DebugCarrier interface{ Debug() string }
	// StatusCarrier has an HTTP status text.
	StatusCarrier interface{ Status() string }
	// DetailsCarrier has further members.
	DetailsCarrier interface{ Details() map[string]interface{} }
)
