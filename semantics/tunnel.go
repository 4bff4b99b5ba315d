package semantics

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"sync"
	"time"

	"gopura/exchange"
	"gopura/websocket"
)

// Tunnels reports whether the head is an extended CONNECT.
func (h *Head) Tunnels() bool { return h.Pseudo&hasProtocol != 0 }

// Upgrade makes of an extended CONNECT (RFC 8441, RFC 9220) what the same request is
// over HTTP/1.1: a GET with an upgrade. So routes, policies and transports know one
// kind. Ended says that the client sends nothing more.
func (h *Head) Upgrade(x *exchange.Exchange, ended bool) *exchange.Error {
	q := &x.Request
	if ended || h.Length >= 0 || !exchange.ValidName(h.Protocol) || exchange.EqualFold(bytesOf(h.Protocol), "h2c") {
		return exchange.BadRequest.Saying("The request is no valid beginning of a tunnel.")
	}
	q.Method, q.Upgrade = "GET", bytesOf(h.Protocol)
	if exchange.EqualFold(q.Upgrade, websocket.Token) && !q.Header.Has("sec-websocket-key") {
		// RFC 8441 §5.1: the client has none; its target over HTTP/1.1 wants one.
		var nonce [16]byte
		rand.Read(nonce[:])
		key := x.Arena.Grow(base64.StdEncoding.EncodedLen(len(nonce)))
		q.Header.AddBytes("sec-websocket-key", base64.StdEncoding.AppendEncode(key, nonce[:]))
	}
	return nil
}

// accepted reports whether the response opens the tunnel that was asked for.
func accepted(x *exchange.Exchange, root exchange.Root) bool {
	switch {
	case x.Response.Status == 200:
		return true
	case x.Response.Status != 101:
		return false
	case !exchange.EqualFold(x.Request.Upgrade, websocket.Token):
		return true
	}
	// RFC 6455 §4.1: we have said the key, so it is us who has to check.
	if string(x.Response.Header.Get("sec-websocket-accept")) == websocket.AcceptKey(x.Request.Header.Get("sec-websocket-key")) {
		return true
	}
	x.DropResponse()
	root.Refuse(x, exchange.UpstreamMalformed.Errorf("Sec-WebSocket-Accept does not belong to the key"))
	return false
}

// halfOpen is how long one direction of a tunnel may outlive the other.
const halfOpen = 30 * time.Second

var errTunnelCut = exchange.ClientGone.Errorf("the tunnel was broken off, or one side has ended %s ago", halfOpen)

// relay answers 200 and then moves bytes both ways until both sides have ended, or one
// has failed. Nothing that the client sends reaches the target before it has accepted.
func relay(x *exchange.Exchange, s Stream) error {
	up := x.Response.Tunnel
	defer up.Close()
	x.Response.Header.Del("sec-websocket-accept") // RFC 8441 §5: the client has said no key
	x.Response.Status = 200
	if err := s.Head(&x.Response, -1, false); err != nil {
		return err
	}
	if err := s.Flush(); err != nil {
		return err
	}
	cut := &tunnelCut{s: s, up: up}
	if err := x.Interruptible(cut); err != nil {
		return err
	}
	defer cut.stop(x)

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if upward(s.Upload(), up) {
			cut.after(halfOpen)
		} else {
			up.Close() // an end that was none must not look like one
		}
	}()
	err := downward(s, up)
	if cause := x.Cancelled(); cause != nil {
		err = cause
	}
	if err == nil {
		err = s.End()
	}
	if err == nil {
		err = s.Flush()
	}
	if err != nil {
		cut.cut()
		<-ended
		return err
	}
	late := time.NewTimer(halfOpen)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
		cut.cut()
		<-ended
	}
	return nil
}

// upward moves what the client sends, and reports whether that has ended well.
func upward(body exchange.Body, up exchange.Tunnel) (whole bool) {
	for {
		p, err := body.Next()
		if err == nil {
			_, err = up.Write(p)
		}
		if err == io.EOF {
			return up.CloseWrite() == nil
		}
		if err != nil {
			return false
		}
	}
}

// downward moves what the target sends. A client may take it as slowly as it likes:
// what waits for it is one window.
func downward(s Stream, up exchange.Tunnel) error {
	b := exchange.NewBuffer()
	defer b.Release()
	for {
		n, err := up.Read(b.B[:])
		if n > 0 {
			if err := s.Data(b.B[:n]); err != nil {
				return err
			}
			if err := s.Flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return exchange.UpstreamBroken.Because(err)
		}
	}
}

// tunnelCut ends both directions of a tunnel, whatever they wait for: either side may
// take nothing.
type tunnelCut struct {
	s       Stream
	up      exchange.Tunnel
	late    *time.Timer
	running sync.WaitGroup // uses of s, which is used again when the relay is over
}

func (t *tunnelCut) cut() {
	t.up.Close()
	t.s.Cut(errTunnelCut)
}

// Interrupt implements exchange.Interrupter. The canceller holds locks that cutting
// needs.
func (t *tunnelCut) Interrupt() { t.running.Go(t.cut) }

// after cuts when d has passed.
func (t *tunnelCut) after(d time.Duration) {
	t.running.Add(1)
	t.late = time.AfterFunc(d, func() { t.cut(); t.running.Done() })
}

// stop returns when nothing will be cut any more. Both directions have ended.
func (t *tunnelCut) stop(x *exchange.Exchange) {
	x.Release()
	if t.late != nil && t.late.Stop() {
		t.running.Done()
	}
	t.running.Wait()
}
