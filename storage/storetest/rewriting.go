package storetest

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// Rewriting is a proxy that replaces old by new, of the same length, in the server's responses. It simulates a
// differently configured server. It returns its own host and port.
func Rewriting(t *testing.T, server, old, new string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			behind, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				return
			}
			go func() {
				defer behind.Close()
				_, _ = io.Copy(behind, client)
			}()
			go func() {
				defer client.Close()
				buffer := make([]byte, 64<<10)
				for {
					n, err := behind.Read(buffer)
					if err != nil {
						return
					}
					if _, err := client.Write(bytes.ReplaceAll(buffer[:n], []byte(old), []byte(new))); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}
