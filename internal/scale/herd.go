package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// kind is a kind of connection.
type kind struct {
	name, title string
	tls, h2     bool
}

var kinds = []kind{
	{"plain", "HTTP/1.1", false, false},
	{"tls", "HTTP/1.1 over TLS", true, false},
	{"h2", "HTTP/2, cleartext", false, true},
	{"h2-tls", "HTTP/2 over TLS", true, true},
}

// animal is a connection of a herd.
type animal struct {
	net.Conn
	frames *http2.Framer // over HTTP/2
	mu     sync.Mutex    // of what is written by frames
	stream uint32
	ended  chan error // told when a stream has ended, or the connection
}

const (
	perAddress = 10_000 // connections from one address of the loopback
	workers    = 16
)

// open opens a connection, from one of the addresses, and has a request answered.
func (k kind) open(ctx context.Context, address string, i int) (*animal, error) {
	d := net.Dialer{Timeout: 30 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/perAddress))}}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	a := &animal{Conn: c, stream: 1}
	if k.tls {
		protocol := "http/1.1"
		if k.h2 {
			protocol = "h2"
		}
		t := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
		if err := t.HandshakeContext(ctx); err != nil {
			return a, fmt.Errorf("handshake: %w", err)
		}
		a.Conn = t
	}
	if k.h2 {
		a.frames = http2.NewFramer(a.Conn, a.Conn)
		a.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(a, http2.ClientPreface); err != nil {
			return a, err
		}
		if err := a.frames.WriteSettings(); err != nil {
			return a, err
		}
		a.SetDeadline(time.Time{})
		a.ended = make(chan error, 1)
		go a.listen()
	}
	return a, a.use()
}

// use has a request answered.
func (a *animal) use() error {
	if a.frames != nil {
		return a.useStream()
	}
	a.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(a, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReaderSize(a, 512), nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK || r.Close {
		return errors.New("the connection can't be kept: " + r.Status)
	}
	return nil
}

func (a *animal) useStream() error {
	var head bytes.Buffer
	enc := hpack.NewEncoder(&head)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}} {
		enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	a.mu.Lock()
	err := a.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: a.stream, BlockFragment: head.Bytes(), EndStream: true, EndHeaders: true})
	a.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case err := <-a.ended:
		a.stream += 2
		return err
	case <-time.After(time.Minute):
		return errors.New("no answer for a minute")
	}
}

// listen reads what comes. A client that answers no PING is not idle but gone.
func (a *animal) listen() {
	for {
		f, err := a.frames.ReadFrame()
		if err != nil {
			a.ended <- err
			return
		}
		a.mu.Lock()
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				a.frames.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				a.frames.WritePing(true, f.Data)
			}
		}
		a.mu.Unlock()
		if f.Header().Type == http2.FrameData && f.Header().Flags.Has(http2.FlagDataEndStream) {
			a.ended <- nil
		}
	}
}

// herd is many connections.
type herd []*animal

func openHerd(ctx context.Context, k kind, address string, n int) (herd, error) {
	h := make(herd, n)
	err := h.each(func(i int) (err error) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h[i], err = k.open(ctx, address, i)
		return err
	})
	return h, err
}

// each does f for all, a few at a time, and returns the first error.
func (h herd) each(f func(i int) error) error {
	var next atomic.Int64
	var all sync.WaitGroup
	failed := make(chan error, workers)
	for range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(h); i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					failed <- fmt.Errorf("connection %d: %w", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed // nil when there is none
}

func (h herd) close() {
	for _, a := range h {
		if a != nil {
			a.Conn.Close()
		}
	}
}

// measure holds a herd at a gateway of its own.
func measure(ctx context.Context, o options, dir string, k kind) (r result, err error) {
	g, err := prepare(o, dir, "routes: [{ match: /*, answer: { body: ok } }]")
	if err == nil {
		err = g.start()
	}
	if err != nil {
		return r, err
	}
	defer g.kill()
	address := g.web
	if k.tls {
		address = g.secure
	}
	first, err := openHerd(ctx, k, address, 50) // what every gateway needs, whoever comes
	first.close()
	if err != nil {
		return r, err
	}
	r.kind = k.name
	if r.before, err = g.resident(ctx); err != nil {
		return r, err
	}
	h, err := openHerd(ctx, k, address, o.connections)
	defer h.close()
	if err != nil {
		return r, err
	}
	if r.with, err = g.resident(ctx); err != nil {
		return r, err
	}
	r.each = (r.with - r.before) / int64(o.connections)
	return r, h.each(func(i int) error { return h[i].use() })
}
