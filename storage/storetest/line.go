package storetest

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// Line is a proxy for a PostgreSQL server that can cut connections.
type Line struct {
	listener net.Listener
	server   string
	left     atomic.Int64 // client messages until the cut
	after    atomic.Bool  // whether the server still receives the last one
	stalled  sync.RWMutex // locked while the server hangs
}

const endless = 1 << 40

// NewLine returns a line to the server, and the URL that leads through it.
func NewLine(t testing.TB, server string) (line *Line, through string) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	line = &Line{listener: l, server: u.Host}
	line.left.Store(endless)
	go line.run()
	u.Host = l.Addr().String()
	return line, u.String()
}

// Cut cuts every connection at the n-th client message from now on, before or after the server has received it.
// Connections fail until Mend.
func (l *Line) Cut(n int64, after bool) {
	l.after.Store(after)
	l.left.Store(n)
}

// Stall makes the server hang: connections stay open, and new ones are accepted, but nothing passes until Resume.
func (l *Line) Stall() { l.stalled.Lock() }

// Resume ends Stall.
func (l *Line) Resume() { l.stalled.Unlock() }

func (l *Line) wait() {
	l.stalled.RLock()
	defer l.stalled.RUnlock()
}

// Passed returns the number of client messages since Mend, if no cut was requested.
func (l *Line) Passed() int64 { return endless - l.left.Load() }

// Mend ends the cut, and reports whether anything was cut.
func (l *Line) Mend() bool { return l.left.Swap(endless) <= 0 }

func (l *Line) run() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", l.server)
		if err != nil {
			_ = client.Close()
			return
		}
		go l.ask(client, server)
		go l.answer(client, server)
	}
}

func (l *Line) ask(client, server net.Conn) {
	defer client.Close()
	defer server.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		l.wait()
		last := l.left.Add(-1) <= 0
		if !last || l.after.Load() {
			if _, err := server.Write(buffer[:n]); err != nil {
				return
			}
		}
		if last {
			return
		}
	}
}

func (l *Line) answer(client, server net.Conn) {
	defer client.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil || l.left.Load() <= 0 {
			return
		}
		l.wait()
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}
