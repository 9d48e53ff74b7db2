//go:build !unix

package gormdb

import "net"

// readable cannot look without waiting on this system; an idle connection is pinged after a second.
func readable(net.Conn) bool { return false }
