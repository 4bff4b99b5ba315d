package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// herd is many client connections, each of which has been used and is now idle.
type herd struct{ conns []net.Conn }

// openHerd opens n connections to address and has a request answered on each.
func openHerd(ctx context.Context, address, path string, n int) (*herd, error) {
	h := &herd{conns: make([]net.Conn, n)}
	err := h.each(func(i int) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			return err
		}
		h.conns[i] = c
		return use(c, path)
	})
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("opening %d connections: %w", n, err)
	}
	return h, nil
}

// Use asks once more on every connection and returns how many couldn't.
func (h *herd) Use(path string) int64 {
	var failed atomic.Int64
	h.each(func(i int) error {
		if use(h.conns[i], path) != nil {
			failed.Add(1)
		}
		return nil
	})
	return failed.Load()
}

func (h *herd) Close() {
	for _, c := range h.conns {
		if c != nil {
			c.Close()
		}
	}
}

// each does f for all connections, a few at a time, and returns the first error.
func (h *herd) each(f func(i int) error) error {
	const workers = 16
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, workers)
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(h.conns); i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed // nil when there is none
}

// use has one request answered, and leaves the connection open.
func use(c net.Conn, path string) error {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", path); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	if r.StatusCode != 200 || r.Close {
		return errors.New("the connection can't be kept: " + r.Status)
	}
	return nil
}
