package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// body limits a response to MaxBody bytes. It frees the request's slot when it is closed or read to the end.
type body struct {
	io.ReadCloser
	done func()
	left int64
}

func (b *body) Read(p []byte) (int, error) {
	// Ask for one byte more than is left, to detect a body that is too long.
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

// classify wraps every failure in one of this package's errors. It keeps the cause for the operator; the
// transport's errors contain no URL.
func classify(err error) error {
	for _, settled := range []error{ErrBlockedAddress, ErrBlockedURL, ErrRedirect, ErrTooLarge, ErrBusy, ErrUnreachable,
		context.Canceled} {
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
