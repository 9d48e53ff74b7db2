package fakeidp

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// call is one request, with the faults that were set when it arrived.
type call struct {
	*Server
	w     http.ResponseWriter
	r     *http.Request
	at    Endpoint
	fault *Fault
	// instead is the answer to a refused token request, if it is not in the kind's own words.
	instead Break
}

// broken applies a transport fault, and reports whether the request is finished.
func (c *call) broken() bool {
	b := c.fault.Breaks[c.at]
	if b.Hang > 0 {
		timer := time.NewTimer(b.Hang)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.r.Context().Done():
			return true
		case <-c.done:
			c.w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
	}
	return c.fails(b)
}

// fails sends the response of a Break, and reports whether there is one.
func (c *call) fails(b Break) bool {
	switch {
	case b.Drop:
		panic(http.ErrAbortHandler)
	case b.Redirect != "":
		c.w.Header().Set("Location", b.Redirect)
		c.w.WriteHeader(http.StatusFound)
	case b.Status != 0:
		if strings.HasPrefix(b.Body, "{") {
			c.w.Header().Set("Content-Type", "application/json")
		}
		c.w.WriteHeader(b.Status)
		_, _ = c.w.Write([]byte(b.Body)) // the client may have disconnected
	default:
		return false
	}
	return true
}

// json sends an endpoint's document, with the fault's changes.
func (c *call) json(status int, document map[string]any) {
	override(document, c.fault.Documents[c.at])
	c.send(status, document)
}

// send sends JSON without replacing members: errors, lists, nested documents.
func (c *call) send(status int, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		c.serverError(err)
		return
	}
	c.sendBytes(status, "application/json; charset=utf-8", body)
}

// sendBytes sends a body, changed by Raw and Pad.
func (c *call) sendBytes(status int, contentType string, body []byte) {
	if rewrite := c.fault.Raw[c.at]; rewrite != nil {
		body = rewrite(body)
	}
	if pad := c.fault.Breaks[c.at].Pad; pad > 0 {
		body = append(bytes.Repeat([]byte(" "), pad), body...)
	}
	header := c.w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("X-Content-Type-Options", "nosniff")
	if header.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "no-store")
	}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // the client may have disconnected
}

// serverError reports a fault that cannot be applied, such as a claim that JSON cannot hold.
func (c *call) serverError(err error) {
	http.Error(c.w, "fakeidp: "+err.Error(), http.StatusInternalServerError)
}
