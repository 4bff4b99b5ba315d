package h3

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"gopura/exchange"
)

// An extended CONNECT (RFC 9220) becomes what the same request is over HTTP/1.1:
// a GET with an upgrade. So routes, policies and transports know one kind.

const websocket = "websocket"

// upgrade makes an upgrade of an extended CONNECT.
func (st *stream) upgrade() *exchange.Error {
	q, h := &st.x.Request, &st.block.head
	if st.in.ended() || h.length >= 0 || !exchange.ValidName(h.protocol) || exchange.EqualFold(bytesOf(h.protocol), "h2c") {
		return exchange.BadRequest.Saying("The request is no valid beginning of a tunnel.")
	}
	q.Method, q.Upgrade = "GET", bytesOf(h.protocol)
	if exchange.EqualFold(q.Upgrade, websocket) && !q.Header.Has("sec-websocket-key") {
		// RFC 8441 §5.1: the client has none; its target over HTTP/1.1 wants one.
		var nonce [16]byte
		rand.Read(nonce[:])
		key := st.x.Arena.Grow(base64.StdEncoding.EncodedLen(len(nonce)))
		q.Header.AddBytes("sec-websocket-key", base64.StdEncoding.AppendEncode(key, nonce[:]))
	}
	st.body.start(-1)
	st.body.silent = true
	return nil
}

// acceptable reports whether the response opens the tunnel that was asked for.
func (st *stream) acceptable() bool {
	x := &st.x
	switch {
	case x.Response.Status == 200:
		return true
	case x.Response.Status != 101:
		return false
	case !exchange.EqualFold(x.Request.Upgrade, websocket):
		return true
	}
	// RFC 6455 §4.1: we have said the key, so it is us who has to check.
	accepted := string(x.Response.Header.Get("sec-websocket-accept")) == acceptKey(x.Request.Header.Get("sec-websocket-key"))
	if !accepted {
		x.DropResponse()
		st.c.conf.Root.Refuse(x, exchange.UpstreamMalformed.Errorf("Sec-WebSocket-Accept does not belong to the key"))
	}
	return accepted
}

func acceptKey(key []byte) string {
	h := sha1.New()
	h.Write(key)
	io.WriteString(h, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// halfOpen is how long one direction of a tunnel may outlive the other.
const halfOpen = 30 * time.Second

// relay answers 200 and then moves bytes both ways until both sides have ended,
// or one has failed.
func (st *stream) relay() error {
	x := &st.x
	up := x.Response.Tunnel
	defer up.Close()
	x.Response.Header.Del("sec-websocket-accept")
	x.Response.Status = 200
	st.head(&x.Response, -1)
	if err := st.flush(); err != nil {
		return err
	}
	cut := &tunnelCut{str: st.str, up: up}
	if err := x.Interruptible(cut); err != nil {
		return err
	}
	defer cut.stop(x)

	upward := make(chan struct{})
	go func() {
		defer close(upward)
		if st.upward(up) {
			cut.after(halfOpen)
		} else {
			up.Close() // an end that was none must not look like one
		}
	}()
	err := st.downward(up)
	if cause := x.Cancelled(); cause != nil {
		err = cause
	}
	if err != nil {
		cut.cut()
		<-upward
		return err
	}
	st.unwatch()
	st.str.Close()
	late := time.NewTimer(halfOpen)
	defer late.Stop()
	select {
	case <-upward:
	case <-late.C:
		cut.cut()
		<-upward
	}
	return nil
}

// upward moves what the client sends, and reports whether that has ended well.
func (st *stream) upward(up exchange.Tunnel) (whole bool) {
	for {
		p, err := st.body.Next()
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

// downward moves what the target sends. A client may take it as slowly as it
// likes: what waits for it is one window.
func (st *stream) downward(up exchange.Tunnel) error {
	b := exchange.NewBuffer()
	defer b.Release()
	for {
		n, err := up.Read(b.B[:])
		if n > 0 {
			if err := st.send(b.B[:n]); err != nil {
				return err
			}
			if err := st.flush(); err != nil {
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

// tunnelCut ends both directions of a tunnel, whatever they wait for: either
// side may take nothing.
type tunnelCut struct {
	str     *quic.Stream
	up      exchange.Tunnel
	late    *time.Timer
	running sync.WaitGroup // of cuts
}

func (t *tunnelCut) cut() {
	t.up.Close()
	t.str.CancelRead(codeRequestCancelled)
	t.str.CancelWrite(codeRequestCancelled)
}

// Interrupt implements exchange.Interrupter. The canceller holds locks that
// cutting needs.
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
