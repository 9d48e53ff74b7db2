package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slow connects a client to a server in the test's own time, so that only the clock of synctest passes. The server
// responds to /fast; /drip sends its header and then a byte each second; all else gets no response.
func slow(t *testing.T, client *Client) (url string) {
	pipes := make(pipeListener)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fast" {
			io.WriteString(w, "fast")
			return
		}
		for r.Context().Err() == nil {
			if r.URL.Path == "/drip" {
				io.WriteString(w, "x")
				http.NewResponseController(w).Flush()
			}
			select {
			case <-r.Context().Done():
			case <-time.After(time.Second):
			}
		}
	})}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(pipes) }()
	for _, transport := range client.transport {
		transport.(*http.Transport).DialContext = pipes.dial
		t.Cleanup(transport.(*http.Transport).CloseIdleConnections)
	}
	t.Cleanup(func() { _ = server.Close(); <-served })
	return "http://127.0.0.1"
}

// pipeListener accepts connections without a network.
type pipeListener chan net.Conn

func (p pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p pipeListener) Accept() (net.Conn, error) {
	if far, open := <-p; open {
		return far, nil
	}
	return nil, net.ErrClosed
}

func (p pipeListener) Close() error   { close(p); return nil }
func (p pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestB22_ASlowServerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := must(t)(New(Options{Allow: loopback}))
		url := slow(t, client)
		for _, path := range []string{"/hang", "/drip"} {
			began := time.Now()
			if _, err := get(client.HTTP(), url+path); !errors.Is(err, ErrTimeout) {
				t.Errorf("%s: %v, want ErrTimeout", path, err)
			}
			if took := time.Since(began); took != RequestTimeout {
				t.Errorf("%s: given up after %v", path, took)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), RequestTimeout/2)
		defer cancel()
		request, _ := http.NewRequestWithContext(ctx, "GET", url+"/hang", nil)
		if _, err := client.HTTP().Do(request); !errors.Is(err, ErrTimeout) {
			t.Errorf("the caller's deadline: %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(RequestTimeout/2, cancel)
		request, _ = http.NewRequestWithContext(ctx, "GET", url+"/hang", nil)
		_, err := client.HTTP().Do(request)
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrUnreachable) {
			t.Errorf("the caller gave up: %v", err)
		}
	})
}

func TestB22_OneUpstreamCannotUseUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := must(t)(New(Options{Allow: loopback}))
		url := slow(t, client)
		var busy, other atomic.Int32
		var wait sync.WaitGroup
		for range 300 {
			wait.Go(func() {
				if _, err := get(client.For("evil"), url+"/hang"); errors.Is(err, ErrBusy) {
					busy.Add(1)
				} else if !errors.Is(err, ErrTimeout) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		started := time.Now()
		for range 20 {
			if body, err := get(client.For("good"), url+"/fast"); err == nil && body == "fast" {
				other.Add(1)
			}
		}
		if _, err := get(client.For("evil"), url+"/fast"); !errors.Is(err, ErrBusy) {
			t.Errorf("one more: %v, want ErrBusy", err)
		}
		if time.Since(started) > 0 {
			t.Error("the others had to wait")
		}
		wait.Wait()
		if busy.Load() != 300-MaxInFlight || other.Load() != 20 {
			t.Errorf("%d were turned away, %d of the other's were answered", busy.Load(), other.Load())
		}
		if body, err := get(client.For("evil"), url+"/fast"); err != nil || body != "fast" {
			t.Errorf("afterwards: %q, %v", body, err)
		}
		// A goroutine that is left behind fails the test: synctest waits for all of them.
	})
}

func TestB22_ASlotComesBackEvenWhenTheBodyIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := must(t)(New(Options{Allow: loopback}))
		url := slow(t, client)
		for range MaxInFlight {
			if _, err := client.For("x").Get(url + "/drip"); err != nil { // never closed
				t.Fatal(err)
			}
		}
		if _, err := client.For("x").Get(url + "/fast"); !errors.Is(err, ErrBusy) {
			t.Fatalf("while they are open: %v", err)
		}
		time.Sleep(RequestTimeout)
		synctest.Wait()
		for range 20 * MaxInFlight { // one after the other never is too many
			if _, err := get(client.For("x"), url+"/fast"); err != nil {
				t.Fatal(err)
			}
		}
	})
}
