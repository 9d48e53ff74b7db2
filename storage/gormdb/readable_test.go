//go:build unix

package gormdb

import (
	"net"
	"testing"
)

func TestH6_LookingAtAConnectionNeverWaitsForARead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if readable(c) {
		t.Error("a quiet connection is readable")
	}
	read := make(chan error)
	for range 2 { // the driver's read runs in the background
		go func() { _, err := c.Read(make([]byte, 1)); read <- err }()
	}
	for range 1000 {
		if readable(c) {
			t.Fatal("a quiet connection is readable")
		}
	}
	server.Close()
	<-read
	<-read
	if !readable(c) {
		t.Error("a connection that has ended is not readable")
	}
}
