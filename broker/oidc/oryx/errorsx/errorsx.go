// Package errorsx is the part of ory/x that fosite uses, without its stack traces: fosite wraps every declined
// request, and a trace for each costs a tenth of a token request. See deploy/adr/0001-ory-x.md.
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

// The carriers that fosite's RFC6749Error may implement.
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
