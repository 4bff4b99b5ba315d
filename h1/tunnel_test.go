package h1

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const handshake = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n\r\n"

const switching = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: y\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

func upgradeOrigin(t *testing.T, serve func(c *originConn)) *origin {
	return startOrigin(t, func(c *originConn) {
		h, ok := c.request()
		if !ok {
			return
		}
		if h.target != "/chat" {
			c.answer(h.target)
			return
		}
		if !strings.Contains(h.head, "Connection: Upgrade\r\nUpgrade: WebSocket\r\n") {
			t.Errorf("handshake %q", h.head)
		}
		c.say(switching)
		serve(c)
	})
}

func (c *wireClient) upgrade(more string) {
	c.t.Helper()
	c.send("%s", handshake+more)
	r := c.want("GET", 101)
	if r.header.Get("Sec-Websocket-Accept") != "y" || r.header.Get("Upgrade") != "WebSocket" || r.header.Get("Connection") != "Upgrade" {
		c.t.Errorf("headers %v", r.header)
	}
}

func (c *wireClient) hear(want string) {
	c.t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c.r, b); err != nil || string(b) != want {
		c.t.Fatalf("heard %q (%v), want %q", b, err, want)
	}
}

func halfClose(nc net.Conn) { nc.(interface{ CloseWrite() error }).CloseWrite() }

func TestTunnel(t *testing.T) {
	t.Run("bytes both ways", func(t *testing.T) {
		up := upgradeOrigin(t, func(c *originConn) { io.Copy(c, c.r) })
		f, tr := startProxy(t, up.addr, nil)
		c := dialWire(t, f.addr)
		c.upgrade("")
		for _, s := range []string{"hello", "\x00\r\n\r\nGET / HTTP/1.1\r\n\r\n", strings.Repeat("z", 200000)} {
			go c.send("%s", s)
			c.hear(s)
		}
		c.Close()
		eventually(t, "no upstream connection", func() bool { open, _ := tr.Stats(); return open == 0 })
	})
	t.Run("bytes right behind the handshake and the answer", func(t *testing.T) {
		up := startOrigin(t, func(c *originConn) {
			if _, ok := c.request(); ok {
				c.say(switching + "first")
				io.Copy(c, c.r)
			}
		})
		f, _ := startProxy(t, up.addr, nil)
		c := dialWire(t, f.addr)
		c.upgrade("second")
		c.hear("firstsecond")
	})
	t.Run("the client half-closes", func(t *testing.T) {
		up := upgradeOrigin(t, func(c *originConn) {
			b, err := io.ReadAll(c.r)
			time.Sleep(20 * time.Millisecond)
			c.say("%d bytes, %v", len(b), err)
		})
		f, _ := startProxy(t, up.addr, nil)
		c := dialWire(t, f.addr)
		c.upgrade("")
		c.send("question")
		halfClose(c.Conn)
		if b, err := c.ended(); string(b) != "8 bytes, <nil>" || err != nil {
			t.Errorf("heard %q, %v", b, err)
		}
	})
	t.Run("the upstream half-closes", func(t *testing.T) {
		heard := make(chan string, 1)
		up := upgradeOrigin(t, func(c *originConn) {
			c.say("bye")
			halfClose(c.Conn)
			b, _ := io.ReadAll(c.r)
			heard <- string(b)
		})
		f, _ := startProxy(t, up.addr, nil)
		c := dialWire(t, f.addr)
		c.upgrade("")
		if b, err := c.ended(); string(b) != "bye" || err != nil {
			t.Errorf("heard %q, %v", b, err)
		}
		c.send("last words")
		halfClose(c.Conn)
		if s := <-heard; s != "last words" {
			t.Errorf("the upstream heard %q", s)
		}
	})
	t.Run("the client vanishes", func(t *testing.T) {
		ended := make(chan time.Time, 1)
		up := upgradeOrigin(t, func(c *originConn) {
			io.Copy(io.Discard, c.r)
			ended <- time.Now()
		})
		f, _ := startProxy(t, up.addr, nil)
		c := dialWire(t, f.addr)
		c.upgrade("")
		start := time.Now()
		c.Conn.(*net.TCPConn).SetLinger(0)
		c.Close()
		if d := (<-ended).Sub(start); d > atOnce {
			t.Errorf("the upstream learnt of it after %v", d)
		}
	})
	t.Run("the upstream vanishes", func(t *testing.T) {
		up := upgradeOrigin(t, func(c *originConn) { c.Conn.(*net.TCPConn).SetLinger(0) })
		f, _ := startProxy(t, up.addr, nil)
		c := dialWire(t, f.addr)
		c.upgrade("")
		start := time.Now()
		c.ended()
		if d := time.Since(start); d > atOnce {
			t.Errorf("the client learnt of it after %v", d)
		}
	})
	t.Run("shutdown breaks it off at the end of its patience", func(t *testing.T) {
		up := upgradeOrigin(t, func(c *originConn) { io.Copy(c, c.r) })
		f, _ := startProxy(t, up.addr, nil)
		c := dialWire(t, f.addr)
		c.upgrade("")
		ctx, cancel := within(50 * time.Millisecond)
		defer cancel()
		if f.Shutdown(ctx) == nil {
			t.Error("shutdown did not wait for the tunnel")
		}
		start := time.Now()
		c.ended()
		if d := time.Since(start); d > atOnce {
			t.Errorf("the tunnel lived on for %v", d)
		}
	})
}

func TestTunnelOfMegabytesBothWays(t *testing.T) {
	const size = 8 << 20
	up := upgradeOrigin(t, func(c *originConn) { io.Copy(c, c.r) })
	f, _ := startProxy(t, up.addr, nil)
	c := dialWire(t, f.addr)
	c.upgrade("")
	data := make([]byte, size)
	rand.Read(data)
	go func() {
		c.Write(data)
		halfClose(c.Conn)
	}()
	got, err := c.ended()
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back (%v), not the %d that were sent", len(got), err, size)
	}
}
