package h2

import (
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"time"

	"gopura/exchange"
)

// respond writes the response and reports whether all of it was handed to
// net/http, which then ends the stream.
func (st *stream) respond() bool {
	x := &st.x
	if status := x.Response.Status; status < 200 || status > 999 || x.Response.Tunnel != nil {
		x.DropResponse()
		st.conf.Root.Refuse(x, exchange.Internal.Errorf("status %d is no answer over HTTP/2", status))
	}
	p := &x.Response
	if p.Body == nil {
		p.Body = exchange.NoBody
	}
	st.writeHead(p)
	if x.Request.Method == "HEAD" || p.Status == http.StatusNoContent || p.Status == http.StatusNotModified {
		return true
	}
	if err := st.writeBody(p.Body); err != nil {
		st.fail(err)
		return false
	}
	if t := p.Body.Trailer(); t != nil {
		h := st.w.Header()
		for _, f := range t.Fields() {
			if name := canonical(f.Name); name != "" {
				h[http.TrailerPrefix+name] = append(h[http.TrailerPrefix+name], string(f.Value))
			}
		}
	}
	if cause := x.Cancelled(); exchange.ClientGone.Is(cause) {
		st.fail(cause) // what net/http holds will reach nobody
	}
	if x.Sent > 0 {
		// net/http writes what its buffer still holds when the handler has
		// returned; a closed window must not keep that for ever.
		st.setWriteDeadline(time.Now().Add(st.conf.WriteTimeout))
	}
	return true
}

func (st *stream) writeHead(p *exchange.Response) {
	h := st.w.Header()
	values := copyHeader(h, &p.Header)
	// RFC 9110 §8.6: never with 204. With 304 it would be that of the 200, and
	// is optional; Go's own client takes it for the length of a missing body.
	if n := p.Body.Len(); n >= 0 && p.Status != http.StatusNoContent && p.Status != http.StatusNotModified {
		h["Content-Length"] = append(values, strconv.FormatInt(n, 10))[len(values):]
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // or net/http guesses one
	}
	st.w.WriteHeader(p.Status)
	clear(h) // the rest of the map's life is for trailers
}

// writeBody pulls the body and flushes whenever the next piece would keep the
// client waiting for what is there.
func (st *stream) writeBody(body exchange.Body) error {
	ready, _ := body.(exchange.Ready)
	left, held := body.Len(), true // held: net/http holds something, at first the head
	for left != 0 {
		if held && (ready == nil || !ready.Ready()) {
			if err := st.flush(); err != nil {
				return err
			}
			held = false
		}
		p, err := body.Next()
		if err == io.EOF && left < 0 {
			return nil
		}
		if err == io.EOF {
			return exchange.UpstreamBroken.Errorf("the body ended %d bytes short", left)
		}
		if err != nil {
			return err
		}
		if left > 0 {
			if int64(len(p)) > left {
				return exchange.UpstreamBroken.Errorf("the body is longer than announced")
			}
			left -= int64(len(p))
		}
		if err := st.send(p); err != nil {
			return err
		}
		held = true
	}
	// The end may still say that the body is broken, or bring trailers.
	switch _, err := body.Next(); err {
	case io.EOF:
		return nil
	case nil:
		return exchange.UpstreamBroken.Errorf("the body is longer than announced")
	default:
		return err
	}
}

func (st *stream) send(p []byte) error {
	st.write.arm(st.conf.WriteTimeout)
	n, err := st.w.Write(p)
	bit := st.write.disarm()
	st.x.Sent += int64(n)
	return st.wrote(err, bit)
}

func (st *stream) flush() error {
	st.write.arm(st.conf.WriteTimeout)
	err := st.w.(interface{ FlushError() error }).FlushError()
	return st.wrote(err, st.write.disarm())
}

func (st *stream) wrote(err error, bit bool) error {
	switch {
	case err == nil && !bit:
		return nil
	case st.x.Cancelled() != nil:
		return st.x.Cancelled()
	}
	return exchange.ClientGone.Because(err)
}

// informClient writes an interim answer. net/http says 100 by itself when the
// request's body is first read (though no more after another interim answer:
// such a client sends its body when it is tired of waiting, RFC 9110 §10.1.1).
func (st *stream) informClient(status int, fields *exchange.Header) error {
	if status <= http.StatusSwitchingProtocols || status > 199 {
		return nil
	}
	h := st.w.Header()
	if fields != nil {
		copyHeader(h, fields)
	}
	st.w.WriteHeader(status)
	clear(h)
	return nil
}

// copyHeader copies the fields into net/http's map. Names and values are copied
// too: HPACK's table keeps them for later responses. It returns the slice that
// holds the values; there is room for one more.
func copyHeader(h http.Header, fields *exchange.Header) []string {
	values := make([]string, 0, fields.Len()+1)
	for _, f := range fields.Fields() {
		name := canonical(f.Name)
		if name == "" {
			continue
		}
		if have, ok := h[name]; ok {
			h[name] = append(have, string(f.Value))
			continue
		}
		i := len(values)
		values = append(values, string(f.Value))
		h[name] = values[i : i+1 : i+1]
	}
	return values
}

// canonical returns the key of net/http's map for a field name, "" for a field
// that is not sent: one that RFC 9113 §8.2.2 forbids, or no name at all.
func canonical(name []byte) string {
	if known, ok := knownNames[string(name)]; ok {
		return known
	}
	key := textproto.CanonicalMIMEHeaderKey(string(name))
	switch key {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Content-Length", "Te":
		return ""
	}
	if !exchange.ValidName(key) {
		return ""
	}
	return key
}

// knownNames spares the common names of responses a copy; it is never written.
var knownNames = func() map[string]string {
	known := map[string]string{}
	for _, name := range []string{
		"Accept-Ranges", "Access-Control-Allow-Credentials", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods",
		"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Age", "Alt-Svc", "Cache-Control", "Content-Disposition",
		"Content-Encoding", "Content-Language", "Content-Range", "Content-Security-Policy", "Content-Type", "Date", "Etag",
		"Expires", "Last-Modified", "Link", "Location", "Retry-After", "Server", "Set-Cookie", "Strict-Transport-Security",
		"Vary", "Via", "X-Content-Type-Options", "X-Frame-Options", "X-Powered-By", "X-Request-Id",
	} {
		known[name], known[textproto.CanonicalMIMEHeaderKey(name)] = name, name
		lower := []byte(name)
		for i, c := range lower {
			if upper(c) {
				lower[i] = c | 0x20
			}
		}
		known[string(lower)] = name
	}
	known["ETag"] = "Etag"
	return known
}()
