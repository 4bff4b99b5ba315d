package gateway

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
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopura/config"
	"gopura/exchange"
)

// Bounds of a request that is tried.
const (
	maxTryAnswer = 256 << 10
	tryTimeout   = 30 * time.Second
)

// Trial is a request for Try.
type Trial struct {
	Listener string // its name; empty: the first that does not redirect
	Method   string
	Target   string // path and query
	Host     string
	Header   []config.Pair
	Body     []byte
	Client   netip.AddrPort // who asks
}

// Tried is what came back.
type Tried struct {
	Status    int
	Protocol  string
	Header    []config.Pair
	Body      []byte
	Truncated bool
	Took      time.Duration
}

// ErrBadTrial says that a request can't be sent as it was asked for.
var ErrBadTrial = errors.New("the request can't be sent")

// hopFields are what belongs to a connection or to framing, which are not the
// asker's.
var hopFields = []string{"Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Expect", "Keep-Alive", "Proxy-Connection", "Host"}

// Try sends a real request through the front end of a listener, within this
// process: it can reach nothing that a client of the gateway can't. The client is
// whoever asks. A listener that asks clients for certificates can't be tried, since
// there is none to show.
func (g *Gateway) Try(ctx context.Context, t Trial) (*Tried, error) {
	head, err := t.head()
	if err != nil {
		return nil, err
	}
	l, conf, err := g.listenerOf(t.Listener)
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	client := &exchange.Client{Addr: t.Client, Peer: t.Client, Protocol: "HTTP/1.1", Listener: l.name}
	if conf.TLS != nil {
		client.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: hostname(t.Host)}
	}
	begin := time.Now()
	go l.http1.ServeConn(theirs, client)
	stop := context.AfterFunc(ctx, func() { ours.Close() })
	defer stop()
	ours.SetDeadline(begin.Add(tryTimeout))
	go func() { // the answer may come before the request is out
		ours.Write(head)
		ours.Write(t.Body)
	}()
	out, err := receive(bufio.NewReader(ours), t.Method)
	if err != nil {
		return nil, fmt.Errorf("no answer: %w", err)
	}
	out.Took = time.Since(begin)
	return out, nil
}

// head writes the head of the request, of parts that can be nothing else.
func (t *Trial) head() ([]byte, error) {
	bad := func(format string, args ...any) ([]byte, error) {
		return nil, fmt.Errorf("%w: %s", ErrBadTrial, fmt.Sprintf(format, args...))
	}
	switch {
	case !exchange.ValidName(t.Method) || t.Method == http.MethodConnect:
		return bad("%q is no method for this", t.Method)
	case t.Target == "" || t.Target[0] != '/' || strings.ContainsFunc(t.Target, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return bad("the path begins with / and has no spaces: what is not ASCII is percent-encoded")
	case t.Host == "" || strings.ContainsFunc(t.Host, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return bad("%q is no host", t.Host)
	}
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", t.Method, t.Target, t.Host)
	for _, h := range t.Header {
		switch {
		case !exchange.ValidName(h.Name) || !exchange.ValidValue(h.Value):
			return bad("the field %q can't be sent", h.Name)
		case slices.Contains(hopFields, http.CanonicalHeaderKey(h.Name)):
			return bad("the field %s is set by the connection", h.Name)
		}
		b = fmt.Appendf(b, "%s: %s\r\n", h.Name, h.Value)
	}
	if len(t.Body) > 0 || t.Method == http.MethodPost || t.Method == http.MethodPut || t.Method == http.MethodPatch {
		b = append(append(append(b, "Content-Length: "...), strconv.Itoa(len(t.Body))...), "\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

func hostname(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return authority
}

// listenerOf finds the listener that is to be tried.
func (g *Gateway) listenerOf(name string) (*listener, *config.Listener, error) {
	current := g.current.Get()
	if current == nil || g.draining.Load() {
		return nil, nil, errors.New("the gateway does not serve")
	}
	for i := range current.Value.doc.Listeners {
		conf := &current.Value.doc.Listeners[i]
		if name != conf.Name && (name != "" || conf.Redirect != nil) {
			continue
		}
		if conf.TLS != nil && conf.TLS.Client != nil && conf.TLS.Client.Mode == "required" {
			return nil, nil, fmt.Errorf("%w: the listener %q asks for a certificate", ErrBadTrial, conf.Name)
		}
		g.listenMu.Lock()
		l := g.listeners[conf.Name]
		g.listenMu.Unlock()
		if l != nil {
			return l, conf, nil
		}
	}
	return nil, nil, fmt.Errorf("%w: there is no listener %q", ErrBadTrial, name)
}

// receive reads the answer, past interim ones.
func receive(in *bufio.Reader, method string) (*Tried, error) {
	for {
		r, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if r.StatusCode < 200 && r.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		defer r.Body.Close()
		out := &Tried{Status: r.StatusCode, Protocol: r.Proto}
		for name, values := range r.Header {
			for _, v := range values {
				out.Header = append(out.Header, config.Pair{Name: name, Value: v})
			}
		}
		slices.SortStableFunc(out.Header, func(a, b config.Pair) int { return strings.Compare(a.Name, b.Name) })
		var body bytes.Buffer
		n, err := io.Copy(&body, io.LimitReader(r.Body, maxTryAnswer+1))
		if out.Truncated = n > maxTryAnswer || err != nil; n > maxTryAnswer {
			body.Truncate(maxTryAnswer)
		}
		out.Body = body.Bytes()
		return out, nil
	}
}
