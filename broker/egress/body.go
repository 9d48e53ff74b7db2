package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// body ends a response after MaxBody bytes, whoever reads it, and gives the request's slot back when it is closed or read to its end.
type body struct {
	io.ReadCloser
	done func()
	left int64
}

func (b *body) Read(p []byte) (int, error) {
	// One byte more than is left tells a body that just fits from one that does not.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	//defence:B16
	if int64(n) > b.left {
		n, err = int(b.left), ErrTooLarge
	}
	b.left -= int64(n)
	if err != nil {
		b.done()
	}
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, classify(err)
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.done()
	return err
}

// classify gives every failure one of this package's errors. The cause stays, for the operator: the transport's own errors name no URL.
func classify(err error) error {
	for _, settled := range []error{ErrBlockedAddress, ErrBlockedURL, ErrRedirect, ErrTooLarge, ErrBusy, ErrUnreachable, context.Canceled} {
		if errors.Is(err, settled) {
			return err
		}
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() { // context.DeadlineExceeded is one too
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}
