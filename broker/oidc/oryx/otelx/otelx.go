// Package otelx is the one function of ory/x/otelx that fosite calls.
package otelx

import "go.opentelemetry.io/otel/trace"

// End ends the span and records the error of a failed function.
func End(span trace.Span, err *error) {
	if err != nil && *err != nil {
		span.RecordError(*err)
	}
	span.End()
}
