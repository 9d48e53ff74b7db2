package providers

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"gatehouse/broker"
)

// The largest documents that are read, in bytes. Egress caps every body as well.
const (
	maxMetadata = 256 << 10
	maxProfile  = 256 << 10
)

// fetch gets a JSON document. On a status other than 200 it returns ConnectionUnavailable if a retry may help,
// else UpstreamRejected.
func (e Env) fetch(ctx context.Context, what, address, bearer string, most int64) ([]byte, http.Header, error) {
	status, body, header, err := e.ask(ctx, what, address, bearer, most)
	switch {
	case err != nil:
		return nil, nil, err
	//defence:D19
	case busy(status):
		return nil, nil, broker.ConnectionUnavailable.Because(fmt.Errorf("%s: status %d", what, status))
	case status != http.StatusOK:
		return nil, nil, broker.UpstreamRejected.Because(fmt.Errorf("%s: status %d", what, status))
	}
	return body, header, nil
}

// ask is fetch for callers that also read the body of an error response.
func (e Env) ask(ctx context.Context, what, address, bearer string, most int64) (
	status int, body []byte, header http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, nil, broker.UpstreamMisconfigured.Because(fmt.Errorf("%s: %w", what, withoutURL(err)))
	}
	req.Header.Set("Accept", "application/json, application/jwt;q=0.9")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := e.HTTP.Do(req)
	if err != nil {
		return 0, nil, nil, network(what, err)
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return 0, nil, nil, network(what, err)
	}
	if int64(len(body)) > most {
		return 0, nil, nil, broker.UpstreamRejected.Because(fmt.Errorf("%s: more than %d bytes", what, most))
	}
	return res.StatusCode, body, res.Header, nil
}
