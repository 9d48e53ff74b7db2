//go:build unix

package gormdb

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// readable reports whether a connection has bytes to read, or has ended. It does not wait.
func readable(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return true
	}
	quiet := false
	// Not raw.Read: it would wait for a read that the driver may have left running in the background.
	err = raw.Control(func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN)
	})
	return err != nil || !quiet
}
