package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"time"
)

// patience is how long a client waits for an answer. The gateway's own timeouts
// are shorter: whoever waits that long has been forgotten.
const patience = 90 * time.Second

// link is how a client reaches the gateway.
type link struct {
	address string
	breaks  bool // it is cut and reset; else a request has to be answered
}

// verdict holds an answer against its request. err is how the body ended.
// It reports whether the answer was whole.
func (a *account) verdict(p *plan, r *http.Response, body []byte, err error) bool {
	if id := r.Header.Get("X-Request-Id"); id != p.tag {
		a.mismatch("%s got an answer with the id %q: %s", p.tag, id, r.Status)
		return false
	}
	if code := r.Header.Get("Gopura-Answer"); code != "" {
		if r.StatusCode < 500 || !bytes.Contains(body, []byte(p.tag)) && p.method != "HEAD" && err == nil {
			a.mismatch("%s %s: %s %s %s", p.method, p.tag, r.Status, code, body)
		}
		a.madeByGateway(fmt.Sprint(r.StatusCode, " ", code))
		return err == nil
	}
	if tag := r.Header.Get("X-Tag"); tag != p.tag || r.StatusCode != http.StatusOK {
		a.mismatch("%s got the answer to %q: %s", p.tag, tag, r.Status)
		return false
	}
	want := p.text(p.size)
	if p.method == "HEAD" {
		want = nil
	}
	framed := p.answer != "until close" || p.method == "HEAD" // its end can't be told from a cut
	switch {
	case len(body) > len(want), !bytes.Equal(body, want[:len(body)]),
		err == nil && len(body) < len(want) && framed,
		err == nil && p.answer == "cut" && p.method != "HEAD":
		a.mismatch("%s %s (%s): %d bytes of %d (%v): %.60q", p.method, p.tag, p.answer, len(body), len(want), err, body)
	case err != nil:
		a.cut.Add(1)
	default:
		a.whole.Add(1)
	}
	return err == nil
}

// talkHTTP1 opens a connection, sends some batches over it, and reads.
func (a *account) talkHTTP1(ctx context.Context, l link, next func() (plan, bool)) {
	c, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", l.address)
	if err != nil {
		time.Sleep(10 * time.Millisecond)
		return
	}
	defer c.Close()
	br := bufio.NewReaderSize(c, 2048)
	before := "nothing"
	for range 1 + rand.IntN(20) {
		var batch []plan
		for range 1 + rand.IntN(5)*rand.IntN(2) {
			if p, ok := next(); ok {
				batch = append(batch, p)
			}
		}
		if len(batch) == 0 {
			return
		}
		var sent sync.WaitGroup
		sent.Go(func() { sendHTTP1(c, batch) })
		n := a.answersHTTP1(br, l, batch, c, &before)
		if n < len(batch) {
			c.Close()
			sent.Wait()
			return
		}
		sent.Wait()
	}
}

// sendHTTP1 writes a batch in one or several pieces.
func sendHTTP1(c net.Conn, batch []plan) {
	var b bytes.Buffer
	for i := range batch {
		p := &batch[i]
		fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: chaos.test\r\nX-Tag: %s\r\nX-Request-Id: %s\r\n", p.method, p.path(), p.tag, p.tag)
		body := p.text(p.upload)
		switch {
		case p.method[0] != 'P':
			b.WriteString("\r\n")
		case !p.chunked:
			fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
		default:
			b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
			for len(body) > 0 {
				n := min(len(body), 1+rand.IntN(20_000))
				fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
				body = body[n:]
			}
			b.WriteString("0\r\n\r\n")
		}
	}
	for text := b.Bytes(); len(text) > 0; {
		n := len(text)
		if rand.IntN(3) == 0 {
			n = 1 + rand.IntN(n)
		}
		if _, err := c.Write(text[:n]); err != nil {
			return
		}
		text = text[n:]
	}
}

// answersHTTP1 reads the answers to a batch, and returns how many there were
// until the connection was of no use any more.
func (a *account) answersHTTP1(br *bufio.Reader, l link, batch []plan, c net.Conn, before *string) int {
	rest := func(i int) { a.lost.Add(int64(len(batch) - i)) }
	for i := range batch {
		p := &batch[i]
		if rand.IntN(150) == 0 {
			a.aborted.Add(int64(len(batch) - i))
			if rand.IntN(2) == 0 {
				c.(*net.TCPConn).SetLinger(0)
			}
			return i
		}
		c.SetDeadline(time.Now().Add(patience))
		r, err := http.ReadResponse(br, &http.Request{Method: p.method})
		for err == nil && r.StatusCode == http.StatusEarlyHints {
			if !linksOnly(p, r.Header.Get("Link")) {
				a.mismatch("%s got the interim answer of %s", p.tag, r.Header.Get("Link"))
			}
			r, err = http.ReadResponse(br, &http.Request{Method: p.method})
		}
		if err != nil {
			if l.breaks {
				rest(i)
				return i
			}
			a.silence("no answer: %v; to %s; the %d. of %d; before it on the connection: %s", err, p, i+1, len(batch), *before)
			rest(i + 1)
			return i
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if ok := a.verdict(p, r, body, err); !ok || r.Close {
			rest(i + 1)
			return i
		}
		*before = fmt.Sprint(p, " ", r.Status, " ", r.Header.Get("Gopura-Answer"))
	}
	return len(batch)
}

// talkHTTP2 keeps some streams busy on one connection after the other.
func (a *account) talkHTTP2(ctx context.Context, l link, streams int, next func() (plan, bool)) {
	t := &http.Transport{Protocols: new(http.Protocols), MaxConnsPerHost: 1, DisableCompression: true}
	t.Protocols.SetUnencryptedHTTP2(true)
	defer t.CloseIdleConnections()
	var all sync.WaitGroup
	for range streams {
		all.Go(func() {
			for ctx.Err() == nil {
				p, ok := next()
				if !ok {
					return
				}
				a.exchangeHTTP2(ctx, t, l, &p)
			}
		})
	}
	all.Wait()
}

func (a *account) exchangeHTTP2(all context.Context, t *http.Transport, l link, p *plan) {
	ctx, cancel := context.WithTimeout(all, patience)
	defer cancel()
	abort := rand.IntN(150) == 0
	if abort {
		time.AfterFunc(time.Duration(rand.IntN(4))*time.Millisecond, cancel)
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if !linksOnly(p, h.Get("Link")) {
			a.mismatch("%s got the interim answer of %s", p.tag, h.Get("Link"))
		}
		return nil
	}})
	var body io.Reader
	if p.method[0] == 'P' {
		body = bytes.NewReader(p.text(p.upload))
		if p.chunked {
			body = struct{ io.Reader }{body}
		}
	}
	r, err := http.NewRequestWithContext(ctx, p.method, "http://"+l.address+p.path(), body)
	if err != nil {
		a.mismatch("%v", err)
		return
	}
	r.Header.Set("X-Tag", p.tag)
	r.Header.Set("X-Request-Id", p.tag)
	if p.once() {
		r.GetBody = nil // so that net/http does not send it again by itself
	}
	resp, err := t.RoundTrip(r)
	if err != nil {
		switch {
		case (abort || all.Err() != nil) && errors.Is(err, context.Canceled):
			a.aborted.Add(1)
		case l.breaks:
			a.lost.Add(1)
			time.Sleep(time.Millisecond)
		default:
			a.silence("no answer over HTTP/2: %v; to %s", err, p)
		}
		return
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	a.verdict(p, resp, text, err)
}
